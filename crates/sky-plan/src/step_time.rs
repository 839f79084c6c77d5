//! Time of a step, and what travels in it.

use crate::{
    gpu_plan::{
        LINK_EFFICIENCY, PACKING, PlanInput, SOCKETS, SettingPlan, gpu_bytes, host_bytes,
        micro_tokens, ranks_of_a_host, step_tokens,
    },
    memory_setting::Setting,
    pass_bytes,
    state_bytes::{self, local_params},
};

/// What a setting needs and costs.
pub(crate) fn evaluate(input: &PlanInput<'_>, setting: Setting, steps: u64) -> SettingPlan {
    let (gpu_bytes, host_bytes) = (gpu_bytes(input, setting), host_bytes(input, setting, steps));
    let gpu = input.gpu;
    let step = Step::new(input, setting);
    let exchange = step.exchange();
    let transfer = step.transfer();
    let pass = step.pass_seconds(&exchange, &transfer);
    let optimizer = step.optimizer(host_bytes.disk, pass);
    let step_seconds = pass + optimizer.seconds;
    let hours = step_seconds * steps as f64 / 3600.0;
    SettingPlan {
        setting,
        fits: gpu_bytes.total as f64 <= gpu.memory && host_bytes.total <= input.host_memory,
        gpu_bytes,
        host_bytes,
        link_bytes_per_step: exchange.link_bytes,
        network_bytes_per_step: exchange.network_bytes,
        transfer_bytes_per_step: transfer.bytes + optimizer.sent_bytes,
        disk_bytes_per_step: optimizer.disk_bytes,
        step_seconds,
        optimizer_seconds: optimizer.seconds,
        mfu: step.flops(0) / step_seconds / gpu.bf16_flops,
        hours,
        dollars: hours * step.world_size * input.dollars_per_gpu_hour,
    }
}

/// One step of a setting, as one GPU sees it.
struct Step<'a> {
    input: &'a PlanInput<'a>,
    setting: Setting,
    world_size: f64,
    /// Of all GPUs.
    tokens: f64,
    /// Of this GPU.
    micro_batches: f64,
    /// Layers that are recomputed.
    recomputed: u64,
    /// Parameters that a micro-batch gathers at stage 3, and those whose gradients it reduces.
    gathered: f64,
    reduced: u64,
    trained: f64,
    /// Bytes of a weight.
    width: f64,
}

/// What the GPUs exchange in a step.
struct Exchange {
    /// Bytes over links to other GPUs.
    link_bytes: f64,
    /// Of these, bytes over the network between hosts.
    network_bytes: f64,
    /// Time on links and network.
    seconds: f64,
    /// Time of the exchange over sockets of what lies in host memory.
    socket_seconds: f64,
}

/// What the passes move between a GPU and its host.
struct Transfer {
    bytes: f64,
    /// Time in which the host adds up the gradients that arrive.
    summing_seconds: f64,
}

/// The optimizer's step.
struct OptimizerStep {
    /// The part that no forward pass hides.
    seconds: f64,
    /// Bytes of weights between GPU and host.
    sent_bytes: f64,
    disk_bytes: f64,
}

impl<'a> Step<'a> {
    fn new(input: &'a PlanInput<'a>, setting: Setting) -> Self {
        let (shape, world_size) = (input.shape, input.gpus as f64);
        let tokens = step_tokens(input);
        let recomputed = setting
            .activation_checkpointing
            .layers_recomputed(shape.layers);
        Self {
            input,
            setting,
            world_size,
            tokens,
            micro_batches: (tokens / world_size / (micro_tokens(input) as f64 * PACKING)).max(1.0),
            recomputed,
            gathered: shape.gathered(input.config, recomputed) as f64,
            reduced: shape.reduced(input.config),
            trained: shape.trained(input.config) as f64,
            width: input.config.precision.bytes() as f64,
        }
    }

    /// FLOPs of one GPU with `recomputed` layers recomputed.
    fn flops(&self, recomputed: u64) -> f64 {
        let (shape, config) = (self.input.shape, self.input.config);
        shape.step_flops(self.input.tokens_per_row, config, recomputed) * self.tokens
            / self.world_size
    }

    /// Parameters that this rank keeps of a state that is sharded from this stage on.
    fn local_params(&self, stage: u8) -> f64 {
        local_params(self.input.shape, self.input.config, self.input.gpus, stage) as f64
    }

    /// Stage 3 gathers the weights of a micro-batch for the forward pass, those of recomputed
    /// layers for the backward pass too and, as stage 2, reduces its f32 gradients; otherwise that
    /// is done once a step. An all-reduce counts as a reduction and a gathering.
    fn exchange(&self) -> Exchange {
        let Self {
            input,
            micro_batches,
            gathered,
            trained,
            width,
            ..
        } = *self;
        let share = (self.world_size - 1.0) / self.world_size;
        let reduced = 4.0 * self.reduced as f64;
        let carried = match input.config.zero_stage {
            0 => 8.0 * trained,
            1 => (4.0 + width) * trained,
            2 => micro_batches * reduced + width * trained,
            _ => micro_batches * (width * gathered + reduced),
        };
        // Of it, what does not lie on GPUs: below stage 2 offloaded gradients, below stage 3
        // offloaded weights.
        let offload = self.setting.offload;
        let on = |away, bytes: f64| if away { bytes * trained } else { 0.0 };
        let sockets = match input.config.zero_stage {
            0 => on(offload.optimizer(), 8.0),
            1 => on(offload.optimizer(), 4.0) + on(offload.parameters(), width),
            2 => on(offload.parameters(), width),
            _ => 0.0,
        };
        let carried = carried - sockets;
        let link_bytes = carried * share;
        let network_bytes = if input.hosts > 1 { link_bytes } else { 0.0 };
        // A ring crosses from each host to the next once: what one GPU receives goes over each
        // host's network, all of its ports together.
        let network = network_bytes / input.hardware.host.network_bandwidth;
        Exchange {
            link_bytes,
            network_bytes,
            seconds: (link_bytes / input.gpu.link_bandwidth).max(network) / LINK_EFFICIENCY,
            socket_seconds: sockets * share / SOCKETS,
        }
    }

    fn transfer(&self) -> Transfer {
        let Self {
            input,
            setting,
            micro_batches,
            ..
        } = *self;
        let (shape, config) = (input.shape, input.config);
        // Offloaded inputs go and come back, on the stream that computes.
        let inputs = if setting.offload_activations {
            2.0 * pass_bytes::input(shape, config, 1) as f64 * self.recomputed as f64 * self.tokens
                / self.world_size
        } else {
            0.0
        };
        // With the optimizer offloaded, each micro-batch's gradients go to the host, which adds
        // them up.
        let (gradients, summing_seconds) = if setting.offload.optimizer() {
            let mine = state_bytes::share(self.reduced, config, input.gpus, 2);
            let gradients = micro_batches * 4.0 * mine as f64;
            let local = ranks_of_a_host(input) as f64;
            let bandwidth = input.hardware.host.memory_bandwidth;
            (gradients, 3.0 * gradients * local / bandwidth)
        } else {
            (0.0, 0.0)
        };
        let weights = if setting.offload.parameters() {
            let here = state_bytes::share(self.gathered as u64, config, input.gpus, 3);
            micro_batches * self.width * here as f64
        } else {
            0.0
        };
        Transfer {
            bytes: inputs + gradients + weights,
            summing_seconds,
        }
    }

    /// Time of all forward and backward passes.
    fn pass_seconds(&self, exchange: &Exchange, transfer: &Transfer) -> f64 {
        let gpu = self.input.gpu;
        let compute = self.flops(self.recomputed) / (gpu.bf16_flops * gpu.efficiency);
        // Transfers take their turn in the stream that computes.
        let compute = compute + transfer.bytes / gpu.host_bandwidth;
        // Compute, links and the host's sums overlap: the slowest of the three sets the pace.
        // Sockets overlap with nothing.
        compute.max(exchange.seconds).max(transfer.summing_seconds) + exchange.socket_seconds
    }

    fn optimizer(&self, disk: u64, pass: f64) -> OptimizerStep {
        let (config, gpu) = (self.input.config, self.input.gpu);
        let on_host = &self.input.hardware.host;
        let offload = self.setting.offload;
        // AdamW reads gradient, weight and two moments and writes the last three, and the compute
        // weight where it is apart.
        let master = config.master_dtype.bytes() as f64;
        let apart = state_bytes::has_own_master(config, offload);
        let traffic = 4.0
            + 2.0 * master
            + 4.0 * config.optimizer_dtype.bytes()
            + if apart { self.width } else { 0.0 };
        // On the host the gradient is read for its norm before, and made zero after.
        let local = ranks_of_a_host(self.input) as f64;
        let of_host = |bytes: f64| bytes * self.local_params(1) * local / on_host.memory_bandwidth;
        // Master weights go to the GPU as they are, from it rounded.
        let sent_bytes = match (offload.optimizer(), offload.parameters()) {
            (true, false) => master * self.local_params(1),
            (false, true) => self.width * self.local_params(1),
            _ => 0.0,
        };
        let streamed = if offload.optimizer() {
            of_host(traffic + 4.0)
        } else {
            traffic * self.local_params(1) / gpu.memory_bandwidth
        };
        // Every byte of state on a disk comes and goes once a step, as the optimizer asks for it.
        let disk_bytes = 2.0 * disk as f64;
        let seconds =
            streamed + sent_bytes / gpu.host_bandwidth + disk_bytes / on_host.disk_bandwidth;
        // An offloaded optimizer step overlaps with the forward pass of the next step's first
        // micro-batch.
        let seconds = if offload.optimizer() {
            of_host(4.0) + (seconds - pass / self.passes() / self.micro_batches).max(0.0)
        } else {
            seconds
        };
        OptimizerStep {
            seconds,
            sent_bytes,
            disk_bytes,
        }
    }

    /// A step's FLOPs in forward passes.
    fn passes(&self) -> f64 {
        let (shape, row) = (self.input.shape, self.input.tokens_per_row);
        shape.step_flops(row, self.input.config, self.recomputed) / shape.forward_flops(row)
    }
}
