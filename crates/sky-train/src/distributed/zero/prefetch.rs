//! The prefetch of a block's weights. `param_gather.rs` starts it for the next block.

use tch::Tensor;

use crate::{Pending, TrainError};

/// The all-gather of a block's weights, started before the block is needed.
pub(super) struct Prefetch {
    pub(super) block: usize,
    /// One for the frozen weights and one for the trained ones, whichever there are.
    pub(super) parts: Vec<PendingVector>,
}

/// A full vector that an all-gather is filling.
pub(super) struct PendingVector {
    /// The collective writes into it: it must not be read before `pending` is done.
    pub(super) whole: Tensor,
    pub(super) pending: Pending,
}

impl Prefetch {
    /// Waits until all parts of the block are there.
    pub(super) fn wait(self) -> Result<Vec<Tensor>, TrainError> {
        self.parts
            .into_iter()
            .map(|PendingVector { whole, pending }| pending.wait().map(|()| whole))
            .collect()
    }
}
