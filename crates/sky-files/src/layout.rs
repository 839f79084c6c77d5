//! Where each stage's files lie inside a run folder. The order of this file is the order of the
//! pipeline.

/// Problems to sample: `problems/train.jsonl`.
pub const TRAIN_PROBLEMS: &str = "problems/train.jsonl";
/// Problems kept apart for evaluation: `problems/heldout.jsonl`.
pub const HELDOUT_PROBLEMS: &str = "problems/heldout.jsonl";
/// Replies of the teacher: `samples/samples.jsonl`.
pub const SAMPLES: &str = "samples/samples.jsonl";
/// The same replies in Sky-T1's two sections: `rewritten/samples.jsonl`.
pub const REWRITTEN: &str = "rewritten/samples.jsonl";
/// One verdict a reply: `verdicts/verdicts.jsonl`.
pub const VERDICTS: &str = "verdicts/verdicts.jsonl";
/// Training data: `selected/sharegpt.json`.
pub const SHAREGPT: &str = "selected/sharegpt.json";
/// Which sample each training row came from: `selected/selected.jsonl`.
pub const SELECTED: &str = "selected/selected.jsonl";
/// The dataset card: `selected/card.md`.
pub const CARD: &str = "selected/card.md";
/// The fine-tuned model, in Hugging Face layout: `train/model`.
pub const MODEL: &str = "train/model";
/// One line a training step: `train/metrics.jsonl`.
pub const METRICS: &str = "train/metrics.jsonl";
/// Evaluation of the model as it came: `eval-before`.
pub const EVAL_BEFORE: &str = "eval-before";
/// Problems with right samples that give no row: `selected/dropped.jsonl`.
pub const DROPPED: &str = "selected/dropped.jsonl";
/// Evaluation of the fine-tuned model: `eval-after`.
pub const EVAL_AFTER: &str = "eval-after";
/// The run's own summary: `summary.json`.
pub const SUMMARY: &str = "summary.json";
/// The report: `report.html`.
pub const REPORT: &str = "report.html";

/// The part of a layout path inside its stage's folder: `train.jsonl` of `problems/train.jsonl`.
pub fn file_name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// The folder of a stage, by the stage's name.
pub fn folder(stage: &str) -> Option<&'static str> {
    STAGES
        .iter()
        .find(|(name, _)| *name == stage)
        .map(|(_, folder)| *folder)
}

/// Every stage with its folder, in the order they run.
pub const STAGES: [(&str, &str); 9] = [
    ("problems", "problems"),
    ("eval-before", EVAL_BEFORE),
    ("sample", "samples"),
    ("rewrite", "rewritten"),
    ("verify", "verdicts"),
    ("select", "selected"),
    ("train", "train"),
    ("eval-after", EVAL_AFTER),
    ("report", "report"),
];
