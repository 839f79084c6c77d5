//! Bytes that a micro-batch's passes take: activations, gathered weights, gradients in flight.
//! The same formulas on GPUs and on CPUs.

use crate::{ActivationCheckpointing, ModelShape, Offload, TrainConfig};

/// How the passes run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PassSetting {
    pub(crate) checkpointing: ActivationCheckpointing,
    /// Whether the kernels are fused, as those of CPUs are: logits become their own gradient then.
    pub(crate) fused: bool,
    pub(crate) offload: Offload,
    /// Whether the inputs of recomputed layers wait in host memory.
    pub(crate) inputs_on_host: bool,
}

/// What a micro-batch's passes hold at three moments, in bytes.
pub(crate) struct Activations {
    /// While the head runs: block inputs, kept graphs, logits.
    pub(crate) head: u64,
    /// While the uppermost layer goes back: block inputs, kept graphs, its own.
    pub(crate) top: u64,
    /// While the lowest does.
    pub(crate) bottom: u64,
}

impl Activations {
    pub(crate) fn most(&self) -> u64 {
        self.head.max(self.top)
    }
}

/// Bytes of one layer's input.
pub(crate) fn input(shape: &ModelShape, config: &TrainConfig, tokens: u64) -> u64 {
    tokens * shape.hidden * config.precision.bytes()
}

/// Bytes of pinned host memory for the inputs of layers that are recomputed: libtorch rounds each
/// up to a power of two (`CachingHostAllocator`).
pub(crate) fn pinned_inputs(
    shape: &ModelShape,
    config: &TrainConfig,
    tokens: u64,
    checkpointing: ActivationCheckpointing,
) -> u64 {
    input(shape, config, tokens).next_power_of_two() * checkpointing.layers_recomputed(shape.layers)
}

/// Block inputs, one block's graph and those that are kept, and the head's logits. With fused
/// operations, those of CPUs, logits become their own gradient; else there are their f32 copy, its
/// log-softmax, the gradients of two of them, and with z-loss a softmax.
pub(crate) fn activations(
    shape: &ModelShape,
    config: &TrainConfig,
    tokens: u64,
    setting: PassSetting,
) -> Activations {
    let PassSetting {
        checkpointing,
        fused,
        inputs_on_host,
        ..
    } = setting;
    let width = config.precision.bytes();
    let graph = tokens * (shape.graph_bytes(fused) + shape.adapter_graph_bytes(config)) * width / 2;
    let recomputed = checkpointing.layers_recomputed(shape.layers);
    // One that is used, one in flight.
    let waiting = if inputs_on_host {
        recomputed.min(2)
    } else {
        recomputed
    };
    let inputs = input(shape, config, tokens) * (shape.layers - recomputed + waiting);
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
    let logits = (config.loss_chunk as u64).min(tokens) * shape.vocab * logit;
    // In its backward pass a layer has gradients of three tensors of the feed-forward width beside its
    // graph.
    let layer = graph + 3 * tokens * shape.ffn * width;
    // All kept graphs are there with the head's logits, and with the graph of the uppermost layer
    // unless that is one of them.
    let kept = checkpointing.layers_stored(shape.layers);
    let others = kept - u64::from(checkpointing.keeps(shape.layers as usize));
    Activations {
        head: inputs + noise + kept * graph + logits,
        top: inputs + noise + others * graph + layer,
        bottom: layer,
    }
}

/// Gathered blocks and gradients in flight, in bytes at five moments. Adapters count with their
/// layer; what is frozen has no gradient.
pub(crate) struct Buffers {
    /// The head's weights, a layer's in flight, its f32 gradient and a chunk's.
    pub(crate) head: u64,
    /// What is in flight from the head while the uppermost layer goes back, or from that layer,
    /// and the layer's.
    pub(crate) top: u64,
    /// A layer's weights, the next one's, and its gradients.
    pub(crate) layer: u64,
    /// The embedding's gradient: whole, and in flight.
    pub(crate) embedding: u64,
    /// What the ranks' sum of its gradient takes once all gradients are there, if it is made then.
    pub(crate) sum: u64,
}

impl Buffers {
    pub(crate) fn most(&self) -> u64 {
        [self.top, self.layer, self.embedding, self.sum]
            .into_iter()
            .fold(self.head, u64::max)
    }
}

/// A graph that is kept holds the weights that were gathered for it. `fused` as for
/// [`activations`]; weights that are offloaded are gathered too, and offloaded gradients go to host
/// memory.
pub(crate) fn buffers(
    shape: &ModelShape,
    config: &TrainConfig,
    world_size: u64,
    setting: PassSetting,
) -> Buffers {
    let PassSetting {
        checkpointing,
        fused,
        offload,
        ..
    } = setting;
    let (width, stage) = (config.precision.bytes(), config.zero_stage);
    let gathered = if offload.parameters() || world_size > 1 && stage == 3 {
        width
    } else {
        0
    };
    let flat = if offload.optimizer() || world_size > 1 && stage >= 2 {
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
    let held = checkpointing.layers_stored(shape.layers) * whole * gathered;
    // Rows are added where the sum lies, on a CPU that keeps it; else there is a matrix of them
    // first.
    let rows = if fused && flat == 0 { 0 } else { 4 };
    // gloo has no sum into shards: what comes from the others lies beside what goes to them.
    let received = if fused && world_size > 1 && stage >= 1 {
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

    fn setting(
        checkpointing: ActivationCheckpointing,
        fused: bool,
        offload: Offload,
    ) -> PassSetting {
        PassSetting {
            checkpointing,
            fused,
            offload,
            inputs_on_host: false,
        }
    }

    #[test]
    fn graphs_kept_lie_between_all_and_none() {
        let shape = ModelShape::known("Qwen2.5-0.5B").unwrap(); // 24 layers
        let config = TrainConfig::default();
        let of = |checkpointing, fused| {
            let setting = setting(checkpointing, fused, Offload::None);
            activations(&shape, &config, 4096, setting).most()
        };
        for fused in [true, false] {
            let graph = 4096 * shape.graph_bytes(fused);
            let layer = graph + 3 * 4096 * shape.ffn * 2;
            let logits = 512 * shape.vocab * if fused { 2 } else { 16 };
            let inputs = 4096 * shape.hidden * 2 * 24;
            let at = |k| of(ActivationCheckpointing::Selective { every: k }, fused) - inputs;
            assert_eq!(at(1) + inputs, of(ActivationCheckpointing::None, fused));
            assert_eq!(at(25) + inputs, of(ActivationCheckpointing::Full, fused));
            // Layer 24 is the fourth that is kept: no other graph is beside it.
            assert_eq!(at(6), (4 * graph + logits).max(3 * graph + layer));
            // Layers 7, 14 and 21 are, and layer 24 is recomputed beside them.
            assert_eq!(at(7), 3 * graph + logits.max(layer));
        }
    }

    #[test]
    fn gloo_s_sums_into_shards_take_a_second_vector() {
        let shape = ModelShape::known("Qwen2.5-0.5B").unwrap();
        let of = |zero_stage, world_size| {
            let config = TrainConfig {
                zero_stage,
                ..TrainConfig::default()
            };
            let setting = setting(ActivationCheckpointing::Full, true, Offload::None);
            buffers(&shape, &config, world_size, setting)
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
        let of = |world_size, kept, offload| {
            buffers(&shape, &config, world_size, setting(kept, false, offload)).head
        };
        let (full, sixth) = (
            ActivationCheckpointing::Full,
            ActivationCheckpointing::Selective { every: 6 },
        );
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
