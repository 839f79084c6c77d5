use std::path::PathBuf;

use sky_types::SettingError;

/// What can go wrong in training.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A setting is outside its range.
    #[error("train.{key}: {reason}")]
    Config {
        /// The key.
        key: &'static str,
        /// Why it cannot be.
        reason: String,
    },
    /// The training data cannot be used.
    #[error("training data: {0}")]
    Data(String),
    /// The loss or the gradient is no number. Nothing was changed by that step.
    #[error(
        "step {step}: the {what} is not finite; rows {rows:?} of the data are in that batch: look at them, or lower train.learning_rate; \
         either makes another run, in a folder of its own, which can begin with the weights of a checkpoint: see `sky-train export --help`"
    )]
    NotFinite {
        /// The step, from 1.
        step: u64,
        /// The loss or the gradient's norm.
        what: &'static str,
        /// Rows of the batch, from 0.
        rows: Vec<usize>,
    },
    /// A checkpoint cannot be used.
    #[error("{}: {reason}", path.display())]
    Checkpoint {
        /// The checkpoint.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A checkpoint whose hashes are right cannot be read.
    #[error("{}: is as it was written, but {source}; if another version of this program wrote it, go on with that one", path.display())]
    Unreadable {
        /// The checkpoint.
        path: PathBuf,
        /// Why.
        source: Box<TrainError>,
    },
    /// A run ended with steps that no checkpoint has.
    #[error("{source}; the last good checkpoint is of step {saved}: {} of {step} steps are repeated", step - saved)]
    NotSaved {
        /// Steps done when it happened.
        step: u64,
        /// The step of the last good checkpoint; 0 when there is none.
        saved: u64,
        /// What went wrong.
        source: Box<TrainError>,
    },
    /// A checkpoint belongs to another run.
    #[error("{}: was written by a run with other {what}; use another folder, or --force to start over", path.display())]
    OtherRun {
        /// The checkpoint.
        path: PathBuf,
        /// What differs.
        what: String,
    },
    /// The environment does not say properly which rank of how many this process is.
    #[error("{0}")]
    Launch(String),
    /// This host's memory does not hold the run, by the plan.
    #[error("{0}")]
    DoesNotFit(String),
    /// A rank would train something else than rank 0 does.
    #[error("this rank and rank 0 have different {what}")]
    Disagreement {
        /// Settings, model, data or seed.
        what: &'static str,
    },
    /// A rank does not find the checkpoint that rank 0 has picked.
    #[error("the run folder must be the same for all ranks: {source}")]
    OtherFolder {
        /// What it finds.
        source: Box<TrainError>,
    },
    /// A process group failed.
    #[error("{what}: {reason}")]
    Collective {
        /// The operation.
        what: &'static str,
        /// Why, with the rank's name when it is known.
        reason: String,
    },
    /// A thread of this process does not start, or has panicked.
    #[error("{what}: {reason}")]
    Thread {
        /// What it is for.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] sky_files::FileError),
    /// The model's shape cannot be read.
    #[error(transparent)]
    Plan(#[from] sky_plan::PlanError),
    /// The model's files.
    #[error(transparent)]
    Model(#[from] sky_model::ModelError),
    /// libtorch refused.
    #[error("libtorch: {0}")]
    Torch(#[from] tch::TchError),
    /// The shim around libtorch refused.
    #[error(transparent)]
    Shim(#[from] sky_torch::TorchError),
}

impl TrainError {
    /// Whether a process group failed, so that the other ranks know of it.
    pub fn is_collective(&self) -> bool {
        match self {
            Self::Collective { .. } => true,
            Self::NotSaved { source, .. } => source.is_collective(),
            _ => false,
        }
    }
}

impl From<SettingError> for TrainError {
    fn from(SettingError { key, reason }: SettingError) -> Self {
        Self::Config { key, reason }
    }
}
