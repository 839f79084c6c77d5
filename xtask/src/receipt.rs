//! Receipts: what was unpacked, file by file, so that damage is found before anything is used.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::artifacts::Artifact;

const VERSION: u32 = 1;

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Receipt {
    v: u32,
    /// SHA-256 of the artifact's pins and rules: other pins, other artifact.
    pins: String,
    files: Vec<Entry>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    path: String,
    bytes: u64,
    sha256: String,
}

/// How an artifact stands on disk.
#[derive(Debug, PartialEq)]
pub(crate) enum State {
    /// Every file has the hash it was unpacked with; their bytes in all.
    Good(u64),
    Missing,
    /// Made from other pins than this checkout's.
    Outdated,
    /// What is wrong, with the file's name.
    Damaged(String),
}

/// Compares an artifact with its receipt, reading every byte.
pub(crate) fn check(home: &Path, artifact: &Artifact) -> Result<State> {
    let folder = home.join(&artifact.folder);
    let Ok(text) = fs::read_to_string(path(home, artifact)) else {
        return Ok(State::Missing);
    };
    let Ok(receipt) = serde_json::from_str::<Receipt>(&text) else {
        return Ok(State::Damaged(format!(
            "the receipt {} is damaged",
            path(home, artifact).display()
        )));
    };
    if receipt.v != VERSION || receipt.pins != pins(artifact)? {
        return Ok(State::Outdated);
    }
    if !folder.is_dir() {
        return Ok(State::Missing);
    }
    let wrong = in_parallel(&receipt.files, |entry| {
        let file = folder.join(&entry.path);
        match fs::metadata(&file) {
            Err(_) => return Some(format!("{} is missing", file.display())),
            Ok(found) if found.len() != entry.bytes => {
                return Some(format!(
                    "{} has {} bytes instead of {}",
                    file.display(),
                    found.len(),
                    entry.bytes
                ));
            }
            Ok(_) => {}
        }
        match hash(&file) {
            Ok(found) if found == entry.sha256 => None,
            Ok(found) => Some(format!(
                "{} has changed: SHA-256 {found}, expected {}",
                file.display(),
                entry.sha256
            )),
            Err(error) => Some(format!("{error:#}")),
        }
    });
    if let Some(reason) = wrong.into_iter().flatten().next() {
        return Ok(State::Damaged(reason));
    }
    for link in &artifact.links {
        if fs::read_link(folder.join(&link.path)).ok() != Some(PathBuf::from(&link.target)) {
            return Ok(State::Damaged(format!(
                "{} is not a link to {}",
                folder.join(&link.path).display(),
                link.target
            )));
        }
    }
    Ok(State::Good(
        receipt.files.iter().map(|entry| entry.bytes).sum(),
    ))
}

/// Hashes everything in an artifact's folder and writes the receipt, which makes the artifact count
/// as there.
pub(crate) fn write(home: &Path, artifact: &Artifact) -> Result<()> {
    let folder = home.join(&artifact.folder);
    let mut names = Vec::new();
    list(&folder, &folder, &mut names)?;
    names.sort();
    let files = in_parallel(&names, |name| {
        let file = folder.join(name);
        Ok(Entry {
            path: name.clone(),
            bytes: fs::metadata(&file)?.len(),
            sha256: hash(&file)?,
        })
    });
    let receipt = Receipt {
        v: VERSION,
        pins: pins(artifact)?,
        files: files.into_iter().collect::<Result<_>>()?,
    };
    let path = path(home, artifact);
    let temporary = path.with_extension("tmp");
    fs::create_dir_all(home.join("receipts"))?;
    fs::write(&temporary, serde_json::to_vec_pretty(&receipt)?)
        .and_then(|()| fs::rename(&temporary, &path))
        .with_context(|| format!("{}: cannot write the receipt", path.display()))
}

/// Forgets an artifact, before it is replaced.
pub(crate) fn remove(home: &Path, artifact: &Artifact) -> Result<()> {
    match fs::remove_file(path(home, artifact)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// SHA-256 of a file, in lower-case hexadecimal.
pub(crate) fn hash(path: &Path) -> Result<String> {
    Ok(sky_files::hash_file(path)?.sha256)
}

fn pins(artifact: &Artifact) -> Result<String> {
    Ok(sky_files::hex(&Sha256::digest(serde_json::to_vec(
        artifact,
    )?)))
}

fn path(home: &Path, artifact: &Artifact) -> PathBuf {
    home.join("receipts")
        .join(format!("{}.json", artifact.name()))
}

/// Regular files below `folder`, relative to `root`.
fn list(root: &Path, folder: &Path, names: &mut Vec<String>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            list(root, &entry.path(), names)?;
        } else if kind.is_file() {
            names.push(
                entry
                    .path()
                    .strip_prefix(root)?
                    .to_string_lossy()
                    .into_owned(),
            );
        }
    }
    Ok(())
}

/// Applies `work` to every item on all cores; results in the items' order.
fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(items.len()));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some((index, item)) = {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    items.get(index).map(|item| (index, item))
                } {
                    let result = work(item);
                    results
                        .lock()
                        .unwrap_or_else(std::sync::PoisonError::into_inner)
                        .push((index, result));
                }
            });
        }
    });
    let mut results = results
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}
