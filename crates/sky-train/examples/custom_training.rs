//! A trainer of one's own from the public parts: a model made from scratch, data from a function, and a loop that looks at
//! every step. Run with `cargo run -p sky-train --example custom_training`.

use std::{error::Error, ops::ControlFlow};

use sky_model::{Config, SaveOptions};
use sky_train::{Checkpoint, Dataset, Decay, Job, Solo, TrainConfig, Trainer, export};
use sky_types::{TokenSeq, derive_seed};
use tch::{Device, Kind, Tensor};

/// Counting modulo 32 from a random start: after a token comes the next one.
fn counting(row: u64) -> TokenSeq {
    let start = derive_seed(0, "start", row) % 32;
    let ids: Vec<u32> = (start..start + 16).map(|i| (i % 32) as u32).collect();
    let target = vec![true; ids.len()];
    TokenSeq { ids, target }
}

fn main() -> Result<(), Box<dyn Error>> {
    tch::manual_seed(1);
    let model = Config::from_json(
        r#"{"model_type": "llama", "vocab_size": 32, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "tie_word_embeddings": true}"#,
    )?;
    let config = TrainConfig {
        epochs: 10,
        global_batch: 16,
        learning_rate: 1e-2,
        schedule: Decay::Wsd,
        ..TrainConfig::default()
    };
    let data = Dataset::new((0..128).map(counting).collect(), model.vocab_size, &config)?;
    let job = Job {
        config,
        model,
        data,
        seed: 1,
    };
    let mut trainer = Trainer::new(job, Device::Cpu, &Solo, &mut |param| {
        let shape = param.shape.as_slice();
        let float = (Kind::Float, Device::Cpu);
        // Norms begin at one, matrices small and random.
        Ok(if param.decay {
            Tensor::f_randn(shape, float)? * 0.05
        } else {
            Tensor::f_ones(shape, float)?
        })
    })?;

    let folder = std::env::temp_dir().join(format!("sky-custom-training-{}", std::process::id()));
    trainer.run(&folder, &mut |step| {
        if step.step % 10 == 0 {
            println!(
                "step {:>3}  loss {:.4}  lr {:.2e}",
                step.step, step.loss, step.lr
            );
        }
        ControlFlow::Continue(())
    })?;

    let newest = Checkpoint::newest(&folder.join("checkpoints"), &mut |line| eprintln!("{line}"))?
        .ok_or("the run has just written a checkpoint")?;
    let out = folder.join("model");
    export(&newest, None, SaveOptions::default(), &out)?;
    println!("{}", out.display());
    Ok(())
}
