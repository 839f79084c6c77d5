use tch::{Kind, Tensor};

use crate::{TorchError, ffi};

/// From now on, large tensors in host memory lie in mappings of their own, on huge pages where the
/// system gives them when asked (`madvise`): what comes and goes leaves no holes between what
/// stays, and costs few page faults. Mappings that were freed are kept for the next tensor of about
/// that size; all together are never more than tensors have needed at once, and 32 MiB.
///
/// It is for the whole process, so a program calls it first of all, in `main`; again does nothing.
/// On other systems than Linux it does nothing at all.
pub fn install_allocator() {
    // SAFETY: tensors that are there keep their own way of being freed.
    unsafe { ffi::sky_install_allocator() }
}

/// Gives memory that was freed, and is kept for later, back to the system, where it can be: for
/// when a process turns to something else. What is asked for next comes from the system again.
pub fn empty_cache() {
    // SAFETY: what is in use is not touched.
    unsafe { ffi::sky_empty_cache() }
}

/// Bytes of freed memory that are kept for the next tensors: free for this process, used for all
/// others.
pub fn cached_bytes() -> u64 {
    // SAFETY: a number.
    unsafe { ffi::sky_cached_bytes() as u64 }
}

/// A vector of zeros in pinned host memory, f32, bf16 or u8: a GPU reads and writes it by itself.
/// libtorch rounds its size up to a power of two (`CachingHostAllocator`). Not yet run on a GPU.
///
/// # Errors
/// Without a GPU, for another kind, or when there is no memory.
pub fn pinned_zeros(length: i64, kind: Kind) -> Result<Tensor, TorchError> {
    let what = "pinned_zeros";
    let failed = |reason: &str| TorchError::Op {
        what,
        reason: reason.into(),
    };
    let width = match kind {
        Kind::Float | Kind::BFloat16 | Kind::Uint8 => kind.elt_size_in_bytes(),
        _ => return Err(failed("neither f32 nor bf16 nor u8")),
    };
    let mut result = std::ptr::null_mut();
    // SAFETY: `result` is a place for one pointer.
    let status = unsafe { ffi::sky_pinned_zeros(length, width as i32, &raw mut result) };
    ffi::check(what, status)?;
    ffi::adopt(result).ok_or_else(|| failed("no result"))
}
