//! What the ranks of a run share, so that a trainer of your own is a short program.
//!
//! - [`Session`] is this process's part in a run of one or several ranks: it joins the others,
//!   picks the device, and reports a failure on one rank to the others.
//! - [`Session::resume_or_start`] checks that all ranks have the same settings, model, data and
//!   seed, checks the memory plan, picks the checkpoint to resume from, and gives a
//!   [`TrainingRun`].
//! - [`TrainingRun::train`] trains to the end or to a stop request. A [`FinishedRun`] exports the
//!   model.
//! - [`Notice`] is what a run reports to its operator. Nothing here prints.
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

mod agreement;
mod join;
mod launcher;
mod memory_check;
mod notice;
mod resume;
mod run;
mod run_on_all_ranks;

pub use join::{Session, SessionConfig};
pub use launcher::{LAUNCHER, end_with_launcher};
pub use memory_check::{GpuHost, HostPlan, check_memory, plan_on_cpus};
pub use notice::Notice;
pub use run::{FinishedRun, ReadParam, RunSpec, SessionEnd, TrainingRun};
pub use run_on_all_ranks::BoxError;
