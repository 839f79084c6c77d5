//! The prefetch of a block's weights. `param_gather.rs` starts it for the next block.

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
