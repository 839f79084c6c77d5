use sky_model::{BlockSpec, ParamSpec};
use tch::{Kind, Tensor};

use super::{Places, Sharded, copy_part};
use crate::{Collective, TrainError, adapters::BaseHash, layout::Layout};

/// Weights of one block that are not trained: in the kind of the computation alone, without master, moments or gradient;
/// this rank's shard where parameters are sharded, else all.
pub(super) struct Frozen {
    pub(super) layout: Layout,
    pub(super) weights: Tensor,
}

/// Fills the frozen blocks from `weights`, which are of the shapes they should be; gives their hash as well, unless there are none.
pub(super) fn fill(
    blocks: &[BlockSpec],
    sharded: Sharded,
    comm: &dyn Collective,
    (kind, places): (Kind, Places),
    weights: &mut dyn FnMut(&ParamSpec) -> Result<Tensor, TrainError>,
) -> Result<(Vec<Frozen>, Option<String>), TrainError> {
    let mut hash = BaseHash::default();
    let mut found = Vec::with_capacity(blocks.len());
    for block in blocks {
        let layout = Layout::new(block, comm.world());
        let kept = if sharded.parameters {
            layout.part(comm.rank())
        } else {
            (0, layout.whole())
        };
        let shard = places.zeros(kept.1 - kept.0, kind, places.weights)?;
        for (param, offset) in &layout.params {
            let whole = weights(param)?.f_to_kind(kind)?;
            hash.add(param, &whole)?;
            copy_part(&whole, *offset, &shard, kept)?;
        }
        found.push(Frozen {
            layout,
            weights: shard,
        });
    }
    let hash = (!found.is_empty()).then(|| hash.finish());
    Ok((found, hash))
}
