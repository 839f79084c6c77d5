use std::time::Instant;

use sky_data::PackedRow;
use sky_model::HeadOptions;
use sky_torch::{AdamW, GpuMark};
use sky_types::{Version, derive_seed};
use tch::Device;

use super::Trainer;
use crate::{
    Collective, StepMetrics, TrainError,
    fold::{MicroBatch, forward_backward, loss_alone},
    keep::Keep,
    mathematics::Mathematics,
    meter::{Measured, with_peaks},
    neftune::noise,
};

impl Trainer<'_> {
    /// One step: forward and backward over the batch's micro-batches, clipping, update. Past the end nothing is left to do:
    /// ask [`Trainer::steps`].
    ///
    /// # Errors
    /// When the loss or gradient is not finite (nothing is updated then), or a peer is gone.
    pub fn train_step(&mut self) -> Result<StepMetrics, TrainError> {
        self.meter.begin();
        let began = Instant::now();
        // What was waited for between two steps, by a checkpoint, is none of this one's.
        self.store.take_waited();
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
        let lr = self.learning_rate()?;
        let model = Mathematics::new(&self.job.model, self.lora.as_ref(), self.layers.as_ref())?;
        let longest = packed.iter().map(PackedRow::len).max().unwrap_or(0);
        let keep = Keep::decide(
            &self.job.model,
            config,
            (longest, self.device, self.store.comm().world()),
            |short| self.store.any_rank(short),
        )?;
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
            loss += forward_backward(&model, &mut self.store, &micro, keep, &options)?;
        }
        self.store.finish_gradients()?;
        let loss = self.store.sum_over_ranks(loss)? * scale;
        if !loss.is_finite() {
            return Err(not_finite("loss"));
        }
        computed(self.device)?;
        let optimizer_began = Instant::now();
        let grad_norm = self.store.grad_norm()?;
        if !grad_norm.is_finite() {
            return Err(not_finite("gradient's norm"));
        }
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
        computed(self.device)?;
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

    /// Of the update that ends this step.
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
        let model = Mathematics::new(&self.job.model, self.lora.as_ref(), self.layers.as_ref())?;
        let mut sum = 0.0;
        for row in mine(&packed, self.store.comm()) {
            let kind = config.precision.kind();
            let micro = MicroBatch::new(&self.job.model, &row, kind, self.device)?;
            let chunk = config.head_chunk as i64;
            sum += loss_alone(&model, &mut self.store, &micro, chunk)?;
        }
        // Every row of a data set has a target.
        Ok(Some(self.store.sum_over_ranks(sum)? / targets as f64))
    }
}

/// Waits for what a GPU was given: time that is taken before and after tells of that.
fn computed(device: Device) -> Result<(), TrainError> {
    if let Device::Cuda(gpu) = device {
        GpuMark::new(gpu)?.wait()?;
    }
    Ok(())
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
