//! ZeRO stages over gloo: ranks are threads with connections of their own. What is sharded must
//! change nothing but rounding, and cost exactly the operations and bytes that the plan says.
#![allow(clippy::unwrap_used)]

mod common;

use common::{
    LLAMA, QWEN2, config, counting::one_step, initial, job, max_difference, model, newest,
    on_failing_ranks, on_ranks, run, run_5_steps,
};
use sky_model::ParamSpec;
use sky_plan::{
    ActivationCheckpointing, CpuPlan, CpuPlanInput, LoraConfig, MasterDtype, ModelShape, Offload,
    OptimizerDtype, Precision, TrainConfig,
};
use sky_train::{Collective, StepMetrics, Trainer};
use tch::Device;

/// The largest relative difference between the losses of two runs. Norms must agree too.
fn apart(a: &[StepMetrics], b: &[StepMetrics]) -> f64 {
    assert_eq!(a.len(), b.len());
    let relative = |a: f64, b: f64| (a - b).abs() / a;
    for (a, b) in a.iter().zip(b) {
        let norms = relative(a.grad_norm, b.grad_norm);
        assert!(norms < 1e-2, "norms {} and {}", a.grad_norm, b.grad_norm);
    }
    a.iter()
        .zip(b)
        .map(|(a, b)| relative(a.loss, b.loss))
        .fold(0.0, f64::max)
}

#[test]
fn ranks_with_different_models_are_told_apart_by_the_parameter() {
    let model = model(LLAMA);
    for lora in [None, Some(LoraConfig::default())] {
        let config = TrainConfig { lora, ..config() };
        let outcomes = on_ranks(2, |comm| {
            // One bit of one number.
            let mut weights = |param: &ParamSpec| {
                let whole = initial(param);
                if comm.rank() == 1 && param.name == "model.layers.1.mlp.up_proj.weight" {
                    let mut first = whole.get(3).get(5);
                    let bits = f32::to_bits(first.double_value(&[]) as f32) ^ 1;
                    let _ = first.fill_(f64::from(f32::from_bits(bits)));
                }
                Ok(whole)
            };
            let trainer = Trainer::new(job(&model, &config, 4), Device::Cpu, comm, &mut weights);
            trainer.map_or_else(|error| error.to_string(), |_| String::new())
        });
        assert_eq!(outcomes[0], "");
        assert!(
            outcomes[1]
                .contains("other weights than rank 0's, `model.layers.1.mlp.up_proj.weight`"),
            "{outcomes:?}"
        );
    }
}

#[test]
fn a_rank_that_fails_while_a_checkpoint_is_written_ends_the_wait_for_its_part() {
    let model = model(LLAMA);
    let dir = tempfile::tempdir().unwrap();
    // The wait must end by the other rank's note; by this it would end with another message.
    let config = TrainConfig {
        collective_timeout: 120,
        ..config()
    };
    let outcomes = on_failing_ranks(2, |comm| {
        let job = job(&model, &config, 4);
        let mut trainer =
            Trainer::new(job, Device::Cpu, comm, &mut |param| Ok(initial(param))).unwrap();
        trainer.train_step().unwrap();
        if comm.rank() == 0 {
            let error = trainer.save(dir.path()).unwrap_err();
            return error.to_string();
        }
        // All have come to the checkpoint; this one has no room for its part.
        comm.barrier().unwrap();
        comm.give_up("no space");
        String::new()
    });
    assert!(
        outcomes[0].contains("rank 1 failed: no space"),
        "{outcomes:?}"
    );
    assert!(!outcomes[0].contains("has not written"), "{outcomes:?}");
}

#[test]
fn every_stage_and_world_gives_the_same_losses_and_equal_bits_when_repeated() {
    for (text, checkpointing) in [
        (QWEN2, ActivationCheckpointing::Full),
        (QWEN2, ActivationCheckpointing::Selective { every: 2 }),
        (LLAMA, ActivationCheckpointing::None),
    ] {
        let model = model(text);
        let at = |zero_stage| TrainConfig {
            zero_stage,
            activation_checkpointing: checkpointing,
            learning_rate: 1e-3,
            ..config()
        };
        let alone = run_5_steps(&model, &at(3), 1);
        assert!(alone.0.iter().any(|m| m.grad_norm > config().max_grad_norm));
        for world_size in [1, 2, 4] {
            for stage in 0..=3 {
                let shared = run_5_steps(&model, &at(stage), world_size);
                let apart = apart(&alone.0, &shared.0);
                assert!(apart < 1e-6, "stage {stage}, {world_size} ranks: {apart:e}");
                for (a, b) in alone.0.iter().zip(&shared.0) {
                    assert!((a.grad_norm - b.grad_norm).abs() < 2e-5 * a.grad_norm);
                }
                let difference = max_difference(&alone.1, &shared.1);
                assert!(
                    difference < 1e-4,
                    "stage {stage}, {world_size} ranks: {difference}"
                );
                if world_size == 1 {
                    assert_eq!(shared.1, alone.1, "one rank's shard is the whole");
                } else {
                    let again = run_5_steps(&model, &at(stage), world_size);
                    assert_eq!(
                        again.1, shared.1,
                        "stage {stage}, {world_size} ranks, repeated"
                    );
                }
            }
        }
    }
}

#[test]
fn an_optimizer_step_beside_the_next_forward_pass_changes_no_bit() {
    let model = model(QWEN2);
    for stage in 0..=3 {
        for (optimizer_dtype, master_dtype) in [
            (OptimizerDtype::F32, MasterDtype::F32),
            (OptimizerDtype::Bf16, MasterDtype::F32),
            (OptimizerDtype::EightBit, MasterDtype::F32),
            (OptimizerDtype::Bf16, MasterDtype::Bf16),
        ] {
            // What is kept exactly, also in f32 and on more ranks.
            let exact = optimizer_dtype == OptimizerDtype::F32;
            let with = |offload, world_size, precision| {
                let config = TrainConfig {
                    offload,
                    optimizer_dtype,
                    master_dtype,
                    zero_stage: stage,
                    precision,
                    ..config()
                };
                run_5_steps(&model, &config, world_size).1
            };
            let runs: &[(usize, Precision)] = if exact {
                &[
                    (1, Precision::Bf16),
                    (2, Precision::Bf16),
                    (1, Precision::F32),
                    (4, Precision::F32),
                ]
            } else {
                &[(1, Precision::Bf16), (2, Precision::Bf16)]
            };
            for &(world_size, precision) in runs {
                let without = with(Offload::None, world_size, precision);
                assert_eq!(with(Offload::Optimizer, world_size, precision), without);
                assert_eq!(with(Offload::Parameters, world_size, precision), without);
                assert_eq!(
                    with(Offload::OptimizerAndParameters, world_size, precision),
                    without
                );
            }
        }
    }
}

#[test]
fn optimizer_state_on_a_disk_changes_no_bit_and_leaves_no_file() {
    let model = model(QWEN2);
    let folder = tempfile::tempdir().unwrap();
    let (wide, narrow) = (MasterDtype::F32, MasterDtype::Bf16);
    for (precision, optimizer_dtype, master_dtype, zero_stage, world_size) in [
        (Precision::Bf16, OptimizerDtype::EightBit, wide, 3, 1),
        (Precision::Bf16, OptimizerDtype::Bf16, wide, 3, 2),
        (Precision::Bf16, OptimizerDtype::EightBit, narrow, 3, 2),
        (Precision::Bf16, OptimizerDtype::F32, wide, 0, 2),
        (Precision::F32, OptimizerDtype::F32, wide, 1, 2),
    ] {
        let memory = TrainConfig {
            precision,
            optimizer_dtype,
            master_dtype,
            zero_stage,
            ..config()
        };
        let disk = TrainConfig {
            offload_folder: Some(folder.path().into()),
            ..memory.clone()
        };
        let without = run_5_steps(&model, &memory, world_size).1;
        assert_eq!(run_5_steps(&model, &disk, world_size).1, without);
        // A checkpoint of one resumes with the other.
        let dir = tempfile::tempdir().unwrap();
        run(&model, &disk, world_size, 2, dir.path());
        assert_eq!(run(&model, &memory, world_size, 5, dir.path()).1, without);
    }
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 0);
}

#[test]
fn bf16_weights_are_the_same_whatever_is_sharded() {
    let model = model(LLAMA);
    let losses = |zero_stage, world_size| {
        let config = TrainConfig {
            zero_stage,
            precision: Precision::Bf16,
            ..config()
        };
        run_5_steps(&model, &config, world_size).0
    };
    let alone = losses(3, 1);
    for stage in 0..=3 {
        let apart = apart(&alone, &losses(stage, 3));
        assert!(apart < 2e-3, "stage {stage}: {apart:e}");
    }
}

#[test]
fn master_weights_in_bf16_round_alike_whatever_is_sharded() {
    let model = model(LLAMA);
    let losses = |zero_stage, world_size| {
        let config = TrainConfig {
            zero_stage,
            precision: Precision::Bf16,
            master_dtype: MasterDtype::Bf16,
            optimizer_dtype: OptimizerDtype::Bf16,
            learning_rate: 1e-3,
            ..config()
        };
        run_5_steps(&model, &config, world_size).0
    };
    let alone = losses(3, 1);
    for (stage, world_size) in [(3, 2), (3, 4), (2, 3), (1, 2), (0, 2)] {
        let apart = apart(&alone, &losses(stage, world_size));
        assert!(apart < 2e-3, "stage {stage}, {world_size} ranks: {apart:e}");
    }
}

#[test]
fn moments_in_8_bits_follow_f32_ones_on_any_number_of_ranks() {
    let model = model(LLAMA);
    let losses = |optimizer_dtype, zero_stage, world_size| {
        let config = TrainConfig {
            zero_stage,
            optimizer_dtype,
            learning_rate: 1e-3,
            ..config()
        };
        run_5_steps(&model, &config, world_size).0
    };
    let exact = losses(OptimizerDtype::F32, 3, 1);
    let alone = losses(OptimizerDtype::EightBit, 3, 1);
    let off = apart(&exact, &alone);
    assert!(0.0 < off && off < 2e-3, "{off:e}");
    for (stage, world_size) in [(3, 2), (3, 4), (1, 2), (0, 2)] {
        let shared = losses(OptimizerDtype::EightBit, stage, world_size);
        // Sums over ranks have other last bits, and a code may be the next one.
        let apart = apart(&alone, &shared);
        assert!(apart < 1e-4, "stage {stage}, {world_size} ranks: {apart:e}");
    }
}

#[test]
fn a_run_resumes_with_other_ranks_and_another_stage() {
    let model = model(QWEN2);
    let at = |zero_stage| TrainConfig {
        zero_stage,
        learning_rate: 1e-3,
        ..config()
    };
    let whole = run(&model, &at(3), 1, 7, tempfile::tempdir().unwrap().path());
    let dir = tempfile::tempdir().unwrap();
    for (world_size, stage, until) in [(2, 3, 2), (4, 1, 4), (1, 3, 5), (2, 0, 6), (3, 2, 7)] {
        run(&model, &at(stage), world_size, until, dir.path());
    }
    let found = newest(dir.path()).metrics().unwrap();
    assert_eq!(found.len(), 7);
    let apart = apart(&whole.0, &found);
    assert!(apart < 1e-6, "{apart:e}");
}

#[test]
fn sixty_four_layers_on_eight_ranks_cost_what_the_plan_says() {
    for tied in [false, true] {
        let text = QWEN2
            .replace("\"num_hidden_layers\": 3", "\"num_hidden_layers\": 64")
            .replace(
                "\"tie_word_embeddings\": false",
                &format!("\"tie_word_embeddings\": {tied}"),
            );
        let (model, shape) = (model(&text), ModelShape::from_json(&text).unwrap());
        assert_eq!(shape.layers, 64);
        let all = [
            (3, ActivationCheckpointing::Full),
            (3, ActivationCheckpointing::None),
            (3, ActivationCheckpointing::Selective { every: 3 }),
            (2, ActivationCheckpointing::Full),
            (1, ActivationCheckpointing::Full),
            (0, ActivationCheckpointing::Full),
        ];
        // Tied weights differ in stages that gather or scatter during a micro-batch.
        for (stage, checkpointing) in all.into_iter().take(if tied { 3 } else { 6 }) {
            let config = TrainConfig {
                zero_stage: stage,
                activation_checkpointing: checkpointing,
                global_batch: 12,
                micro_batch_tokens: 1,
                ..config()
            };
            // Operations are counted on the most ranks, bytes on each number of them.
            let whole = checkpointing == ActivationCheckpointing::Full && stage == 3;
            for world_size in [1, 2, 4, 8]
                .into_iter()
                .filter(|&world_size| whole || world_size == 8)
            {
                let kept = on_ranks(world_size, |gloo| {
                    let (micro_batches, collectives, bytes) = one_step(&model, &config, gloo);
                    assert!((9..=12).contains(&micro_batches));
                    let again = checkpointing.layers_recomputed(shape.layers);
                    if world_size == 8 {
                        // Two micro-batches a rank.
                        assert_eq!(collectives, shape.collectives(&config, again, 2));
                    }
                    bytes
                });
                let plan = CpuPlan::new(&CpuPlanInput {
                    shape: &shape,
                    config: &config,
                    world_size: world_size as u64,
                    local_world_size: world_size as u64,
                    longest: 24,
                    steps: 2,
                    memory: u64::MAX,
                });
                // Every gradient is there after a step, whichever moment the plan's sum is of.
                let gradients = 4 * shape.params() / if stage >= 2 { world_size as u64 } else { 1 };
                let planned = plan.rank_bytes.parameters + plan.rank_bytes.optimizer + gradients;
                for bytes in kept {
                    let off = bytes as f64 / planned as f64 - 1.0;
                    assert!(
                        off.abs() < 0.03,
                        "stage {stage}, {world_size} ranks: {bytes} kept, {planned} planned"
                    );
                }
            }
        }
    }
}
