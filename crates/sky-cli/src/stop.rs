use std::{
    fs, io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
    low_level::exit,
};

/// Signals within this time count as one: `timeout`, or Ctrl-C with a parent that passes it on,
/// reach a process twice.
const ONE: Duration = Duration::from_secs(1);

/// Whether this process was asked to stop by SIGTERM, SIGINT or SIGHUP.
///
/// A signal that the process was started to ignore, as `nohup` does, stays ignored. A second signal
/// ends the process at once with code 128 plus its number, as a shell reports it.
#[derive(Clone, Debug)]
pub struct StopSignal(Arc<AtomicBool>);

impl StopSignal {
    /// Installs the signal handlers and listens in a thread of its own.
    ///
    /// # Errors
    /// When the operating system refuses a handler or the thread.
    pub fn listen() -> io::Result<Self> {
        let stop = Self::never();
        let mut signals = Signals::new(wanted(&status()))?;
        let raised = stop.clone();
        let listen = move || {
            let mut first = None;
            for signal in signals.forever() {
                raised.0.store(true, Ordering::Relaxed);
                if is_second(&mut first, Instant::now()) {
                    exit(128 + signal);
                }
            }
        };
        thread::Builder::new()
            .name("signals".into())
            .spawn(listen)?;
        Ok(stop)
    }

    /// A signal that is never raised.
    pub fn never() -> Self {
        Self(Arc::default())
    }

    /// Whether the process was asked to stop.
    pub fn raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Whether a signal at `now` is a second one, and not the first one again.
fn is_second(first: &mut Option<Instant>, now: Instant) -> bool {
    now.duration_since(*first.get_or_insert(now)) > ONE
}

/// The signals to listen to: those that the process with this `/proc/self/status` does not ignore.
fn wanted(status: &str) -> Vec<i32> {
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0);
    let mut all = vec![SIGTERM, SIGINT, SIGHUP];
    all.retain(|signal| mask >> (signal - 1) & 1 == 0);
    all
}

/// The text of `/proc/self/status`. Empty on a system without it: then no signal counts as ignored.
fn status() -> String {
    fs::read_to_string("/proc/self/status").unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_that_come_together_are_one() {
        let began = Instant::now();
        let mut first = None;
        let mut second = |later: u64| is_second(&mut first, began + Duration::from_millis(later));
        assert!(!second(0) && !second(1) && !second(1000));
        assert!(second(1001) && second(9000));
    }

    #[test]
    fn what_nohup_ignores_stays_ignored() {
        assert_eq!(
            wanted("Name:\tx\nSigIgn:\t0000000000000001\n"),
            [SIGTERM, SIGINT]
        );
        assert_eq!(wanted("SigIgn:\t0000000000000006\n"), [SIGTERM, SIGHUP]);
        assert_eq!(wanted(""), [SIGTERM, SIGINT, SIGHUP]);
    }
}
