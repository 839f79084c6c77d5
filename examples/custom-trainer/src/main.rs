//! A trainer with its own layer, loss, schedule and data. It runs on any number of ranks and
//! resumes from its newest checkpoint. On two ranks of this machine:
//!
//! ```sh
//! cargo build -p example-custom-trainer
//! cargo run -p sky-train-cli -- launch -n 2 --program target/debug/example-custom-trainer -- runs/demo
//! ```
//!
//! Stop it with Ctrl-C or kill it, and run the same command again: it ends with the same weights.

use std::{env, io::Write, ops::ControlFlow, process::ExitCode};

use sky_model::{Config, PackedSequences, ParamSpec, SaveOptions, attention, rms_norm, rotary};
use sky_plan::TrainConfig;
use sky_train::session::{BoxError, RunSpec, Session, SessionConfig, SessionEnd};
use sky_train::{Dataset, DistributedEnv, Job, init_param};
use sky_types::{TokenSeq, derive_seed};
use tch::{Reduction, Tensor};

const MODEL: &str = r#"{"model_type": "llama", "vocab_size": 32, "hidden_size": 32,
    "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}"#;

/// Attention alone, from one projection (Elhage et al., 2021).
fn layer(config: &Config, params: &[Tensor], x: &Tensor, sequences: &PackedSequences) -> Tensor {
    let normed = rms_norm(x, &params[0], config.rms_norm_eps);
    let parts = normed.linear::<Tensor>(&params[1], None).chunk(3, 1);
    let heads = |part: usize| parts[part].reshape([-1, config.num_heads, config.head_dim]);
    let (q, k) = (rotary(&heads(0), sequences), rotary(&heads(1), sequences));
    let attended = attention(config, &q, &k, &heads(2), sequences);
    x + attended.linear::<Tensor>(&params[2], None)
}

/// The layer's parameters, in the order in which the layer takes them.
fn params(layer: usize) -> Vec<ParamSpec> {
    let parts = [
        ("norm", vec![32]),
        ("qkv", vec![96, 32]),
        ("out", vec![32, 32]),
    ];
    let name = |part| format!("model.layers.{layer}.{part}.weight");
    parts
        .map(|(part, shape)| ParamSpec::new(name(part), &shape))
        .to_vec()
}

/// Cross-entropy with label smoothing: the sum over the tokens of a chunk, not their mean.
fn loss(logits: &Tensor, targets: &Tensor) -> Tensor {
    logits.cross_entropy_loss(targets, None::<Tensor>, Reduction::Sum, -100, 0.01)
}

/// Ten steps up, then with the inverse square root of the step down (Vaswani et al., 2017).
fn learning_rate(step: u64) -> f64 {
    1e-2 * f64::min((step + 1) as f64 / 10.0, (10.0 / (step + 1) as f64).sqrt())
}

/// Counts modulo 32 from a seeded start.
fn row(row: u64) -> TokenSeq {
    let start = derive_seed(0, "start", row) as u32 % 32;
    let ids = (start..start + 16).map(|i| i % 32).collect();
    let target = vec![true; 16];
    TokenSeq { ids, target }
}

fn main() -> ExitCode {
    sky_torch::limit_spinning();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), BoxError> {
    let folder = env::args().nth(1).ok_or("usage: PROGRAM RUN_FOLDER")?;
    let model = Config::from_json(MODEL)?.with_custom_layers("parallel", params)?;
    let mut config = TrainConfig::default();
    (config.epochs, config.global_batch, config.save_every) = (10, 16, 20);
    let session = Session::join(DistributedEnv::from_env()?, &SessionConfig::new(&config))?;
    session.together(|| {
        let data = Dataset::new((0..128).map(row).collect(), model.vocab_size, &config)?;
        let job = Job {
            config,
            model: model.clone(),
            data,
            seed: 1,
        };
        let spec = RunSpec::new(job, folder);
        let weights = &mut |param: &_| init_param(param, 1);
        let run = session.resume_or_start(spec, weights, &mut |notice| eprintln!("{notice}"))?;
        let run = run.customize(|trainer| {
            let trainer = trainer.with_layers(|_, params, x, seqs| layer(&model, params, x, seqs));
            trainer.with_loss(loss).with_schedule(learning_rate)
        });
        let end = run.train(&mut |step| {
            if session.is_leader() && step.step % 10 == 0 {
                // Whoever read it may have gone; the run goes to its end.
                let mut out = std::io::stdout();
                let _ = writeln!(out, "step {:>3}  loss {:.4}", step.step, step.loss);
            }
            ControlFlow::Continue(())
        })?;
        if let SessionEnd::Finished(run) = end
            && let Some(out) = run.export(None, SaveOptions::default(), None)?
        {
            eprintln!("{}", out.display());
        }
        Ok(())
    })
}
