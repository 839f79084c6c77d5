use tch::Tensor;

use crate::TrainError;

/// An optimizer over flat shards, in place of AdamW ([`crate::Trainer::with_optimizer`]).
///
/// Each block of the model is one flat vector, and a rank keeps a contiguous shard of it. The
/// optimizer updates one range of a shard at a time, element by element: it does not see which
/// parameter an element belongs to, so that sharding, offload and checkpoints work without it. Two
/// state tensors lie beside the weights; an optimizer that needs one (SGD with momentum, Lion)
/// leaves the other at zero.
///
/// The default is AdamW with f32, bf16 or 8-bit states in fused kernels (`optimizer_dtype`,
/// `master_dtype`); it does not go through this trait. A custom optimizer needs f32 states and
/// master weights, the default of both settings.
pub trait Optimizer: Send + Sync {
    /// Updates the weights and the states in place. It runs without autograd, and with an offloaded
    /// optimizer on another thread.
    ///
    /// # Errors
    /// Whatever goes wrong ends the run; libtorch's errors convert by `?`.
    fn step(&self, shard: &ShardStep<'_>) -> Result<(), TrainError>;
}

/// A range of one block's shard in one optimizer step. All tensors are f32 `[n]`.
#[derive(Debug)]
#[non_exhaustive]
pub struct ShardStep<'a> {
    /// Master weights.
    pub param: &'a Tensor,
    /// Their gradient, clipped.
    pub grad: &'a Tensor,
    /// States, zeros before the first step. Checkpoints name them `exp_avg` and `exp_avg_sq`.
    pub states: [&'a Tensor; 2],
    /// Learning rate of this step.
    pub lr: f64,
    /// Weight decay of this range: 0 for biases and norms.
    pub weight_decay: f64,
    /// Steps taken before this one.
    pub step: u64,
}
