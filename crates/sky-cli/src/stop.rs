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

/// Signals that come so close together are one: `timeout`, and Ctrl-C with a program that passes it
/// on, reach a process twice.
const ONE: Duration = Duration::from_secs(1);

/// Whether this process has been asked to stop: raised by SIGTERM, SIGINT and SIGHUP, but for those
/// it was started to ignore, as `nohup` does. A second one ends the process at once, with the code
/// that a shell gives one ended by it.
#[derive(Clone, Debug)]
pub struct StopSignal(Arc<AtomicBool>);

impl StopSignal {
    /// Begins to listen.
    ///
    /// # Errors
    /// When the operating system refuses.
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

    /// One that nobody raises.
    pub fn never() -> Self {
        Self(Arc::default())
    }

    /// Whether the process was asked.
    pub fn raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Whether a signal that comes `now` is not the same as the first.
fn is_second(first: &mut Option<Instant>, now: Instant) -> bool {
    now.duration_since(*first.get_or_insert(now)) > ONE
}

/// The signals that a process of this `/proc/self/status` does not ignore.
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

/// Empty where the system has no such file: then nothing is taken to be ignored.
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
