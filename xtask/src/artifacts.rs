//! The pinned packages that set-up fetches, as `artifacts.toml` lists them.

use std::{env, fs, path::PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Artifacts {
    #[serde(rename = "v")]
    _v: u32,
    /// `os-architecture` that the pins are for.
    pub(crate) platform: String,
    pub(crate) artifact: Vec<Artifact>,
}

/// What fills one folder under `SKY_HOME`, whole or not at all.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Artifact {
    pub(crate) folder: String,
    pub(crate) title: String,
    /// Disk space when unpacked, in bytes, rounded up.
    pub(crate) unpacked: u64,
    /// Fetched for `--cuda` alone. Left out of what receipts compare when it is not set.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) cuda: bool,
    #[serde(default)]
    pub(crate) links: Vec<Link>,
    #[serde(default)]
    pub(crate) texts: Vec<Text>,
    pub(crate) package: Vec<Package>,
}

/// A symbolic link to make.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Link {
    pub(crate) path: String,
    pub(crate) target: String,
}

/// A small file to write.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Text {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// One file of one release of a package.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Package {
    pub(crate) project: String,
    pub(crate) version: String,
    pub(crate) file: String,
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
    pub(crate) keep: Vec<Keep>,
}

/// A file, or a folder with a slash at its end, that is unpacked to another workspace.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Keep {
    from: String,
    to: String,
    #[serde(default)]
    without: Vec<String>,
}

impl Artifacts {
    /// The list this xtask was built with, or the one in the file that `SKY_ARTIFACTS` names.
    pub(crate) fn pinned() -> Result<Self> {
        let Some(other) = env::var_os("SKY_ARTIFACTS").map(PathBuf::from) else {
            return toml::from_str(include_str!("../artifacts.toml"))
                .context("xtask/artifacts.toml");
        };
        let text = fs::read_to_string(&other).with_context(|| other.display().to_string())?;
        toml::from_str(&text).with_context(|| other.display().to_string())
    }
}

impl Artifacts {
    /// What is wanted: everything, or all but what only GPUs need.
    pub(crate) fn wanted(&self, cuda: bool) -> impl Iterator<Item = &Artifact> {
        self.artifact
            .iter()
            .filter(move |artifact| cuda || !artifact.cuda)
    }
}

impl Artifact {
    /// Bytes to download.
    pub(crate) fn download(&self) -> u64 {
        self.package.iter().map(|package| package.bytes).sum()
    }

    /// The name that its receipt goes by.
    pub(crate) fn name(&self) -> String {
        self.folder.replace('/', "-")
    }
}

/// Bytes for a person: `530.6 MB`.
pub(crate) fn size(bytes: u64) -> String {
    let bytes = bytes as f64;
    match bytes {
        ..1e6 => format!("{:.1} kB", bytes / 1e3),
        ..1e9 => format!("{:.1} MB", bytes / 1e6),
        _ => format!("{:.2} GB", bytes / 1e9),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_cuda_build_is_asked_for_and_pins_the_same_libtorch() {
        let list = Artifacts::pinned().unwrap();
        let torch = |cuda| {
            let wanted = list.wanted(cuda).flat_map(|artifact| &artifact.package);
            wanted
                .filter(|package| package.project == "torch")
                .last()
                .unwrap()
        };
        let names = |cuda| list.wanted(cuda).map(Artifact::name).collect::<Vec<_>>();
        assert!(!names(false).contains(&"libtorch-cuda".to_owned()));
        assert_eq!(names(true).len(), names(false).len() + 1);
        assert_eq!(torch(true).sha256, torch(false).sha256);
        let cuda = list.artifact.iter().find(|artifact| artifact.cuda).unwrap();
        // What libtorch_cuda finds beside itself, and cudarc by its links.
        let files: Vec<&str> = cuda
            .package
            .iter()
            .flat_map(|package| &package.keep)
            .map(|keep| keep.to.as_str())
            .collect();
        for needed in ["torch/lib/libtorch_cuda.so", "nvidia/nccl/lib/libnccl.so.2"] {
            assert!(files.contains(&needed), "{needed}");
        }
        assert!(
            cuda.links
                .iter()
                .any(|link| link.path == "torch/lib/libnccl.so")
        );
    }

    #[test]
    fn the_pins_are_complete_and_stay_inside_their_folder() {
        let list = Artifacts::pinned().unwrap();
        assert!(!list.artifact.is_empty());
        for artifact in &list.artifact {
            assert!(!artifact.package.is_empty(), "{}", artifact.folder);
            for package in &artifact.package {
                assert_eq!(package.sha256.len(), 64, "{}", package.file);
                assert!(package.file.contains(&package.version), "{}", package.file);
                assert!(!package.keep.is_empty(), "{}", package.file);
                for keep in &package.keep {
                    assert!(
                        !keep.to.starts_with('/') && !keep.to.contains(".."),
                        "{}",
                        keep.to
                    );
                    assert_eq!(
                        keep.from.ends_with('/'),
                        keep.to.ends_with('/'),
                        "{}",
                        keep.from
                    );
                }
            }
        }
    }
}
