//! A trainer of one's own from the public parts: a layer that no released model has, a learning rate that no setting has, data
//! from a function, and a loop that looks at every step. Run with `cargo run -p sky-train --example custom_training`.

use std::{error::Error, ops::ControlFlow};

use sky_model::{Config, ParamSpec, SaveOptions, Segments, attention, rms_norm, rotary, swiglu};
use sky_train::{Checkpoint, Dataset, Job, Solo, TrainConfig, Trainer, export, fresh};
use sky_types::{TokenSeq, derive_seed};
use tch::{Device, Tensor};

/// Attention and feed-forward side by side from one norm (as in PaLM: Chowdhery et al., 2022), with all the matrices that take
/// the norm's output in one.
fn parallel(config: &Config, params: &[Tensor], x: &Tensor, segments: &Segments) -> Tensor {
    let [norm, enter, attended, fed] = params else {
        unreachable!("a layer gets the parameters it asked for")
    };
    let (hidden, inner) = (config.hidden_size, config.intermediate_size);
    let entered = rms_norm(x, norm, config.rms_norm_eps).linear::<Tensor>(enter, None);
    let parts = entered.split_with_sizes([hidden, hidden, hidden, inner, inner], 1);
    let heads = |part: usize| parts[part].reshape([-1, config.num_heads, config.head_dim]);
    let (q, k) = (rotary(&heads(0), segments), rotary(&heads(1), segments));
    let attention = attention(config, &q, &k, &heads(2), segments);
    let gated = swiglu(&parts[3].contiguous(), &parts[4].contiguous());
    x + attention.linear::<Tensor>(attended, None) + gated.linear::<Tensor>(fed, None)
}

/// What it asks for.
fn params(layer: usize, hidden: i64, inner: i64) -> Vec<ParamSpec> {
    let param =
        |name, shape: &[i64]| ParamSpec::new(format!("model.layers.{layer}.{name}.weight"), shape);
    vec![
        param("norm", &[hidden]),
        param("enter", &[3 * hidden + 2 * inner, hidden]),
        param("attended", &[hidden, hidden]),
        param("fed", &[hidden, inner]),
    ]
}

/// Counting modulo 32 from a random start: after a token comes the next one.
fn counting(row: u64) -> TokenSeq {
    let start = derive_seed(0, "start", row) % 32;
    let ids: Vec<u32> = (start..start + 16).map(|i| (i % 32) as u32).collect();
    let target = vec![true; ids.len()];
    TokenSeq { ids, target }
}

fn main() -> Result<(), Box<dyn Error>> {
    sky_torch::keep_tensors_apart();
    let model = Config::from_json(
        r#"{"model_type": "llama", "vocab_size": 32, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
            "num_attention_heads": 4, "tie_word_embeddings": true}"#,
    )?
    .with_own_layers("parallel", |layer| params(layer, 32, 64))?;
    let config = TrainConfig {
        epochs: 10,
        global_batch: 16,
        ..TrainConfig::default()
    };
    let data = Dataset::new((0..128).map(counting).collect(), model.vocab_size, &config)?;
    let job = Job {
        config,
        model: model.clone(),
        data,
        seed: 1,
    };
    let mut trainer = Trainer::new(job, Device::Cpu, &Solo, &mut |param| fresh(param, 1))?
        .with_layers(|_, params, x, segments| parallel(&model, params, x, segments))
        // Ten steps up, then with the root of the step down (Vaswani et al., 2017).
        .with_schedule(|step| {
            1e-2 * f64::min((step + 1) as f64 / 10.0, (10.0 / (step + 1) as f64).sqrt())
        });

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
