//! A trainer with its own layer, loss, schedule and data. It runs on any number of ranks and
//! resumes from its newest checkpoint. On two ranks of this machine:
//!
//! ```sh
//! cargo build -p example-custom-trainer
//! cargo run -p sky-train-cli -- launch -n 2 --program target/debug/example-custom-trainer -- runs/demo
//! ```
//!
//! Stop it with Ctrl-C or kill it, and run the same command again: it ends with the same weights.

use std::{env, ops::ControlFlow};

use sky_model::{
    Config, PackedSequences, ParamSpec, SaveOptions, attention, rms_norm, rotary, swiglu,
};
use sky_plan::TrainConfig;
use sky_train::session::{BoxError, RunSpec, Session, SessionConfig, SessionEnd};
use sky_train::{Dataset, DistributedEnv, Job, init_param};
use sky_types::{TokenSeq, derive_seed};
use tch::{Reduction, Tensor};

/// Attention and feed-forward side by side from one norm (PaLM: Chowdhery et al., 2022).
fn layer(config: &Config, params: &[Tensor], x: &Tensor, sequences: &PackedSequences) -> Tensor {
    let (hidden, inner) = (config.hidden_size, config.intermediate_size);
    let normed = rms_norm(x, &params[0], config.rms_norm_eps).linear::<Tensor>(&params[1], None);
    let parts = normed.split_with_sizes([hidden, hidden, hidden, inner, inner], 1);
    let heads = |part: usize| parts[part].reshape([-1, config.num_heads, config.head_dim]);
    let (q, k) = (rotary(&heads(0), sequences), rotary(&heads(1), sequences));
    let attended = attention(config, &q, &k, &heads(2), sequences);
    let gated = swiglu(&parts[3].contiguous(), &parts[4].contiguous());
    x + attended.linear::<Tensor>(&params[2], None) + gated.linear::<Tensor>(&params[3], None)
}

/// The layer's parameters, in the order in which the layer takes them.
fn params(layer: usize, hidden: i64, inner: i64) -> Vec<ParamSpec> {
    let shapes = [
        ("norm", vec![hidden]),
        ("enter", vec![3 * hidden + 2 * inner, hidden]),
        ("attended", vec![hidden, hidden]),
        ("fed", vec![hidden, inner]),
    ];
    let spec = |(name, shape): &(&str, Vec<i64>)| {
        ParamSpec::new(format!("model.layers.{layer}.{name}.weight"), shape)
    };
    shapes.iter().map(spec).collect()
}

/// Cross-entropy with label smoothing.
fn loss(logits: &Tensor, targets: &Tensor) -> Tensor {
    logits.cross_entropy_loss(targets, None::<Tensor>, Reduction::Sum, -100, 0.01)
}

/// Ten steps up, then with the inverse square root of the step down (Vaswani et al., 2017).
fn learning_rate(step: u64) -> f64 {
    1e-2 * f64::min((step + 1) as f64 / 10.0, (10.0 / (step + 1) as f64).sqrt())
}

/// Counts modulo 32 from a seeded start.
fn data(row: u64) -> TokenSeq {
    let start = derive_seed(0, "start", row) % 32;
    let ids: Vec<u32> = (start..start + 16).map(|i| (i % 32) as u32).collect();
    TokenSeq {
        target: vec![true; ids.len()],
        ids,
    }
}

fn main() -> Result<(), BoxError> {
    sky_torch::limit_spinning();
    sky_torch::install_allocator();
    let folder = env::args()
        .nth(1)
        .ok_or("usage: example-custom-trainer RUN_FOLDER")?;
    let shape = r#"{"model_type": "llama", "vocab_size": 32, "hidden_size": 32, "intermediate_size": 64,
        "num_hidden_layers": 2, "num_attention_heads": 4, "tie_word_embeddings": true}"#;
    let model = Config::from_json(shape)?.with_custom_layers("parallel", |i| params(i, 32, 64))?;
    let config = TrainConfig {
        epochs: 10,
        global_batch: 16,
        save_every: 20,
        ..TrainConfig::default()
    };
    let session = Session::join(DistributedEnv::from_env()?, &SessionConfig::new(&config))?;
    session.together(|| {
        let data = Dataset::new((0..128).map(data).collect(), model.vocab_size, &config)?;
        let job = Job {
            config,
            model: model.clone(),
            data,
            seed: 1,
        };
        let notice = &mut |notice: &_| eprintln!("{notice}");
        let run = session
            .resume_or_start(
                RunSpec::new(job, folder),
                &mut |param| init_param(param, 1),
                notice,
            )?
            .customize(|trainer| {
                trainer
                    .with_layers(|_, params, x, sequences| layer(&model, params, x, sequences))
                    .with_loss(loss)
                    .with_schedule(learning_rate)
            });
        let end = run.train(&mut |step| {
            if session.is_leader() && step.step % 10 == 0 {
                println!(
                    "step {:>3}  loss {:.4}  lr {:.2e}",
                    step.step, step.loss, step.lr
                );
            }
            ControlFlow::Continue(())
        })?;
        if let SessionEnd::Finished(run) = end
            && let Some(out) = run.export(None, SaveOptions::default(), None)?
        {
            println!("{}", out.display());
        }
        Ok(())
    })
}
