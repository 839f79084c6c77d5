use serde::{Deserialize, Serialize};

use super::bytes::{self, kept};
use crate::{Checkpointing, Gpu, Hardware, ModelShape, Moments, Order, TrainConfig, TrainError};

/// What leaves the GPUs for host memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Offload {
    /// Nothing.
    #[default]
    None,
    /// Master weights, moments and the gradients they meet.
    Optimizer,
    /// The optimizer and the bf16 parameters, as the published run did it.
    OptimizerAndParameters,
}

/// One way to run: what is offloaded, what is computed again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// What leaves the GPUs.
    pub offload: Offload,
    /// Which layers are computed again.
    pub activation_checkpointing: Checkpointing,
    /// Whether the inputs of these wait in host memory.
    pub offload_activations: bool,
}

/// What a plan is made for.
#[derive(Clone, Debug)]
pub struct PlanInput<'a> {
    /// The model.
    pub shape: &'a ModelShape,
    /// The recipe's `[train]`.
    pub config: &'a TrainConfig,
    /// Number of GPUs, on one host.
    pub gpus: u64,
    /// Their kind.
    pub gpu: &'a Gpu,
    /// Everything else that is known of hardware.
    pub hardware: &'a Hardware,
    /// Memory of the host.
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
    /// Its shard of f32 master weights and moments.
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

/// Memory of the host, by kind.
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
    /// Memory of the host.
    pub host_bytes: HostBytes,
    /// Bytes each GPU sends or receives over its links to other GPUs in a step.
    pub link_bytes_per_step: f64,
    /// Bytes each GPU moves to and from its host in a step.
    pub transfer_bytes_per_step: f64,
    /// Bytes all ranks read from and write to the disk of `offload_folder` in a step.
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

/// The plan of a run: every setting, and which to take.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// Whether any setting fits.
    pub fits: bool,
    /// The best setting: the cheapest that fits, or, when none does, the one that needs least.
    pub best: SettingPlan,
    /// When nothing fits, the one knob that would make it.
    pub advice: Option<String>,
    /// Parameters of the model.
    pub params: u64,
    /// Parameters that are trained: the same, or those of the adapters, which `params` does not count.
    pub trained_params: u64,
    /// Steps of the run.
    pub steps: u64,
    /// Tokens of the run.
    pub tokens: f64,
    /// All settings, in order of how much they offload.
    pub settings: Vec<SettingPlan>,
    /// Every assumption, in words.
    pub assumptions: Vec<String>,
}

/// Share of a packed micro-batch that is filled, on average.
const PACKING: f64 = 0.95;
/// Share of a link's bandwidth that collectives reach.
const LINK_EFFICIENCY: f64 = 0.75;
/// Context and workspaces of one process on a GPU.
const CONTEXT: f64 = 1.5e9;
/// Share of a GPU's memory kept for the allocator's gaps.
const FRAGMENTATION: f64 = 0.05;
/// Host memory of one process before any offload.
const PROCESS: u64 = 4_000_000_000;

impl Plan {
    /// Plans a run.
    ///
    /// # Errors
    /// When there is nothing to plan: no GPU, no rows.
    pub fn new(input: &PlanInput<'_>) -> Result<Self, TrainError> {
        let tokens = input.tokens_per_row;
        if input.gpus == 0 || input.rows == 0 || tokens.is_nan() || tokens <= 0.0 {
            return Err(TrainError::Plan(
                "at least one GPU, one row and one token a row are needed".into(),
            ));
        }
        let rows = input.config.training_rows(input.rows) as usize;
        let steps = Order::new(input.config, rows, 0).steps();
        let settings = settings(input.config)
            .map(|setting| evaluate(input, setting, steps))
            .collect::<Vec<_>>();
        let fitting = || settings.iter().filter(|plan| plan.fits);
        let least = fitting().map(|plan| plan.dollars).fold(f64::MAX, f64::min);
        // Less is offloaded the earlier a setting comes: what saves under 2 % is not worth another thing to move.
        let cheapest = fitting().find(|plan| plan.dollars <= least * 1.02);
        let smallest = settings.iter().min_by_key(|plan| plan.gpu_bytes.total);
        let Some(best) = cheapest.or(smallest).cloned() else {
            return Err(TrainError::Plan("no setting to choose from".into()));
        };
        Ok(Self {
            fits: best.fits,
            advice: (!best.fits).then(|| advice(input, steps, &best)),
            params: input.shape.params(),
            trained_params: input.shape.trained(input.config),
            steps,
            tokens: steps as f64 * step_tokens(input),
            settings,
            assumptions: assumptions(input),
            best,
        })
    }
}

fn settings(config: &TrainConfig) -> impl Iterator<Item = Setting> + use<> {
    let in_memory = config.offload_folder.is_none();
    let ways = match config.activation_checkpointing {
        Checkpointing::Auto => vec![Checkpointing::None, Checkpointing::Full],
        chosen => vec![chosen],
    };
    let inputs_away = config.offload_activations;
    let offloads = [
        Offload::None,
        Offload::Optimizer,
        Offload::OptimizerAndParameters,
    ];
    offloads
        .into_iter()
        .filter(move |offload| in_memory || *offload != Offload::None)
        .flat_map(move |offload| ways.clone().into_iter().map(move |way| (offload, way)))
        .flat_map(move |(offload, way)| {
            // Where nothing is computed again, no input waits for it.
            let choices = match (way, inputs_away) {
                (Checkpointing::None, _) => [Some(false), None],
                (_, true) => [Some(true), None],
                (_, false) => [Some(false), Some(true)],
            };
            let setting = move |offload_activations| Setting {
                offload,
                activation_checkpointing: way,
                offload_activations,
            };
            choices.into_iter().flatten().map(setting)
        })
}

fn step_tokens(input: &PlanInput<'_>) -> f64 {
    input.tokens_per_row * (input.config.global_batch as u64).min(input.rows) as f64
}

/// Tokens of one micro-batch: memory is planned for the longest conversation.
fn micro_tokens(input: &PlanInput<'_>) -> u64 {
    input.config.pack_tokens(input.config.cutoff) as u64
}

fn evaluate(input: &PlanInput<'_>, setting: Setting, steps: u64) -> SettingPlan {
    let gpu_bytes = gpu_bytes(input, setting);
    let host_bytes = host_bytes(input, setting, steps);
    let (shape, gpu) = (input.shape, input.gpu);
    let world = input.gpus as f64;
    let trained = shape.trained(input.config) as f64;
    let weights = shape.frozen(input.config) as f64 + trained;
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
    let compute = flops(again) / (gpu.bf16_flops * gpu.efficiency) + inputs / gpu.host_bandwidth;

    // Stage 3 gathers the weights of a micro-batch for the forward and again for the backward pass and, as stage 2, reduces
    // its f32 gradients; otherwise that is done once a step, and an all-reduce is worth a reduction and a gathering.
    let micro_batches = (tokens / world / (micro_tokens(input) as f64 * PACKING)).max(1.0);
    let share = (world - 1.0) / world;
    let carried = match input.config.zero_stage {
        0 => 8.0 * trained,
        1 => (4.0 + width) * trained,
        2 => (micro_batches * 4.0 + width) * trained,
        _ => micro_batches * (2.0 * width * weights + 4.0 * trained),
    };
    let link_bytes = carried * share;
    let link = link_bytes / (gpu.link_bandwidth * LINK_EFFICIENCY);
    // With the optimizer offloaded, each micro-batch's gradients go to the host, where they are summed.
    let shard = trained / world;
    let hidden_transfer = inputs
        + micro_batches
            * match setting.offload {
                Offload::None => 0.0,
                Offload::Optimizer => 4.0 * shard,
                Offload::OptimizerAndParameters => 4.0 * shard + 2.0 * width * weights / world,
            };
    // What one pass does not hide behind another shows: the slowest of the three sets the pace.
    let pass = compute.max(link).max(hidden_transfer / gpu.host_bandwidth);

    // AdamW reads gradient, weight and two moments and writes the last three and the compute weight.
    let optimizer_traffic = 3.0 * 4.0 + 4.0 * input.config.moments.bytes() + width;
    let (optimizer, weights_transfer) = match setting.offload {
        Offload::None => (optimizer_traffic * shard / gpu.memory_bandwidth, 0.0),
        Offload::Optimizer => {
            let seconds = optimizer_traffic * trained / input.hardware.host.memory_bandwidth;
            (seconds + width * shard / gpu.host_bandwidth, width * shard)
        }
        Offload::OptimizerAndParameters => (
            optimizer_traffic * trained / input.hardware.host.memory_bandwidth,
            0.0,
        ),
    };
    // Every byte of state on a disk comes and goes once a step, as the optimizer asks for it.
    let disk_bytes = 2.0 * host_bytes.disk as f64;
    let optimizer = optimizer + disk_bytes / input.hardware.host.disk_bandwidth;
    // An offloaded optimizer goes on behind the forward pass of the next step's first micro-batch.
    let optimizer = match setting.offload {
        Offload::None => optimizer,
        Offload::Optimizer | Offload::OptimizerAndParameters => {
            (optimizer - pass / passes / micro_batches).max(0.0)
        }
    };
    let step_seconds = pass + optimizer;
    let hours = step_seconds * steps as f64 / 3600.0;
    SettingPlan {
        setting,
        fits: gpu_bytes.total as f64 <= gpu.memory && host_bytes.total <= input.host_memory,
        gpu_bytes,
        host_bytes,
        link_bytes_per_step: link_bytes,
        transfer_bytes_per_step: hidden_transfer + weights_transfer,
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
    let (parameters, gradients, optimizer) = match setting.offload {
        Offload::None => (
            weights,
            4 * kept(shape, config, world, 2),
            bytes::optimizer(config, kept(shape, config, world, 1)),
        ),
        Offload::Optimizer => (weights, 0, 0),
        Offload::OptimizerAndParameters => (0, 0, 0),
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
    let buffers = bytes::buffers(shape, config, world, checkpointing, false).most();
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

fn host_bytes(input: &PlanInput<'_>, setting: Setting, steps: u64) -> HostBytes {
    let trained = input.shape.trained(input.config);
    let weights = input.config.precision.bytes() * (input.shape.frozen(input.config) + trained);
    let state = bytes::state(input.config, trained);
    let (parameters, gradients, optimizer) = match setting.offload {
        Offload::None => (0, 0, 0),
        Offload::Optimizer => (0, 4 * trained, state),
        Offload::OptimizerAndParameters => (weights, 4 * trained, state),
    };
    let (optimizer, disk) = match input.config.offload_folder {
        Some(_) => (0, optimizer),
        None => (optimizer, 0),
    };
    let activations = if setting.offload_activations {
        let (tokens, again) = (micro_tokens(input), setting.activation_checkpointing);
        input.gpus * bytes::inputs_on_host(input.shape, input.config, tokens, again)
    } else {
        0
    };
    let checkpoint = bytes::copy(input.config, trained, steps);
    let processes = PROCESS * input.gpus;
    HostBytes {
        parameters,
        gradients,
        optimizer,
        activations,
        checkpoint,
        processes,
        total: parameters + gradients + optimizer + activations + checkpoint + processes,
        disk,
    }
}

/// The one change that makes a run fit that does not, the least costly first.
fn advice(input: &PlanInput<'_>, steps: u64, best: &SettingPlan) -> String {
    let fits = |changed: &PlanInput<'_>| {
        settings(changed.config).any(|setting| evaluate(changed, setting, steps).fits)
    };
    type Change = fn(&mut TrainConfig);
    let knobs: [(&str, Change); 4] = [
        ("background_save = false", |c| c.background_save = false),
        ("activation_checkpointing = \"full\"", |c| {
            c.activation_checkpointing = Checkpointing::Full;
        }),
        ("moments = \"bf16\"", |c| c.moments = Moments::Bf16),
        ("moments = \"8bit\"", |c| c.moments = Moments::EightBit),
    ];
    for (text, change) in knobs {
        let mut config = input.config.clone();
        change(&mut config);
        if fits(&PlanInput {
            config: &config,
            ..input.clone()
        }) {
            return format!("set train.{text}");
        }
    }
    let most = micro_tokens(input);
    let mut tokens = most / 2;
    while tokens >= 512 {
        let config = TrainConfig {
            micro_batch_tokens: tokens as usize,
            cutoff: input.config.cutoff.min(tokens as usize),
            ..input.config.clone()
        };
        if fits(&PlanInput {
            config: &config,
            ..input.clone()
        }) {
            return format!(
                "lower train.micro_batch_tokens and train.cutoff to {tokens} (longer rows would be left out)"
            );
        }
        tokens /= 2;
    }
    let plenty = PlanInput {
        host_memory: u64::MAX,
        ..input.clone()
    };
    if fits(&plenty) {
        let needed = settings(input.config)
            .map(|setting| evaluate(&plenty, setting, steps))
            .filter(|plan| plan.fits)
            .map(|plan| plan.host_bytes.total)
            .min()
            .unwrap_or(0);
        return format!("give the host {} of memory", sized(needed));
    }
    for gpus in (1..=10).map(|doubling| input.gpus << doubling) {
        if fits(&PlanInput {
            gpus,
            host_memory: u64::MAX,
            ..input.clone()
        }) {
            return format!("use {gpus} of these GPUs");
        }
    }
    format!(
        "use GPUs with at least {} of memory",
        sized(best.gpu_bytes.total)
    )
}

fn sized(bytes: u64) -> String {
    format!("{} GB", bytes.div_ceil(1_000_000_000))
}

fn assumptions(input: &PlanInput<'_>) -> Vec<String> {
    let (gpu, config) = (input.gpu, input.config);
    let mut all = vec![
        format!(
            "{}: {:.0} TFLOP/s bf16 at {:.0} % efficiency (assumed), {:.0} GB/s to other GPUs at {:.0} %, {:.0} GB/s to the host ({})",
            gpu.name,
            gpu.bf16_flops / 1e12,
            gpu.efficiency * 100.0,
            gpu.link_bandwidth / 1e9,
            LINK_EFFICIENCY * 100.0,
            gpu.host_bandwidth / 1e9,
            gpu.source
        ),
        format!(
            "host memory at {:.0} GB/s ({})",
            input.hardware.host.memory_bandwidth / 1e9,
            input.hardware.host.source
        ),
        format!(
            "{} rows of {:.0} tokens on average, {} a step; micro-batches of {} tokens, {:.0} % full",
            input.rows,
            input.tokens_per_row,
            config.global_batch,
            micro_tokens(input),
            PACKING * 100.0
        ),
        format!(
            "ZeRO stage {}: weights gathered and f32 gradients reduced are hidden behind compute when that takes longer; an offloaded optimizer behind the next step's first forward pass, any other behind nothing",
            config.zero_stage
        ),
        "one host; settings with offload or more than one GPU are planned for, not yet run on GPUs"
            .into(),
        match &config.offload_folder {
            Some(_) => format!(
                "optimizer state on a disk of {:.1} GB/s, all of it read and written once a step ({})",
                input.hardware.host.disk_bandwidth / 1e9,
                input.hardware.host.source
            ),
            None => "optimizer state in memory".into(),
        },
        format!("${} a GPU hour", input.dollars_per_gpu_hour),
    ];
    all.extend(config.lora.as_ref().map(|lora| {
        format!(
            "adapters of rank {} are trained, {:.1} M parameters; the model's own are frozen: no gradient, no optimizer, no time for their gradients",
            lora.rank,
            input.shape.trained(config) as f64 / 1e6
        )
    }));
    all
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn plan(gpus: u64, gpu: &str, host_memory: u64, config: &TrainConfig) -> Plan {
        let hardware = Hardware::builtin().unwrap();
        let gpu = hardware.gpu(gpu).unwrap();
        Plan::new(&PlanInput {
            shape: &ModelShape::known("Qwen2.5-32B-Instruct").unwrap(),
            config,
            gpus,
            gpu,
            hardware: &hardware,
            host_memory,
            dollars_per_gpu_hour: 3.0,
            rows: 16_401,
            tokens_per_row: 4096.0,
        })
        .unwrap()
    }

    const TERABYTES: u64 = 1_000_000_000_000;

    #[test]
    fn the_published_run_needs_offload_on_eight_gpus_of_80_gb() {
        let plan = plan(8, "h100-80g", 2 * TERABYTES, &TrainConfig::default());
        assert_eq!(plan.steps, 513); // 16,401 rows, 3 epochs, 96 a step; published: about 512
        assert!(plan.fits);
        let alone = &plan.settings[0];
        assert_eq!(alone.setting.offload, Offload::None);
        assert!(!alone.fits, "18 bytes x 32.8 B / 8 alone is 73.7 GB");
        let state = alone.gpu_bytes;
        assert_eq!(
            state.parameters + state.gradients + state.optimizer,
            18 * 32_763_876_352_u64.div_ceil(8)
        );
        assert_eq!(plan.best.setting.offload, Offload::Optimizer);
        assert_eq!(
            plan.best.host_bytes.total,
            (16 + 12) * 32_763_876_352 + 32_000_000_000
        );
        // 8 FLOP a weight and token: about 8 x 32 B x 393 k tokens over 8 x 445 TFLOP/s is 29 s.
        assert!(
            (25.0..45.0).contains(&plan.best.step_seconds),
            "{}",
            plan.best.step_seconds
        );
        assert!((plan.best.dollars - plan.best.hours * 24.0).abs() < 1e-6);
    }

    #[test]
    fn state_on_a_disk_leaves_host_memory_and_costs_its_reading_and_writing() {
        let memory = TrainConfig {
            background_save: false,
            ..TrainConfig::default()
        };
        let disk = TrainConfig {
            offload_folder: Some("/nvme".into()),
            ..memory.clone()
        };
        let plan = |config| plan(8, "h100-80g", 2 * TERABYTES, config);
        let (memory, disk) = (plan(&memory), plan(&disk));
        assert!(
            disk.settings
                .iter()
                .all(|s| s.setting.offload != Offload::None)
        );
        let (least, there) = (&memory.settings[3], &disk.settings[0]);
        assert_eq!(least.setting, there.setting);
        let state = 12 * 32_763_876_352;
        assert_eq!(there.host_bytes.disk, state);
        assert_eq!(least.host_bytes.total - there.host_bytes.total, state);
        assert_eq!(there.disk_bytes_per_step, 2.0 * state as f64);
        let slower = there.step_seconds - least.step_seconds;
        let rate = Hardware::builtin().unwrap().host.disk_bandwidth;
        let most = 2.0 * state as f64 / rate;
        // In memory the step may hide behind compute with time to spare.
        assert!((0.8 * most..most + 1e-6).contains(&slower), "{slower}");
    }

    #[test]
    fn inputs_leave_a_gpu_for_its_host_and_cost_their_way_there_and_back() {
        let config = TrainConfig {
            activation_checkpointing: Checkpointing::KeepEvery(4),
            ..TrainConfig::default()
        };
        let all = plan(8, "h100-80g", 2 * TERABYTES, &config);
        assert_eq!(all.settings.len(), 6);
        let (here, away) = (&all.settings[0], &all.settings[1]);
        assert!(!here.setting.offload_activations && away.setting.offload_activations);
        // 48 of 64 layers are computed again; 16,384 tokens of 5120 numbers.
        let input = 16_384 * 5120 * 2;
        let left = here.gpu_bytes.activations - away.gpu_bytes.activations;
        assert_eq!(left, 46 * input);
        assert_eq!(away.host_bytes.activations, 8 * 48 * 268_435_456);
        assert_eq!(
            away.host_bytes.total - here.host_bytes.total,
            away.host_bytes.activations
        );
        let moved = away.transfer_bytes_per_step - here.transfer_bytes_per_step;
        let tokens = 96.0 * 4096.0 / 8.0;
        assert!((moved / (2.0 * 48.0 * 5120.0 * 2.0 * tokens) - 1.0).abs() < 1e-9);
        assert!((away.step_seconds - here.step_seconds - moved / 64e9).abs() < 1e-6);

        let chosen = TrainConfig {
            offload_activations: true,
            ..config
        };
        let chosen = plan(8, "h100-80g", 2 * TERABYTES, &chosen);
        let away: Vec<_> = all.settings.iter().skip(1).step_by(2).cloned().collect();
        assert_eq!(chosen.settings, away);
        let none = TrainConfig {
            activation_checkpointing: Checkpointing::None,
            offload_activations: true,
            ..TrainConfig::default()
        };
        let none = plan(8, "h100-80g", 2 * TERABYTES, &none);
        assert!(none.settings.iter().all(|s| s.host_bytes.activations == 0));
    }

    #[test]
    fn more_of_anything_never_needs_more_of_a_gpu() {
        let config = TrainConfig::default();
        let mut last = u64::MAX;
        for gpus in [2, 4, 8, 16, 64] {
            let plan = plan(gpus, "h100-80g", 4 * TERABYTES, &config);
            // Three ways to keep activations for each way to offload the rest.
            for (less, more) in plan.settings.iter().zip(&plan.settings[3..]) {
                assert!(more.gpu_bytes.total <= less.gpu_bytes.total);
                assert!(more.host_bytes.total >= less.host_bytes.total);
            }
            assert!(plan.settings[0].gpu_bytes.total < last);
            last = plan.settings[0].gpu_bytes.total;
        }
    }

    #[test]
    fn what_does_not_fit_gets_one_knob_that_makes_it() {
        let config = TrainConfig::default();
        let plenty = plan(8, "h100-80g", TERABYTES / 10, &config);
        assert!(!plenty.fits);
        let knob = plenty.advice.unwrap();
        assert!(knob.starts_with("give the host "), "{knob}");
        let bytes =
            crate::plan::parse_bytes(&knob.replace("give the host ", "").replace(" of memory", ""))
                .unwrap();
        assert!(plan(8, "h100-80g", bytes, &config).fits);

        let knob = plan(8, "h100-80g", TERABYTES * 7 / 10, &config).advice;
        assert_eq!(knob.unwrap(), "set train.background_save = false");

        let graphs = TrainConfig {
            activation_checkpointing: Checkpointing::None,
            ..config.clone()
        };
        let knob = plan(8, "h100-80g", 2 * TERABYTES, &graphs).advice.unwrap();
        assert!(knob.contains("activation_checkpointing"), "{knob}");

        let long = TrainConfig {
            cutoff: 1 << 20,
            ..config
        };
        let knob = plan(8, "h100-80g", 2 * TERABYTES, &long).advice.unwrap();
        assert!(knob.contains("micro_batch_tokens"), "{knob}");
    }

    #[test]
    fn adapters_fit_where_the_model_does_not_and_cost_less() {
        let lora = TrainConfig {
            lora: Some(crate::LoraConfig::default()),
            ..TrainConfig::default()
        };
        let (adapters, whole) = (
            plan(8, "h100-80g", 2 * TERABYTES, &lora),
            plan(8, "h100-80g", 2 * TERABYTES, &TrainConfig::default()),
        );
        assert!(adapters.fits && adapters.best.setting.offload == Offload::None);
        assert_eq!(
            (adapters.params, adapters.trained_params),
            (whole.params, 134_217_728)
        );
        let (params, trained) = (adapters.params, adapters.trained_params);
        let gpu = adapters.settings[0].gpu_bytes;
        assert_eq!(
            (gpu.parameters, gpu.gradients, gpu.optimizer),
            (
                2 * (params / 8 + trained / 8),
                trained / 2,
                12 * trained / 8
            )
        );
        // Computed again: three passes of four, and a little for the adapters.
        let ratio = |at: usize| {
            let seconds = |plan: &Plan| {
                let plan = &plan.settings[at];
                plan.step_seconds - plan.optimizer_seconds
            };
            seconds(&adapters) / seconds(&whole)
        };
        assert!((0.75..0.77).contains(&ratio(1)), "{}", ratio(1));
        assert!(
            adapters
                .assumptions
                .iter()
                .any(|line| line.contains("rank 16"))
        );
        assert!(plan(2, "h100-80g", TERABYTES / 2, &lora).fits);
        assert!(!plan(2, "h100-80g", TERABYTES / 2, &TrainConfig::default()).fits);
    }

    #[test]
    fn nothing_to_plan_is_refused() {
        let hardware = Hardware::builtin().unwrap();
        let input = PlanInput {
            shape: &ModelShape::known("SmolLM2-135M").unwrap(),
            config: &TrainConfig::default(),
            gpus: 0,
            gpu: hardware.gpu("a100-40g").unwrap(),
            hardware: &hardware,
            host_memory: 0,
            dollars_per_gpu_hour: 1.0,
            rows: 1,
            tokens_per_row: 1.0,
        };
        assert!(Plan::new(&input).is_err());
    }
}
