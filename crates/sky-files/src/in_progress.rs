use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sky_types::Version;

use crate::{FileError, FileHash, Result, checksummed::read_checksummed};

pub(crate) const IN_PROGRESS: &str = "in-progress.json";

/// `in-progress.json`: the inputs and settings of a stage in progress.
///
/// The file's modification time is the start of the process at work.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct InProgress {
    pub(crate) v: Version<2>,
    pub(crate) stage: String,
    pub(crate) config: Value,
    pub(crate) inputs: BTreeMap<String, FileHash>,
    /// Seconds that earlier processes worked on the stage.
    pub(crate) seconds: f64,
}

impl InProgress {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        read_checksummed(path)
    }

    /// Compares this stage with one that the folder `dir` holds.
    ///
    /// # Errors
    /// [`FileError::Stale`], naming the first difference.
    pub(crate) fn check_same(
        &self,
        stage: &str,
        config: &Value,
        inputs: &BTreeMap<String, FileHash>,
        dir: &Path,
    ) -> Result<()> {
        let stale = |what: String| {
            Err(FileError::Stale {
                path: dir.into(),
                what,
            })
        };
        if self.stage != stage {
            return stale(format!("content (stage {stage:?}, not {:?})", self.stage));
        }
        if let Some(difference) = first_difference(config, &self.config, "") {
            return stale(format!("settings ({difference})"));
        }
        let changed = self
            .inputs
            .keys()
            .chain(inputs.keys())
            .find(|name| self.inputs.get(*name) != inputs.get(*name));
        changed.map_or(Ok(()), |name| stale(format!("inputs ({name} has changed)")))
    }
}

/// The first place where two settings differ, as `key: old, now new`.
fn first_difference(old: &Value, new: &Value, key: &str) -> Option<String> {
    if let (Value::Object(old), Value::Object(new)) = (old, new) {
        return old.keys().chain(new.keys()).find_map(|name| {
            let key = if key.is_empty() {
                name.clone()
            } else {
                format!("{key}.{name}")
            };
            first_difference(
                old.get(name).unwrap_or(&Value::Null),
                new.get(name).unwrap_or(&Value::Null),
                &key,
            )
        });
    }
    (old != new).then(|| format!("{key}: {old}, now {new}"))
}
