//! Flat vectors: sizes, checks and partial copies.

use std::ops::Range;

use sky_model::ParamSpec;
use tch::{Tensor, no_grad};

use crate::TrainError;

/// Bytes of a tensor's elements.
pub(super) fn bytes_of(tensor: &Tensor) -> u64 {
    (tensor.numel() * tensor.kind().elt_size_in_bytes()) as u64
}

/// Checks a weight's shape against its spec and gives it back.
pub(super) fn with_checked_shape(param: &ParamSpec, whole: Tensor) -> Result<Tensor, TrainError> {
    if whole.size() == param.shape {
        return Ok(whole);
    }
    Err(sky_model::ModelError::Shape {
        name: param.name.clone(),
        expected: param.shape.clone(),
        found: whole.size(),
    }
    .into())
}

/// Copies the overlap of a parameter and a local range: the parameter begins at `offset` of its
/// block's flat vector, `target` holds the elements `local` of that vector.
pub(super) fn copy_part(
    whole: &Tensor,
    offset: i64,
    target: &Tensor,
    local: &Range<i64>,
) -> Result<(), TrainError> {
    let end = offset + whole.numel() as i64;
    let (from, to) = (local.start.max(offset), local.end.min(end));
    // Else the parameter lies in other ranks' shards.
    if from < to {
        let part = whole
            .f_reshape([-1])?
            .f_narrow(0, from - offset, to - from)?;
        // `whole` is the caller's and may require gradients: the copy must not record a graph.
        no_grad(|| {
            target
                .f_narrow(0, from - local.start, to - from)?
                .f_copy_(&part)
        })?;
    }
    Ok(())
}
