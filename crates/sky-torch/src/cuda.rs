use std::sync::OnceLock;

use crate::ffi;

/// Loads libtorch's CUDA half when it is to be found, and says whether a GPU can be used.
///
/// Call it first in `main`, before anything asks libtorch about CUDA: the answer is remembered
/// there, and asking too early turns CUDA off for the whole process. Later calls return the first
/// one's answer. With a GPU, libtorch is set to take kernels that give the same bits each time.
/// Not yet run on a GPU.
pub fn load_cuda() -> bool {
    static LOADED: OnceLock<bool> = OnceLock::new();
    *LOADED.get_or_init(|| {
        // SAFETY: a constant NUL-terminated name; loading runs libtorch_cuda's own initialisers and
        // nothing else.
        let status = unsafe { ffi::sky_dlopen_global(c"libtorch_cuda.so".as_ptr()) };
        let found = ffi::check("load_cuda", status).is_ok() && tch::Cuda::is_available();
        if found {
            // SAFETY: settings of libtorch, made before anything is computed.
            unsafe { ffi::sky_deterministic() }
        }
        found
    })
}
