use serde::Serialize;

use super::{
    bytes::{self, Pinned, kept},
    setting::Setting,
};
use crate::{Gpu, Hardware, ModelShape, TrainConfig};

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
    /// Training rows.
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
    /// Its shard of master weights and moments.
    pub optimizer: u64,
    /// Block inputs, one block's graph (or all), and the head's logits.
    pub activations: u64,
    /// Gathered blocks and gradients on their way.
    pub buffers: u64,
    /// For the allocator's gaps, the context and the libraries' workspaces.
    pub reserve: u64,
    /// All of it.
    pub total: u64,
}

/// Memory of one host, by kind. What is pinned is rounded up as libtorch does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HostBytes {
    /// Offloaded parameters.
    pub parameters: u64,
    /// Gradients that meet the offloaded optimizer.
    pub gradients: u64,
    /// Offloaded master weights and moments.
    pub optimizer: u64,
    /// Offloaded block inputs.
    pub activations: u64,
    /// The copy from which a checkpoint is written while training goes on.
    pub checkpoint: u64,
    /// The processes themselves.
    pub processes: u64,
    /// All of it.
    pub total: u64,
    /// On disk, not in `total`: master weights and moments with `offload_folder`.
    pub disk: u64,
}

/// What one setting needs and costs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SettingPlan {
    /// The setting.
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
pub(super) const PACKING: f64 = 0.95;
/// Share of a link's bandwidth that collectives reach.
pub(super) const LINK_EFFICIENCY: f64 = 0.75;
/// Bytes a second that a rank exchanges with others from host memory, by gloo over sockets: an assumption.
pub(super) const SOCKETS: f64 = 1e9;
/// Context and workspaces of one process on a GPU.
pub(super) const CONTEXT: f64 = 1.5e9;
/// Share of a GPU's memory kept for the allocator's gaps.
pub(super) const FRAGMENTATION: f64 = 0.05;
/// Host memory of one process before any offload.
pub(super) const PROCESS: u64 = 4_000_000_000;

pub(super) fn step_tokens(input: &PlanInput<'_>) -> f64 {
    input.tokens_per_row * (input.config.global_batch as u64).min(input.rows) as f64
}

/// Tokens of one micro-batch: memory is planned for the longest conversation.
pub(super) fn micro_tokens(input: &PlanInput<'_>) -> u64 {
    input.config.pack_tokens(input.config.cutoff) as u64
}

pub(super) fn evaluate(input: &PlanInput<'_>, setting: Setting, steps: u64) -> SettingPlan {
    let gpu_bytes = gpu_bytes(input, setting);
    let host_bytes = host_bytes(input, setting, steps);
    let (shape, gpu) = (input.shape, input.gpu);
    let world = input.gpus as f64;
    let trained = shape.trained(input.config) as f64;
    let width = input.config.precision.bytes() as f64;

    let tokens = step_tokens(input);
    let flops =
        |again| shape.step_flops(input.tokens_per_row, input.config, again) * tokens / world;
    let again = setting.activation_checkpointing.again(shape.layers);
    let row = input.tokens_per_row;
    let passes = shape.step_flops(row, input.config, again) / shape.forward_flops(row);
    // Offloaded inputs go and come back, on the stream that computes.
    let inputs = if setting.offload_activations {
        2.0 * bytes::input(shape, input.config, 1) as f64 * again as f64 * tokens / world
    } else {
        0.0
    };
    let compute = flops(again) / (gpu.bf16_flops * gpu.efficiency);

    // Stage 3 gathers the weights of a micro-batch for the forward pass, those of layers that are computed again for the backward
    // pass too and, as stage 2, reduces its f32 gradients; otherwise that is done once a step, and an all-reduce is worth a reduction and a gathering.
    let micro_batches = (tokens / world / (micro_tokens(input) as f64 * PACKING)).max(1.0);
    let share = (world - 1.0) / world;
    let gathered = shape.gathered(input.config, again) as f64;
    let reduced = 4.0 * shape.reduced(input.config) as f64;
    let carried = match input.config.zero_stage {
        0 => 8.0 * trained,
        1 => (4.0 + width) * trained,
        2 => micro_batches * reduced + width * trained,
        _ => micro_batches * (width * gathered + reduced),
    };
    // Of it, what does not lie on GPUs: below stage 2 offloaded gradients, below stage 3 offloaded weights.
    let (away, weights_away) = (setting.offload.optimizer(), setting.offload.parameters());
    let on = |away, bytes: f64| if away { bytes * trained } else { 0.0 };
    let sockets = match input.config.zero_stage {
        0 => on(away, 8.0),
        1 => on(away, 4.0) + on(weights_away, width),
        2 => on(weights_away, width),
        _ => 0.0,
    };
    let carried = carried - sockets;
    let link_bytes = carried * share;
    let on_host = &input.hardware.host;
    let network_bytes = if input.hosts > 1 { link_bytes } else { 0.0 };
    // A ring crosses from each host to the next once: what one GPU receives goes over each host's network, all of its ports together.
    let link = (link_bytes / gpu.link_bandwidth).max(network_bytes / on_host.network_bandwidth)
        / LINK_EFFICIENCY;
    // What a rank keeps, and all ranks of a host together.
    let kept = |stage| kept(shape, input.config, input.gpus, stage) as f64;
    let local = ranks_of_a_host(input) as f64;
    // With the optimizer offloaded, each micro-batch's gradients go to the host, where they are summed.
    let (landing, summing) = if away {
        let whole = shape.reduced(input.config);
        let mine = bytes::share(whole, input.config, input.gpus, 2);
        let landing = micro_batches * 4.0 * mine as f64;
        (landing, 3.0 * landing * local / on_host.memory_bandwidth)
    } else {
        (0.0, 0.0)
    };
    let gathering = if weights_away {
        let here = bytes::share(gathered as u64, input.config, input.gpus, 3);
        micro_batches * width * here as f64
    } else {
        0.0
    };
    // All of these take their turn in the stream that computes.
    let transfer = inputs + landing + gathering;
    let compute = compute + transfer / gpu.host_bandwidth;
    // What one pass does not hide behind another shows: the slowest of the three sets the pace. What lies in host memory is
    // exchanged over sockets, behind nothing.
    let pass = compute.max(link).max(summing) + sockets * share / SOCKETS;

    // AdamW reads gradient, weight and two moments and writes the last three, and the compute weight where it is apart.
    let master = input.config.master_weights.bytes() as f64;
    let apart = bytes::own_master(input.config, setting.offload);
    let traffic =
        4.0 + 2.0 * master + 4.0 * input.config.moments.bytes() + if apart { width } else { 0.0 };
    // On the host the gradient is read for its norm before, and made zero after.
    let of_host = |bytes: f64| bytes * kept(1) * local / on_host.memory_bandwidth;
    let norm = if away { of_host(4.0) } else { 0.0 };
    // Master weights go to the GPU as they are, from it rounded.
    let sent = match (away, weights_away) {
        (true, false) => master * kept(1),
        (false, true) => width * kept(1),
        _ => 0.0,
    };
    let streamed = if away {
        of_host(traffic + 4.0)
    } else {
        traffic * kept(1) / gpu.memory_bandwidth
    };
    let optimizer = streamed + sent / gpu.host_bandwidth;
    // Every byte of state on a disk comes and goes once a step, as the optimizer asks for it.
    let disk_bytes = 2.0 * host_bytes.disk as f64;
    let optimizer = optimizer + disk_bytes / on_host.disk_bandwidth;
    // An offloaded optimizer goes on behind the forward pass of the next step's first micro-batch.
    let optimizer = if away {
        norm + (optimizer - pass / passes / micro_batches).max(0.0)
    } else {
        optimizer
    };
    let step_seconds = pass + optimizer;
    let hours = step_seconds * steps as f64 / 3600.0;
    SettingPlan {
        setting,
        fits: gpu_bytes.total as f64 <= gpu.memory && host_bytes.total <= input.host_memory,
        gpu_bytes,
        host_bytes,
        link_bytes_per_step: link_bytes,
        network_bytes_per_step: network_bytes,
        transfer_bytes_per_step: transfer + sent,
        disk_bytes_per_step: disk_bytes,
        step_seconds,
        optimizer_seconds: optimizer,
        mfu: flops(0) / step_seconds / gpu.bf16_flops,
        hours,
        dollars: hours * world * input.dollars_per_gpu_hour,
    }
}

fn gpu_bytes(input: &PlanInput<'_>, setting: Setting) -> GpuBytes {
    let shape = input.shape;
    let (config, world) = (input.config, input.gpus);
    let weights = bytes::weights(shape, config, world);
    let (away, weights_away) = (setting.offload.optimizer(), setting.offload.parameters());
    let parameters = if weights_away { 0 } else { weights };
    let (gradients, optimizer) = if away {
        (0, 0)
    } else {
        let within = !bytes::own_master(config, setting.offload);
        let state = bytes::state(config, kept(shape, config, world, 1), within);
        (4 * kept(shape, config, world, 2), state)
    };
    let tokens = micro_tokens(input);
    let activations = bytes::activations(
        shape,
        config,
        tokens,
        setting.activation_checkpointing,
        false,
        setting.offload_activations,
    )
    .most();
    let checkpointing = setting.activation_checkpointing;
    let way = (false, setting.offload);
    let buffers = bytes::buffers(shape, config, world, checkpointing, way).most();
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
fn ranks_of_a_host(input: &PlanInput<'_>) -> u64 {
    input.gpus.div_ceil(input.hosts.max(1))
}

fn host_bytes(input: &PlanInput<'_>, setting: Setting, steps: u64) -> HostBytes {
    let (shape, config, world) = (input.shape, input.config, input.gpus);
    let pinned = Pinned {
        shape,
        config,
        world,
    };
    let width = config.precision.bytes() as f64;
    let (away, weights_away) = (setting.offload.optimizer(), setting.offload.parameters());
    let within = !bytes::own_master(config, setting.offload);
    let (gradients, state) = if away {
        let gradients = pinned.trained(2, 4.0) + pinned.landing();
        (gradients, pinned.state(within))
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
        Some(_) if state > 0 => {
            let kept = kept(shape, config, world, 1);
            (0, bytes::state(config, kept, within))
        }
        _ => (state, 0),
    };
    let activations = if setting.offload_activations {
        let (tokens, again) = (micro_tokens(input), setting.activation_checkpointing);
        bytes::inputs_on_host(shape, config, tokens, again)
    } else {
        0
    };
    // Each rank saves its own shard, whatever else it keeps.
    let checkpoint = bytes::copy(config, shape.trained(config).div_ceil(world), steps);
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
