//! The parts of libtorch that tch does not bind, and all unsafe code of the torch side.
//!
//! - [`backward`]: a backward pass with an upstream gradient, for chosen inputs.
//! - [`adamw_pass_`] and [`fused_adamw_`]: the AdamW step; [`RoundingBits`] for stochastic
//!   rounding.
//! - [`rms_norm`], [`rotary`], [`swiglu`], [`attention`], [`cross_entropy_`]: fused kernels on a
//!   CPU.
//! - [`Store`] and [`ProcessGroup`]: where ranks meet, and their collectives over gloo;
//!   [`NcclGroup`] over NCCL. [`Work`] and [`NcclWork`] are pending collectives.
//! - [`install_allocator`]: large tensors in mappings of their own; [`load_cuda`]: libtorch's CUDA
//!   half; [`limit_spinning`]: threads that leave their core to others.
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
mod memory;
mod nccl;
mod process_group;
mod store;
mod threads;
mod timeout;

pub use adamw::{AdamW, AdamWPass, AdamWSlot, RoundingBits, adamw_pass_, fused_adamw_};
pub use autograd::backward;
pub use cuda::load_cuda;
pub use error::TorchError;
pub use fused::{
    accumulate_, attention, cross_entropy_, rms_norm, rotary, supports_attention, supports_fused,
    swiglu, varlen_attention,
};
pub use memory::{cached_bytes, empty_cache, install_allocator, pinned_zeros};
pub use nccl::{
    CudaEvent, GpuMemory, NcclGroup, NcclId, NcclWork, gpu_for, gpu_memory, gpu_name, nccl_id,
};
pub use process_group::{Listen, ProcessGroup, Work};
pub use store::Store;
pub use threads::{limit_spinning, set_threads};

/// The README's example, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
