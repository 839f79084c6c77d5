use std::{ops::ControlFlow, path::Path, time::Duration};

use super::{Ended, Trainer};
use crate::{
    StepMetrics, TrainError, checkpoint::Draft, metrics::MetricsFile, tensorboard::EventFile,
};
use sky_torch::give_back_memory;

impl Trainer<'_> {
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
        let comm = self.store.comm();
        let written = self.draft(root)?.write(&|| comm.check())?;
        self.note(Some(written));
        comm.barrier()
    }

    fn note(&mut self, written: Option<u64>) {
        self.saved = written.unwrap_or(self.saved);
    }

    fn draft(&self, root: &Path) -> Result<Draft, TrainError> {
        self.store.settle()?;
        // What the last step needed and has let go of; files are written from memory of other kinds.
        give_back_memory();
        let config = &self.job.config;
        let patience = Duration::from_secs(config.collective_timeout);
        Draft::of(
            root,
            self.state(),
            &self.history,
            &self.store,
            (config.keep_checkpoints, self.saved),
            patience,
        )
    }
}
