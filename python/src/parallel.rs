//! Many checks on several threads, without the GIL.

use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use sky_sandbox::Cancel;

/// How often a waiting call looks for Ctrl-C.
const SIGNAL_INTERVAL: Duration = Duration::from_millis(100);

/// The results of `check(0)` to `check(count - 1)`, in this order, from at most `threads` threads
/// (all cores when it is none).
///
/// The GIL is free meanwhile. Ctrl-C, or another signal whose Python handler raises, ends the call
/// after the checks that run at that time, which [`Stop::cancel`] can cut short. An error ends it too.
pub(crate) fn check_all<T: Send>(
    py: Python<'_>,
    count: usize,
    threads: Option<usize>,
    check: impl Fn(usize, &Stop) -> PyResult<T> + Sync,
) -> PyResult<Vec<T>> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let threads = match threads {
        Some(0) => return Err(PyValueError::new_err("threads must be at least 1")),
        Some(threads) => threads.min(256),
        None => cores,
    };
    let checks = ParallelChecks {
        count,
        check,
        next: AtomicUsize::new(0),
        stop: Stop(Arc::new(AtomicUsize::new(usize::MAX))),
    };
    let mut found = py.detach(|| checks.run(threads.min(count)))?;
    // By index: each thread had its own share.
    found.sort_unstable_by_key(|(index, _)| *index);
    found.into_iter().map(|(_, result)| result).collect()
}

/// Whether a call ends early.
pub(crate) struct Stop(Arc<AtomicUsize>);

impl Stop {
    /// What ends a run in the sandbox when the call ends early.
    pub(crate) fn cancel(&self) -> Cancel {
        Cancel::new(Arc::clone(&self.0), 1)
    }

    fn set(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }
}

/// Runs the Python handlers of signals that have come; an error is what one of them raised.
fn check_signals() -> PyResult<()> {
    Python::attach(|py| {
        py.check_signals()?;
        Ok(())
    })
}

/// The checks of one call.
struct ParallelChecks<C> {
    count: usize,
    check: C,
    /// The check that starts next.
    next: AtomicUsize,
    /// No more checks start.
    stop: Stop,
}

impl<C> ParallelChecks<C> {
    /// Starts the threads and waits for them; looks for signals meanwhile.
    fn run<T: Send>(&self, threads: usize) -> PyResult<Vec<(usize, PyResult<T>)>>
    where
        C: Fn(usize, &Stop) -> PyResult<T> + Sync,
    {
        let (alive, ended) = mpsc::channel::<()>();
        thread::scope(|scope| {
            let mut workers = Vec::with_capacity(threads);
            let mut failed = None;
            for _ in 0..threads {
                let alive = alive.clone();
                let worker = thread::Builder::new()
                    .name("sky-verify".to_owned())
                    .spawn_scoped(scope, move || {
                        let found = self.share();
                        drop(alive);
                        found
                    });
                match worker {
                    Ok(worker) => workers.push(worker),
                    // Fewer threads do, down to one.
                    Err(error) => failed = Some(error),
                }
            }
            drop(alive);
            if workers.is_empty()
                && let Some(error) = failed
            {
                return Err(PyRuntimeError::new_err(format!(
                    "cannot start a thread: {error}"
                )));
            }
            let mut interrupted = None;
            // Nothing is ever sent: the channel closes when the last thread has ended.
            while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(SIGNAL_INTERVAL) {
                if interrupted.is_none()
                    && let Err(error) = check_signals()
                {
                    self.stop.set();
                    interrupted = Some(error);
                }
            }
            let mut found = Vec::with_capacity(self.count);
            for worker in workers {
                let share = worker.join();
                found.extend(share.map_err(|_| PyRuntimeError::new_err("a check panicked"))?);
            }
            interrupted.map_or(Ok(found), Err)
        })
    }

    /// What one thread does: one check after the other, until none is left.
    fn share<T>(&self) -> Vec<(usize, PyResult<T>)>
    where
        C: Fn(usize, &Stop) -> PyResult<T>,
    {
        let mut found = Vec::new();
        while !self.stop.is_set() {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            if index >= self.count {
                break;
            }
            let result = (self.check)(index, &self.stop);
            if result.is_err() {
                self.stop.set();
            }
            found.push((index, result));
        }
        found
    }
}
