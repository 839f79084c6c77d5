//! What a run says of itself: a line of JSON and TensorBoard events for each step.

pub(crate) mod step_timer;
pub(crate) mod tensorboard;

use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sky_files::{FileError, write_jsonl};
use sky_types::Version;

/// One line of `metrics.jsonl`: one training step. Everything but `time` is the same in every run
/// from the same data, settings and seed, however often it was interrupted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepMetrics {
    /// Format version, 1.
    #[serde(default)]
    pub v: Version<1>,
    /// The step, from 1.
    pub step: u64,
    /// Epochs done, this step included.
    pub epoch: f64,
    /// Cross-entropy in nats, the mean over the target tokens of the whole batch.
    pub loss: f64,
    /// Learning rate of the update.
    pub lr: f64,
    /// Norm of the gradient before clipping.
    pub grad_norm: f64,
    /// Conversations.
    pub rows: u64,
    /// Tokens, prompts included.
    pub tokens: u64,
    /// Tokens that the loss counts.
    pub targets: u64,
    /// Micro-batches they were packed into, over all ranks.
    pub micro_batches: u64,
    /// Cross-entropy on the held-out rows after this step, in nats, where it was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_loss: Option<f64>,
    /// What the clock said.
    pub time: StepTime,
}

/// The part of a step's metrics that differs from run to run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepTime {
    /// Wall time of the step.
    pub seconds: f64,
    /// Of these, the optimizer's.
    pub optimizer_seconds: f64,
    /// Tokens a second, prompts included.
    pub tokens_per_second: f64,
    /// Model FLOPs (recomputation does not count) over the peak of all ranks, where
    /// `peak_flops` is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mfu: Option<f64>,
    /// Seconds of training up to this step, checkpoints and validation included. A resumed
    /// run counts on from its checkpoint.
    #[serde(default)]
    pub elapsed: f64,
    /// Seconds until the last step, at this process's pace so far.
    #[serde(default)]
    pub remaining: f64,
    /// Cost of `elapsed`, where `dollars_per_hour` is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dollars: Option<f64>,
    /// Memory of rank 0.
    #[serde(default)]
    pub memory: StepMemory,
}

/// Memory of one rank in bytes. The first three are what it keeps, wherever that lies; peaks hold
/// them, activations and buffers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepMemory {
    /// What the model computes with.
    pub weights: u64,
    /// Summed gradients, f32, when those of all blocks are there.
    pub gradients: u64,
    /// Master weights, where they are apart from the weights, and optimizer states.
    pub optimizer: u64,
    /// Most host memory that the process has held so far, where the system says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak: Option<u64>,
    /// GPU memory in use, the libraries' and other processes' included; libtorch keeps what it once
    /// took, so this is the peak.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<u64>,
}

impl StepMemory {
    /// Weights, gradients and optimizer states, when all gradients are there.
    pub fn state_bytes(&self) -> u64 {
        self.weights + self.gradients + self.optimizer
    }
}

/// `metrics.jsonl` of a running run: first the checkpoint's history, then a line a step.
#[derive(Debug)]
pub(crate) struct MetricsFile {
    path: PathBuf,
    file: File,
}

impl MetricsFile {
    /// Replaces the file by `history`, so that steps a kill has undone are not in it twice.
    pub(crate) fn begin(path: &Path, history: &[StepMetrics]) -> Result<Self, FileError> {
        write_jsonl(path, history)?;
        let file = OpenOptions::new()
            .append(true)
            .open(path)
            .map_err(|source| FileError::io(path, "open", source))?;
        Ok(Self {
            path: path.into(),
            file,
        })
    }

    /// Adds one line.
    pub(crate) fn append(&mut self, row: &StepMetrics) -> Result<(), FileError> {
        let mut line = serde_json::to_string(row)
            .map_err(|error| FileError::format(&self.path, error.to_string()))?;
        line.push('\n');
        self.file
            .write_all(line.as_bytes())
            .map_err(|source| FileError::io(&self.path, "append", source))
    }
}
