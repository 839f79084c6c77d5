//! Gradients in flight: a reduce-scatter and a device-to-host copy that somebody has to wait for.

use sky_torch::CudaEvent;
use tch::Tensor;

use crate::Pending;

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
