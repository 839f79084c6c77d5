use tch::Tensor;

use crate::{TorchError, ffi};

/// Gradients of `sum_j <outputs[j], upstream[j]>` with respect to chosen `inputs`, without touching
/// any `.grad` field.
///
/// This is what block-by-block training needs: recompute one block from detached leaves, feed in
/// the gradient that came from the block above, get the gradients of the block's input and
/// parameters, and let the graph go (it is freed). The result is as long as `inputs`; `None` where
/// an input took no part. Each `upstream[j]` has the shape and kind of `outputs[j]`.
///
/// # Errors
/// When the lists do not match, an output has no graph, or an input does not require a gradient.
pub fn backward(
    outputs: &[&Tensor],
    upstream: &[&Tensor],
    inputs: &[&Tensor],
) -> Result<Vec<Option<Tensor>>, TorchError> {
    const WHAT: &str = "backward";
    if outputs.len() != upstream.len() {
        return Err(TorchError::Lengths {
            what: WHAT,
            expected: outputs.len(),
            found: upstream.len(),
        });
    }
    // libtorch would follow an edge that is not there.
    if let Some(at) = outputs.iter().position(|output| !output.requires_grad()) {
        let reason = format!("output {at} has no graph: it depends on nothing that is trained");
        return Err(TorchError::Op { what: WHAT, reason });
    }
    if let Some(at) = inputs.iter().position(|input| !input.requires_grad()) {
        let reason = format!("input {at} does not require a gradient");
        return Err(TorchError::Op { what: WHAT, reason });
    }
    // libtorch would quietly sum a larger gradient down to the output's shape.
    for (output, grad) in outputs.iter().zip(upstream) {
        if output.size() != grad.size() {
            let reason = format!(
                "upstream gradient of shape {:?} for an output of shape {:?}",
                grad.size(),
                output.size()
            );
            return Err(TorchError::Op { what: WHAT, reason });
        }
    }
    let (outputs, upstream, leaves) = (ffi::raw(outputs), ffi::raw(upstream), ffi::raw(inputs));
    let mut result = vec![std::ptr::null_mut(); leaves.len()];
    // SAFETY: every pointer comes from a borrowed tensor that outlives the call, and each list has
    // the length that is passed with it.
    let status = unsafe {
        ffi::sky_backward(
            outputs.as_ptr(),
            upstream.as_ptr(),
            outputs.len(),
            leaves.as_ptr(),
            leaves.len(),
            result.as_mut_ptr(),
        )
    };
    ffi::check(WHAT, status)?;
    Ok(result.into_iter().map(ffi::adopt).collect())
}
