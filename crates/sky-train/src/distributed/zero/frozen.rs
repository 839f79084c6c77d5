use sky_model::{BlockSpec, ParamSpec};
use tch::{Kind, Tensor};

use super::{
    flat::{copy_part, with_checked_shape},
    shard::{Devices, Sharded},
};
use crate::{
    Collective, TrainError,
    params::{
        base_hash::BaseHash,
        flat_layout::{FlatLayout, FlatParam},
    },
};

/// Weights of one block that are not trained: compute weights alone, without master weights,
/// optimizer states or gradient. This rank's shard where parameters are sharded, else all.
pub(super) struct FrozenBlock {
    pub(super) layout: FlatLayout,
    pub(super) weights: Tensor,
}

/// All frozen weights of a model.
pub(super) struct FrozenWeights {
    pub(super) blocks: Vec<FrozenBlock>,
    /// SHA-256 of the whole weights, the same on every rank; none when no block is frozen.
    pub(super) hash: Option<String>,
}

/// Fills the frozen blocks from `weights`.
pub(super) fn fill(
    blocks: &[BlockSpec],
    sharded: Sharded,
    comm: &dyn Collective,
    kind: Kind,
    devices: Devices,
    weights: &mut dyn FnMut(&ParamSpec) -> Result<Tensor, TrainError>,
) -> Result<FrozenWeights, TrainError> {
    let mut hash = BaseHash::default();
    let mut found = Vec::with_capacity(blocks.len());
    for block in blocks {
        let layout = FlatLayout::new(block, comm.world_size());
        let local = if sharded.parameters {
            layout.shard_range(comm.rank())
        } else {
            0..layout.padded_numel()
        };
        let shard = devices.zeros(local.end - local.start, kind, devices.weights)?;
        for FlatParam { spec, offset } in &layout.params {
            // Hashed whole and after the cast: the bits that adapters are trained against, however
            // they are sharded and whatever dtype the file has.
            let whole = with_checked_shape(spec, weights(spec)?)?.f_to_kind(kind)?;
            hash.add(spec, &whole)?;
            copy_part(&whole, *offset, &shard, &local)?;
        }
        found.push(FrozenBlock {
            layout,
            weights: shard,
        });
    }
    Ok(FrozenWeights {
        hash: (!found.is_empty()).then(|| hash.finish()),
        blocks: found,
    })
}
