//! Adapters: against one whole autograd graph over merged weights, frozen weights to the bit, every
//! rank count and stage, checkpoints that belong to one base model, and exports that say the same
//! as what was trained.
#![allow(clippy::unwrap_used)]

mod common;

use std::{fs, path::Path};

use common::{
    LLAMA, QWEN2, all, bits, config, counting::one_step, initial, job, logits, max_difference,
    model, newest, on_ranks, run, run_5_steps, seqs, trained_until, trainer,
};
use sky_model::{
    Config, IGNORE_INDEX, Lora, ModelFiles, PackedSequences, ParamSpec, SaveOptions, blocks, embed,
    head_loss, layer,
};
use sky_plan::{
    ActivationCheckpointing, BatchSampler, LoraConfig, ModelShape, Precision, Projection, Schedule,
    TrainConfig,
};
use sky_train::{SingleProcess, TrainError, Trainer, export, export_adapter, export_merged};
use sky_types::{Section, TokenSeq};
use tch::{Device, Kind, Tensor, no_grad};

const SEED: u64 = 5;

fn lora(rank: usize, targets: &[Projection]) -> TrainConfig {
    TrainConfig {
        lora: Some(LoraConfig {
            rank,
            alpha: 6.0,
            targets: targets.to_vec(),
        }),
        learning_rate: 1e-2,
        ..config()
    }
}

/// What the settings say, as the model takes it.
fn described(config: &TrainConfig) -> Lora {
    let lora = config.lora.as_ref().unwrap();
    Lora {
        rank: lora.rank as i64,
        alpha: lora.alpha,
        adapted: lora.adapted(),
    }
}

const SOME: [Projection; 3] = [
    Projection::DownProj,
    Projection::KProj,
    Projection::GateProj,
];

/// Each block's parameters, merged by the formula.
fn merged(model: &Config, lora: &Lora, all: &[Vec<Tensor>]) -> Vec<Vec<Tensor>> {
    blocks(model)
        .iter()
        .zip(all)
        .map(|(spec, found)| {
            let (base, adapters) = found.split_at(spec.params.len());
            let mut adapters = adapters.chunks(2);
            spec.params
                .iter()
                .zip(base)
                .map(|(param, w)| match lora.pair(param) {
                    Some(_) if param.name.contains(".layers.") => {
                        let pair = adapters.next().unwrap();
                        w + pair[1].matmul(&pair[0]) * (lora.alpha / lora.rank as f64)
                    }
                    _ => w.shallow_clone(),
                })
                .collect()
        })
        .collect()
}

fn plain_loss(model: &Config, params: &[Vec<Tensor>], seq: &TokenSeq) -> Tensor {
    let ids: Vec<i64> = seq.ids.iter().map(|&id| i64::from(id)).collect();
    let mut targets: Vec<i64> = (1..seq.len())
        .map(|at| {
            if seq.target[at] {
                ids[at]
            } else {
                IGNORE_INDEX
            }
        })
        .collect();
    targets.push(IGNORE_INDEX);
    let sequences = PackedSequences::new(model, &[ids.len() as i64], Kind::Float, Device::Cpu);
    let mut x = embed(&params[0], &Tensor::from_slice(&ids));
    for block in &params[1..=model.num_layers] {
        x = layer(model, block, &x, &sequences);
    }
    let head = params.last().unwrap();
    let matrix = head.get(1).unwrap_or(&params[0][0]);
    let targets = Tensor::from_slice(&targets);
    head_loss(model, &head[0], matrix, &x, &targets, 1024).sum
}

#[test]
#[expect(clippy::too_many_lines, reason = "one comparison, step by step")]
fn steps_equal_autograd_over_merged_weights_with_a_textbook_adamw() {
    for (text, config) in [
        (QWEN2, lora(4, &Projection::ALL)),
        (LLAMA, lora(3, &SOME)),
        (
            QWEN2,
            TrainConfig {
                activation_checkpointing: ActivationCheckpointing::Full,
                ..lora(2, &SOME)
            },
        ),
    ] {
        let (model, lora) = (model(text), described(&config));
        let mut ours = trainer(job(&model, &config, SEED));
        let params = all(&ours, &model);
        let specs = blocks(&model);
        let adapters: Vec<Tensor> = specs
            .iter()
            .zip(&params)
            .flat_map(|(spec, found)| &found[spec.params.len()..])
            .map(Tensor::shallow_clone)
            .map(|t| t.set_requires_grad(true))
            .collect();
        for (a, b) in adapters
            .iter()
            .step_by(2)
            .zip(adapters.iter().skip(1).step_by(2))
        {
            let bound = (a.size()[1] as f64).powf(-0.5);
            let largest = a.detach().abs().max().double_value(&[]);
            assert!(largest <= bound && largest > 0.6 * bound, "A is uniform");
            assert_eq!(b.detach().abs().max().double_value(&[]), 0.0, "B is zero");
        }
        let mut order = BatchSampler::new(&config, 20, SEED);
        let schedule = Schedule::new(&config, order.steps());
        let data = seqs(20);
        let mut state: Vec<_> = adapters
            .iter()
            .map(|p| (p.detach().zeros_like(), p.detach().zeros_like()))
            .collect();
        let mut clipped = false;
        for step in 0..order.steps() {
            let rows: Vec<&TokenSeq> = order.batch(step).into_iter().map(|r| &data[r]).collect();
            let targets: usize = rows.iter().map(|seq| seq.num_targets()).sum();
            let whole = merged(&model, &lora, &params);
            let losses: Vec<Tensor> = rows.iter().map(|r| plain_loss(&model, &whole, r)).collect();
            let loss = Tensor::stack(&losses, 0).sum(Kind::Float) / targets as f64;
            let inputs: Vec<&Tensor> = adapters.iter().collect();
            let grads = gradients(&loss, &inputs);
            let norm = grads
                .iter()
                .map(|g| g.square().sum(Kind::Double).double_value(&[]))
                .sum::<f64>()
                .sqrt();
            clipped |= norm > config.max_grad_norm;
            let metrics = ours.train_step().unwrap();
            let loss = loss.double_value(&[]);
            assert!(
                (metrics.loss - loss).abs() < 2e-5 * loss,
                "{step}: {} {loss}",
                metrics.loss
            );
            assert!(
                (metrics.grad_norm - norm).abs() < 2e-4 * norm,
                "{step}: {} {norm}",
                metrics.grad_norm
            );
            let (scale, t) = (
                (config.max_grad_norm / (norm + 1e-6)).min(1.0),
                step as i32 + 1,
            );
            let lr = schedule.lr(step);
            no_grad(|| {
                for ((param, grad), (m, v)) in adapters.iter().zip(&grads).zip(&mut state) {
                    let grad = grad * scale;
                    *m = &*m * config.beta1 + &grad * (1.0 - config.beta1);
                    *v = &*v * config.beta2 + grad.square() * (1.0 - config.beta2);
                    let m_hat = &*m / (1.0 - config.beta1.powi(t));
                    let v_hat = &*v / (1.0 - config.beta2.powi(t));
                    let mut param = param.detach();
                    let next = &param * (1.0 - lr * config.weight_decay)
                        - m_hat / (v_hat.sqrt() + config.eps) * lr;
                    param.copy_(&next);
                }
            });
        }
        assert!(
            clipped || text == LLAMA,
            "clipping is part of what is compared"
        );
        let (ours, mut moved) = (all(&ours, &model), 0.0_f64);
        for ((spec, ours), reference) in specs.iter().zip(&ours).zip(&params) {
            let base = spec.params.len();
            for (at, (ours, reference)) in ours.iter().zip(reference).enumerate() {
                let apart = (ours - reference.detach()).abs().max().double_value(&[]);
                assert!(apart < 1e-3, "{:?} {at}: {apart}", spec.id);
                if at >= base && (at - base) % 2 == 1 {
                    moved = moved.max(ours.abs().max().double_value(&[]));
                }
            }
            for (param, ours) in spec.params.iter().zip(ours) {
                assert_eq!(*ours, initial(param), "{} is frozen to the bit", param.name);
            }
        }
        assert!(moved > 2e-2, "the adapters hardly moved: {moved}");
    }
}

fn gradients(loss: &Tensor, inputs: &[&Tensor]) -> Vec<Tensor> {
    Tensor::run_backward(&[loss], inputs, false, false)
}

#[test]
fn every_stage_and_world_gives_the_same_losses_and_equal_bits_when_repeated() {
    for (text, checkpointing) in [
        (QWEN2, ActivationCheckpointing::Full),
        (LLAMA, ActivationCheckpointing::None),
    ] {
        let model = model(text);
        let at = |zero_stage| TrainConfig {
            zero_stage,
            activation_checkpointing: checkpointing,
            learning_rate: 1e-3,
            ..lora(4, &Projection::ALL)
        };
        let alone = run_5_steps(&model, &at(3), 1);
        for world_size in [1, 2, 4] {
            for stage in 0..=3 {
                let shared = run_5_steps(&model, &at(stage), world_size);
                for (a, b) in alone.0.iter().zip(&shared.0) {
                    assert!(
                        (a.loss - b.loss).abs() < 1e-6 * a.loss,
                        "{stage} {world_size}"
                    );
                    assert!((a.grad_norm - b.grad_norm).abs() < 2e-5 * a.grad_norm);
                }
                let apart = max_difference(&alone.1, &shared.1);
                assert!(apart < 1e-4, "stage {stage}, {world_size} ranks: {apart}");
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
fn operations_and_bytes_kept_are_those_of_the_plan() {
    let text = QWEN2.replace("\"num_hidden_layers\": 3", "\"num_hidden_layers\": 24");
    let (model, shape) = (model(&text), ModelShape::from_json(&text).unwrap());
    for (zero_stage, checkpointing) in [
        (3, ActivationCheckpointing::Full),
        (3, ActivationCheckpointing::None),
        (3, ActivationCheckpointing::Selective { every: 5 }),
        (2, ActivationCheckpointing::Full),
        (1, ActivationCheckpointing::Full),
        (0, ActivationCheckpointing::Full),
    ] {
        let config = TrainConfig {
            zero_stage,
            activation_checkpointing: checkpointing,
            global_batch: 6,
            micro_batch_tokens: 1,
            precision: Precision::Bf16,
            // A multiple of 64 elements a rank: the padding of a model this narrow is not what is
            // counted.
            ..lora(32, &Projection::ALL)
        };
        let kept = on_ranks(4, |gloo| {
            let (micro_batches, collectives, bytes) = one_step(&model, &config, gloo);
            assert!((5..=6).contains(&micro_batches), "two a rank");
            let again = checkpointing.layers_recomputed(shape.layers);
            assert_eq!(collectives, shape.collectives(&config, again, 2));
            bytes
        });
        let share = |from, params: u64| params / if zero_stage >= from { 4 } else { 1 };
        let (frozen, trained) = (shape.params(), shape.trained(&config));
        assert_eq!(
            trained,
            described(&config)
                .blocks(&model)
                .iter()
                .flat_map(|block| &block.params)
                .map(|param| param.numel() as u64)
                .sum::<u64>()
        );
        let planned = 2 * share(3, frozen)
            + 2 * share(3, trained)
            + 4 * share(2, trained)
            + 12 * share(1, trained);
        for bytes in kept {
            let off = bytes as f64 / planned as f64 - 1.0;
            assert!(
                off.abs() < 0.03,
                "stage {zero_stage}: {bytes} kept, {planned} planned"
            );
        }
    }
}

#[test]
fn a_run_resumes_to_the_same_bits_and_with_other_ranks() {
    for precision in [Precision::Bf16, Precision::F32] {
        let model = model(LLAMA);
        let config = TrainConfig {
            precision,
            ..lora(4, &SOME)
        };
        let solo = |dir: &Path, until| {
            let trainer = trained_until(job(&model, &config, 4), &SingleProcess, until, dir);
            (trainer.step(), bits(&trainer, &model))
        };
        let whole = tempfile::tempdir().unwrap();
        let (steps, expected) = solo(whole.path(), 7);
        assert_eq!(steps, 7);
        for stop in [1, 3, 6] {
            let dir = tempfile::tempdir().unwrap();
            assert_eq!(solo(dir.path(), stop).0, stop);
            assert_eq!(solo(dir.path(), 7), (7, expected.clone()));
        }
    }

    let model = model(QWEN2);
    let at = |zero_stage| TrainConfig {
        zero_stage,
        learning_rate: 1e-3,
        ..lora(4, &Projection::ALL)
    };
    let whole = run(&model, &at(3), 1, 7, tempfile::tempdir().unwrap().path());
    let dir = tempfile::tempdir().unwrap();
    for (world_size, stage, until) in [(2, 3, 2), (4, 1, 4), (1, 3, 5), (2, 0, 6), (3, 2, 7)] {
        run(&model, &at(stage), world_size, until, dir.path());
    }
    let found = newest(dir.path()).metrics().unwrap();
    assert_eq!(found.len(), 7);
    for (a, b) in whole.0.iter().zip(&found) {
        assert!((a.loss - b.loss).abs() < 1e-6 * a.loss);
    }
}

/// One weight off in its last bit.
fn other(param: &ParamSpec) -> Tensor {
    let weight = initial(param);
    if param.name.contains("layers.1.mlp.up_proj") {
        let mut first = weight.reshape([-1]).narrow(0, 3, 1);
        let _ = first.f_mul_scalar_(1.0 + 1e-6).unwrap();
    }
    weight
}

#[test]
fn a_checkpoint_holds_adapters_alone_and_belongs_to_one_base() {
    let (model, config) = (model(LLAMA), lora(4, &SOME));
    let dir = tempfile::tempdir().unwrap();
    trained_until(job(&model, &config, 4), &SingleProcess, 3, dir.path());
    let found = newest(dir.path());
    let adapters = sky_train::model_shape(&model).trained(&config);
    let files = fs::read_dir(found.path()).unwrap();
    let bytes: u64 = files.map(|f| f.unwrap().metadata().unwrap().len()).sum();
    assert!(bytes < 12 * adapters + 10_000, "{bytes} for {adapters}");
    assert!(12 * model.num_params() > 2 * bytes, "far below the model's");
    assert_eq!(found.state().base.as_ref().unwrap().len(), 64);

    let again = |job, weights: &mut dyn FnMut(&ParamSpec) -> Result<Tensor, TrainError>| {
        Trainer::resume(job, Device::Cpu, &SingleProcess, &found, weights)
    };
    let error = again(job(&model, &config, 4), &mut |p| Ok(other(p))).unwrap_err();
    assert!(error.to_string().contains("another base model"), "{error}");
    let wide = lora(8, &SOME);
    let error = again(job(&model, &wide, 4), &mut |p| Ok(initial(p))).unwrap_err();
    assert!(error.to_string().contains("settings in [train]"), "{error}");
    assert!(again(job(&model, &config, 4), &mut |p| Ok(initial(p))).is_ok());

    let out = dir.path().join("out");
    let error = export(&found, None, SaveOptions::default(), &out).unwrap_err();
    assert!(
        error.to_string().contains("holds adapters alone"),
        "{error}"
    );
    let error = export_merged(
        &found,
        &mut |p| Ok(other(p)),
        None,
        SaveOptions::default(),
        &out,
    )
    .unwrap_err();
    assert!(error.to_string().contains("another base model"), "{error}");
    assert!(!out.exists());
}

#[test]
fn a_merged_export_read_back_gives_the_logits_of_the_adapted_model() {
    for (text, precision, kind, bound) in [
        (QWEN2, Precision::F32, Kind::Float, 1e-5),
        (LLAMA, Precision::F32, Kind::Float, 1e-5),
        (LLAMA, Precision::Bf16, Kind::BFloat16, 0.03),
    ] {
        let model = model(text);
        let config = TrainConfig {
            precision,
            epochs: 6,
            ..lora(4, &Projection::ALL)
        };
        let dir = tempfile::tempdir().unwrap();
        let trained = trained_until(job(&model, &config, 4), &SingleProcess, 21, dir.path());
        let params = all(&trained, &model);
        let expected = logits(&model, Some(&described(&config)), &params);

        let (found, out) = (newest(dir.path()), dir.path().join("out"));
        let options = SaveOptions {
            kind,
            ..SaveOptions::default()
        };
        export_merged(&found, &mut |p| Ok(initial(p)), None, options, &out).unwrap();
        let files = ModelFiles::open(&out).unwrap();
        let read: Vec<Vec<Tensor>> = blocks(files.config())
            .iter()
            .map(|spec| files.block(spec, kind).unwrap())
            .collect();
        let merged = logits(&model, None, &read);
        let scale = expected.abs().max().double_value(&[]);
        let apart = (&merged - &expected).abs().max().double_value(&[]) / scale;
        assert!(apart < bound, "{apart}");

        let base: Vec<Vec<Tensor>> = blocks(&model)
            .iter()
            .zip(&params)
            .map(|(spec, found)| {
                found[..spec.params.len()]
                    .iter()
                    .map(Tensor::copy)
                    .collect()
            })
            .collect();
        let without = logits(&model, None, &base);
        let does = (&without - &expected).abs().max().double_value(&[]) / scale;
        assert!(
            does > 0.05 && does > 5.0 * apart,
            "the adapters do nothing: {does}"
        );
    }
}

#[test]
fn adapters_alone_are_written_as_peft_has_them() {
    let (model, config) = (model(LLAMA), lora(4, &SOME));
    let dir = tempfile::tempdir().unwrap();
    let trained = trained_until(job(&model, &config, 4), &SingleProcess, 3, dir.path());
    let out = dir.path().join("adapter");
    export_adapter(&newest(dir.path()), "models/base", &out).unwrap();
    let description: serde_json::Value =
        sky_files::read_json(&out.join("adapter_config.json")).unwrap();
    assert_eq!(description["peft_type"], "LORA");
    assert_eq!(
        (&description["r"], &description["lora_alpha"]),
        (&4.into(), &6.into())
    );
    assert_eq!(
        description["target_modules"],
        serde_json::json!(["k_proj", "gate_proj", "down_proj"])
    );
    assert_eq!(description["base_model_name_or_path"], "models/base");
    let tensors = Tensor::read_safetensors(out.join("adapter_model.safetensors")).unwrap();
    assert_eq!(tensors.len(), 2 * 3 * model.num_layers);
    let specs = described(&config).blocks(&model);
    for (index, spec) in specs.iter().enumerate() {
        let base = blocks(&model)[index].params.len();
        let found = trained.block(index).unwrap();
        for (param, expected) in spec.params.iter().zip(&found[base..]) {
            let name = format!("base_model.model.{}", param.name);
            let (_, written) = tensors.iter().find(|(found, _)| *found == name).unwrap();
            assert_eq!(written, expected, "{name}");
        }
    }
    assert!(
        specs[1].params[0]
            .name
            .ends_with("layers.0.self_attn.k_proj.lora_A.weight")
    );
}

#[test]
fn the_loss_falls_and_the_seed_decides_where_adapters_begin() {
    let model = model(QWEN2);
    let config = TrainConfig {
        epochs: 15,
        validation_rows: 0,
        ..lora(8, &Projection::ALL)
    };
    let run = |seed| {
        let mut trainer = trainer(job(&model, &config, seed));
        let begin = bits(&trainer, &model);
        let losses: Vec<f64> = (0..trainer.steps())
            .map(|_| trainer.train_step().unwrap().loss)
            .collect();
        (begin, losses)
    };
    let (begin, losses) = run(1);
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    let (first, last) = (mean(&losses[..4]), mean(&losses[losses.len() - 4..]));
    // Below the entropy of the tokens, which are drawn from 39: the rows are learnt.
    assert!(last < 0.8 * first && last < 39_f64.ln(), "{first} {last}");
    assert_eq!(run(1), (begin.clone(), losses));
    assert_ne!(run(2).0, begin);
}

#[test]
fn wrong_settings_are_named() {
    let parse = |text: &str| serde_json::from_str::<TrainConfig>(text);
    let error = parse(r#"{"lora": {"rank": 0}}"#).unwrap().check();
    assert_eq!(error.unwrap_err().key, "lora");
    let error = parse(r#"{"lora": {"targets": ["q_porj"]}}"#).unwrap_err();
    assert!(
        error.to_string().contains("unknown variant `q_porj`"),
        "{error}"
    );
    assert!(parse(r#"{"lora": {"rnak": 8}}"#).is_err());
    let all = parse(r#"{"lora": {}}"#).unwrap().lora.unwrap();
    assert_eq!((all.rank, all.alpha, all.adapted()), (16, 32.0, [true; 7]));
    let config = TrainConfig {
        lora: Some(LoraConfig {
            rank: 0,
            ..LoraConfig::default()
        }),
        ..config()
    };
    let error = common::try_trainer(job(&model(LLAMA), &config, 1)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "train.lora: rank must be from 1 to 65536"
    );
}
