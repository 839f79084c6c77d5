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
    pub(crate) fn sky_adamw_pass(
        master: Raw,
        grad: Raw,
        exp_avg: Raw,
        exp_avg_sq: Raw,
        weights: Raw,
        rounding_bits: Raw,
        at: i64,
        scale: c_double,
        lr: c_double,
        beta1: c_double,
        beta2: c_double,
        weight_decay: c_double,
        eps: c_double,
        step: c_double,
    ) -> c_int;
    pub(crate) fn sky_install_allocator();
    pub(crate) fn sky_empty_cache();
    pub(crate) fn sky_pinned_zeros(length: i64, width: c_int, result: *mut Raw) -> c_int;
    pub(crate) fn sky_deterministic();
    pub(crate) fn sky_cached_bytes() -> usize;
    pub(crate) fn sky_rms_norm(x: Raw, weight: Raw, eps: c_double, result: *mut Raw) -> c_int;
    pub(crate) fn sky_swiglu(gate: Raw, up: Raw, result: *mut Raw) -> c_int;
    pub(crate) fn sky_rotary(x: Raw, cos: Raw, sin: Raw, result: *mut Raw) -> c_int;
    pub(crate) fn sky_supports_attention(width: i64) -> c_int;
    pub(crate) fn sky_attention(
        q: Raw,
        k: Raw,
        v: Raw,
        starts: *const i64,
        count: usize,
        result: *mut Raw,
    ) -> c_int;
    pub(crate) fn sky_varlen_attention(
        q: Raw,
        k: Raw,
        v: Raw,
        starts: Raw,
        longest: i64,
        result: *mut Raw,
    ) -> c_int;
    pub(crate) fn sky_cross_entropy(
        logits: Raw,
        targets: Raw,
        scale: c_double,
        z_loss: c_double,
        result: *mut Raw,
    ) -> c_int;
    pub(crate) fn sky_accumulate(sum: Raw, x: Raw) -> c_int;
    pub(crate) fn sky_dlopen_global(library: *const c_char) -> c_int;
    pub(crate) fn sky_store_connect(
        host: *const c_char,
        port: u16,
        serve: c_int,
        prefix: *const c_char,
        timeout_ms: i64,
        result: *mut *mut c_void,
    ) -> c_int;
    pub(crate) fn sky_store_set(
        store: *mut c_void,
        key: *const c_char,
        data: *const u8,
        size: usize,
    ) -> c_int;
    pub(crate) fn sky_store_get(
        store: *mut c_void,
        key: *const c_char,
        data: *mut u8,
        capacity: usize,
        size: *mut usize,
        found: *mut c_int,
    ) -> c_int;
    pub(crate) fn sky_store_free(store: *mut c_void);
    pub(crate) fn sky_gloo_new(
        store: *mut c_void,
        rank: c_int,
        world_size: c_int,
        interface: *const c_char,
        host: *const c_char,
        timeout_ms: i64,
        result: *mut *mut c_void,
    ) -> c_int;
    pub(crate) fn sky_group_free(group: *mut c_void);
    pub(crate) fn sky_all_gather_into(
        group: *mut c_void,
        full: Raw,
        shard: Raw,
        result: *mut *mut c_void,
    ) -> c_int;
    pub(crate) fn sky_all_to_all(
        group: *mut c_void,
        received: Raw,
        sent: Raw,
        result: *mut *mut c_void,
    ) -> c_int;
    pub(crate) fn sky_all_reduce(
        group: *mut c_void,
        tensor: Raw,
        result: *mut *mut c_void,
    ) -> c_int;
    pub(crate) fn sky_broadcast(
        group: *mut c_void,
        tensor: Raw,
        from: c_int,
        result: *mut *mut c_void,
    ) -> c_int;
    pub(crate) fn sky_barrier(group: *mut c_void, result: *mut *mut c_void) -> c_int;
    pub(crate) fn sky_work_wait(work: *mut c_void, timeout_ms: i64, done: *mut c_int) -> c_int;
    pub(crate) fn sky_work_free(work: *mut c_void);
}

/// The pointer behind one borrowed tensor.
pub(crate) fn one(tensor: &Tensor) -> Raw {
    tensor.as_ptr().cast_mut().cast()
}

/// The pointers behind borrowed tensors; valid as long as the tensors are.
pub(crate) fn raw(tensors: &[&Tensor]) -> Vec<Raw> {
    tensors.iter().map(|t| one(t)).collect()
}

/// Takes over a tensor the shim allocated; null is none.
pub(crate) fn adopt(pointer: Raw) -> Option<Tensor> {
    // SAFETY: the shim hands out either null or a `new at::Tensor` that nothing else frees,
    // which is what tch wraps.
    (!pointer.is_null()).then(|| unsafe { Tensor::from_ptr(pointer.cast()) })
}

/// Turns a shim's status into a result with its message.
pub(crate) fn check(what: &'static str, status: c_int) -> Result<(), TorchError> {
    if status != 0 {
        return Ok(());
    }
    // SAFETY: the shim returns a NUL-terminated string that lives until this thread's next call
    // into it.
    let message = unsafe { CStr::from_ptr(sky_last_error()) }.to_string_lossy();
    // libtorch appends a C++ backtrace; the first line is the cause.
    let reason = message.lines().next().unwrap_or("no message").to_owned();
    Err(TorchError::Op { what, reason })
}
