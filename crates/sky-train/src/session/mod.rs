//! What the ranks of a run share, so that a trainer of your own is a short program.
//!
//! - [`Session`] is this process's part in a run of one or several ranks: it joins the others,
//!   picks the device, and reports a failure on one rank to the others.
//! - [`Session::resume_or_start`] checks that all ranks have the same settings, model, data and
//!   seed, checks the memory plan, picks the checkpoint to resume from, and gives a
//!   [`TrainingRun`].
//! - [`TrainingRun::train`] trains to the end or to a stop request. A [`FinishedRun`] exports the
//!   model.
//! - [`Notice`] is what an operator wants to know on the way. Nothing here prints.
//!
//! ```no_run
//! use std::{ops::ControlFlow, path::Path};
//! use sky_train::{DistributedEnv, Job, init_param, session::{BoxError, RunSpec, Session, SessionConfig, SessionEnd}};
//!
//! fn train(job: Job, folder: &Path) -> Result<(), BoxError> {
//!     let session = Session::join(DistributedEnv::from_env()?, &SessionConfig::new(&job.config))?;
//!     session.together(|| {
//!         let run = session.resume_or_start(
//!             RunSpec::new(job, folder),
//!             &mut |param| init_param(param, 1),
//!             &mut |notice| eprintln!("{notice}"),
//!         )?;
//!         let end = run.train(&mut |step| {
//!             println!("step {} loss {}", step.step, step.loss);
//!             ControlFlow::Continue(())
//!         })?;
//!         if let SessionEnd::Finished(finished) = end {
//!             finished.export(None, sky_model::SaveOptions::default(), None)?;
//!         }
//!         Ok(())
//!     })
//! }
//! ```

mod admission;
mod agreement;
mod group;
mod launcher;
mod run;

pub use admission::{GpuHost, admit, plan_on_cpus};
pub use group::{BoxError, Session, SessionConfig};
pub use launcher::{LAUNCHER, end_with_launcher};
pub use run::{FinishedRun, ReadParam, RunSpec, SessionEnd, TrainingRun};

use std::{fmt, path::PathBuf};

/// What the operator of a run wants to know on the way. Displays as one line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// Something about the checkpoints in the folder: a damaged one that is skipped, steps that are
    /// lost with it.
    Checkpoints(String),
    /// The run resumes from a checkpoint, and steps that a killed process had done after it are
    /// repeated.
    Repeats {
        /// Steps done at the checkpoint.
        step: u64,
        /// Steps that are repeated.
        repeated: u64,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Checkpoints(text) => f.write_str(text),
            Self::Repeats { step, repeated } => {
                let steps = if *repeated == 1 { "step" } else { "steps" };
                write!(
                    f,
                    "resumes after step {step}; repeats {repeated} {steps} done since that checkpoint"
                )
            }
        }
    }
}

/// Folders and files of a run, inside its folder.
fn checkpoints(folder: &std::path::Path) -> PathBuf {
    folder.join("checkpoints")
}
