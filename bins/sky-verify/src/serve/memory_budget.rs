//! A bound on the memory that requests and answers take together.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// A bound on the bytes of all requests and answers in memory.
pub(super) struct MemoryBudget {
    /// One permit is one KiB: a semaphore counts in `u32`.
    free: Arc<Semaphore>,
    total: u32,
}

impl MemoryBudget {
    pub(super) fn new(bytes: u64) -> Self {
        let total = u32::try_from(bytes >> 10).unwrap_or(u32::MAX).max(1);
        Self {
            free: Arc::new(Semaphore::new(total as usize)),
            total,
        }
    }

    /// The permits for a number of bytes. What exceeds the whole budget takes all of it, so that it
    /// runs alone instead of never.
    fn permits(&self, bytes: u64) -> u32 {
        let permits = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
        permits.clamp(1, self.total)
    }

    /// Reserves bytes if they are free now.
    pub(super) fn try_reserve(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        let free = Arc::clone(&self.free);
        free.try_acquire_many_owned(self.permits(bytes)).ok()
    }

    /// Reserves bytes; none when they are not free within the time limit.
    pub(super) async fn reserve(
        &self,
        bytes: u64,
        limit: Duration,
    ) -> Option<OwnedSemaphorePermit> {
        let free = Arc::clone(&self.free);
        let reserved = timeout(limit, free.acquire_many_owned(self.permits(bytes))).await;
        reserved.ok()?.ok()
    }

    /// Returns what a reservation holds beyond `bytes`.
    pub(super) fn shrink(&self, reserved: &mut OwnedSemaphorePermit, bytes: u64) {
        let needed = self.permits(bytes) as usize;
        drop(reserved.split(reserved.num_permits().saturating_sub(needed)));
    }
}
