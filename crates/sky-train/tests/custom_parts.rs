//! Losses and optimizers that a program brings itself, and the session that ranks share.
#![allow(clippy::unwrap_used)]

mod common;

use std::{ops::ControlFlow, path::Path, thread, time::Duration};

use common::{LLAMA, QWEN2, config, initial, job, model, on_ranks, trainer};
use sky_plan::{OptimizerDtype, TrainConfig};
use sky_train::{
    DistributedEnv, Loss, LossChunk, Optimizer, ShardStep, TrainError, Trainer, free_port,
    session::{RunSpec, Session, SessionConfig, SessionEnd},
};
use tch::{Device, Kind, Reduction, Tensor};

fn cross_entropy(logits: &Tensor, targets: &Tensor) -> Tensor {
    logits.cross_entropy_loss(targets, None::<Tensor>, Reduction::Sum, -100, 0.0)
}

fn losses(trainer: &mut Trainer<'_>, count: u64) -> Vec<f64> {
    (0..count)
        .map(|_| trainer.train_step().unwrap().loss)
        .collect()
}

fn near(ours: &[f64], theirs: &[f64]) {
    for (a, b) in ours.iter().zip(theirs) {
        assert!((a - b).abs() < 1e-5 * b.abs(), "{ours:?} {theirs:?}");
    }
}

#[test]
fn the_cross_entropy_brought_from_outside_trains_as_the_default_does() {
    for text in [LLAMA, QWEN2] {
        let (model, config) = (
            model(text),
            TrainConfig {
                validation_rows: 3,
                validate_every: 2,
                ..config()
            },
        );
        let mut theirs = trainer(job(&model, &config, 4));
        let mut ours = trainer(job(&model, &config, 4)).with_loss(cross_entropy);
        near(&losses(&mut ours, 4), &losses(&mut theirs, 4));
        let held_out = |trainer: &Trainer<'_>| trainer.history()[3].validation_loss.unwrap();
        near(&[held_out(&ours)], &[held_out(&theirs)]);
        let found = on_ranks(2, |comm| {
            let job = job(&model, &config, 4);
            let trainer = Trainer::new(job, Device::Cpu, comm, &mut |p| Ok(initial(p))).unwrap();
            losses(&mut trainer.with_loss(cross_entropy), 4)
        });
        for sharded in found {
            near(&sharded, &losses(&mut trainer(job(&model, &config, 4)), 4));
        }
    }
}

/// Checks what a loss is given.
struct Checked;

impl Loss for Checked {
    fn sum(&self, chunk: &LossChunk<'_>) -> Tensor {
        let tokens: usize = chunk.lengths.iter().sum();
        assert_eq!(chunk.rows.len(), chunk.lengths.len());
        assert!(chunk.rows.iter().all(|row| *row < 20));
        assert!(chunk.positions.max().int64_value(&[]) < tokens as i64);
        assert!(chunk.logits.size()[0] <= 16, "a chunk at a time");
        cross_entropy(chunk.logits, chunk.targets)
    }
}

#[test]
fn a_loss_knows_its_documents_and_a_wrong_one_is_refused() {
    let (model, config) = (model(LLAMA), config());
    losses(&mut trainer(job(&model, &config, 4)).with_loss(Checked), 2);
    let mean =
        |logits: &Tensor, _: &Tensor| logits.mean_dim([1_i64].as_slice(), false, Kind::Float);
    // Without a gradient libtorch would follow an edge that is not there.
    let detached = |logits: &Tensor, targets: &Tensor| cross_entropy(&logits.detach(), targets);
    let constant = |_: &Tensor, _: &Tensor| Tensor::from(1.0_f32);
    let refused = |trainer: Trainer<'_>| {
        let error = { trainer }.train_step().unwrap_err();
        assert!(
            matches!(error, TrainError::Config { key: "loss", .. }),
            "{error}"
        );
    };
    refused(trainer(job(&model, &config, 4)).with_loss(mean));
    refused(trainer(job(&model, &config, 4)).with_loss(detached));
    refused(trainer(job(&model, &config, 4)).with_loss(constant));
}

/// AdamW by its formula (Loshchilov and Hutter, 2019).
struct Formula {
    beta1: f64,
    beta2: f64,
    eps: f64,
}

impl Optimizer for Formula {
    fn step(&self, shard: &ShardStep<'_>) -> Result<(), TrainError> {
        let [first, second] = shard.states.map(Tensor::shallow_clone);
        let (mut first, mut second) = (first, second);
        let _ = first
            .f_mul_scalar_(self.beta1)?
            .f_add_(&(shard.grad * (1.0 - self.beta1)))?;
        let _ = second
            .f_mul_scalar_(self.beta2)?
            .f_add_(&(shard.grad.square() * (1.0 - self.beta2)))?;
        let steps = (shard.step + 1) as i32;
        let mean = first.f_div_scalar(1.0 - self.beta1.powi(steps))?;
        let root = second
            .f_div_scalar(1.0 - self.beta2.powi(steps))?
            .f_sqrt()?;
        let mut param = shard.param.shallow_clone();
        let _ = param.f_mul_scalar_(1.0 - shard.lr * shard.weight_decay)?;
        let _ = param.f_sub_(&(mean / (root + self.eps) * shard.lr))?;
        Ok(())
    }
}

fn formula(config: &TrainConfig) -> Formula {
    Formula {
        beta1: config.beta1,
        beta2: config.beta2,
        eps: config.eps,
    }
}

#[test]
fn adamw_brought_from_outside_trains_as_the_default_does() {
    let (model, config) = (model(QWEN2), config());
    let mut theirs = trainer(job(&model, &config, 4));
    let expected = losses(&mut theirs, 5);
    let mut ours = trainer(job(&model, &config, 4)).with_optimizer(formula(&config));
    near(&losses(&mut ours, 5), &expected);
    let found = on_ranks(2, |comm| {
        let job = job(&model, &config, 4);
        let trainer = Trainer::new(job, Device::Cpu, comm, &mut |p| Ok(initial(p))).unwrap();
        losses(&mut trainer.with_optimizer(formula(&config)), 5)
    });
    found.iter().for_each(|sharded| near(sharded, &expected));

    let narrow = TrainConfig {
        optimizer_dtype: OptimizerDtype::EightBit,
        ..config.clone()
    };
    let error = trainer(job(&model, &narrow, 4))
        .with_optimizer(formula(&config))
        .train_step()
        .unwrap_err();
    let dtype = matches!(
        error,
        TrainError::Config {
            key: "optimizer_dtype",
            ..
        }
    );
    assert!(dtype, "{error}");
}

/// One rank of a session that trains until `until` and gives its weights.
fn in_session(env: DistributedEnv, folder: &Path, seed: u64, until: u64) -> Result<u64, String> {
    let (model, config) = (model(LLAMA), config());
    let options = SessionConfig {
        timeout: Duration::from_secs(60),
        threads: 1,
        cuda: false,
    };
    let session = Session::join(Some(env), &options).unwrap();
    let done = session.together(|| {
        let spec = RunSpec::new(job(&model, &config, seed), folder);
        let run = session
            .resume_or_start(spec, &mut |param| Ok(initial(param)), &mut |_| {})?
            .customize(|trainer| {
                trainer
                    .with_loss(cross_entropy)
                    .with_optimizer(formula(&config))
            });
        let end = run.train(&mut |step| {
            if step.step == until {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })?;
        Ok(match end {
            SessionEnd::Stopped { step, .. } => step,
            SessionEnd::Finished(run) => {
                let out = run.export(None, sky_model::SaveOptions::default(), None)?;
                assert_eq!(out.is_some(), session.is_leader());
                run.steps()
            }
        })
    });
    done.map_err(|error| error.to_string())
}

fn two_ranks(folder: &Path, seeds: [u64; 2], until: u64) -> [Result<u64, String>; 2] {
    let port = free_port().unwrap();
    thread::scope(|scope| {
        let rank = |rank: usize| {
            let env = DistributedEnv::on_one_host(rank, 2, port);
            scope.spawn(move || in_session(env, folder, seeds[rank], until))
        };
        let ranks = [rank(0), rank(1)];
        ranks.map(|rank| rank.join().unwrap())
    })
}

#[test]
fn two_ranks_with_parts_of_their_own_resume_to_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, cut) = (dir.path().join("whole"), dir.path().join("cut"));
    let steps = two_ranks(&whole, [4, 4], u64::MAX)[0].clone().unwrap();
    assert_eq!(two_ranks(&cut, [4, 4], 3), [Ok(3), Ok(3)]);
    assert_eq!(two_ranks(&cut, [4, 4], u64::MAX), [Ok(steps), Ok(steps)]);
    let bytes = |run: &Path| std::fs::read(run.join("model/model.safetensors")).unwrap();
    assert_eq!(bytes(&cut), bytes(&whole));
}

#[test]
fn ranks_that_differ_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let [lead, other] = two_ranks(&dir.path().join("run"), [4, 5], u64::MAX);
    let other = other.unwrap_err();
    assert_eq!(other, "this rank and rank 0 have different seed");
    let lead = lead.unwrap_err();
    assert!(
        lead.contains("rank 1 failed") && lead.contains("different seed"),
        "{lead}"
    );
}
