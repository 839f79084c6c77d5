use std::path::{Path, PathBuf};

use sky_files::layout;

/// The paths of a run's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFiles {
    /// Name and folder of every stage, in the order in which they run.
    pub stages: Vec<(String, PathBuf)>,
    /// The problems to sample for training.
    pub train_problems: PathBuf,
    /// The held-out problems of the evaluations.
    pub heldout_problems: PathBuf,
    /// The checked samples: the teacher's, rewritten.
    pub samples: PathBuf,
    /// Their verdicts.
    pub verdicts: PathBuf,
    /// The samples selected for training.
    pub selected: PathBuf,
    /// Training metrics, one line a step.
    pub metrics: PathBuf,
    /// Folder of the evaluation before training.
    pub eval_before: PathBuf,
    /// Folder of the evaluation after training.
    pub eval_after: PathBuf,
    /// Output: the run's summary.
    pub summary: PathBuf,
    /// Output: the page.
    pub report: PathBuf,
}

impl RunFiles {
    /// The paths inside a run folder, as `docs/formats.md` lays it out.
    pub fn in_folder(run: &Path) -> Self {
        let stages = layout::STAGES
            .into_iter()
            .filter(|(name, _)| *name != "report");
        Self {
            stages: stages
                .map(|(name, folder)| (name.to_owned(), run.join(folder)))
                .collect(),
            train_problems: run.join(layout::TRAIN_PROBLEMS),
            heldout_problems: run.join(layout::HELDOUT_PROBLEMS),
            samples: run.join(layout::REWRITTEN),
            verdicts: run.join(layout::VERDICTS),
            selected: run.join(layout::SELECTED),
            metrics: run.join(layout::METRICS),
            eval_before: run.join(layout::EVAL_BEFORE),
            eval_after: run.join(layout::EVAL_AFTER),
            summary: run.join(layout::SUMMARY),
            report: run.join(layout::REPORT),
        }
    }
}

/// The recipe's facts about a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunInfo {
    /// The recipe's name.
    pub recipe: String,
    /// One sentence about the run.
    pub description: String,
    /// The run's seed.
    pub seed: u64,
    /// The shell command that repeats the run.
    pub command: String,
}
