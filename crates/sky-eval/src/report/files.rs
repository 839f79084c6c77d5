use std::path::{Path, PathBuf};

/// Where a run's files lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFiles {
    /// Every stage's name and folder, in the order they run.
    pub stages: Vec<(String, PathBuf)>,
    /// Problems that were sampled.
    pub train_problems: PathBuf,
    /// Problems kept apart for evaluation.
    pub heldout_problems: PathBuf,
    /// The samples that were checked: the teacher's, rewritten.
    pub samples: PathBuf,
    /// Their verdicts.
    pub verdicts: PathBuf,
    /// Which samples were selected for training.
    pub selected: PathBuf,
    /// One line a training step.
    pub metrics: PathBuf,
    /// Folder of the evaluation before training.
    pub eval_before: PathBuf,
    /// Folder of the evaluation after training.
    pub eval_after: PathBuf,
    /// Written: the run's summary.
    pub summary: PathBuf,
    /// Written: the page.
    pub report: PathBuf,
}

impl RunFiles {
    /// The layout of `docs/formats.md` inside a run folder.
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

/// What the recipe says of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunInfo {
    /// The recipe's name.
    pub recipe: String,
    /// One sentence about the run.
    pub description: String,
    /// The seed everything random started from.
    pub seed: u64,
    /// The command that makes the run again, as a shell takes it.
    pub command: String,
}
