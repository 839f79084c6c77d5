use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use sky_files::FileError;
use sky_model::{ModelError, ModelText, ParamSpec, SaveOptions};
use sky_plan::DataSize;
use tch::Tensor;

use super::{join::Session, memory_check::check_memory, notice::Notice};
use crate::{
    Checkpoint, Job, RunEnd, StepMetrics, TrainError, Trainer, export, export_merged, model_shape,
    prune,
};

/// Reads one of the model's own parameters, whole.
pub type ReadParam<'a> = dyn FnMut(&ParamSpec) -> Result<Tensor, ModelError> + 'a;

/// A run to resume or to start.
#[derive(Clone, Debug)]
pub struct RunSpec {
    job: Job,
    folder: PathBuf,
    input_hash: Option<String>,
    memory_check: bool,
}

impl RunSpec {
    /// A run in a folder, which all ranks see under the same path. It will hold `checkpoints/`,
    /// `metrics.jsonl`, `tensorboard/` and, once exported, `model/`.
    pub fn new(job: Job, folder: impl Into<PathBuf>) -> Self {
        Self {
            job,
            folder: folder.into(),
            input_hash: None,
            memory_check: true,
        }
    }

    /// With a hash of what the run is made from beside its [`Job`], such as the files of the first
    /// weights. Checkpoints carry it, and a run does not resume from one with another. Rank 0's
    /// counts.
    #[must_use]
    pub fn with_input_hash(mut self, input_hash: Option<String>) -> Self {
        self.input_hash = input_hash;
        self
    }

    /// Without the check of this host's memory: the caller has called [`check_memory`] itself, or
    /// takes the risk.
    #[must_use]
    pub fn without_memory_check(mut self) -> Self {
        self.memory_check = false;
        self
    }
}

/// A run that is ready to train, from its first step or from a checkpoint.
#[derive(Debug)]
pub struct TrainingRun<'s> {
    session: &'s Session,
    folder: PathBuf,
    trainer: Trainer<'s>,
    lora: bool,
    keep_finished: usize,
}

/// How [`TrainingRun::train`] ended.
#[derive(Debug)]
pub enum SessionEnd {
    /// Every step is done.
    Finished(FinishedRun),
    /// A rank asked to stop. The checkpoint of this step is on disk; the same program resumes from
    /// it.
    Stopped {
        /// Steps done.
        step: u64,
        /// Steps of the whole run.
        steps: u64,
    },
}

impl Session {
    /// Resumes a run from its newest intact checkpoint, or starts it.
    ///
    /// `weights` is asked for each parameter of the model in turn, whole, in any dtype, the same on
    /// every rank. When a run resumes it is asked for frozen weights alone.
    ///
    /// # Errors
    /// When this host's memory does not hold the run by the plan, the ranks differ in settings,
    /// model, data or seed, the checkpoint is of another run, or a weight cannot be read. A model
    /// with custom layers is not checked against the plan: it does not know their size.
    pub fn resume_or_start(
        &self,
        spec: RunSpec,
        weights: &mut dyn FnMut(&ParamSpec) -> Result<Tensor, TrainError>,
        on_notice: &mut dyn FnMut(&Notice),
    ) -> Result<TrainingRun<'_>, TrainError> {
        let _span = tracing::info_span!("resume_or_start").entered();
        let RunSpec {
            job,
            folder,
            input_hash,
            memory_check,
        } = spec;
        if memory_check && job.model.custom_layers.is_none() {
            let size = DataSize {
                rows: job.data.len() as u64,
                tokens_per_row: job.data.tokens() as f64 / job.data.len().max(1) as f64,
                longest: Some(job.data.longest() as u64),
            };
            let shape = model_shape(&job.model);
            let on_gpu = self.device().is_cuda();
            check_memory(&shape, &job.config, self.env(), Some(&size), on_gpu)?;
        }
        self.check_same_job(&job)?;
        let (lora, keep_finished) = (job.config.lora.is_some(), job.config.keep_finished);
        let newest =
            self.pick_checkpoint(&checkpoints(&folder), input_hash.as_deref(), on_notice)?;
        let (device, comm) = (self.device(), self.comm());
        let mut trainer = match &newest {
            Some(checkpoint) => Trainer::resume(job, device, comm, checkpoint, weights)?,
            None => Trainer::new(job, device, comm, weights)?,
        };
        drop(newest);
        if let Some(input_hash) = input_hash {
            trainer = trainer.with_input_hash(input_hash);
        }
        if self.is_leader() {
            let repeated = steps_beyond(&folder.join("metrics.jsonl"), trainer.step());
            if repeated > 0 {
                on_notice(&Notice::Repeats {
                    step: trainer.step(),
                    repeated,
                });
            }
        }
        Ok(TrainingRun {
            session: self,
            folder,
            trainer,
            lora,
            keep_finished,
        })
    }
}

impl<'s> TrainingRun<'s> {
    /// With a custom part: `change` calls [`Trainer::with_layers`], [`Trainer::with_loss`],
    /// [`Trainer::with_optimizer`] or [`Trainer::with_schedule`]. Give the same parts again when
    /// the run resumes: a checkpoint does not know them.
    #[must_use]
    pub fn customize(mut self, change: impl FnOnce(Trainer<'s>) -> Trainer<'s>) -> Self {
        self.trainer = change(self.trainer);
        self
    }

    /// The trainer, to read its step, weights or memory before the run starts.
    pub fn trainer(&self) -> &Trainer<'s> {
        &self.trainer
    }

    /// Trains to the end, or until `on_step` breaks on any rank. A checkpoint of the last step is
    /// on disk afterwards.
    ///
    /// # Errors
    /// As [`Trainer::run`].
    pub fn train(
        self,
        on_step: &mut dyn FnMut(&StepMetrics) -> ControlFlow<()>,
    ) -> Result<SessionEnd, TrainError> {
        let mut trainer = self.trainer;
        let ended = trainer.run(&self.folder, on_step)?;
        let steps = trainer.steps();
        Ok(match ended {
            RunEnd::Stopped { step } => SessionEnd::Stopped { step, steps },
            RunEnd::Finished => SessionEnd::Finished(FinishedRun {
                leads: self.session.is_leader(),
                folder: self.folder,
                steps,
                history: trainer.history().to_vec(),
                lora: self.lora,
                keep_finished: self.keep_finished,
            }),
        })
    }
}

/// A run whose steps are all done. Its trainer's memory is free.
#[derive(Clone, Debug)]
pub struct FinishedRun {
    leads: bool,
    folder: PathBuf,
    steps: u64,
    history: Vec<StepMetrics>,
    lora: bool,
    keep_finished: usize,
}

impl FinishedRun {
    /// Steps of the run.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Metrics of all steps.
    pub fn history(&self) -> &[StepMetrics] {
        &self.history
    }

    /// Writes the model as a Hugging Face folder on rank 0, from the last checkpoint, one parameter
    /// at a time, and removes all but the newest checkpoints (`keep_finished`, at least one: the
    /// caller removes the last one, with [`prune`], once it needs it no longer). Gives the folder
    /// on rank 0 and nothing on the other ranks.
    ///
    /// `base` gives the model's own weights to merge adapters into, and is needed for these alone.
    ///
    /// # Errors
    /// When the last checkpoint cannot be read back or the folder not be written.
    pub fn export(
        &self,
        text: Option<ModelText<'_>>,
        options: SaveOptions,
        base: Option<&mut ReadParam<'_>>,
    ) -> Result<Option<PathBuf>, TrainError> {
        if !self.leads {
            return Ok(None);
        }
        let _span = tracing::info_span!("export").entered();
        let root = checkpoints(&self.folder);
        let checkpoint = Checkpoint::newest(&root, &mut |_| {})?
            .filter(|found| found.state().step == self.steps)
            .ok_or_else(|| TrainError::Checkpoint {
                path: root.clone(),
                reason:
                    "the last checkpoint cannot be read back; the same command repeats its steps"
                        .into(),
            })?;
        let out = self.folder.join("model");
        if out.exists() {
            fs::remove_dir_all(&out)
                .map_err(|source| FileError::io(&out, "clear the folder", source))?;
        }
        match (self.lora, base) {
            (true, Some(base)) => export_merged(&checkpoint, base, text, options, &out)?,
            // Without a base, adapters are refused by name.
            _ => export(&checkpoint, text, options, &out)?,
        }
        prune(&root, self.keep_finished.max(1))?;
        Ok(Some(out))
    }
}

/// Steps in a metrics file beyond this one: a killed process had done them since its last
/// checkpoint. The lines are cut off when the run resumes.
fn steps_beyond(metrics: &Path, step: u64) -> u64 {
    let lines = fs::read(metrics).map_or(0, |text| text.iter().filter(|b| **b == b'\n').count());
    (lines as u64).saturating_sub(step)
}

/// The folder of a run's checkpoints, inside the run's folder.
fn checkpoints(folder: &Path) -> PathBuf {
    folder.join("checkpoints")
}
