//! Trains a model on rows of token ids and prints what each step cost, one JSON line a step: the
//! side of `cargo xtask bench train` that is measured.
//!
//!     measure MODEL ROWS.jsonl TRAIN.json [DIR]   steps of [train] as TRAIN.json has it; the model
//!     as it is before the last of them goes into DIR/model; adapters into DIR/adapter and
//!     DIR/merged measure MODEL --save DIR                    the model as a Hugging Face folder,
//!     for a peer to load measure --optimizer PARAMS THREADS STEPS    steps of AdamW alone, f32 and
//!     bf16, and copies, seconds of each

use std::{error::Error, fs, path::Path, time::Instant};

use serde_json::json;
use sky_model::{ModelFiles, ModelText, ParamSpec, SaveOptions, save_hf};
use sky_plan::TrainConfig;
use sky_torch::{AdamW, AdamWPass, adamw_pass_};
use sky_train::{
    Checkpoint, Dataset, Job, SingleProcess, Trainer, export, export_adapter, export_merged,
};
use sky_types::TokenSeq;
use tch::{Device, Kind, Tensor};

fn main() -> Result<(), Box<dyn Error>> {
    sky_torch::limit_spinning();
    sky_torch::install_allocator();
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, params, threads, steps] = args.as_slice()
        && flag == "--optimizer"
    {
        return optimizer(params.parse()?, threads.parse()?, steps.parse()?);
    }
    let [model, rows, config, exports @ ..] = args.as_slice() else {
        return Err(
            "measure MODEL ROWS.jsonl TRAIN.json [DIR], or measure MODEL --save DIR".into(),
        );
    };
    let files = ModelFiles::open(Path::new(model))?;
    if rows == "--save" {
        let text = ModelText {
            tokenizer: &files.tokenizer()?,
            template: &files.chat_template()?,
        };
        let options = SaveOptions::default();
        save_hf(
            Path::new(config),
            files.config(),
            Some(text),
            options,
            &mut |param| files.tensor(&param.name, Kind::Float),
        )?;
        return Ok(());
    }
    let config: TrainConfig = serde_json::from_str(&fs::read_to_string(config)?)?;
    if config.threads > 0 {
        sky_torch::set_threads(config.threads);
    }
    let rows = fs::read_to_string(rows)?;
    let rows: Vec<TokenSeq> = rows
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    let job = Job {
        data: Dataset::new(rows, files.config().vocab_size, &config)?,
        model: files.config().clone(),
        config,
        seed: 1,
    };
    let mut trainer = Trainer::new(job, Device::Cpu, &SingleProcess, &mut |param| {
        Ok(files.tensor(&param.name, Kind::Float)?)
    })?;
    // No checkpoint is measured: steps alone.
    while trainer.step() < trainer.steps() {
        if let (Some(dir), true) = (exports.first(), trainer.step() + 1 == trainer.steps()) {
            trainer.save(&Path::new(dir).join("checkpoints"))?;
            save(Path::new(dir), &files)?;
        }
        let step = trainer.train_step()?;
        println!(
            "{}",
            json!({
                "step": step.step,
                "loss": step.loss,
                "grad_norm": step.grad_norm,
                "tokens": step.tokens,
                "targets": step.targets,
                "seconds": step.time.seconds,
                "optimizer_seconds": step.time.optimizer_seconds,
                "peak_bytes": sky_files::peak_memory(),
            })
        );
    }
    Ok(())
}

/// Seconds of each step over `params` parameters, in vectors of a layer's size, as the trainer takes
/// it: `f32`, where master weights are the weights; `bf16`, gradient in and weights out; `copy`, of
/// one f32 vector as long as all of them, and `in_place`, of one that is multiplied where it lies:
/// nothing that is overwritten is read for nothing.
fn optimizer(params: i64, threads: usize, steps: u64) -> Result<(), Box<dyn Error>> {
    const LAYER: i64 = 1 << 22;
    sky_torch::set_threads(threads);
    let hyper = AdamW {
        lr: 1e-4,
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        weight_decay: 0.01,
    };
    let ones = |length, kind| Tensor::f_ones([length], (kind, Device::Cpu));
    for (name, kind) in [("f32", Kind::Float), ("bf16", Kind::BFloat16)] {
        let mut layers = Vec::new();
        for _ in 0..params / LAYER {
            let float = || ones(LAYER, Kind::Float);
            let (grad, weights) = (ones(LAYER, kind)?, ones(LAYER, kind)?);
            layers.push((float()?, grad, float()?, float()?, weights));
        }
        for done in 0..steps {
            let began = Instant::now();
            for (master, grad, exp_avg, exp_avg_sq, weights) in &layers {
                let pass = AdamWPass {
                    master,
                    grad,
                    scale: 0.5,
                    exp_avg,
                    exp_avg_sq,
                    weights: (kind == Kind::BFloat16).then_some(weights),
                    rounding_bits: None,
                };
                adamw_pass_(&pass, &hyper, done)?;
            }
            println!("{}", json!({ name: began.elapsed().as_secs_f64() }));
        }
    }
    let (from, mut to) = (ones(params, Kind::Float)?, ones(params, Kind::Float)?);
    for _ in 0..steps {
        let began = Instant::now();
        to.f_copy_(&from)?;
        println!("{}", json!({ "copy": began.elapsed().as_secs_f64() }));
        let began = Instant::now();
        let _ = to.f_mul_scalar_(1.5)?;
        println!("{}", json!({ "in_place": began.elapsed().as_secs_f64() }));
    }
    Ok(())
}

/// The newest checkpoint's model, or its adapters alone and merged, all f32.
fn save(dir: &Path, base: &ModelFiles) -> Result<(), Box<dyn Error>> {
    let checkpoint = Checkpoint::newest(&dir.join("checkpoints"), &mut |line| eprintln!("{line}"))?
        .ok_or("no checkpoint was written")?;
    let options = SaveOptions {
        kind: Kind::Float,
        ..SaveOptions::default()
    };
    if checkpoint.state().config.lora.is_none() {
        export(&checkpoint, None, options, &dir.join("model"))?;
        return Ok(());
    }
    export_adapter(&checkpoint, "base", &dir.join("adapter"))?;
    let weights = &mut |param: &ParamSpec| base.tensor(&param.name, Kind::Float);
    export_merged(&checkpoint, weights, None, options, &dir.join("merged"))?;
    Ok(())
}
