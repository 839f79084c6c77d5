use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sky_types::Version;

use crate::{
    FileHash, Result,
    checksummed::{read_checksummed, write_checksummed},
};

/// What went into a stage and what came out, in its own unit (problems, samples, rows, steps).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Items read.
    pub count_in: u64,
    /// Items written.
    pub count_out: u64,
    /// Anything else worth a number: tokens, verdicts by kind, accuracy.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub more: BTreeMap<String, Value>,
}

impl Counts {
    /// Counts with nothing more.
    pub fn new(count_in: u64, count_out: u64) -> Self {
        Self {
            count_in,
            count_out,
            more: BTreeMap::new(),
        }
    }

    /// Adds one named number.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.more.insert(name.to_owned(), value.into());
        self
    }
}

pub(crate) const MANIFEST: &str = "manifest.json";

/// `manifest.json`, the last file a stage writes: its presence means that the stage is complete.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Format version, 2.
    pub v: Version<2>,
    /// The stage's name.
    pub stage: String,
    /// Version of the program that wrote it.
    pub sky: String,
    /// The resolved settings, the seed included.
    pub config: Value,
    /// Files read, by the name the stage gives them.
    pub inputs: BTreeMap<String, FileHash>,
    /// Files written, by path inside the stage's folder.
    pub outputs: BTreeMap<String, FileHash>,
    /// How much went in and came out.
    pub counts: Counts,
    /// Wall time of the processes that worked on the stage, together; to the second for those that
    /// were killed.
    pub seconds: f64,
    /// Most memory of the process that finished it, in bytes, where the system reports it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_memory: Option<u64>,
    /// Whether an earlier process had begun it.
    pub resumed: bool,
}

impl Manifest {
    /// Reads a manifest and checks its own hash.
    ///
    /// # Errors
    /// [`FileError::Damaged`](crate::FileError::Damaged) when a byte has changed, and when it
    /// cannot be read or is of another version.
    pub fn read(path: &Path) -> Result<Self> {
        read_checksummed(path)
    }

    /// Writes it, with its own hash on the first line.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn write(&self, path: &Path) -> Result<()> {
        write_checksummed(path, self)
    }
}
