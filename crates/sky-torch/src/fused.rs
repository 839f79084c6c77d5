use tch::{Device, Kind, Tensor};

use crate::{TorchError, ffi};

/// Whether the fused kernels take tensors of this dtype on this device: f32 and bf16 on a CPU.
pub fn supports_fused(kind: Kind, device: Device) -> bool {
    device == Device::Cpu && matches!(kind, Kind::Float | Kind::BFloat16)
}

/// `x / rms(x) * weight` over the last axis, with its gradient: one pass over memory where composed
/// operations take eight forwards and more back.
///
/// `x` is `[.., width]`, `weight` `[width]`, both of one dtype that [`supports_fused`] accepts; the
/// result is as `x`. Arithmetic is in f32; the normed value is rounded to that dtype before it meets
/// the weight, as in the models' reference code.
///
/// # Errors
/// When shapes, dtypes or devices do not match.
pub fn rms_norm(x: &Tensor, weight: &Tensor, eps: f64) -> Result<Tensor, TorchError> {
    made("rms_norm", |result| {
        // SAFETY: both tensors are borrowed for the call, `result` is a place for one pointer.
        unsafe { ffi::sky_rms_norm(ffi::one(x), ffi::one(weight), eps, result) }
    })
}

/// `silu(gate) * up`, element by element, with its gradient; nothing but the two inputs is kept for
/// that.
///
/// # Errors
/// When shapes, dtypes or devices do not match.
pub fn swiglu(gate: &Tensor, up: &Tensor) -> Result<Tensor, TorchError> {
    made("swiglu", |result| {
        // SAFETY: as in `rms_norm`.
        unsafe { ffi::sky_swiglu(ffi::one(gate), ffi::one(up), result) }
    })
}

/// Rotates the two halves of each head, with its gradient: `x` `[tokens, heads, width]`, tables
/// `[tokens, 1, width / 2]`.
///
/// # Errors
/// When shapes, dtypes or devices do not match.
pub fn rotary(x: &Tensor, cos: &Tensor, sin: &Tensor) -> Result<Tensor, TorchError> {
    made("rotary", |result| {
        // SAFETY: as in `rms_norm`.
        unsafe { ffi::sky_rotary(ffi::one(x), ffi::one(cos), ffi::one(sin), result) }
    })
}

/// Cross-entropies of `targets` (i64 `[rows]`) under `logits` `[rows, classes]`: f32 `[rows]`. The
/// logits become the gradient of `scale * sum(loss + z_loss * log_z^2)` with respect to themselves,
/// in place; there is no graph.
///
/// # Errors
/// When shapes, dtypes or devices do not match, or a target is no class.
pub fn cross_entropy_(
    logits: &Tensor,
    targets: &Tensor,
    scale: f64,
    z_loss: f64,
) -> Result<Tensor, TorchError> {
    made("cross_entropy_", |result| {
        let (logits, targets) = (ffi::one(logits), ffi::one(targets));
        // SAFETY: as in `rms_norm`.
        unsafe { ffi::sky_cross_entropy(logits, targets, scale, z_loss, result) }
    })
}

/// Adds `x`, f32 or bf16, to an f32 `sum` of the same shape, in place and without a copy of `x` in
/// f32.
///
/// # Errors
/// When shapes, dtypes or devices do not match.
pub fn accumulate_(sum: &Tensor, x: &Tensor) -> Result<(), TorchError> {
    // SAFETY: both tensors are borrowed for the call.
    let status = unsafe { ffi::sky_accumulate(ffi::one(sum), ffi::one(x)) };
    ffi::check("accumulate_", status)
}

/// Whether [`attention`] takes heads of this width in this kind on this device: bf16 on a processor
/// that multiplies it (AVX-512 BF16), widths that are multiples of 32 up to 256.
pub fn supports_attention(kind: Kind, device: Device, width: i64) -> bool {
    // SAFETY: a function of a number.
    kind == Kind::BFloat16
        && device == Device::Cpu
        && unsafe { ffi::sky_supports_attention(width) } != 0
}

/// Causal attention inside each document, with its gradient: q `[tokens, heads, width]`, k and v
/// `[tokens, kv_heads, width]`, of a kind and width that [`supports_attention`] accepts; gives
/// `[tokens, heads * width]`. `starts` says where documents begin and ends with the number of
/// tokens. Scores are scaled by `1 / sqrt(width)`; sums are in f32, in the same order for any
/// number of threads.
///
/// # Errors
/// When shapes, dtypes or devices do not match, a document is empty, or the processor does not
/// multiply bf16.
pub fn attention(q: &Tensor, k: &Tensor, v: &Tensor, starts: &[i64]) -> Result<Tensor, TorchError> {
    made("attention", |result| {
        let (q, k, v) = (ffi::one(q), ffi::one(k), ffi::one(v));
        // SAFETY: the tensors and `starts` are borrowed for the call, `result` is a place for one
        // pointer.
        unsafe { ffi::sky_attention(q, k, v, starts.as_ptr(), starts.len(), result) }
    })
}

/// The same on a GPU, bf16 or f16, by libtorch's variable-length flash kernel: `starts` is i32
/// `[documents + 1]` on that GPU, `longest` the tokens of the longest document. Not yet run on a
/// GPU.
///
/// # Errors
/// When shapes, dtypes or devices do not match, or the GPU has no such kernel (older than Ampere).
pub fn varlen_attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    starts: &Tensor,
    longest: i64,
) -> Result<Tensor, TorchError> {
    made("varlen_attention", |result| {
        let (q, k, v) = (ffi::one(q), ffi::one(k), ffi::one(v));
        // SAFETY: all tensors are borrowed for the call, `result` is a place for one pointer.
        unsafe { ffi::sky_varlen_attention(q, k, v, ffi::one(starts), longest, result) }
    })
}

/// A tensor that the shim makes.
fn made(
    what: &'static str,
    call: impl FnOnce(*mut ffi::Raw) -> std::ffi::c_int,
) -> Result<Tensor, TorchError> {
    let mut result = std::ptr::null_mut();
    ffi::check(what, call(&raw mut result))?;
    ffi::adopt(result).ok_or_else(|| TorchError::Op {
        what,
        reason: "no result".into(),
    })
}
