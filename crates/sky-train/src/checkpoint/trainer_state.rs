//! What a checkpoint says of its run besides the tensors.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sky_files::FileHash;
use sky_plan::TrainConfig;
use sky_types::Version;

use crate::DataId;

/// `state.json` of a checkpoint: everything but the tensors. The data cursor and the learning rate
/// are functions of the step, and every random choice is one of the seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainerState {
    /// Format version, 1.
    pub v: Version<1>,
    /// Steps done.
    pub step: u64,
    /// Steps of the whole run.
    pub steps: u64,
    /// The run's seed.
    pub seed: u64,
    /// Ranks that wrote it.
    pub world_size: usize,
    /// The run's settings.
    pub config: TrainConfig,
    /// The model's `config.json`.
    pub model: Value,
    /// With adapters: SHA-256 of the frozen weights they belong to, over their names, shapes and
    /// bytes as they are computed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// What the run's program says it was made from, where it does:
    /// [`crate::Trainer::with_input_hash`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_hash: Option<String>,
    /// The training data.
    pub data: DataId,
}

/// `manifest.json` of a checkpoint, written last.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    pub(super) v: Version<1>,
    pub(super) files: BTreeMap<String, FileHash>,
}
