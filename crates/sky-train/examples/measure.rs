//! Trains a model on rows of token ids and prints what each step cost, one JSON line a step: the side of `cargo xtask bench
//! train` that is measured.
//!
//!     measure MODEL ROWS.jsonl TRAIN.json         steps of [train] as TRAIN.json has it
//!     measure MODEL --save DIR                    the model as a Hugging Face folder, for a peer to load

use std::{error::Error, fs, path::Path};

use serde_json::json;
use sky_model::{ModelFiles, SaveOptions, save_hf};
use sky_train::{Dataset, Job, Solo, TrainConfig, Trainer};
use sky_types::TokenSeq;
use tch::{Device, Kind};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, rows, config] = args.as_slice() else {
        return Err("measure MODEL ROWS.jsonl TRAIN.json, or measure MODEL --save DIR".into());
    };
    let files = ModelFiles::open(Path::new(model))?;
    if rows == "--save" {
        let text = (&files.tokenizer()?, &files.chat_template()?);
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
    let mut trainer = Trainer::new(job, Device::Cpu, &Solo, &mut |param| {
        Ok(files.tensor(&param.name, Kind::Float)?)
    })?;
    // No checkpoint is measured: steps alone.
    while trainer.step() < trainer.steps() {
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
