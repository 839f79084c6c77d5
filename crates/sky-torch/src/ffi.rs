//! The C interface of the shim. Nothing outside this crate sees it.

use std::ffi::{CStr, c_char, c_double, c_int, c_void};

use tch::Tensor;

use crate::TorchError;

/// `at::Tensor*`.
pub(crate) type Raw = *mut c_void;

unsafe extern "C" {
    fn sky_last_error() -> *const c_char;
    pub(crate) fn sky_backward(
        outputs: *const Raw,
        upstream: *const Raw,
        n_outputs: usize,
        inputs: *const Raw,
        n_inputs: usize,
        result: *mut Raw,
    ) -> c_int;
    pub(crate) fn sky_fused_adamw(
        params: *const Raw,
        grads: *const Raw,
        exp_avgs: *const Raw,
        exp_avg_sqs: *const Raw,
        steps: *const Raw,
        n: usize,
        lr: c_double,
        beta1: c_double,
        beta2: c_double,
        weight_decay: c_double,
        eps: c_double,
    ) -> c_int;
    pub(crate) fn sky_dlopen_global(library: *const c_char) -> c_int;
}

/// The pointers behind borrowed tensors; valid as long as the tensors are.
pub(crate) fn raw(tensors: &[&Tensor]) -> Vec<Raw> {
    tensors
        .iter()
        .map(|t| t.as_ptr().cast_mut().cast())
        .collect()
}

/// Takes over a tensor the shim allocated; null is none.
pub(crate) fn adopt(pointer: Raw) -> Option<Tensor> {
    // SAFETY: the shim hands out either null or a fresh `new at::Tensor` that nothing else frees, which is what tch wraps.
    (!pointer.is_null()).then(|| unsafe { Tensor::from_ptr(pointer.cast()) })
}

/// Turns a shim's status into a result with its message.
pub(crate) fn check(what: &'static str, status: c_int) -> Result<(), TorchError> {
    if status != 0 {
        return Ok(());
    }
    // SAFETY: the shim returns a NUL-terminated string that lives until this thread's next call into it.
    let message = unsafe { CStr::from_ptr(sky_last_error()) }.to_string_lossy();
    // libtorch appends a C++ backtrace; the first line is the cause.
    let reason = message.lines().next().unwrap_or("no message").to_owned();
    Err(TorchError::Op { what, reason })
}
