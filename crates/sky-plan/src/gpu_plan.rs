use serde::Serialize;

use crate::{
    Gpu, Hardware, ModelShape, TrainConfig,
    memory_setting::Setting,
    pass_bytes::{self, PassSetting},
    state_bytes::{self, Pinned, local_params},
};

/// What a plan is made for.
#[derive(Clone, Debug)]
pub struct PlanInput<'a> {
    /// The model.
    pub shape: &'a ModelShape,
    /// The recipe's `[train]`.
    pub config: &'a TrainConfig,
    /// Number of GPUs, of all hosts together.
    pub gpus: u64,
    /// Number of hosts, each with as many of them.
    pub hosts: u64,
    /// Their kind.
    pub gpu: &'a Gpu,
    /// Everything else that is known of hardware.
    pub hardware: &'a Hardware,
    /// Memory of each host.
    pub host_memory: u64,
    /// Rent of one GPU.
    pub dollars_per_gpu_hour: f64,
    /// Rows of the data set; an epoch sees each once.
    pub rows: u64,
    /// Mean tokens of a row.
    pub tokens_per_row: f64,
}

/// Memory of one GPU, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GpuBytes {
    /// This rank's shard of the bf16 weights.
    pub parameters: u64,
    /// Its shard of the f32 gradients.
    pub gradients: u64,
    /// Its shard of master weights and optimizer states.
    pub optimizer: u64,
    /// Block inputs, one block's graph (or all), and the head's logits.
    pub activations: u64,
    /// Gathered blocks and gradients in flight.
    pub buffers: u64,
    /// For the allocator's gaps, the context and the libraries' workspaces.
    pub reserve: u64,
    /// Sum of the parts above, in bytes.
    pub total: u64,
}

/// Memory of one host, by kind. What is pinned is rounded up as libtorch does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HostBytes {
    /// Offloaded parameters.
    pub parameters: u64,
    /// Gradients for the offloaded optimizer.
    pub gradients: u64,
    /// Offloaded master weights and optimizer states.
    pub optimizer: u64,
    /// Offloaded block inputs.
    pub activations: u64,
    /// The copy from which a checkpoint is written beside training.
    pub checkpoint: u64,
    /// The processes themselves.
    pub processes: u64,
    /// Sum of the parts above, in bytes; without `disk`.
    pub total: u64,
    /// On disk, not in `total`: master weights and optimizer states with `offload_folder`.
    pub disk: u64,
}

/// What one setting needs and costs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SettingPlan {
    /// What is sharded, offloaded and recomputed.
    pub setting: Setting,
    /// Whether GPUs and host hold it.
    pub fits: bool,
    /// Memory of each GPU.
    pub gpu_bytes: GpuBytes,
    /// Memory of each host.
    pub host_bytes: HostBytes,
    /// Bytes each GPU sends or receives over its links to other GPUs in a step.
    pub link_bytes_per_step: f64,
    /// Bytes each host sends to others in a step.
    pub network_bytes_per_step: f64,
    /// Bytes each GPU moves to and from its host in a step.
    pub transfer_bytes_per_step: f64,
    /// Bytes a host's ranks read from and write to the disk of `offload_folder` in a step.
    pub disk_bytes_per_step: f64,
    /// Time of a step.
    pub step_seconds: f64,
    /// Of it, the optimizer's part that nothing hides.
    pub optimizer_seconds: f64,
    /// Model FLOPs (recomputation not counted) over the GPUs' peak.
    pub mfu: f64,
    /// Time of the run.
    pub hours: f64,
    /// Rent of the run.
    pub dollars: f64,
}

/// Share of a packed micro-batch that is filled, on average.
pub(crate) const PACKING: f64 = 0.95;
/// Share of a link's bandwidth that collectives reach.
pub(crate) const LINK_EFFICIENCY: f64 = 0.75;
/// Bytes a second that a rank exchanges with others from host memory, by gloo over sockets: an
/// assumption.
pub(crate) const SOCKETS: f64 = 1e9;
/// Context and workspaces of one process on a GPU.
pub(crate) const CONTEXT: f64 = 1.5e9;
/// Share of a GPU's memory kept for the allocator's gaps.
pub(crate) const FRAGMENTATION: f64 = 0.05;
/// Host memory of one process before any offload.
pub(crate) const PROCESS: u64 = 4_000_000_000;

pub(crate) fn step_tokens(input: &PlanInput<'_>) -> f64 {
    input.tokens_per_row * (input.config.global_batch as u64).min(input.rows) as f64
}

/// Tokens of one micro-batch: memory is planned for the longest conversation.
pub(crate) fn micro_tokens(input: &PlanInput<'_>) -> u64 {
    input.config.pack_tokens(input.config.cutoff) as u64
}

pub(crate) fn gpu_bytes(input: &PlanInput<'_>, setting: Setting) -> GpuBytes {
    let shape = input.shape;
    let (config, world_size) = (input.config, input.gpus);
    let weights = state_bytes::weights(shape, config, world_size);
    let (away, weights_away) = (setting.offload.optimizer(), setting.offload.parameters());
    let parameters = if weights_away { 0 } else { weights };
    let (gradients, optimizer) = if away {
        (0, 0)
    } else {
        let states = local_params(shape, config, world_size, 1);
        (
            4 * local_params(shape, config, world_size, 2),
            state_bytes::optimizer_states(config, states, setting.offload),
        )
    };
    let tokens = micro_tokens(input);
    let passes = PassSetting {
        checkpointing: setting.activation_checkpointing,
        fused: false,
        offload: setting.offload,
        inputs_on_host: setting.offload_activations,
    };
    let activations = pass_bytes::activations(shape, config, tokens, passes).most();
    let buffers = pass_bytes::buffers(shape, config, world_size, passes).most();
    let reserve = (input.gpu.memory * FRAGMENTATION + CONTEXT) as u64;
    GpuBytes {
        parameters,
        gradients,
        optimizer,
        activations,
        buffers,
        reserve,
        total: parameters + gradients + optimizer + activations + buffers + reserve,
    }
}

/// Ranks of one host.
pub(crate) fn ranks_of_a_host(input: &PlanInput<'_>) -> u64 {
    input.gpus.div_ceil(input.hosts.max(1))
}

pub(crate) fn host_bytes(input: &PlanInput<'_>, setting: Setting, steps: u64) -> HostBytes {
    let (shape, config, world_size) = (input.shape, input.config, input.gpus);
    let pinned = Pinned {
        shape,
        config,
        world_size,
    };
    let width = config.precision.bytes() as f64;
    let (away, weights_away) = (setting.offload.optimizer(), setting.offload.parameters());
    let (gradients, states) = if away {
        let gradients = pinned.trained(2, 4.0) + pinned.grad_offload();
        (gradients, pinned.optimizer_states(setting.offload))
    } else {
        (0, 0)
    };
    let parameters = if weights_away {
        pinned.trained(3, width) + pinned.frozen(width)
    } else {
        0
    };
    // A file is mapped, not pinned.
    let (optimizer, disk) = match config.offload_folder {
        Some(_) if states > 0 => {
            let params = local_params(shape, config, world_size, 1);
            let bytes = state_bytes::optimizer_states(config, params, setting.offload);
            (0, bytes)
        }
        _ => (states, 0),
    };
    let activations = if setting.offload_activations {
        let (tokens, checkpointing) = (micro_tokens(input), setting.activation_checkpointing);
        pass_bytes::pinned_inputs(shape, config, tokens, checkpointing)
    } else {
        0
    };
    // Each rank saves its own shard, whatever else it keeps.
    let checkpoint =
        state_bytes::checkpoint_copy(config, shape.trained(config).div_ceil(world_size), steps);
    let all = |of_rank: u64| of_rank * ranks_of_a_host(input);
    HostBytes {
        parameters: all(parameters),
        gradients: all(gradients),
        optimizer: all(optimizer),
        activations: all(activations),
        checkpoint: all(checkpoint),
        processes: all(PROCESS),
        total: all(parameters + gradients + optimizer + activations + checkpoint + PROCESS),
        disk: all(disk),
    }
}
