use std::path::{Path, PathBuf};

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
        let stage = |name: &str, folder: &str| (name.to_owned(), run.join(folder));
        Self {
            stages: vec![
                stage("problems", "problems"),
                stage("eval-before", "eval-before"),
                stage("sample", "samples"),
                stage("rewrite", "rewritten"),
                stage("verify", "verdicts"),
                stage("select", "selected"),
                stage("train", "train"),
                stage("eval-after", "eval-after"),
            ],
            train_problems: run.join("problems/train.jsonl"),
            heldout_problems: run.join("problems/heldout.jsonl"),
            samples: run.join("rewritten/samples.jsonl"),
            verdicts: run.join("verdicts/verdicts.jsonl"),
            selected: run.join("selected/selected.jsonl"),
            metrics: run.join("train/metrics.jsonl"),
            eval_before: run.join("eval-before"),
            eval_after: run.join("eval-after"),
            summary: run.join("summary.json"),
            report: run.join("report.html"),
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
