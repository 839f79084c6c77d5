//! The names of checkpoints in their folder, and which of them stay.

use std::{
    fs,
    path::{Path, PathBuf},
};

use sky_files::FileError;

use crate::TrainError;

pub(super) const STATE: &str = "state.json";
pub(super) const METRICS: &str = "metrics.jsonl";
pub(super) const MANIFEST: &str = "manifest.json";
/// The three vectors kept for each block.
pub(super) const PARTS: [&str; 3] = ["master", "exp_avg", "exp_avg_sq"];

/// What a checkpoint's name has before and after its step.
#[derive(Clone, Copy)]
pub(super) struct NamePattern {
    prefix: &'static str,
    suffix: &'static str,
}

/// A complete checkpoint.
pub(super) const WHOLE: NamePattern = NamePattern {
    prefix: "step-",
    suffix: "",
};
/// One that is being written.
pub(super) const PARTIAL: NamePattern = NamePattern {
    prefix: ".step-",
    suffix: ".partial",
};
/// One that [`set_aside`] has hidden.
pub(super) const ASIDE: NamePattern = NamePattern {
    prefix: ".step-",
    suffix: ".set-aside",
};

/// A checkpoint's folder. Ordered by step.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct StepFolder {
    pub(super) step: u64,
    pub(super) path: PathBuf,
}

/// Removes all but the `keep` newest checkpoints of a folder, and what was set aside.
///
/// # Errors
/// When the operating system refuses.
pub fn prune(root: &Path, keep: usize) -> Result<(), TrainError> {
    prune_up_to(root, keep, u64::MAX)
}

/// The same among those up to a step, and without what was set aside.
pub(super) fn prune_up_to(root: &Path, keep: usize, step: u64) -> Result<(), TrainError> {
    let mut all = list(root, WHOLE)?;
    all.retain(|found| found.step <= step);
    all.truncate(all.len().saturating_sub(keep));
    let mut aside = list(root, ASIDE)?;
    aside.retain(|found| found.step <= step);
    for StepFolder { path, .. } in all.iter().chain(&aside) {
        fs::remove_dir_all(path).map_err(|source| FileError::io(path, "remove", source))?;
    }
    Ok(())
}

/// Hides the checkpoints of steps after the one that a run resumes from: they are damaged, or whoever
/// resumed it wanted an older one, and must not count among those that are kept. They are removed
/// once the run has come as far.
pub(super) fn set_aside(root: &Path, step: u64) -> Result<(), TrainError> {
    for found in list(root, WHOLE)? {
        if found.step <= step {
            continue;
        }
        let aside = root.join(name(ASIDE, found.step));
        if aside.exists() {
            fs::remove_dir_all(&aside).map_err(|source| FileError::io(&aside, "remove", source))?;
        }
        fs::rename(&found.path, &aside)
            .map_err(|source| FileError::io(&found.path, "rename", source))?;
    }
    Ok(())
}

pub(super) fn name(pattern: NamePattern, step: u64) -> String {
    let NamePattern { prefix, suffix } = pattern;
    format!("{prefix}{step:08}{suffix}")
}

/// Folders of checkpoints whose names have this pattern, oldest first; none when there is no
/// folder.
pub(super) fn list(root: &Path, pattern: NamePattern) -> Result<Vec<StepFolder>, TrainError> {
    if !root.exists() {
        return Ok(Vec::new());
    }
    let fail = |source| FileError::io(root, "list", source);
    let mut found = Vec::new();
    for entry in fs::read_dir(root).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let name = entry.file_name();
        let step = name
            .to_str()
            .and_then(|name| name.strip_prefix(pattern.prefix))
            .and_then(|rest| rest.strip_suffix(pattern.suffix))
            .and_then(|digits| digits.parse().ok());
        // What is no folder is none of ours, whatever its name.
        let path = entry.path();
        if let Some(step) = step.filter(|_| path.is_dir()) {
            found.push(StepFolder { step, path });
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Removes what a killed process left half written.
pub(super) fn remove_leftovers(root: &Path) -> Result<(), TrainError> {
    for StepFolder { path, .. } in list(root, PARTIAL)? {
        fs::remove_dir_all(&path).map_err(|source| FileError::io(&path, "remove", source))?;
    }
    Ok(())
}

pub(super) fn rank_file(rank: usize, world_size: usize) -> String {
    format!("rank-{rank:05}-of-{world_size:05}.safetensors")
}

pub(super) fn hash_file_name(rank: usize) -> String {
    format!("rank-{rank:05}.json")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_the_name_of_a_checkpoint_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let stray = root.path().join(name(WHOLE, 99));
        fs::write(&stray, "no checkpoint").unwrap();
        fs::create_dir(root.path().join(name(WHOLE, 20))).unwrap();
        let steps = |pattern| -> Vec<u64> {
            let found = list(root.path(), pattern).unwrap();
            found.iter().map(|found| found.step).collect()
        };
        assert_eq!(steps(WHOLE), [20]);
        set_aside(root.path(), 10).unwrap();
        prune(root.path(), 1).unwrap();
        assert!(stray.exists() && steps(WHOLE).is_empty() && steps(ASIDE).is_empty());
    }
}
