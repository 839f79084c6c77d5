//! A pending collective on GPUs.

use std::sync::{Arc, atomic::Ordering};

use tch::Tensor;

use super::{
    communicator::Shared,
    gpu::{Event, failed},
};
use crate::TorchError;

/// A pending collective.
#[derive(Debug)]
#[must_use = "the tensors are not ready before it has been waited for"]
pub struct NcclWork {
    pub(super) shared: Arc<Shared>,
    pub(super) what: &'static str,
    pub(super) done: Option<Arc<Event>>,
    pub(super) tensors: Vec<Tensor>,
}

impl NcclWork {
    /// Makes later work on libtorch's stream wait for the end. The host does not wait.
    ///
    /// # Errors
    /// When the group was aborted: the content of the tensors is undefined.
    pub fn wait(mut self) -> Result<(), TorchError> {
        self.order()?;
        if self.shared.aborted.load(Ordering::Acquire) {
            return Err(failed(self.what, "the group has failed".into()));
        }
        Ok(())
    }

    fn order(&mut self) -> Result<(), TorchError> {
        let Some(done) = self.done.take() else {
            return Ok(());
        };
        self.shared.gpu.make_current()?;
        let ordered = done.hold_default_stream();
        // libtorch may reuse their memory from here on: it does so on its own stream, which now
        // waits for the operation.
        self.tensors.clear();
        ordered
    }
}

impl Drop for NcclWork {
    fn drop(&mut self) {
        // Nobody has waited for it: its memory must not be reused before its end either.
        if self.order().is_err() {
            std::mem::forget(std::mem::take(&mut self.tensors));
        }
    }
}
