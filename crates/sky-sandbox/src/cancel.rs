//! Cancelling runs whose result nobody needs any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Tells a run that nobody waits for it any more: a test before this one has failed.
#[derive(Clone)]
pub struct Cancel {
    first_failed: Arc<AtomicUsize>,
    index: usize,
}

impl Cancel {
    /// Cancels run number `index` once `first_failed` is below it.
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
