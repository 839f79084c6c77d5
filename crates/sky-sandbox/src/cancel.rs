//! Cancels runs whose result is no longer needed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Ends a run early because an earlier test of its problem has failed.
///
/// A problem's tests run at the same time, and the first failure in their order decides the
/// verdict. Later tests need not finish. The guest notices at its next call to the host, within a
/// few tens of milliseconds, and ends with [`Exit::OutOfTime`](crate::Exit::OutOfTime).
#[derive(Clone)]
pub struct Cancel {
    first_failed: Arc<AtomicUsize>,
    index: usize,
}

impl Cancel {
    /// Cancels the run with this `index` once `first_failed` holds a smaller index. The caller
    /// lowers `first_failed` when a test fails, and starts it at `usize::MAX`.
    pub fn new(first_failed: Arc<AtomicUsize>, index: usize) -> Self {
        Self {
            first_failed,
            index,
        }
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.first_failed.load(Ordering::Relaxed) < self.index
    }
}
