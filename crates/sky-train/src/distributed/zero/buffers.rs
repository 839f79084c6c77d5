use tch::{Device, Kind, Tensor};

use crate::TrainError;

/// A pool of vectors of a layer's size. The embedding's and the head's are too large to be kept.
#[derive(Default)]
pub(super) struct Buffers(Vec<Tensor>);

impl Buffers {
    /// Gives a vector with unspecified content: whoever needs zeros writes them.
    pub(super) fn take(
        &mut self,
        length: i64,
        kind: Kind,
        device: Device,
    ) -> Result<Tensor, TrainError> {
        // The device is not compared: all buffers are on the compute device.
        let found = self
            .0
            .iter()
            .position(|t| t.numel() as i64 == length && t.kind() == kind);
        Ok(match found {
            Some(index) => self.0.swap_remove(index),
            None => Tensor::f_zeros([length], (kind, device))?,
        })
    }

    /// Takes a vector back. No collective and no graph may still use it: its next user overwrites
    /// it.
    pub(super) fn release(&mut self, buffer: Tensor, is_layer: bool) {
        // Two parameters' and one gradient's are in use at once. Kept graphs hold more for a while:
        // the limit keeps their buffers from staying after the step that needed them.
        let alike = |t: &&Tensor| t.numel() == buffer.numel() && t.kind() == buffer.kind();
        if is_layer && self.0.iter().filter(alike).count() < 4 {
            self.0.push(buffer);
        }
    }
}
