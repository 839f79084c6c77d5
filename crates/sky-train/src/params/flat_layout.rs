use std::ops::Range;

use sky_model::{BlockSpec, ParamSpec};

/// Elements a shard's length is a multiple of, so that every shard begins on a cache line and
/// vector kernels have no tail.
pub(crate) const ALIGN: i64 = 64;

/// How a block's parameters lie in one flat vector.
///
/// Parameters with weight decay come first, so that any shard has at most two parameter groups. The
/// layout does not depend on the number of ranks; only the padding at its end does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FlatLayout {
    /// The block's name in checkpoints: `embedding`, `layer.3`, `head`.
    pub(crate) name: String,
    /// The parameters in the order the block's function takes them.
    pub(crate) params: Vec<FlatParam>,
    /// Elements without padding.
    pub(crate) numel: i64,
    /// Elements at the front that weight decay applies to.
    pub(crate) decayed: i64,
    /// Elements of one rank's shard.
    pub(crate) shard: i64,
    /// Number of ranks.
    world_size: i64,
}

/// A parameter and its place in the flat vector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FlatParam {
    pub(crate) spec: ParamSpec,
    /// Index of its first element.
    pub(crate) offset: i64,
}

impl FlatLayout {
    pub(crate) fn new(block: &BlockSpec, world_size: usize) -> Self {
        let mut offsets = vec![0; block.params.len()];
        let mut end = 0;
        let mut decayed = 0;
        for decay in [true, false] {
            for (param, offset) in block.params.iter().zip(&mut offsets) {
                if param.decay == decay {
                    *offset = end;
                    end += param.numel();
                }
            }
            if decay {
                decayed = end;
            }
        }
        let world_size = world_size as i64;
        Self {
            name: match block.id {
                sky_model::BlockId::Embedding => "embedding".into(),
                sky_model::BlockId::Layer(i) => format!("layer.{i}"),
                sky_model::BlockId::Head => "head".into(),
            },
            params: block
                .params
                .iter()
                .cloned()
                .zip(offsets)
                .map(|(spec, offset)| FlatParam { spec, offset })
                .collect(),
            numel: end,
            decayed,
            shard: (end + ALIGN * world_size - 1) / (ALIGN * world_size) * ALIGN,
            world_size,
        }
    }

    /// Elements of all ranks' shards, padding included.
    pub(crate) fn padded_numel(&self) -> i64 {
        self.shard * self.world_size
    }

    /// The elements of rank `rank`'s shard.
    pub(crate) fn shard_range(&self, rank: usize) -> Range<i64> {
        let begin = rank as i64 * self.shard;
        begin..begin + self.shard
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use sky_model::BlockId;

    use super::*;

    #[test]
    fn decayed_parameters_lie_first_and_shards_cover_everything() {
        let block = BlockSpec {
            id: BlockId::Layer(3),
            params: vec![
                ParamSpec::new("norm", &[10]),
                ParamSpec::new("q", &[10, 10]),
                ParamSpec::new("q.bias", &[10]),
                ParamSpec::new("o", &[5, 10]),
            ],
        };
        for world_size in [1, 2, 3, 8] {
            let layout = FlatLayout::new(&block, world_size);
            let offsets: Vec<i64> = layout.params.iter().map(|p| p.offset).collect();
            assert_eq!(offsets, [150, 0, 160, 100]);
            assert_eq!((layout.numel, layout.decayed), (170, 150));
            assert!(layout.shard % ALIGN == 0 && layout.shard * world_size as i64 >= 170);
            assert_eq!(
                layout.shard_range(world_size - 1).end,
                layout.padded_numel()
            );
        }
    }
}
