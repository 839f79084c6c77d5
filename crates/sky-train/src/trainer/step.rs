use std::time::Instant;

use sky_model::{HeadOptions, compute_dtype};
use sky_text::PackedRow;
use sky_torch::{AdamW, CudaEvent};
use sky_types::{Version, derive_seed};
use tch::Device;
use tracing::{debug_span, info_span};

use super::Trainer;
use crate::{
    Collective, StepMetrics, TrainError,
    data::neftune::{NoiseOptions, noise},
    metrics::step_timer::{StepTiming, with_peaks},
    trainer::activation_checkpointing::{RecomputePolicy, StepLoad},
    trainer::forward_backward::{MicroBatchPass, forward_backward, forward_loss},
    trainer::layer_fn::ModelLayers,
    trainer::loss::LossStep,
    trainer::micro_batch::MicroBatch,
};

impl Trainer<'_> {
    /// One step: forward and backward over the batch's micro-batches, gradient clipping, update.
    /// Past the end there is nothing to do: see [`Trainer::steps`].
    ///
    /// # Errors
    /// When the loss or gradient is not finite (nothing is updated then), or a peer is gone.
    pub fn train_step(&mut self) -> Result<StepMetrics, TrainError> {
        let _span = info_span!("step", step = self.step + 1).entered();
        self.timer.begin();
        let began = Instant::now();
        // A checkpoint between two steps may have waited for blocks; that wait is not this step's.
        self.sharded_state.take_wait_time();
        let batch = self.next_batch()?;
        let lr = self.learning_rate()?;
        let loss =
            debug_span!("forward_backward").in_scope(|| self.accumulate_gradients(&batch))?;
        if !loss.is_finite() {
            return Err(self.not_finite("loss", &batch));
        }
        synchronize(self.device)?;
        let optimizer_began = Instant::now();
        let grad_norm = self.sharded_state.grad_norm()?;
        if !grad_norm.is_finite() {
            return Err(self.not_finite("gradient's norm", &batch));
        }
        debug_span!("optimizer").in_scope(|| self.update(lr, grad_norm))?;
        synchronize(self.device)?;
        self.step += 1;
        // With an offloaded optimizer, the wait for the step before counts as well.
        let optimizer = optimizer_began.elapsed() + self.sharded_state.take_wait_time();
        let seconds = began.elapsed().as_secs_f64();
        let validation_loss = debug_span!("validation").in_scope(|| self.validation_loss())?;
        let timing = StepTiming {
            seconds,
            optimizer,
            packed: &batch.packed,
            memory: with_peaks(self.sharded_state.memory(), self.device),
            left: self.order.steps() - self.step,
        };
        let metrics = StepMetrics {
            v: Version,
            step: self.step,
            epoch: self.order.epoch(self.step),
            loss,
            lr,
            grad_norm,
            rows: batch.indices.len() as u64,
            tokens: batch.tokens() as u64,
            targets: batch.targets as u64,
            micro_batches: batch.packed.len() as u64,
            validation_loss,
            time: self.timer.end(&self.job.config, &timing),
        };
        self.history.push(metrics.clone());
        Ok(metrics)
    }

    /// The rows of this step, packed.
    fn next_batch(&mut self) -> Result<Batch, TrainError> {
        let indices: Vec<usize> = self
            .order
            .batch(self.step)
            .into_iter()
            .map(|index| self.split.train[index])
            .collect();
        let packed = self.job.data.pack(&indices, &self.job.config);
        let targets: usize = packed.iter().map(PackedRow::num_targets).sum();
        if targets == 0 {
            return Err(TrainError::Data(format!(
                "step {} of {} has no target token",
                self.step + 1,
                self.order.steps()
            )));
        }
        Ok(Batch {
            indices,
            packed,
            targets,
        })
    }

    /// Forward and backward over this rank's micro-batches. Gives the mean loss over the batch's
    /// targets, of all ranks.
    fn accumulate_gradients(&mut self, batch: &Batch) -> Result<f64, TrainError> {
        let config = &self.job.config;
        // The mean is over the batch's targets, on whichever rank they are.
        let scale = 1.0 / batch.targets as f64;
        let dtype = compute_dtype(config.precision);
        let options = HeadOptions {
            chunk: config.loss_chunk as i64,
            scale,
            z_loss: config.z_loss,
            frozen: self.lora.is_some(),
        };
        let model = ModelLayers::new(&self.job.model, self.lora.as_ref(), self.layers.as_ref())?;
        let load = StepLoad {
            longest: batch.packed.iter().map(PackedRow::len).max().unwrap_or(0),
            device: self.device,
            world_size: self.sharded_state.comm().world_size(),
        };
        let policy = RecomputePolicy::decide(&self.job.model, config, load, |short| {
            self.sharded_state.any_rank(short)
        })?;
        let mut loss = 0.0;
        for row in rows_of_rank(&batch.packed, self.sharded_state.comm()) {
            let noise = noise(
                &row,
                &batch.indices,
                self.job.model.hidden_size,
                NoiseOptions {
                    alpha: config.neftune_alpha,
                    seed: self.job.seed,
                    step: self.step,
                },
                dtype,
                self.device,
            )?;
            let micro = MicroBatch::new(&self.job.model, &row, dtype, self.device)?
                .with_noise(noise)
                .with_rows(self.source_rows(&row, &batch.indices));
            let pass = MicroBatchPass {
                model: &model,
                batch: &micro,
                policy,
                loss: LossStep {
                    options,
                    custom: self.loss.as_deref(),
                },
            };
            loss += forward_backward(&pass, &mut self.sharded_state)?;
        }
        self.sharded_state.finish_gradients()?;
        Ok(self.sharded_state.sum_over_ranks(loss)? * scale)
    }

    /// One optimizer step with the gradient clipped.
    fn update(&mut self, lr: f64, grad_norm: f64) -> Result<(), TrainError> {
        let config = &self.job.config;
        let hyper = AdamW {
            lr,
            beta1: config.beta1,
            beta2: config.beta2,
            eps: config.eps,
            weight_decay: config.weight_decay,
        };
        self.sharded_state.update(
            &hyper,
            clip_scale(grad_norm, config.max_grad_norm),
            self.step,
            derive_seed(self.job.seed, "moments", self.step),
            self.optimizer.clone(),
        )
    }

    fn not_finite(&self, what: &'static str, batch: &Batch) -> TrainError {
        TrainError::NotFinite {
            step: self.step + 1,
            what,
            rows: self.job.data.source_rows(&batch.indices),
        }
    }

    /// The row of the data that each document of a packed row is. `indices` are the sequences that
    /// were packed.
    fn source_rows(&self, row: &PackedRow, indices: &[usize]) -> Vec<usize> {
        let documents: Vec<usize> = row.members.iter().map(|&member| indices[member]).collect();
        self.job.data.source_rows(&documents)
    }

    /// Learning rate of the update that ends this step.
    fn learning_rate(&self) -> Result<f64, TrainError> {
        let lr = (self.schedule)(self.step);
        if lr.is_finite() && lr >= 0.0 {
            return Ok(lr);
        }
        Err(TrainError::Config {
            key: "learning_rate",
            reason: format!("is {lr} at step {}, expected zero or more", self.step + 1),
        })
    }

    /// Mean loss on the held-out rows, after the steps that the settings name.
    fn validation_loss(&mut self) -> Result<Option<f64>, TrainError> {
        let config = &self.job.config;
        let due = self.step == self.order.steps()
            || (config.validate_every > 0 && self.step.is_multiple_of(config.validate_every));
        if self.split.validation.is_empty() || !due {
            return Ok(None);
        }
        let packed = self.job.data.pack(&self.split.validation, config);
        let targets: usize = packed.iter().map(PackedRow::num_targets).sum();
        let model = ModelLayers::new(&self.job.model, self.lora.as_ref(), self.layers.as_ref())?;
        let loss = LossStep {
            options: HeadOptions {
                chunk: config.loss_chunk as i64,
                scale: 1.0,
                z_loss: 0.0,
                frozen: true,
            },
            custom: self.loss.as_deref(),
        };
        let dtype = compute_dtype(config.precision);
        let mut sum = 0.0;
        for row in rows_of_rank(&packed, self.sharded_state.comm()) {
            let micro = MicroBatch::new(&self.job.model, &row, dtype, self.device)?
                .with_rows(self.source_rows(&row, &self.split.validation));
            sum += forward_loss(&model, &mut self.sharded_state, &micro, &loss)?;
        }
        // Every row of a data set has a target.
        Ok(Some(
            self.sharded_state.sum_over_ranks(sum)? / targets as f64,
        ))
    }
}

/// The rows of one step.
struct Batch {
    /// Of the data.
    indices: Vec<usize>,
    /// All ranks' micro-batches.
    packed: Vec<PackedRow>,
    /// Target tokens.
    targets: usize,
}

impl Batch {
    fn tokens(&self) -> usize {
        self.packed.iter().map(PackedRow::len).sum()
    }
}

/// Waits until a GPU has done its queued work: the host's clock would else time the queueing alone.
fn synchronize(device: Device) -> Result<(), TrainError> {
    if let Device::Cuda(gpu) = device {
        CudaEvent::new(gpu)?.wait()?;
    }
    Ok(())
}

/// This rank's micro-batches: every `world_size`-th. All ranks get the same number, since every
/// pass makes collective calls; a rank that runs out gets a row without targets.
fn rows_of_rank(packed: &[PackedRow], comm: &dyn Collective) -> Vec<PackedRow> {
    let (rank, world_size) = (comm.rank(), comm.world_size());
    let idle = || PackedRow {
        ids: vec![0],
        target: vec![false],
        lengths: vec![1],
        members: Vec::new(),
    };
    (0..packed.len().div_ceil(world_size))
        .map(|turn| {
            packed
                .get(turn * world_size + rank)
                .cloned()
                .unwrap_or_else(idle)
        })
        .collect()
}

/// The factor that limits the gradient's norm to `max_grad_norm`; 0 for no limit. The epsilon is that of torch's
/// `clip_grad_norm_`.
fn clip_scale(norm: f64, max_grad_norm: f64) -> f64 {
    if max_grad_norm > 0.0 {
        (max_grad_norm / (norm + 1e-6)).min(1.0)
    } else {
        1.0
    }
}
