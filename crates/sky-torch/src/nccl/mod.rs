//! NCCL: collectives between GPUs. Not yet run on a GPU.
//!
//! - `group.rs`: [`NcclGroup`] and its collectives; `work.rs` one that is pending.
//! - `communicator.rs`: NCCL's communicator, what is in flight on it, and its end.
//! - `library.rs`: loading libnccl, its settings, its errors.
//! - `gpu.rs`: the CUDA driver: contexts, streams, events.

mod communicator;
mod gpu;
mod group;
mod library;
mod work;

pub use self::{
    gpu::{CudaEvent, GpuMemory, gpu_for, gpu_memory, gpu_name},
    group::NcclGroup,
    library::{NcclId, nccl_id},
    work::NcclWork,
};
