//! What a rank keeps and what a micro-batch takes, the same on GPUs and on CPUs.

use crate::{Checkpointing, ModelShape, Offload, TrainConfig};

/// Trained parameters that a rank keeps of what is sharded from ZeRO stage `stage` on.
pub(super) fn kept(shape: &ModelShape, config: &TrainConfig, world: u64, stage: u8) -> u64 {
    share(shape.trained(config), config, world, stage)
}

/// Bytes of the weights that a rank keeps between steps, trained and frozen.
pub(super) fn weights(shape: &ModelShape, config: &TrainConfig, world: u64) -> u64 {
    let frozen = share(shape.frozen(config), config, world, 3);
    config.precision.bytes() * (frozen + kept(shape, config, world, 3))
}

/// What a rank keeps of so many parameters that are sharded from ZeRO stage `stage` on.
pub(super) fn share(params: u64, config: &TrainConfig, world: u64, stage: u8) -> u64 {
    if config.zero_stage >= stage {
        params.div_ceil(world)
    } else {
        params
    }
}

/// Whether master weights are apart from the weights: when they are of another kind or lie in another memory.
pub(super) fn own_master(config: &TrainConfig, offload: Offload) -> bool {
    config.master_weights.bytes() != config.precision.bytes()
        || offload.optimizer() != offload.parameters()
}

/// Bytes of master weights and moments of so many parameters, in one memory with the weights.
pub(super) fn optimizer(config: &TrainConfig, params: u64) -> u64 {
    state(config, params, !own_master(config, Offload::None))
}

/// The same; where `within`, the master weights are the weights and not counted.
pub(super) fn state(config: &TrainConfig, params: u64, within: bool) -> u64 {
    let master = if within {
        0
    } else {
        config.master_weights.bytes() * params
    };
    master + moments(config, params)
}

/// A rank's vectors in pinned host memory, one a block: libtorch rounds each up to a power of two (`CachingHostAllocator`).
pub(super) struct Pinned<'a> {
    pub(super) shape: &'a ModelShape,
    pub(super) config: &'a TrainConfig,
    pub(super) world: u64,
}

impl Pinned<'_> {
    /// Bytes of a vector of trained parameters, `width` bytes each, that is sharded from ZeRO stage `stage` on.
    pub(super) fn trained(&self, stage: u8, width: f64) -> u64 {
        match self.config.lora {
            None => self.of_model(stage, width),
            Some(_) => {
                self.shape.layers
                    * self.vector(self.shape.layer_adapters(self.config), stage, width)
            }
        }
    }

    /// The same of frozen weights.
    pub(super) fn frozen(&self, width: f64) -> u64 {
        match self.config.lora {
            None => 0,
            Some(_) => self.of_model(3, width),
        }
    }

    /// Master weights, unless they are `within` the weights, and moments.
    pub(super) fn state(&self, within: bool) -> u64 {
        let moment = self.config.moments.bytes();
        // Codes and scales are two vectors.
        let whole = moment.floor();
        let scales = self.trained(1, moment - whole);
        let master = self.config.master_weights.bytes() as f64;
        let master = if within { 0 } else { self.trained(1, master) };
        master + 2 * (self.trained(1, whole) + scales)
    }

    /// Gradients on their way from a GPU, two at a time, and one of the embedding's or head's size: what was pinned for one stays
    /// for the next of its size.
    pub(super) fn landing(&self) -> u64 {
        let (embedding, layer) = match self.config.lora {
            None => (self.shape.embedding(), self.shape.layer()),
            Some(_) => (0, self.shape.layer_adapters(self.config)),
        };
        self.vector(embedding, 2, 4.0) + 2 * self.vector(layer, 2, 4.0)
    }

    fn of_model(&self, stage: u8, width: f64) -> u64 {
        let shape = self.shape;
        let head = shape.params() - shape.embedding() - shape.layers * shape.layer();
        let of = |params| self.vector(params, stage, width);
        of(shape.embedding()) + shape.layers * of(shape.layer()) + of(head)
    }

    fn vector(&self, params: u64, stage: u8, width: f64) -> u64 {
        match (width * share(params, self.config, self.world, stage) as f64) as u64 {
            0 => 0,
            bytes => bytes.next_power_of_two(),
        }
    }
}

fn moments(config: &TrainConfig, params: u64) -> u64 {
    (2.0 * config.moments.bytes() * params as f64) as u64
}

/// Bytes of the copy from which a checkpoint is written while training goes on; 0 when none is.
pub(super) fn copy(config: &TrainConfig, params: u64, steps: u64) -> u64 {
    let during_training = config.save_every > 0 && config.save_every < steps;
    if config.background_save && during_training {
        state(config, params, false)
    } else {
        0
    }
}

/// What a micro-batch's passes hold at three moments, in bytes.
pub(super) struct Activations {
    /// While the head runs: block inputs, kept graphs, logits.
    pub(super) head: u64,
    /// While the uppermost layer goes back: block inputs, kept graphs, its own.
    pub(super) top: u64,
    /// While the lowest does.
    pub(super) bottom: u64,
}

impl Activations {
    pub(super) fn most(&self) -> u64 {
        self.head.max(self.top)
    }
}

/// Bytes of one layer's input.
pub(super) fn input(shape: &ModelShape, config: &TrainConfig, tokens: u64) -> u64 {
    tokens * shape.hidden * config.precision.bytes()
}

/// Bytes of pinned host memory for the inputs of layers that are computed again: libtorch rounds each up to a power of two
/// (`CachingHostAllocator`).
pub(super) fn inputs_on_host(
    shape: &ModelShape,
    config: &TrainConfig,
    tokens: u64,
    checkpointing: Checkpointing,
) -> u64 {
    input(shape, config, tokens).next_power_of_two() * checkpointing.again(shape.layers)
}

/// Block inputs, one block's graph and those that are kept, and the head's logits. With fused operations,
/// those of CPUs, logits become their own gradient; else there are their f32 copy, its log-softmax, the gradients of two of
/// them, and with z-loss a softmax.
pub(super) fn activations(
    shape: &ModelShape,
    config: &TrainConfig,
    tokens: u64,
    checkpointing: Checkpointing,
    fused: bool,
    inputs_away: bool,
) -> Activations {
    let width = config.precision.bytes();
    let graph = tokens * (shape.graph_bytes(fused) + shape.adapter_graph_bytes(config)) * width / 2;
    let again = checkpointing.again(shape.layers);
    // One that is used, one on its way.
    let waiting = if inputs_away { again.min(2) } else { again };
    let inputs = input(shape, config, tokens) * (shape.layers - again + waiting);
    let noise = if config.neftune_alpha > 0.0 {
        tokens * shape.hidden * (4 + width)
    } else {
        0
    };
    let softmax = if config.z_loss > 0.0 { 4 } else { 0 };
    let logit = if fused {
        width
    } else {
        2 * width + 3 * 4 + softmax
    };
    let logits = (config.head_chunk as u64).min(tokens) * shape.vocab * logit;
    // On its way back a layer has gradients of three tensors of the feed-forward width beside its graph.
    let layer = graph + 3 * tokens * shape.ffn * width;
    // All kept graphs are there with the head's logits, and with the graph of the uppermost layer unless that is one of them.
    let kept = checkpointing.kept(shape.layers);
    let others = kept - u64::from(checkpointing.keeps(shape.layers as usize));
    Activations {
        head: inputs + noise + kept * graph + logits,
        top: inputs + noise + others * graph + layer,
        bottom: layer,
    }
}

/// Gathered blocks and gradients on their way, in bytes at five moments. Adapters count with their layer; what is frozen
/// has no gradient.
pub(super) struct Buffers {
    /// The head's weights, a layer's on their way, its f32 gradient and a chunk's.
    pub(super) head: u64,
    /// What is on its way from the head while the uppermost layer goes back, or from that layer, and the layer's.
    pub(super) top: u64,
    /// A layer's weights, the next one's, and its gradients.
    pub(super) layer: u64,
    /// The embedding's gradient: whole, and on its way.
    pub(super) embedding: u64,
    /// What the ranks' sum of its gradient takes once all gradients are there, if it is made then.
    pub(super) sum: u64,
}

impl Buffers {
    pub(super) fn most(&self) -> u64 {
        [self.top, self.layer, self.embedding, self.sum]
            .into_iter()
            .fold(self.head, u64::max)
    }
}

/// A graph that is kept holds the weights that were gathered for it. `fused` as for [`activations`]; weights that are offloaded
/// are gathered too, and offloaded gradients go to host memory.
pub(super) fn buffers(
    shape: &ModelShape,
    config: &TrainConfig,
    world: u64,
    checkpointing: Checkpointing,
    (fused, offload): (bool, Offload),
) -> Buffers {
    let (width, stage) = (config.precision.bytes(), config.zero_stage);
    let gathered = if offload.parameters() || world > 1 && stage == 3 {
        width
    } else {
        0
    };
    let flat = if offload.optimizer() || world > 1 && stage >= 2 {
        4
    } else {
        0
    };
    let adapters = shape.layer_adapters(config);
    let whole = shape.layer() + adapters;
    // What of head and layer has a gradient.
    let (head_trained, trained) = match config.lora {
        None => (shape.embedding(), whole),
        Some(_) => (0, adapters),
    };
    // In f32 a chunk's gradient is added within the product that makes it.
    let chunk = if width == 4 { 0 } else { width };
    let held = checkpointing.kept(shape.layers) * whole * gathered;
    // Rows are added where the sum lies, on a CPU that keeps it; else there is a matrix of them first.
    let rows = if fused && flat == 0 { 0 } else { 4 };
    // gloo has no sum into shards: what comes from the others lies beside what goes to them.
    let received = if fused && world > 1 && stage >= 1 {
        4
    } else {
        0
    };
    // A micro-batch's are summed at once, or all of a step's when they are there.
    let (travelling, summed) = if flat > 0 {
        (flat + received, 0)
    } else {
        (0, received)
    };
    let layer = 2 * whole * gathered + held;
    Buffers {
        head: shape.embedding() * gathered
            + head_trained * (4 + flat + chunk.max(travelling - flat))
            + whole * gathered
            + held,
        top: layer + trained * width + head_trained.max(trained) * travelling,
        layer: layer + trained * (width + travelling),
        embedding: head_trained * (rows + travelling),
        sum: head_trained * summed,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn graphs_kept_lie_between_all_and_none() {
        let shape = ModelShape::known("Qwen2.5-0.5B").unwrap(); // 24 layers
        let config = TrainConfig::default();
        let of = |checkpointing, fused| {
            activations(&shape, &config, 4096, checkpointing, fused, false).most()
        };
        for fused in [true, false] {
            let graph = 4096 * shape.graph_bytes(fused);
            let layer = graph + 3 * 4096 * shape.ffn * 2;
            let logits = 512 * shape.vocab * if fused { 2 } else { 16 };
            let inputs = 4096 * shape.hidden * 2 * 24;
            let at = |k| of(Checkpointing::KeepEvery(k), fused) - inputs;
            assert_eq!(at(1) + inputs, of(Checkpointing::None, fused));
            assert_eq!(at(25) + inputs, of(Checkpointing::Full, fused));
            // Layer 24 is the fourth that is kept: no other graph is beside it.
            assert_eq!(at(6), (4 * graph + logits).max(3 * graph + layer));
            // Layers 7, 14 and 21 are, and layer 24 is computed again beside them.
            assert_eq!(at(7), 3 * graph + logits.max(layer));
        }
    }

    #[test]
    fn gloo_s_sums_into_shards_take_a_second_vector() {
        let shape = ModelShape::known("Qwen2.5-0.5B").unwrap();
        let of = |zero_stage, world| {
            let config = TrainConfig {
                zero_stage,
                ..TrainConfig::default()
            };
            let way = (true, Offload::None);
            buffers(&shape, &config, world, Checkpointing::Full, way)
        };
        let head = shape.embedding();
        assert_eq!((of(1, 1).sum, of(0, 2).sum), (0, 0));
        assert_eq!((of(1, 2).sum, of(1, 2).embedding), (4 * head, 0));
        assert_eq!(of(2, 2).embedding, 12 * head);
    }

    #[test]
    fn a_kept_graph_holds_the_weights_that_were_gathered_for_it() {
        let shape = ModelShape::known("Qwen2.5-0.5B").unwrap();
        let config = TrainConfig::default();
        let of =
            |world, kept, offload| buffers(&shape, &config, world, kept, (false, offload)).head;
        let (full, sixth) = (Checkpointing::Full, Checkpointing::KeepEvery(6));
        let graphs = 4 * 2 * shape.layer();
        let none = Offload::None;
        assert_eq!(of(8, sixth, none) - of(8, full, none), graphs);
        assert_eq!(of(1, sixth, none), of(1, full, none));
        // Weights that wait in host memory are on the GPU while they are used.
        let away = Offload::Parameters;
        assert_eq!(of(1, sixth, away) - of(1, full, away), graphs);
        let used = 2 * (shape.embedding() + shape.layer());
        assert_eq!(of(1, full, away) - of(1, full, none), used);
    }
}
