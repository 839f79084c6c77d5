use crate::ffi;

/// From now on, large tensors in host memory lie in mappings of their own, on huge pages where the system gives them when asked
/// (`madvise`): what comes and goes leaves no holes between what stays, and costs few page faults. Mappings that were freed are
/// kept for the next tensor of about that size; all together are never more than tensors have needed at once, and 32 MiB.
///
/// It is for the whole process, so a program calls it first of all, in `main`; again does nothing. On other systems than Linux
/// it does nothing at all.
pub fn keep_tensors_apart() {
    // SAFETY: tensors that are there keep their own way of being freed.
    unsafe { ffi::sky_keep_tensors_apart() }
}

/// Gives memory that was freed, and is kept for later, back to the system, where it can be: for when a process turns to something
/// else. What is asked for next comes from the system again.
pub fn give_back_memory() {
    // SAFETY: what is in use is not touched.
    unsafe { ffi::sky_give_back_memory() }
}

/// Bytes of freed memory that are kept for the next tensors: free for this process, used for all others.
pub fn kept_memory() -> u64 {
    // SAFETY: a number.
    unsafe { ffi::sky_kept_memory() as u64 }
}
