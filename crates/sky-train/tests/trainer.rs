//! The block-by-block forward and backward pass against one whole autograd graph and a textbook
//! AdamW; packing, recomputation, guards.
#![allow(clippy::unwrap_used)]

mod common;

use common::{LLAMA, QWEN2, bits, config, initial, job, max_difference, model, seqs, trainer};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sky_model::{
    Config, IGNORE_INDEX, PackedSequences, blocks, embed, head_logits, head_loss, layer,
};
use sky_plan::{ActivationCheckpointing, OverLong, Precision, TrainConfig};
use sky_train::{Dataset, Job, TrainError};
use sky_types::{TokenSeq, derive_seed};
use tch::{Device, Kind, Tensor, no_grad};

/// One conversation at a time through one graph over the whole model: the sum of cross-entropies,
/// and that of the squares of the logarithm of the softmax's denominator.
fn plain_loss(
    model: &Config,
    params: &[Vec<Tensor>],
    seq: &TokenSeq,
    noise: &Tensor,
) -> (Tensor, Tensor) {
    let ids: Vec<i64> = seq.ids.iter().map(|&id| i64::from(id)).collect();
    let targets: Vec<i64> = (1..=seq.len())
        .map(|at| {
            if at < seq.len() && seq.target[at] {
                ids[at]
            } else {
                -100
            }
        })
        .collect();
    let sequences = PackedSequences::new(model, &[ids.len() as i64], Kind::Float, Device::Cpu);
    let mut x = embed(&params[0], &Tensor::from_slice(&ids)) + noise;
    for block in &params[1..=model.num_layers] {
        x = layer(model, block, &x, &sequences);
    }
    let head = params.last().unwrap();
    let matrix = head.get(1).unwrap_or(&params[0][0]);
    let targets = Tensor::from_slice(&targets);
    let at = targets.ne(IGNORE_INDEX).nonzero().squeeze_dim(1);
    let logits = head_logits(model, &head[0], matrix, &x).index_select(0, &at);
    let log_z = logits
        .exp()
        .sum_dim_intlist([-1i64].as_slice(), false, Kind::Float)
        .log();
    (
        head_loss(model, &head[0], matrix, &x, &targets, 1024).sum,
        log_z.square().sum(Kind::Float),
    )
}

/// NEFTune's noise as its paper has it: uniform from -1 to 1, times `alpha / sqrt(tokens x width)`.
fn paper_noise(
    model: &Config,
    config: &TrainConfig,
    step: u64,
    row: usize,
    tokens: usize,
) -> Tensor {
    let seed = derive_seed(derive_seed(SEED, "neftune", step), "row", row as u64);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (tokens, width) = (tokens as i64, model.hidden_size);
    let unit: Vec<f32> = (0..tokens * width).map(|_| rng.random()).collect();
    let scale = config.neftune_alpha / ((tokens * width) as f64).sqrt();
    (Tensor::from_slice(&unit) * 2.0 - 1.0).view([tokens, width]) * scale
}

const SEED: u64 = 5;

/// A step's learning rate, and its rows with their numbers.
struct Batch {
    lr: f64,
    rows: Vec<(usize, TokenSeq)>,
}

/// AdamW as Loshchilov and Hutter write it, with ordinary autograd and clipping. Gives each step's
/// loss and gradient norm, and the final weights.
fn reference(
    model: &Config,
    config: &TrainConfig,
    batches: &[Batch],
) -> (Vec<(f64, f64)>, Vec<u32>) {
    let params: Vec<Vec<Tensor>> = blocks(model)
        .iter()
        .map(|b| {
            b.params
                .iter()
                .map(|p| initial(p).set_requires_grad(true))
                .collect()
        })
        .collect();
    let specs: Vec<_> = blocks(model).into_iter().flat_map(|b| b.params).collect();
    let flat: Vec<&Tensor> = params.iter().flatten().collect();
    let mut state: Vec<(Tensor, Tensor)> = flat
        .iter()
        .map(|p| (p.detach().zeros_like(), p.detach().zeros_like()))
        .collect();
    let mut seen = Vec::new();
    for (step, Batch { lr, rows }) in batches.iter().enumerate() {
        let targets: usize = rows.iter().map(|(_, seq)| seq.num_targets()).sum();
        let (losses, squares): (Vec<Tensor>, Vec<Tensor>) = rows
            .iter()
            .map(|(row, seq)| {
                let noise = paper_noise(model, config, step as u64, *row, seq.len());
                plain_loss(model, &params, seq, &noise)
            })
            .unzip();
        let mean = |all: &[Tensor]| Tensor::stack(all, 0).sum(Kind::Float) / targets as f64;
        let loss = mean(&losses);
        (&loss + mean(&squares) * config.z_loss).backward();
        no_grad(|| {
            let norm = flat
                .iter()
                .map(|p| p.grad().square().sum(Kind::Double).double_value(&[]))
                .sum::<f64>()
                .sqrt();
            seen.push((loss.double_value(&[]), norm));
            let scale = (config.max_grad_norm / (norm + 1e-6)).min(1.0);
            let t = step as i32 + 1;
            for ((param, spec), (m, v)) in flat.iter().zip(&specs).zip(&mut state) {
                let grad = param.grad() * scale;
                *m = &*m * config.beta1 + &grad * (1.0 - config.beta1);
                *v = &*v * config.beta2 + grad.square() * (1.0 - config.beta2);
                let m_hat = &*m / (1.0 - config.beta1.powi(t));
                let v_hat = &*v / (1.0 - config.beta2.powi(t));
                let decay = if spec.decay { config.weight_decay } else { 0.0 };
                let mut param = param.detach();
                let next = &param * (1.0 - lr * decay) - m_hat / (v_hat.sqrt() + config.eps) * *lr;
                param.copy_(&next);
            }
            for param in &flat {
                let _ = param.grad().zero_();
            }
        });
    }
    let bits = flat
        .iter()
        .flat_map(|p| Vec::<f32>::try_from(p.detach().reshape([-1])).unwrap())
        .map(f32::to_bits)
        .collect();
    (seen, bits)
}

/// Euclidean distance of two lists of weights.
fn distance(a: &[u32], b: &[u32]) -> f64 {
    let square = |(a, b): (&u32, &u32)| {
        (f64::from(f32::from_bits(*a)) - f64::from(f32::from_bits(*b))).powi(2)
    };
    a.iter().zip(b).map(square).sum::<f64>().sqrt()
}

#[test]
fn steps_equal_whole_graph_autograd_with_a_textbook_adamw() {
    let z_loss = TrainConfig {
        z_loss: 0.02,
        ..config()
    };
    let noisy = TrainConfig {
        neftune_alpha: 10.0,
        ..config()
    };
    for (text, config) in [
        (QWEN2, config()),
        (LLAMA, config()),
        (QWEN2, z_loss),
        (LLAMA, noisy),
    ] {
        let model = model(text);
        let mut ours = trainer(job(&model, &config, SEED));
        let mut order = sky_plan::BatchSampler::new(&config, 20, SEED);
        let schedule = sky_plan::Schedule::new(&config, order.steps());
        let data = seqs(20);
        let batches: Vec<Batch> = (0..order.steps())
            .map(|step| {
                let rows = order.batch(step).into_iter();
                Batch {
                    lr: schedule.lr(step),
                    rows: rows.map(|row| (row, data[row].clone())).collect(),
                }
            })
            .collect();
        let (expected, weights) = reference(&model, &config, &batches);
        assert!(
            expected
                .iter()
                .any(|(_, norm)| *norm > config.max_grad_norm),
            "clipping is part of what is compared"
        );
        for (loss, norm) in expected {
            let metrics = ours.train_step().unwrap();
            assert!(
                (metrics.loss - loss).abs() < 2e-5 * loss,
                "{} {loss}",
                metrics.loss
            );
            assert!(
                (metrics.grad_norm - norm).abs() < 1e-4 * norm,
                "{} {norm}",
                metrics.grad_norm
            );
        }
        // Where a gradient is next to nothing, its last bits alone, which are the processor's,
        // decide which way AdamW goes: a single weight may be off by up to a tenth of a step, all
        // together by next to nothing.
        let begin = bits(&trainer(job(&model, &config, SEED)), &model);
        let ended = bits(&ours, &model);
        let (apart, moved) = (distance(&ended, &weights), distance(&begin, &weights));
        assert!(apart < 1e-3 * moved, "{apart} of {moved}");
        assert!(max_difference(&ended, &weights) < 0.1 * config.learning_rate as f32);
        let moved = max_difference(&begin, &weights);
        assert!(moved > 5e-3, "the weights hardly moved: {moved}");
        let plain = TrainConfig {
            z_loss: 0.0,
            neftune_alpha: 0.0,
            ..config.clone()
        };
        if plain != config {
            let mut plain = trainer(job(&model, &plain, SEED));
            for _ in 0..plain.steps() {
                plain.train_step().unwrap();
            }
            let apart = max_difference(&bits(&plain, &model), &weights);
            assert!(apart > 2e-3, "the option does nothing: {apart}");
        }
    }
}

#[test]
fn keeping_the_graph_and_computing_it_again_give_the_same_bits() {
    for (text, precision) in [(QWEN2, Precision::F32), (LLAMA, Precision::Bf16)] {
        let model = model(text);
        let run = |activation_checkpointing, offload_activations| {
            let config = TrainConfig {
                activation_checkpointing,
                offload_activations,
                precision,
                ..config()
            };
            let mut trainer = trainer(job(&model, &config, 1));
            for _ in 0..3 {
                trainer.train_step().unwrap();
            }
            bits(&trainer, &model)
        };
        let all_kept = run(ActivationCheckpointing::None, false);
        for away in [false, true] {
            assert_eq!(run(ActivationCheckpointing::Full, away), all_kept);
            for k in 1..=4 {
                assert_eq!(
                    run(ActivationCheckpointing::Selective { every: k }, away),
                    all_kept,
                    "{k}"
                );
            }
        }
    }
}

#[test]
fn packing_changes_nothing_but_rounding() {
    let model = model(QWEN2);
    let run = |micro_batch_tokens| {
        let config = TrainConfig {
            micro_batch_tokens,
            neftune_alpha: 5.0,
            ..config()
        };
        let mut trainer = trainer(job(&model, &config, 1));
        (0..4)
            .map(|_| trainer.train_step().unwrap())
            .collect::<Vec<_>>()
    };
    let (alone, packed) = (run(1), run(4096));
    for (alone, packed) in alone.iter().zip(&packed) {
        assert!(alone.micro_batches > 1 && packed.micro_batches == 1);
        assert_eq!(
            (alone.tokens, alone.targets, alone.rows),
            (packed.tokens, packed.targets, packed.rows)
        );
        assert!((alone.loss - packed.loss).abs() < 1e-5 * alone.loss);
        assert!((alone.grad_norm - packed.grad_norm).abs() < 1e-4 * alone.grad_norm);
    }
}

#[test]
fn bf16_compute_follows_f32_within_its_rounding() {
    let model = model(LLAMA);
    let run = |precision| {
        let config = TrainConfig {
            precision,
            ..config()
        };
        let mut trainer = trainer(job(&model, &config, 1));
        (0..6)
            .map(|_| trainer.train_step().unwrap().loss)
            .collect::<Vec<f64>>()
    };
    for (half, full) in run(Precision::Bf16).iter().zip(run(Precision::F32)) {
        assert!((half - full).abs() < 0.02 * full, "{half} {full}");
    }
}

#[test]
fn one_seed_gives_the_same_bits_and_another_does_not() {
    let model = model(LLAMA);
    let run = |seed| {
        let mut trainer = trainer(job(&model, &config(), seed));
        for _ in 0..3 {
            trainer.train_step().unwrap();
        }
        bits(&trainer, &model)
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn a_loss_that_is_no_number_names_step_and_rows_and_changes_nothing() {
    let model = model(LLAMA);
    let mut trainer = sky_train::Trainer::new(
        job(&model, &config(), 1),
        Device::Cpu,
        &sky_train::SingleProcess,
        &mut |param| {
            let mut weights = initial(param);
            if param.name.contains("layers.1.mlp.down") {
                let _ = weights.fill_(f64::NAN);
            }
            Ok(weights)
        },
    )
    .unwrap();
    let before = bits(&trainer, &model);
    let error = trainer.train_step().unwrap_err();
    let rows = sky_plan::BatchSampler::new(&config(), 20, 1).batch(0);
    assert!(
        matches!(&error, TrainError::NotFinite { step: 1, what: "loss", rows: named } if *named == rows),
        "{error}"
    );
    assert_eq!(bits(&trainer, &model), before);
    assert!(trainer.history().is_empty());
}

#[test]
fn data_that_cannot_be_trained_on_is_left_out_and_counted_or_refused() {
    let config = TrainConfig {
        cutoff: 15,
        ..config()
    };
    let mut all = seqs(20);
    let long = all.iter().filter(|seq| seq.len() > 15).count();
    all[0].target.fill(false);
    all[0].ids.truncate(5);
    all[0].target.truncate(5);
    let long = long - usize::from(seqs(1)[0].len() > 15);
    let data = Dataset::new(all.clone(), 40, &config).unwrap();
    assert_eq!((data.over_long(), data.no_target()), (long, 1));
    assert_eq!(data.len() + long + 1, 20);
    let strict = TrainConfig {
        over_long: OverLong::Error,
        ..config.clone()
    };
    let error = Dataset::new(all.clone(), 40, &strict).unwrap_err();
    assert!(error.to_string().contains("train.cutoff"), "{error}");
    all[3].ids[0] = 40;
    let error = Dataset::new(all, 40, &config).unwrap_err();
    assert!(error.to_string().contains("row 3: token 40"), "{error}");
}

#[test]
fn a_job_with_a_bad_setting_is_refused_by_key() {
    let model = model(LLAMA);
    let config = TrainConfig {
        learning_rate: -1.0,
        ..config()
    };
    let job = Job {
        config,
        ..job(&model, &common::config(), 1)
    };
    let error = common::try_trainer(job).unwrap_err();
    assert!(
        matches!(
            error,
            TrainError::Config {
                key: "learning_rate",
                ..
            }
        ),
        "{error}"
    );
}
