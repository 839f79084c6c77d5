use std::{ops::ControlFlow, path::Path, time::Duration};

use super::{RunEnd, Trainer};
use crate::{
    StepMetrics, TrainError, checkpoint::CheckpointWriter, metrics::MetricsFile,
    metrics::tensorboard::EventFile,
};
use sky_torch::empty_cache;

impl Trainer<'_> {
    /// Trains to the end, or until `on_step` breaks on any rank; rank 0 writes `metrics.jsonl` and
    /// `tensorboard/` in `dir`, all ranks write `checkpoints/`. There is always a checkpoint of the
    /// last step when this returns.
    ///
    /// # Errors
    /// When the loss or gradient is not finite, a file cannot be written, or a peer is gone.
    pub fn run(
        &mut self,
        dir: &Path,
        on_step: &mut dyn FnMut(&StepMetrics) -> ControlFlow<()>,
    ) -> Result<RunEnd, TrainError> {
        let ended = self.run_steps(dir, on_step);
        ended.map_err(|error| {
            if self.step == self.saved {
                return error;
            }
            TrainError::NotSaved {
                step: self.step,
                saved: self.saved,
                source: Box::new(error),
            }
        })
    }

    fn run_steps(
        &mut self,
        dir: &Path,
        on_step: &mut dyn FnMut(&StepMetrics) -> ControlFlow<()>,
    ) -> Result<RunEnd, TrainError> {
        let mut files = None;
        if self.sharded_state.comm().rank() == 0 {
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
            let written = self.background.check()?;
            self.note(written);
            let stop = self.sharded_state.any_rank(on_step(&metrics).is_break())?;
            if stop || self.step == self.steps() {
                self.save(&root)?;
            } else if every > 0 && self.step.is_multiple_of(every) {
                if self.job.config.background_save {
                    let written = self.background.finish()?;
                    self.note(written);
                    let writer = self.checkpoint_writer(&root)?;
                    self.background.begin(writer)?;
                } else {
                    self.save(&root)?;
                }
            }
            if stop && self.step < self.steps() {
                return Ok(RunEnd::Stopped { step: self.step });
            }
        }
        Ok(RunEnd::Finished)
    }

    /// Writes a checkpoint into a folder of checkpoints, all ranks together.
    ///
    /// # Errors
    /// When the operating system refuses; older checkpoints stay.
    pub fn save(&mut self, root: &Path) -> Result<(), TrainError> {
        let written = self.background.finish()?;
        self.note(written);
        let comm = self.sharded_state.comm();
        let written = self.checkpoint_writer(root)?.write(&|| comm.check())?;
        self.note(Some(written));
        comm.barrier()
    }

    fn note(&mut self, written: Option<u64>) {
        self.saved = written.unwrap_or(self.saved);
    }

    fn checkpoint_writer(&self, root: &Path) -> Result<CheckpointWriter, TrainError> {
        self.sharded_state.wait_all()?;
        // Gives back what the last step has freed: files are written from memory of other sizes,
        // which could not reuse it.
        empty_cache();
        let config = &self.job.config;
        let timeout = Duration::from_secs(config.collective_timeout);
        CheckpointWriter::of(
            root,
            self.trainer_state(),
            &self.history,
            &self.sharded_state,
            config.keep_checkpoints,
            self.saved,
            timeout,
        )
    }
}
