//! Transfers that have begun and that somebody has to wait for.

use sky_torch::CudaEvent;
use tch::Tensor;

use crate::{Pending, TrainError};

/// The all-gather of a block's weights, started before the block is needed.
pub(super) struct Prefetch {
    pub(super) block: usize,
    /// One full vector for the frozen weights and one for the trained ones, whichever there are.
    /// The collective writes into them: they must not be read before [`Prefetch::wait`].
    pub(super) parts: Vec<(Tensor, Pending)>,
}

impl Prefetch {
    /// Waits until all parts of the block are there.
    pub(super) fn wait(self) -> Result<Vec<Tensor>, TrainError> {
        self.parts
            .into_iter()
            .map(|(whole, pending)| pending.wait().map(|()| whole))
            .collect()
    }
}

/// A block's gradient that is being summed over the ranks.
pub(super) struct PendingReduceScatter {
    pub(super) block: usize,
    /// What this rank sends: the whole block's gradient. Its buffer is free again after the wait.
    pub(super) flat: Tensor,
    /// What this rank receives: its shard of the sum.
    pub(super) mine: Tensor,
    pub(super) pending: Pending,
}

/// A gradient that is being copied from a GPU to pinned host memory, where it is accumulated.
pub(super) struct GradOffload {
    pub(super) block: usize,
    /// Must not be read before `ready` is reached: the copy does not block the host.
    pub(super) host: Tensor,
    pub(super) ready: CudaEvent,
}
