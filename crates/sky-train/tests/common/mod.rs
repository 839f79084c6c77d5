#![allow(dead_code, clippy::unwrap_used)]

pub(crate) mod counting;
pub(crate) mod python;

use std::{ops::ControlFlow, path::Path, thread, time::Duration};

use sky_model::{
    Adapters, Config, Lora, PackedSequences, ParamSpec, adapted_layer, blocks, embed, head_logits,
};
use sky_plan::{Precision, TrainConfig};
use sky_train::{
    Checkpoint, Collective, Dataset, DistributedEnv, Gloo, Job, SingleProcess, StepMetrics,
    TrainError, Trainer, free_port,
};
use sky_types::{TokenSeq, derive_seed};
use tch::{Device, Kind, Tensor};

/// Biases on q, k and v, grouped heads, head of its own.
pub(crate) const QWEN2: &str = r#"{"model_type": "qwen2", "vocab_size": 40, "hidden_size": 24, "intermediate_size": 32,
    "num_hidden_layers": 3, "num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 8, "rope_theta": 1000000.0,
    "rms_norm_eps": 1e-6, "tie_word_embeddings": false, "max_position_embeddings": 512, "eos_token_id": 39}"#;

/// No biases, tied head.
pub(crate) const LLAMA: &str = r#"{"model_type": "llama", "vocab_size": 40, "hidden_size": 16, "intermediate_size": 24,
    "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 4, "rope_theta": 10000.0,
    "rms_norm_eps": 1e-5, "tie_word_embeddings": true, "max_position_embeddings": 512, "eos_token_id": 39}"#;

pub(crate) fn model(text: &str) -> Config {
    Config::from_json(text).unwrap()
}

/// A parameter's first value, from its name alone.
pub(crate) fn initial(param: &ParamSpec) -> Tensor {
    let numel = param.numel() as u64;
    let (centre, width) = if param.decay { (0.0, 0.6) } else { (1.0, 0.5) };
    let values: Vec<f32> = (0..numel)
        .map(|i| {
            let unit = derive_seed(7, &param.name, i) as f64 / u64::MAX as f64 - 0.5;
            (centre + width * unit) as f32
        })
        .collect();
    Tensor::from_slice(&values).view(param.shape.as_slice())
}

/// Conversations of 4 to 23 tokens, the second half of each a target.
pub(crate) fn seqs(count: u64) -> Vec<TokenSeq> {
    (0..count)
        .map(|row| {
            let length = 4 + derive_seed(3, "length", row) % 20;
            TokenSeq {
                ids: (0..length)
                    .map(|at| (derive_seed(row, "token", at) % 39) as u32)
                    .collect(),
                target: (0..length).map(|at| at >= length / 2).collect(),
            }
        })
        .collect()
}

pub(crate) fn config() -> TrainConfig {
    TrainConfig {
        epochs: 2,
        global_batch: 6,
        learning_rate: 3e-3,
        micro_batch_tokens: 40,
        loss_chunk: 16,
        weight_decay: 0.1,
        max_grad_norm: 0.5,
        save_every: 2,
        threads: 1,
        precision: Precision::F32,
        ..TrainConfig::default()
    }
}

pub(crate) fn job(model: &Config, config: &TrainConfig, seed: u64) -> Job {
    // Tests run side by side; tensors this small gain nothing from threads.
    tch::set_num_threads(1);
    Job {
        config: config.clone(),
        model: model.clone(),
        data: Dataset::new(seqs(20), model.vocab_size, config).unwrap(),
        seed,
    }
}

pub(crate) fn trainer(job: Job) -> Trainer<'static> {
    try_trainer(job).unwrap()
}

pub(crate) fn try_trainer(job: Job) -> Result<Trainer<'static>, TrainError> {
    Trainer::new(job, Device::Cpu, &SingleProcess, &mut |param| {
        Ok(initial(param))
    })
}

/// A rank's trainer as the newest checkpoint in `dir` left it, or at its beginning, trained until
/// step `until`.
pub(crate) fn trained_until<'c>(
    job: Job,
    comm: &'c dyn Collective,
    until: u64,
    dir: &Path,
) -> Trainer<'c> {
    let newest = Checkpoint::newest(&dir.join("checkpoints"), &mut |line| panic!("{line}"));
    let mut trainer = match newest.unwrap() {
        Some(found) => {
            Trainer::resume(job, Device::Cpu, comm, &found, &mut |p| Ok(initial(p))).unwrap()
        }
        None => Trainer::new(job, Device::Cpu, comm, &mut |p| Ok(initial(p))).unwrap(),
    };
    // All ranks have seen the folder before one writes to it.
    comm.barrier().unwrap();
    trainer
        .run(dir, &mut |metrics| {
            if metrics.step == until {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })
        .unwrap();
    trainer
}

/// The newest checkpoint in a run's folder.
pub(crate) fn newest(dir: &Path) -> Checkpoint {
    let found = Checkpoint::newest(&dir.join("checkpoints"), &mut |line| panic!("{line}"));
    found.unwrap().unwrap()
}

/// All blocks of a trainer: the model's parameters, and the adapters' after them.
pub(crate) fn all(trainer: &Trainer<'_>, model: &Config) -> Vec<Vec<Tensor>> {
    let count = blocks(model).len();
    (0..count).map(|i| trainer.block(i).unwrap()).collect()
}

/// Two rows of tokens, packed by [`logits`].
pub(crate) fn packed() -> [Vec<i64>; 2] {
    let ids: Vec<i64> = (0..30).map(|i| (i * 7 + 3) % 39).collect();
    [ids[..18].to_vec(), ids[18..].to_vec()]
}

/// Logits of the packed rows, with adapters as they are: `[30, vocab]`, f32.
pub(crate) fn logits(model: &Config, lora: Option<&Lora>, params: &[Vec<Tensor>]) -> Tensor {
    let rows = packed();
    let lengths = rows.each_ref().map(|row| row.len() as i64);
    let sequences = PackedSequences::new(model, &lengths, params[0][0].kind(), Device::Cpu);
    let mut x = embed(&params[0], &Tensor::from_slice(&rows.concat()));
    for (spec, block) in blocks(model)
        .iter()
        .zip(params)
        .skip(1)
        .take(model.num_layers)
    {
        let (base, adapters) = block.split_at(spec.params.len());
        let adapters = lora.map(|lora| Adapters {
            lora,
            params: adapters,
        });
        x = adapted_layer(model, base, adapters.as_ref(), &x, &sequences);
    }
    let head = params.last().unwrap();
    let matrix = head.get(1).unwrap_or(&params[0][0]);
    head_logits(model, &head[0], matrix, &x).to_kind(Kind::Float)
}

/// Every parameter's bits, in the order of the model's blocks.
pub(crate) fn bits(trainer: &Trainer<'_>, model: &Config) -> Vec<u32> {
    (0..blocks(model).len())
        .flat_map(|block| trainer.block(block).unwrap())
        .flat_map(|t| {
            Vec::<f32>::try_from(t.to_kind(Kind::Float).reshape([-1]))
                .unwrap()
                .into_iter()
                .map(f32::to_bits)
                .collect::<Vec<_>>()
        })
        .collect()
}

pub(crate) fn max_difference(a: &[u32], b: &[u32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter()
        .zip(b)
        .map(|(a, b)| (f32::from_bits(*a) - f32::from_bits(*b)).abs())
        .fold(0.0, f32::max)
}

const TIMEOUT: Duration = Duration::from_secs(120);

/// Runs a closure on every rank of a group, which then part in good order.
pub(crate) fn on_ranks<T: Send>(world_size: usize, run: impl Fn(&Gloo) -> T + Sync) -> Vec<T> {
    on_failing_ranks(world_size, |comm| {
        let result = run(comm);
        comm.exit_barrier().unwrap();
        result
    })
}

/// The same for a group that may fail.
pub(crate) fn on_failing_ranks<T: Send>(
    world_size: usize,
    run: impl Fn(&Gloo) -> T + Sync,
) -> Vec<T> {
    let port = free_port().unwrap();
    thread::scope(|scope| {
        let run = &run;
        let ranks: Vec<_> = (0..world_size)
            .map(|rank| {
                scope.spawn(move || {
                    let ranks = DistributedEnv::on_one_host(rank, world_size, port);
                    let comm = Gloo::connect(&ranks, TIMEOUT).unwrap();
                    run(&comm)
                })
            })
            .collect();
        ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
    })
}

/// Trains until a step on `world_size` ranks, from the newest checkpoint when there is one, and
/// saves; gives the metrics and the weights, which are the same on every rank.
pub(crate) fn run(
    model: &Config,
    config: &TrainConfig,
    world_size: usize,
    until: u64,
    dir: &Path,
) -> (Vec<StepMetrics>, Vec<u32>) {
    let mut results = on_ranks(world_size, |comm| {
        let job = job(model, config, 4);
        let trainer = trained_until(job, comm, until, dir);
        (trainer.history().to_vec(), bits(&trainer, model))
    });
    let first = results.remove(0);
    for (history, weights) in &results {
        assert_eq!(*weights, first.1, "all ranks have the same weights");
        let same = |(a, b): (&StepMetrics, &StepMetrics)| a.loss == b.loss;
        assert!(history.iter().zip(&first.0).all(same));
    }
    first
}

/// [`run`] to step 5 in a folder of its own.
pub(crate) fn run_5_steps(
    model: &Config,
    config: &TrainConfig,
    world_size: usize,
) -> (Vec<StepMetrics>, Vec<u32>) {
    run(
        model,
        config,
        world_size,
        5,
        tempfile::tempdir().unwrap().path(),
    )
}
