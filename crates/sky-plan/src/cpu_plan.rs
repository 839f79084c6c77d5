use serde::Serialize;

use crate::{
    ActivationCheckpointing, MasterDtype, ModelShape, Offload, OptimizerDtype, TrainConfig,
    pass_bytes::{PassSetting, activations, buffers},
    plan::narrowest,
    state_bytes::{checkpoint_copy, local_params, optimizer_states, share, weights},
};

/// libtorch, the tokenizer, the data, and what the allocator keeps: fits the measured peaks
/// (docs/benchmarks-training.md).
const PROCESS: u64 = 300_000_000;

/// What a run on CPUs is checked for.
#[derive(Clone, Debug)]
pub struct CpuPlanInput<'a> {
    /// The model.
    pub shape: &'a ModelShape,
    /// The recipe's `[train]`.
    pub config: &'a TrainConfig,
    /// Ranks of the run.
    pub world_size: u64,
    /// Of these, ranks on this host.
    pub local_world_size: u64,
    /// Tokens of the longest conversation.
    pub longest: u64,
    /// Steps of the run.
    pub steps: u64,
    /// Memory of this host in bytes.
    pub memory: u64,
}

/// Most memory of one process that trains on a CPU, in bytes by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CpuBytes {
    /// What the model computes with.
    pub parameters: u64,
    /// Gradients: f32, those of a process's only micro-batch as the model computes.
    pub gradients: u64,
    /// Master weights and optimizer states.
    pub optimizer: u64,
    /// The copy from which a checkpoint is written beside training.
    pub checkpoint: u64,
    /// Block inputs, one block's graph (or all), and the head's logits.
    pub activations: u64,
    /// Gathered blocks and gradients in flight.
    pub buffers: u64,
    /// The process itself.
    pub process: u64,
    /// Sum of the parts above, in bytes.
    pub total: u64,
}

/// Whether a host's memory holds a run on CPUs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CpuPlan {
    /// Whether it does.
    pub fits: bool,
    /// One process.
    pub rank_bytes: CpuBytes,
    /// All processes of this host.
    pub host_bytes: u64,
    /// When it does not fit, the one knob that would make it.
    pub advice: Option<String>,
}

impl CpuPlan {
    /// Plans a run on CPUs.
    pub fn new(input: &CpuPlanInput<'_>) -> Self {
        let rank_bytes = rank_bytes(input);
        let host_bytes = rank_bytes.total * input.local_world_size;
        let fits = host_bytes <= input.memory;
        Self {
            fits,
            rank_bytes,
            host_bytes,
            advice: (!fits).then(|| advice(input, host_bytes)),
        }
    }
}

fn rank_bytes(input: &CpuPlanInput<'_>) -> CpuBytes {
    let (shape, config, world_size) = (input.shape, input.config, input.world_size.max(1));
    let batch = (config.global_batch as u64).saturating_mul(input.longest);
    let tokens = (config.pack_tokens(input.longest as usize) as u64).min(batch);
    let peak = pass_peak(input, tokens, batch.div_ceil((tokens * world_size).max(1)));
    let bytes = CpuBytes {
        parameters: weights(shape, config, world_size),
        gradients: peak.gradients,
        // A mapped file takes memory only while nothing else needs it.
        optimizer: match config.offload_folder {
            Some(_) => 0,
            None => optimizer_states(
                config,
                local_params(shape, config, world_size, 1),
                Offload::None,
            ),
        },
        // Each rank saves its own shard, whatever else it keeps.
        checkpoint: checkpoint_copy(
            config,
            shape.trained(config).div_ceil(world_size),
            input.steps,
        ),
        activations: peak.activations,
        buffers: peak.buffers,
        process: PROCESS,
        total: 0,
    };
    CpuBytes {
        total: bytes.parameters
            + bytes.gradients
            + bytes.optimizer
            + bytes.checkpoint
            + bytes.activations
            + bytes.buffers
            + bytes.process,
        ..bytes
    }
}

/// What the passes hold at one moment, in bytes.
#[derive(Clone, Copy, Default)]
struct PassBytes {
    gradients: u64,
    activations: u64,
    buffers: u64,
}

/// The moment at which gradients, activations and buffers take the most together. A block's
/// gradient lives from its first backward pass on: a step's first micro-batch finds those of the
/// blocks above alone, a later one finds all.
fn pass_peak(input: &CpuPlanInput<'_>, tokens: u64, micro_batches: u64) -> PassBytes {
    let (shape, config, world_size) = (input.shape, input.config, input.world_size.max(1));
    // `auto` keeps graphs only where memory is left for them.
    let checkpointing = match config.activation_checkpointing {
        ActivationCheckpointing::Auto => ActivationCheckpointing::Full,
        chosen => chosen,
    };
    let setting = PassSetting {
        checkpointing,
        fused: true,
        offload: Offload::None,
        inputs_on_host: false,
    };
    let active = activations(shape, config, tokens, setting);
    let buffers = buffers(shape, config, world_size, setting);
    let (matrix, layer, rest) = if config.lora.is_some() {
        (0, shape.layer_adapters(config), 0)
    } else {
        let layers = shape.layers * shape.layer();
        (shape.embedding(), shape.layer(), shape.params() - layers)
    };
    let of = |params: u64, width: u64| width * share(params, config, world_size, 2);
    let all = |width: u64| of(rest, 4) + shape.layers * of(layer, width);
    // A layer's is widened to f32 when a second one is added to it; those of embedding and head are
    // sums from the start.
    let narrow = if world_size == 1 {
        config.precision.bytes()
    } else {
        4
    };
    // Where ranks do not exchange it, the head's gradient becomes the sum; it is among the buffers
    // then.
    let adopted = world_size == 1 || config.zero_stage < 2;
    let at_head = if adopted { 0 } else { of(matrix, 4) };
    let (head, top, bottom) = match micro_batches {
        0 | 1 => (at_head, of(matrix, 4) + of(layer, narrow), all(narrow)),
        2 => (all(narrow), all(narrow), all(4)),
        _ => (all(4), all(4), all(4)),
    };
    let embedding = buffers.layer.max(buffers.embedding);
    // With optimizer states in 8 bits and master weights in bf16, a block of these is widened at a
    // time.
    let widened = match (config.optimizer_dtype, config.master_dtype) {
        (OptimizerDtype::EightBit, MasterDtype::Bf16) => {
            4 * share(matrix.max(layer), config, world_size, 1)
        }
        _ => 0,
    };
    let moment = |gradients, activations, buffers| PassBytes {
        gradients,
        activations,
        buffers,
    };
    [
        moment(bottom, 0, widened.max(buffers.sum)),
        moment(head, active.head, buffers.head),
        moment(top, active.top, buffers.top),
        moment(bottom, active.bottom, embedding),
    ]
    .into_iter()
    .max_by_key(|at| at.gradients + at.activations + at.buffers)
    .unwrap_or_default()
}

/// The one change that makes a run fit that does not, the least costly first.
fn advice(input: &CpuPlanInput<'_>, host_bytes: u64) -> String {
    let fits = |change: &dyn Fn(&mut TrainConfig)| {
        let mut config = input.config.clone();
        change(&mut config);
        let changed = CpuPlanInput {
            config: &config,
            longest: input.longest.min(config.cutoff as u64),
            ..input.clone()
        };
        rank_bytes(&changed).total * input.local_world_size <= input.memory
    };
    type Change = fn(&mut TrainConfig);
    let knobs: [(&str, Change); 6] = [
        ("train.background_save = false", |c| {
            c.background_save = false;
        }),
        ("train.activation_checkpointing = \"full\"", |c| {
            c.activation_checkpointing = ActivationCheckpointing::Full;
        }),
        ("train.zero_stage = 3", |c| c.zero_stage = 3),
        ("train.optimizer_dtype = \"bf16\"", |c| {
            c.optimizer_dtype = OptimizerDtype::Bf16;
        }),
        ("train.optimizer_dtype = \"8bit\"", |c| {
            c.optimizer_dtype = OptimizerDtype::EightBit;
        }),
        ("train.master_dtype = \"bf16\"", |c| {
            c.master_dtype = narrowest(c);
        }),
    ];
    for (text, change) in knobs {
        if fits(&change) {
            return format!("set {text}");
        }
    }
    let mut tokens = input.config.pack_tokens(input.longest as usize) / 2;
    while tokens >= 512 {
        let shorter = |c: &mut TrainConfig| {
            c.micro_batch_tokens = tokens;
            c.cutoff = c.cutoff.min(tokens);
        };
        if fits(&shorter) {
            return format!(
                "lower train.micro_batch_tokens and train.cutoff to {tokens} (longer rows are left out)"
            );
        }
        tokens /= 2;
    }
    format!(
        "use a host with at least {:.1} GB of memory",
        host_bytes as f64 / 1e9
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn plan(config: &TrainConfig, world_size: u64, memory: u64) -> CpuPlan {
        CpuPlan::new(&CpuPlanInput {
            shape: &ModelShape::known("Qwen2.5-0.5B").unwrap(),
            config,
            world_size,
            local_world_size: world_size,
            longest: 2048,
            steps: 1000,
            memory,
        })
    }

    const PARAMS: u64 = 494_032_768;

    #[test]
    fn what_a_rank_keeps_is_counted_once_and_the_copy_by_shards() {
        let config = TrainConfig::default();
        let alone = plan(&config, 1, u64::MAX).rank_bytes;
        assert_eq!(
            (alone.parameters, alone.gradients, alone.optimizer),
            (2 * PARAMS, 4 * PARAMS, 12 * PARAMS)
        );
        assert_eq!(alone.checkpoint, 12 * PARAMS);
        let below = TrainConfig {
            zero_stage: 0,
            ..config.clone()
        };
        let four = plan(&below, 4, u64::MAX).rank_bytes;
        assert_eq!((four.optimizer, four.checkpoint), (12 * PARAMS, 3 * PARAMS));
        let at_the_end_only = TrainConfig {
            save_every: 0,
            ..config
        };
        assert_eq!(plan(&at_the_end_only, 1, u64::MAX).rank_bytes.checkpoint, 0);
    }

    #[test]
    fn layers_have_gradients_as_they_are_computed_until_a_second_one_is_added() {
        let shape = ModelShape::known("Qwen2.5-0.5B").unwrap();
        let of = |micro_batches, world_size| {
            let config = TrainConfig {
                global_batch: micro_batches,
                micro_batch_tokens: 2048,
                cutoff: 2048,
                ..TrainConfig::default()
            };
            plan(&config, world_size, u64::MAX).rank_bytes
        };
        let layers = shape.layers * shape.layer();
        assert_eq!(of(1, 1).gradients, 4 * PARAMS - 2 * layers);
        assert!(of(1, 2).gradients >= 2 * PARAMS, "sums of two ranks");
        assert_eq!(of(3, 1).gradients, 4 * PARAMS);
        assert!(of(1, 1).total < of(2, 1).total && of(2, 1).total < of(3, 1).total);
    }

    #[test]
    fn what_comes_from_other_ranks_lies_beside_what_goes_to_them() {
        let head = ModelShape::known("Qwen2.5-0.5B").unwrap().embedding();
        let at = |zero_stage, world_size| {
            let config = TrainConfig {
                zero_stage,
                global_batch: 64,
                micro_batch_tokens: 64,
                cutoff: 64,
                background_save: false,
                ..TrainConfig::default()
            };
            let input = CpuPlanInput {
                shape: &ModelShape::known("Qwen2.5-0.5B").unwrap(),
                config: &config,
                world_size,
                local_world_size: world_size,
                longest: 64,
                steps: 1000,
                memory: u64::MAX,
            };
            CpuPlan::new(&input).rank_bytes.buffers
        };
        // Below stage 2 sums are made after the last micro-batch; while the head ran there was
        // more.
        assert_eq!((at(0, 2), at(1, 2)), (6 * head, 6 * head));
        // From it on the embedding's rows, what goes and what comes.
        assert_eq!(at(2, 2), 12 * head);
    }

    /// Rank 16 on all projections of 24 layers: inputs and outputs 896 + 896, twice 896 + 128,
    /// 896 + 896, three times 896 + 4864.
    const ADAPTERS: u64 = 24 * 16 * (2 * 1792 + 2 * 1024 + 3 * 5760);

    #[test]
    fn frozen_weights_are_weights_and_nothing_else() {
        let lora = TrainConfig {
            lora: Some(crate::LoraConfig::default()),
            ..TrainConfig::default()
        };
        let alone = plan(&lora, 1, u64::MAX).rank_bytes;
        assert_eq!(
            (
                alone.parameters,
                alone.gradients,
                alone.optimizer,
                alone.checkpoint
            ),
            (
                2 * (PARAMS + ADAPTERS),
                4 * ADAPTERS,
                12 * ADAPTERS,
                12 * ADAPTERS
            )
        );
        let whole = plan(&TrainConfig::default(), 1, u64::MAX).rank_bytes;
        assert!(
            alone.buffers < whole.buffers / 10,
            "no gradient of the head"
        );
        assert!(alone.activations < whole.activations * 102 / 100);
        let four = plan(&lora, 4, u64::MAX).rank_bytes;
        assert_eq!(four.parameters, 2 * (PARAMS / 4 + ADAPTERS / 4));
        let stage = TrainConfig {
            zero_stage: 2,
            ..lora
        };
        let four = plan(&stage, 4, u64::MAX).rank_bytes;
        assert_eq!(
            (four.parameters, four.gradients),
            (2 * (PARAMS + ADAPTERS), ADAPTERS)
        );
    }

    #[test]
    fn the_named_knob_is_one_that_makes_it_fit() {
        let none = TrainConfig {
            background_save: false,
            ..TrainConfig::default()
        };
        let needed =
            |config: &TrainConfig, world_size| plan(config, world_size, u64::MAX).host_bytes;
        let advice = |config: &TrainConfig, world_size, memory| {
            let plan = plan(config, world_size, memory);
            assert!(!plan.fits);
            plan.advice.unwrap()
        };
        let all = TrainConfig::default();
        assert!(plan(&all, 1, needed(&all, 1)).fits);
        assert_eq!(
            advice(&all, 1, needed(&all, 1) - 1),
            "set train.background_save = false"
        );
        let graphs = TrainConfig {
            activation_checkpointing: ActivationCheckpointing::None,
            ..none.clone()
        };
        assert!(
            advice(&graphs, 1, needed(&graphs, 1) - 1)
                .ends_with("activation_checkpointing = \"full\"")
        );
        let whole = TrainConfig {
            zero_stage: 1,
            ..none.clone()
        };
        assert!(advice(&whole, 4, needed(&whole, 4) - 1).ends_with("zero_stage = 3"));
        assert!(advice(&none, 1, needed(&none, 1) - 1).ends_with("optimizer_dtype = \"bf16\""));
        let small = TrainConfig {
            optimizer_dtype: OptimizerDtype::Bf16,
            ..none.clone()
        };
        assert_eq!(needed(&none, 1) - needed(&small, 1), 4 * PARAMS);
        assert!(advice(&small, 1, needed(&small, 1) - 1).ends_with("optimizer_dtype = \"8bit\""));
        let small = TrainConfig {
            optimizer_dtype: OptimizerDtype::EightBit,
            ..none.clone()
        };
        // Two moments of 4 bytes against two of 1 + 4 / 64.
        assert_eq!(needed(&none, 1) - needed(&small, 1), PARAMS * 47 / 8);
        assert!(advice(&small, 1, needed(&small, 1) - 1).ends_with("master_dtype = \"bf16\""));
        let small = TrainConfig {
            master_dtype: MasterDtype::Bf16,
            ..small
        };
        let said = advice(&small, 1, needed(&small, 1) - 1);
        assert!(said.contains("train.cutoff to 8192"), "{said}");
        let said = advice(&none, 1, 1_000_000_000);
        assert!(said.starts_with("use a host with at least "), "{said}");
    }
}
