use super::*;
use crate::{Hardware, MasterDtype, ModelShape, Offload};

fn plan(gpus: u64, gpu: &str, host_memory: u64, config: &TrainConfig) -> Plan {
    let hardware = Hardware::builtin().unwrap();
    let gpu = hardware.gpu(gpu).unwrap();
    Plan::new(&PlanInput {
        shape: &ModelShape::known("Qwen2.5-32B-Instruct").unwrap(),
        config,
        gpus,
        hosts: 1,
        gpu,
        hardware: &hardware,
        host_memory,
        dollars_per_gpu_hour: 3.0,
        rows: 16_401,
        tokens_per_row: 4096.0,
    })
    .unwrap()
}

#[test]
fn rows_that_cannot_be_are_refused_and_none_left_is_said() {
    let hardware = Hardware::builtin().unwrap();
    let refusal = |rows, validation_rows| {
        let config = TrainConfig {
            validation_rows,
            ..TrainConfig::default()
        };
        let input = PlanInput {
            shape: &ModelShape::known("Qwen2.5-0.5B-Instruct").unwrap(),
            config: &config,
            gpus: 8,
            hosts: 1,
            gpu: hardware.gpu("h100-80g").unwrap(),
            hardware: &hardware,
            host_memory: TERABYTES,
            dollars_per_gpu_hour: 3.0,
            rows,
            tokens_per_row: 4096.0,
        };
        Plan::new(&input).err().map(|error| error.to_string())
    };
    assert_eq!(refusal(100, 99), None);
    for (rows, validation) in [(100, 100), (100, 500), (1 << 63, 0), (u64::MAX, 1)] {
        let error = refusal(rows, validation).unwrap();
        assert!(error.contains("rows are left to train on"), "{error}");
    }
}

/// A rank's f32 vectors of all blocks of Qwen2.5-32B on eight ranks, each rounded up to a power of
/// two.
const PINNED: u64 = 64 * (1 << 28) + 2 * (1 << 29);

/// Gradients in flight to the host: one of the embedding's size, two of a layer's.
const GRAD_OFFLOAD: u64 = (1 << 29) + 2 * (1 << 28);

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
    // Each rank pins one f32 vector a block for gradients, master weights and each moment; a
    // layer's has 60,950,656 elements, the embedding's and the head's 97,320,960 and a few.
    assert_eq!(
        plan.best.host_bytes.total,
        8 * (4 * PINNED + GRAD_OFFLOAD) + 12 * 32_763_876_352 + 32_000_000_000
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
    let (least, there) = (&memory.settings[6], &disk.settings[0]);
    assert_eq!(least.setting, there.setting);
    let state = 12 * 32_763_876_352;
    assert_eq!(there.host_bytes.disk, state);
    assert_eq!(
        least.host_bytes.total - there.host_bytes.total,
        8 * 3 * PINNED
    );
    assert_eq!(there.disk_bytes_per_step, 2.0 * state as f64);
    let slower = there.step_seconds - least.step_seconds;
    let rate = Hardware::builtin().unwrap().host.disk_bandwidth;
    let most = 2.0 * state as f64 / rate;
    // In memory, the step may take less time than the compute that it overlaps.
    assert!((0.8 * most..most + 1e-6).contains(&slower), "{slower}");
}

#[test]
fn what_is_not_sharded_every_rank_keeps_in_its_host_s_memory() {
    let at = |zero_stage, config: TrainConfig| {
        let config = TrainConfig {
            zero_stage,
            background_save: false,
            ..config
        };
        plan(8, "h100-80g", 100 * TERABYTES, &config)
            .settings
            .into_iter()
            .find(|plan| plan.setting.offload == Offload::OptimizerAndParameters)
            .unwrap()
    };
    let [whole, first, second, third] = [0, 1, 2, 3].map(|stage| at(stage, TrainConfig::default()));
    let close = |a: u64, b: u64| (0.5..=2.0).contains(&(a as f64 / b as f64));
    assert!(close(whole.host_bytes.optimizer, 8 * 12 * 32_763_876_352));
    assert!(close(first.host_bytes.optimizer, 12 * 32_763_876_352));
    assert!(close(first.host_bytes.gradients, 8 * 4 * 32_763_876_352));
    assert!(close(second.host_bytes.gradients, 4 * 32_763_876_352));
    assert!(close(second.host_bytes.parameters, 8 * 2 * 32_763_876_352));
    assert!(close(third.host_bytes.parameters, 2 * 32_763_876_352));
    assert!(whole.optimizer_seconds > first.optimizer_seconds);
    // Gradients in host memory are exchanged over sockets: 8 bytes a parameter, seven eighths of
    // them, at 1 GB/s.
    let sockets = 8.0 * 32_763_876_352.0 * 7.0 / 8.0 / 1e9;
    assert!(whole.step_seconds > sockets && third.step_seconds < sockets);
    let narrow = TrainConfig {
        master_dtype: MasterDtype::Bf16,
        ..TrainConfig::default()
    };
    // They are the weights themselves where these are offloaded too.
    let less = third.host_bytes.optimizer - at(3, narrow).host_bytes.optimizer;
    assert_eq!(less, 8 * PINNED);
}

#[test]
fn weights_are_gathered_for_the_backward_pass_where_layers_are_recomputed() {
    let config = TrainConfig::default();
    let shape = ModelShape::known("Qwen2.5-32B-Instruct").unwrap();
    let all = plan(8, "h200-141g", 100 * TERABYTES, &config).settings;
    let of = |offload, way| {
        let fits = |plan: &&SettingPlan| {
            let setting = plan.setting;
            setting.offload == offload
                && setting.activation_checkpointing == way
                && !setting.offload_activations
        };
        all.iter().find(fits).unwrap()
    };
    let micro_batches = 96.0 * 4096.0 / 8.0 / (16_384.0 * 0.95);
    let layers = (shape.layers * shape.layer()) as f64;
    for offload in [Offload::None, Offload::OptimizerAndParameters] {
        let (graphs, recomputed) = (
            of(offload, ActivationCheckpointing::None),
            of(offload, ActivationCheckpointing::Full),
        );
        let more = recomputed.link_bytes_per_step - graphs.link_bytes_per_step;
        let expected = micro_batches * 2.0 * layers * 7.0 / 8.0;
        assert!((more / expected - 1.0).abs() < 1e-9, "{more} {expected}");
        let more = recomputed.transfer_bytes_per_step - graphs.transfer_bytes_per_step;
        let expected = match offload {
            Offload::None => 0.0,
            _ => micro_batches * 2.0 * layers / 8.0,
        };
        assert!((more - expected).abs() < 10.0, "{more} {expected}");
    }
}

#[test]
fn the_plan_tells_what_the_recipe_itself_sets() {
    let at = |offload| {
        let config = TrainConfig {
            offload,
            ..TrainConfig::default()
        };
        plan(8, "h100-80g", 2 * TERABYTES, &config)
    };
    let none = at(Offload::None);
    assert!(none.fits && !none.as_set.fits);
    assert_eq!(none.as_set.setting.offload, Offload::None);
    assert_ne!(none.as_set, none.best);
    assert_eq!(at(Offload::Optimizer).as_set, none.best);
}

#[test]
fn hosts_share_the_memory_and_the_network_may_set_the_pace() {
    let on = |hosts, network_bandwidth| {
        let mut hardware = Hardware::builtin().unwrap();
        hardware.host.network_bandwidth = network_bandwidth;
        let plan = Plan::new(&PlanInput {
            shape: &ModelShape::known("Qwen2.5-32B-Instruct").unwrap(),
            config: &TrainConfig::default(),
            gpus: 16,
            hosts,
            gpu: hardware.gpu("h100-80g").unwrap(),
            hardware: &hardware,
            host_memory: 2 * TERABYTES,
            dollars_per_gpu_hour: 3.0,
            rows: 16_401,
            tokens_per_row: 4096.0,
        });
        plan.unwrap().settings[3].clone()
    };
    let (one, two) = (on(1, 400e9), on(2, 400e9));
    assert_eq!(one.host_bytes.total, 2 * two.host_bytes.total);
    assert_eq!(one.network_bytes_per_step, 0.0);
    assert_eq!(two.network_bytes_per_step, two.link_bytes_per_step);
    assert_eq!(one.step_seconds, two.step_seconds);
    // 10 Gbit/s.
    let slow = on(2, 1.25e9);
    let network = slow.network_bytes_per_step / 1.25e9 / 0.75;
    assert!((slow.step_seconds - slow.optimizer_seconds - network).abs() < 1e-6);
}

#[test]
fn inputs_leave_a_gpu_for_its_host_and_cost_their_way_there_and_back() {
    let config = TrainConfig {
        activation_checkpointing: ActivationCheckpointing::Selective { every: 4 },
        ..TrainConfig::default()
    };
    let all = plan(8, "h100-80g", 2 * TERABYTES, &config);
    assert_eq!(all.settings.len(), 8);
    let (here, away) = (&all.settings[0], &all.settings[1]);
    assert!(!here.setting.offload_activations && away.setting.offload_activations);
    // 48 of 64 layers are recomputed; 16,384 tokens of 5120 numbers.
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
        activation_checkpointing: ActivationCheckpointing::None,
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
        crate::parse_bytes(&knob.replace("give the host ", "").replace(" of memory", "")).unwrap();
    assert!(plan(8, "h100-80g", bytes, &config).fits);

    let knob = plan(8, "h100-80g", TERABYTES * 7 / 10, &config).advice;
    assert_eq!(knob.unwrap(), "set train.background_save = false");

    let graphs = TrainConfig {
        activation_checkpointing: ActivationCheckpointing::None,
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
    // Recomputed: three passes of four, and a little for the adapters.
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
        hosts: 1,
        gpu: hardware.gpu("a100-40g").unwrap(),
        hardware: &hardware,
        host_memory: 0,
        dollars_per_gpu_hour: 1.0,
        rows: 1,
        tokens_per_row: 1.0,
    };
    assert!(Plan::new(&input).is_err());
}
