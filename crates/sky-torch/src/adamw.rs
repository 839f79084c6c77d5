use tch::{Tensor, no_grad};

use crate::{TorchError, ffi};

/// The numbers of one AdamW step (Loshchilov and Hutter, 2019, with decoupled weight decay).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// Learning rate of this step.
    pub lr: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decoupled weight decay, multiplied by the learning rate.
    pub weight_decay: f64,
}

/// One parameter with what AdamW keeps for it; all four of one shape but `step`, which is an f32
/// scalar.
#[derive(Debug)]
pub struct AdamWSlot<'a> {
    /// The parameter, updated in place.
    pub param: &'a Tensor,
    /// Its gradient.
    pub grad: &'a Tensor,
    /// First moment, zeros at the start.
    pub exp_avg: &'a Tensor,
    /// Second moment, zeros at the start.
    pub exp_avg_sq: &'a Tensor,
    /// Steps taken before this one; counted up here.
    pub step: &'a Tensor,
}

/// One fused AdamW step over all slots, in place.
///
/// # Errors
/// When shapes or dtypes do not match.
pub fn fused_adamw_(slots: &[AdamWSlot<'_>], hyper: &AdamW) -> Result<(), TorchError> {
    let list = |pick: fn(&AdamWSlot<'_>) -> *mut std::ffi::c_void| {
        slots.iter().map(pick).collect::<Vec<_>>()
    };
    // The kernel divides by 1 - beta^step: counting starts at one.
    no_grad(|| {
        for slot in slots {
            let _ = slot.step.shallow_clone().f_add_scalar_(1.0);
        }
    });
    let params = list(|s| s.param.as_ptr().cast_mut().cast());
    let grads = list(|s| s.grad.as_ptr().cast_mut().cast());
    let exp_avgs = list(|s| s.exp_avg.as_ptr().cast_mut().cast());
    let exp_avg_sqs = list(|s| s.exp_avg_sq.as_ptr().cast_mut().cast());
    let steps = list(|s| s.step.as_ptr().cast_mut().cast());
    // SAFETY: the five lists are as long as `slots`, and every tensor is borrowed for the whole
    // call.
    let status = unsafe {
        ffi::sky_fused_adamw(
            params.as_ptr(),
            grads.as_ptr(),
            exp_avgs.as_ptr(),
            exp_avg_sqs.as_ptr(),
            steps.as_ptr(),
            slots.len(),
            hyper.lr,
            hyper.beta1,
            hyper.beta2,
            hyper.weight_decay,
            hyper.eps,
        )
    };
    ffi::check("fused_adamw_", status)
}

/// What [`adamw_pass_`] reads and writes, all of one shape, contiguous, on a CPU.
#[derive(Debug)]
pub struct AdamWPass<'a> {
    /// Master weights, f32 or bf16, updated in place.
    pub master: &'a Tensor,
    /// Gradient, f32 or bf16.
    pub grad: &'a Tensor,
    /// What the gradient is multiplied by, as it is read.
    pub scale: f64,
    /// First moment, f32 or bf16, zeros at the start.
    pub exp_avg: &'a Tensor,
    /// Second moment, as the first.
    pub exp_avg_sq: &'a Tensor,
    /// bf16 weights that become the new f32 master weights, rounded to the nearest.
    pub weights: Option<&'a Tensor>,
    /// What decides how master weights and optimizer states in bf16 are rounded: needed for these.
    pub rounding_bits: Option<RoundingBits<'a>>,
}

/// Random bits for stochastic rounding of f32 to bf16: the mean is exact, so no change is
/// too small to be seen on average.
#[derive(Clone, Copy, Debug)]
pub struct RoundingBits<'a> {
    /// i32, uniform over all bits, as many as a power of two: element `i` takes number `i` modulo
    /// that. The upper half of a number is for the optimizer states, the lower for the master
    /// weights.
    pub table: &'a Tensor,
    /// Number of the first element.
    pub at: i64,
}

/// The AdamW step that follows `done` others, in one pass over memory: 28 bytes a parameter are
/// read and written where all state is f32, half of that where it is bf16; by all threads, with the
/// same bits for any number of them.
///
/// # Errors
/// When shapes, dtypes or devices do not match.
pub fn adamw_pass_(pass: &AdamWPass<'_>, hyper: &AdamW, done: u64) -> Result<(), TorchError> {
    let weights = pass.weights.map_or(std::ptr::null_mut(), ffi::one);
    let (rounding_bits, at) = pass
        .rounding_bits
        .map_or((std::ptr::null_mut(), 0), |by| (ffi::one(by.table), by.at));
    // SAFETY: all tensors are borrowed for the call; null stands for no weights, and for no
    // rounding bits.
    let status = unsafe {
        ffi::sky_adamw_pass(
            ffi::one(pass.master),
            ffi::one(pass.grad),
            ffi::one(pass.exp_avg),
            ffi::one(pass.exp_avg_sq),
            weights,
            rounding_bits,
            at,
            pass.scale,
            hyper.lr,
            hyper.beta1,
            hyper.beta2,
            hyper.weight_decay,
            hyper.eps,
            (done + 1) as f64,
        )
    };
    ffi::check("adamw_pass_", status)
}
