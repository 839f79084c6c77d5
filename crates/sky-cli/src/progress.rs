use std::{
    io::IsTerminal,
    sync::{Mutex, PoisonError},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, WeakProgressBar};

/// The bars on the terminal, oldest first.
static BARS: Mutex<Vec<WeakProgressBar>> = Mutex::new(Vec::new());

/// Runs `write` while the progress bars are hidden.
pub(crate) fn suspend_bars<R>(write: impl FnOnce() -> R) -> R {
    let bars = BARS.lock().unwrap_or_else(PoisonError::into_inner);
    let newest = bars.iter().rev().find_map(WeakProgressBar::upgrade);
    // Unlocked before the write, which may make a bar.
    drop(bars);
    match newest {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// A progress bar with rate and ETA. Silent when standard error is no terminal.
#[derive(Debug)]
pub struct Progress(ProgressBar);

impl Progress {
    /// A bar over `total` items. `unit` is their plural: "samples", "steps", "tok".
    pub fn new(label: &str, total: u64, unit: &str) -> Self {
        let target = if std::io::stderr().is_terminal() {
            ProgressDrawTarget::stderr_with_hz(5)
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(Some(total), target);
        let template = format!(
            "{label:<12} {{bar:28}} {{pos}}/{{len}} {unit}  {{per_sec}}  ETA {{eta}}  {{msg}}"
        );
        // Only a label with braces could break this template; then the default style serves.
        bar.set_style(
            ProgressStyle::with_template(&template)
                .unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        let mut bars = BARS.lock().unwrap_or_else(PoisonError::into_inner);
        bars.retain(|bar| bar.upgrade().is_some());
        bars.push(bar.downgrade());
        drop(bars);
        Self(bar)
    }

    /// Adds `done` items that were finished since the last call.
    pub fn advance(&self, done: u64) {
        self.0.inc(done);
    }

    /// Sets the position to `done` items that were finished before this process began. They do not
    /// count for the rate and the ETA.
    pub fn skip(&self, done: u64) {
        self.0.set_position(done);
        self.0.reset_eta();
    }

    /// Shows a short text at the end of the bar, such as a loss or a pass rate.
    pub fn note(&self, text: impl Into<String>) {
        self.0.set_message(text.into());
    }
}

/// A progress bar over verdicts that also shows how many are right.
#[derive(Debug)]
pub struct VerdictProgress {
    bar: Progress,
    resumed: u64,
    right: u64,
}

impl VerdictProgress {
    /// A bar over `total` verdicts.
    pub fn new(label: &str, total: u64) -> Self {
        Self {
            bar: Progress::new(label, total, "verdicts"),
            resumed: 0,
            right: 0,
        }
    }

    /// Adds one verdict. `new` is false for a verdict that was read from a journal.
    pub fn verdict(&mut self, right: bool, new: bool) {
        self.right += u64::from(right);
        if new {
            self.bar.advance(1);
        } else {
            self.resumed += 1;
            self.bar.skip(self.resumed);
        }
        self.bar.note(format!("{} right", self.right));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
