use sky_model::{BlockSpec, ParamSpec};
use tch::{Kind, Tensor};

use super::{
    flat::{checked, copy_part},
    shard::{Devices, Sharded},
};
use crate::{
    Collective, TrainError, checkpoint::flat_layout::FlatLayout, checkpoint::trainable::BaseHash,
};

/// Weights of one block that are not trained: compute weights alone, without master weights,
/// moments or gradient. This rank's shard where parameters are sharded, else all.
pub(super) struct Frozen {
    pub(super) layout: FlatLayout,
    pub(super) weights: Tensor,
}

/// Fills the frozen blocks from `weights`; gives their hash as well, unless there are none.
pub(super) fn fill(
    blocks: &[BlockSpec],
    sharded: Sharded,
    comm: &dyn Collective,
    kind: Kind,
    devices: Devices,
    weights: &mut dyn FnMut(&ParamSpec) -> Result<Tensor, TrainError>,
) -> Result<(Vec<Frozen>, Option<String>), TrainError> {
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
        for (param, offset) in &layout.params {
            // Hashed whole and after the cast: the bits that adapters are trained against, however
            // they are sharded and whatever dtype the file has.
            let whole = checked(param, weights(param)?)?.f_to_kind(kind)?;
            hash.add(param, &whole)?;
            copy_part(&whole, *offset, &shard, &local)?;
        }
        found.push(Frozen {
            layout,
            weights: shard,
        });
    }
    let hash = (!found.is_empty()).then(|| hash.finish());
    Ok((found, hash))
}
