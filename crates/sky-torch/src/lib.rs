//! What tch lacks, in one place, and all unsafe code of the torch side: [`backward`] with an upstream gradient and chosen
//! inputs, the optimizer's step [`fused_adamw_`], and
//! [`adamw_pass_`] with master weights apart, a block's operations in one pass ([`rms_norm`], [`rotary`], [`swiglu`],
//! [`cross_entropy_`]), [`load_cuda`], and what processes do together: the key-value [`Store`] that they meet at, the
//! [`ProcessGroup`] of gloo, and the [`NcclGroup`] of their GPUs.
//!
//! ```
//! use sky_torch::backward;
//! use tch::{Kind, Tensor};
//!
//! let x = Tensor::from_slice(&[1.0f32, 2.0, 3.0]).set_requires_grad(true);
//! let y = x.square();
//! let upstream = Tensor::from_slice(&[1.0f32, 10.0, 100.0]);
//! let grads = backward(&[&y], &[&upstream], &[&x])?;
//! let grad = Vec::<f32>::try_from(grads[0].as_ref().unwrap())?;
//! assert_eq!(grad, [2.0, 40.0, 600.0]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod adamw;
mod autograd;
mod cuda;
mod error;
mod ffi;
mod fused;
mod group;
mod memory;
mod nccl;
mod patience;
mod store;
mod threads;

pub use adamw::{AdamW, AdamWPass, AdamWSlot, Chances, adamw_pass_, fused_adamw_};
pub use autograd::backward;
pub use cuda::load_cuda;
pub use error::TorchError;
pub use fused::{
    accumulate_, attends, attention, cross_entropy_, fuses, rms_norm, rotary, swiglu,
    varlen_attention,
};
pub use group::{Listen, ProcessGroup, Work};
pub use memory::{give_back_memory, keep_tensors_apart, kept_memory, pinned_zeros};
pub use nccl::{GpuMark, NcclGroup, NcclId, NcclWork, gpu_for, gpu_memory, gpu_name, nccl_id};
pub use store::Store;
pub use threads::set_threads;
