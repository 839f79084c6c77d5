use tch::{Device, Kind, Tensor};

use crate::TrainError;

/// Vectors of a layer's size that are used again and again; the embedding's and the head's are too
/// large to be kept.
#[derive(Default)]
pub(super) struct Buffers(Vec<Tensor>);

impl Buffers {
    /// Gives a vector with unspecified content: whoever needs zeros writes them.
    pub(super) fn take(
        &mut self,
        length: i64,
        options: (Kind, Device),
    ) -> Result<Tensor, TrainError> {
        // The device is not compared: all buffers are on the compute device.
        let found = self
            .0
            .iter()
            .position(|t| t.numel() as i64 == length && t.kind() == options.0);
        Ok(match found {
            Some(index) => self.0.swap_remove(index),
            None => Tensor::f_zeros([length], options)?,
        })
    }

    pub(super) fn give_back(&mut self, buffer: Tensor, is_layer: bool) {
        // Two parameters' and one gradient's are in use at once; kept graphs hold more for a while.
        let alike = |t: &&Tensor| t.numel() == buffer.numel() && t.kind() == buffer.kind();
        if is_layer && self.0.iter().filter(alike).count() < 4 {
            self.0.push(buffer);
        }
    }
}
