use std::{
    ops::ControlFlow,
    path::Path,
    sync::atomic::AtomicBool,
    time::{Duration, Instant},
};

use sky_data::PackedRow;
use sky_model::{Config, HeadOptions, Lora, ParamSpec, blocks};
use sky_torch::AdamW;
use sky_types::{TokenSeq, Version, derive_seed};
use tch::{Device, Kind, Tensor};

use crate::{
    Checkpoint, Collective, Dataset, Order, Schedule, State, StepMetrics, TrainConfig, TrainError,
    adapters::{initial, lora, trained_blocks},
    checkpoint::Draft,
    fold::{MicroBatch, forward_backward, loss_alone},
    keep::Keep,
    meter::{Measured, Meter, with_peaks},
    metrics::MetricsFile,
    neftune::noise,
    saver::Saver,
    split::Split,
    tensorboard::EventFile,
    zero::Store,
};

/// What a run is made from. Its results are a function of this alone.
#[derive(Clone, Debug)]
pub struct Job {
    /// Settings.
    pub config: TrainConfig,
    /// The model's shape.
    pub model: Config,
    /// The data.
    pub data: Dataset,
    /// The run's seed.
    pub seed: u64,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Every step is done.
    Finished,
    /// It was asked to stop; the same job goes on from the checkpoint of this step.
    Stopped {
        /// Steps done.
        step: u64,
    },
}

/// A run: model, optimizer and cursor.
pub struct Trainer<'c> {
    job: Job,
    lora: Option<Lora>,
    store: Store<'c>,
    split: Split,
    order: Order,
    schedule: Schedule,
    device: Device,
    step: u64,
    history: Vec<StepMetrics>,
    meter: Meter,
    saver: Saver,
    /// Step of the newest checkpoint that is known to be whole; 0 for none.
    saved: u64,
}

impl<'c> Trainer<'c> {
    /// A run at its beginning; `weights` is asked for each of the model's parameters in turn, whole, in any kind.
    ///
    /// # Errors
    /// When a setting is out of range, a weight cannot be had or has another shape.
    pub fn new(
        job: Job,
        device: Device,
        comm: &'c dyn Collective,
        weights: &mut dyn FnMut(&ParamSpec) -> Result<Tensor, TrainError>,
    ) -> Result<Self, TrainError> {
        job.config
            .check()
            .map_err(|(key, reason)| TrainError::Config { key, reason })?;
        let kind = job.config.precision.kind();
        let split = Split::new(job.data.len(), job.config.validation_rows, job.seed)?;
        let lora = lora(&job.config);
        let trained = trained_blocks(&job.model, &job.config);
        let frozen = lora.map_or_else(Vec::new, |_| blocks(&job.model));
        let first = &mut |param: &ParamSpec| match lora {
            Some(_) if is_adapter(param) => initial(param, job.seed),
            _ => weights(param),
        };
        let store = Store::new(&trained, &frozen, &job.config, kind, device, comm, first)?;
        let order = Order::new(&job.config, split.train.len(), job.seed);
        let schedule = Schedule::new(&job.config, order.steps());
        let meter = Meter::new(&job, comm.world());
        Ok(Self {
            job,
            lora,
            store,
            split,
            order,
            schedule,
            device,
            step: 0,
            history: Vec::new(),
            meter,
            saver: Saver::default(),
            saved: 0,
        })
    }

    /// A run as a checkpoint left it. `weights` is asked for frozen weights alone: not at all when no adapters are trained.
    ///
    /// # Errors
    /// When the checkpoint is of another run or belongs to other frozen weights, or cannot be read.
    pub fn resume(
        job: Job,
        device: Device,
        comm: &'c dyn Collective,
        checkpoint: &Checkpoint,
        weights: &mut dyn FnMut(&ParamSpec) -> Result<Tensor, TrainError>,
    ) -> Result<Self, TrainError> {
        let frozen = job.config.lora.is_some();
        let mut trainer = Self::new(job, device, comm, &mut |param| {
            if frozen {
                return weights(param);
            }
            // Filled from the checkpoint below, in one pass with the moments.
            let float = (Kind::Float, device);
            Ok(Tensor::f_zeros(param.shape.as_slice(), float)?)
        })?;
        trainer.same_run(checkpoint)?;
        checkpoint.restore(&mut trainer.store)?;
        trainer.step = checkpoint.state().step;
        trainer.saved = trainer.step;
        trainer.history = checkpoint.metrics()?;
        trainer.meter.go_on_from(&trainer.history);
        if trainer.history.len() as u64 != trainer.step {
            return Err(TrainError::Checkpoint {
                path: checkpoint.path().into(),
                reason: format!(
                    "says step {}, its metrics have {} lines",
                    trainer.step,
                    trainer.history.len()
                ),
            });
        }
        Ok(trainer)
    }

    fn same_run(&self, checkpoint: &Checkpoint) -> Result<(), TrainError> {
        let (ours, theirs) = (self.state(), checkpoint.state());
        let what = if ours.model != theirs.model {
            "model".to_owned()
        } else if ours.data != theirs.data {
            format!("data ({} rows, now {})", theirs.data.rows, ours.data.rows)
        } else if ours.seed != theirs.seed {
            format!("seed ({}, now {})", theirs.seed, ours.seed)
        } else if ours.config.essence() != theirs.config.essence() {
            "settings in [train]".to_owned()
        } else if ours.base != theirs.base {
            "frozen weights: the adapters belong to another base model".to_owned()
        } else if ours.steps != theirs.steps || theirs.step > theirs.steps {
            format!("length ({} steps, now {})", theirs.steps, ours.steps)
        } else {
            return Ok(());
        };
        Err(TrainError::OtherRun {
            path: checkpoint.path().into(),
            what,
        })
    }

    /// Steps done.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Steps of the whole run.
    pub fn steps(&self) -> u64 {
        self.order.steps()
    }

    /// Metrics of the steps done.
    pub fn history(&self) -> &[StepMetrics] {
        &self.history
    }

    /// Bytes of weights, gradients and optimizer state that this rank keeps, all gradients there.
    pub fn kept_bytes(&self) -> u64 {
        self.store.memory().kept()
    }

    /// The parameters of the embedding, a layer or the head as they stand, whole, in what the model computes in; those of a
    /// layer's adapters follow.
    ///
    /// # Errors
    /// When a collective fails.
    pub fn block(&self, index: usize) -> Result<Vec<Tensor>, TrainError> {
        self.store
            .look(index)?
            .iter()
            .map(|t| Ok(t.f_detach()?.copy()))
            .collect()
    }

    /// Trains to the end, or until `on_step` breaks on any rank; rank 0 writes `metrics.jsonl` and `tensorboard/` in `dir`,
    /// all ranks write `checkpoints/`. There is always a checkpoint of the last step when this returns.
    ///
    /// # Errors
    /// When the loss or gradient is not finite, a file cannot be written, or a peer is gone.
    pub fn run(
        &mut self,
        dir: &Path,
        on_step: &mut dyn FnMut(&StepMetrics) -> ControlFlow<()>,
    ) -> Result<Ended, TrainError> {
        let ended = self.run_steps(dir, on_step);
        ended.map_err(|error| match error {
            TrainError::File(source) => TrainError::NotSaved {
                step: self.step,
                saved: self.saved,
                source,
            },
            other => other,
        })
    }

    fn run_steps(
        &mut self,
        dir: &Path,
        on_step: &mut dyn FnMut(&StepMetrics) -> ControlFlow<()>,
    ) -> Result<Ended, TrainError> {
        let mut files = None;
        if self.store.comm().rank() == 0 {
            files = Some((
                MetricsFile::begin(&dir.join("metrics.jsonl"), &self.history)?,
                EventFile::begin(&dir.join("tensorboard"), &self.history)?,
            ));
        }
        let every = self.job.config.save_every;
        let root = dir.join("checkpoints");
        while self.step < self.steps() {
            let metrics = self.train_step()?;
            if let Some((lines, events)) = &mut files {
                lines.append(&metrics)?;
                events.append(&metrics)?;
            }
            let written = self.saver.check()?;
            self.note(written);
            let stop = self.store.any_rank(on_step(&metrics).is_break())?;
            if stop || self.step == self.steps() {
                self.save(&root)?;
            } else if every > 0 && self.step.is_multiple_of(every) {
                if self.job.config.background_save {
                    let written = self.saver.finish()?;
                    self.note(written);
                    let draft = self.draft(&root)?;
                    self.saver.begin(draft)?;
                } else {
                    self.save(&root)?;
                }
            }
            if stop && self.step < self.steps() {
                return Ok(Ended::Stopped { step: self.step });
            }
        }
        Ok(Ended::Finished)
    }

    /// Writes a checkpoint into a folder of checkpoints, all ranks together.
    ///
    /// # Errors
    /// When the operating system refuses; older checkpoints stay.
    pub fn save(&mut self, root: &Path) -> Result<(), TrainError> {
        let written = self.saver.finish()?;
        self.note(written);
        let written = self.draft(root)?.write(&AtomicBool::new(false))?;
        self.note(Some(written));
        self.store.comm().barrier()
    }

    fn note(&mut self, written: Option<u64>) {
        self.saved = written.unwrap_or(self.saved);
    }

    fn draft(&self, root: &Path) -> Result<Draft, TrainError> {
        self.store.settle()?;
        let config = &self.job.config;
        let patience = Duration::from_secs(config.collective_timeout);
        Draft::of(
            root,
            self.state(),
            &self.history,
            &self.store,
            config.keep_checkpoints,
            patience,
        )
    }

    fn state(&self) -> State {
        State {
            v: Version,
            step: self.step,
            steps: self.order.steps(),
            seed: self.job.seed,
            world: self.store.comm().world(),
            config: self.job.config.clone(),
            model: self.job.model.to_json(),
            base: self.store.base().map(str::to_owned),
            data: self.job.data.id().clone(),
        }
    }

    /// One step: forward and backward over the batch's micro-batches, clipping, update. Past the end nothing is left to do:
    /// ask [`Trainer::steps`].
    ///
    /// # Errors
    /// When the loss or gradient is not finite (nothing is updated then), or a peer is gone.
    pub fn train_step(&mut self) -> Result<StepMetrics, TrainError> {
        let began = Instant::now();
        self.meter.begin();
        let config = &self.job.config;
        let batch: Vec<usize> = self
            .order
            .batch(self.step)
            .into_iter()
            .map(|index| self.split.train[index])
            .collect();
        let not_finite = |what| TrainError::NotFinite {
            step: self.step + 1,
            what,
            rows: self.job.data.source_rows(&batch),
        };
        let packed = self.job.data.pack(&batch, config);
        let tokens: usize = packed.iter().map(PackedRow::len).sum();
        let targets: usize = packed.iter().map(PackedRow::num_targets).sum();
        if targets == 0 {
            return Err(TrainError::Data(format!(
                "step {} of {} has no target token",
                self.step + 1,
                self.order.steps()
            )));
        }
        // The mean is over the batch's targets, on whichever rank they are.
        let scale = 1.0 / targets as f64;
        let kind = config.precision.kind();
        let options = HeadOptions {
            chunk: config.head_chunk as i64,
            scale,
            z_loss: config.z_loss,
            frozen: self.lora.is_some(),
        };
        let mut loss = 0.0;
        for row in mine(&packed, self.store.comm()) {
            let noise = noise(
                &row,
                &batch,
                self.job.model.hidden_size,
                config.neftune_alpha,
                (self.job.seed, self.step),
                (kind, self.device),
            )?;
            let micro =
                MicroBatch::new(&self.job.model, &row, kind, self.device)?.with_noise(noise);
            loss += forward_backward(
                (&self.job.model, self.lora.as_ref()),
                &mut self.store,
                &micro,
                Keep::decide(&self.job.model, config, row.len(), self.device),
                &options,
            )?;
        }
        self.store.finish_gradients()?;
        let loss = self.store.sum_over_ranks(loss)? * scale;
        if !loss.is_finite() {
            return Err(not_finite("loss"));
        }
        let grad_norm = self.store.grad_norm()?;
        if !grad_norm.is_finite() {
            return Err(not_finite("gradient's norm"));
        }
        let optimizer_began = Instant::now();
        let lr = self.schedule.lr(self.step);
        let hyper = AdamW {
            lr,
            beta1: config.beta1,
            beta2: config.beta2,
            eps: config.eps,
            weight_decay: config.weight_decay,
        };
        self.store.update(
            &hyper,
            clip_scale(grad_norm, config.clip),
            self.step,
            derive_seed(self.job.seed, "moments", self.step),
        )?;
        self.step += 1;
        // With an offloaded optimizer, what the step before left to be waited for.
        let optimizer = optimizer_began.elapsed() + self.store.take_waited();
        let seconds = began.elapsed().as_secs_f64();
        let validation_loss = self.validation_loss()?;
        let measured = Measured {
            seconds,
            optimizer,
            packed: &packed,
            memory: with_peaks(self.store.memory(), self.device),
            left: self.order.steps() - self.step,
        };
        let metrics = StepMetrics {
            v: Version,
            step: self.step,
            epoch: self.order.epoch(self.step),
            loss,
            lr,
            grad_norm,
            rows: batch.len() as u64,
            tokens: tokens as u64,
            targets: targets as u64,
            micro_batches: packed.len() as u64,
            validation_loss,
            time: self.meter.end(&self.job.config, &measured),
        };
        self.history.push(metrics.clone());
        Ok(metrics)
    }

    /// Cross-entropy on the held-out rows, when this step is one after which it is taken.
    fn validation_loss(&mut self) -> Result<Option<f64>, TrainError> {
        let config = &self.job.config;
        let due = self.step == self.order.steps()
            || (config.validate_every > 0 && self.step.is_multiple_of(config.validate_every));
        if self.split.validation.is_empty() || !due {
            return Ok(None);
        }
        let packed = self.job.data.pack(&self.split.validation, config);
        let targets: usize = packed.iter().map(PackedRow::num_targets).sum();
        let mut sum = 0.0;
        for row in mine(&packed, self.store.comm()) {
            let kind = config.precision.kind();
            let micro = MicroBatch::new(&self.job.model, &row, kind, self.device)?;
            let chunk = config.head_chunk as i64;
            let model = (&self.job.model, self.lora.as_ref());
            sum += loss_alone(model, &mut self.store, &micro, chunk)?;
        }
        // Every row of a data set has a target.
        Ok(Some(self.store.sum_over_ranks(sum)? / targets as f64))
    }
}

impl std::fmt::Debug for Trainer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trainer")
            .field("step", &self.step)
            .field("steps", &self.order.steps())
            .finish_non_exhaustive()
    }
}

fn is_adapter(param: &ParamSpec) -> bool {
    param.name.ends_with(".lora_A.weight") || param.name.ends_with(".lora_B.weight")
}

/// This rank's micro-batches: every `world`-th. All ranks get as many, since every fold is a collective; one that runs out
/// folds a row without targets.
fn mine(packed: &[PackedRow], comm: &dyn Collective) -> Vec<PackedRow> {
    let (rank, world) = (comm.rank(), comm.world());
    let idle = || PackedRow {
        ids: vec![0],
        target: vec![false],
        lengths: vec![1],
        members: Vec::new(),
    };
    (0..packed.len().div_ceil(world))
        .map(|turn| {
            packed
                .get(turn * world + rank)
                .cloned()
                .unwrap_or_else(idle)
        })
        .collect()
}

/// What the gradient is multiplied by so that its norm is at most `clip`; torch's `clip_grad_norm_` has the same epsilon.
fn clip_scale(norm: f64, clip: f64) -> f64 {
    if clip > 0.0 {
        (clip / (norm + 1e-6)).min(1.0)
    } else {
        1.0
    }
}

/// Encodes conversations with a model's own tokenizer and chat template.
///
/// # Errors
/// When the template refuses one; its row is named.
pub fn encode(
    conversations: &[sky_types::Conversation],
    tokenizer: &sky_data::Tokenizer,
    template: &sky_data::ChatTemplate,
) -> Result<Vec<TokenSeq>, TrainError> {
    conversations
        .iter()
        .enumerate()
        .map(|(row, conversation)| {
            template
                .encode_training(tokenizer, conversation)
                .map_err(|error| TrainError::Data(format!("row {row}: {error}")))
        })
        .collect()
}
