use crate::ffi;

/// Gives memory that was freed, and that the allocator keeps for later, back to the system: all whole pages of it, wherever
/// they lie. What is asked for next comes from the system again, a page fault for each page.
///
/// glibc alone does this when asked; with another C library nothing happens.
pub fn give_back_memory() {
    // SAFETY: what is in use is not touched.
    unsafe { ffi::sky_give_back_memory() }
}
