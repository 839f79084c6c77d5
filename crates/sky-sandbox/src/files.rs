//! The standard library while the guest is baked: read-only files in the host's memory. No path of
//! the host is ever opened for a guest, and a run has no files at all.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::SandboxError;

/// An absolute guest path without its leading slash; the root is the empty string.
type GuestPath = String;

/// Files and folders that the guest sees while it is baked.
#[derive(Default)]
pub(crate) struct Files {
    files: BTreeMap<GuestPath, Arc<[u8]>>,
    folders: BTreeMap<GuestPath, BTreeSet<String>>,
    open: Vec<Option<Open>>,
}

/// An open file or folder.
pub(crate) enum Open {
    File { bytes: Arc<[u8]>, position: u64 },
    Folder(GuestPath),
}

/// What a path leads to.
pub(crate) enum Entry<'a> {
    File(&'a Arc<[u8]>),
    Folder,
}

/// A name in a folder.
#[derive(Debug, PartialEq)]
pub(crate) struct FolderEntry {
    pub(crate) name: String,
    pub(crate) is_folder: bool,
}

/// The first descriptor given out; 0 to 2 are the standard streams, 3 is the root.
const FIRST: u32 = 4;
/// More open files than this are refused.
const MOST_OPEN: usize = 64;

/// Every Python source under `folder`, by the path that the guest will see; links are not followed.
///
/// # Errors
/// A folder cannot be read.
pub(crate) fn sources(
    folder: &Path,
    guest: &str,
    found: &mut BTreeMap<GuestPath, PathBuf>,
) -> Result<(), SandboxError> {
    let fail = |source| SandboxError::Guest {
        path: folder.to_owned(),
        source,
    };
    for entry in std::fs::read_dir(folder).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let kind = entry.file_type().map_err(fail)?;
        let inside = format!("{guest}/{name}");
        if kind.is_dir() && name != "__pycache__" {
            sources(&entry.path(), &inside, found)?;
        } else if kind.is_file() && name.ends_with(".py") {
            found.insert(inside, entry.path());
        }
    }
    Ok(())
}

impl Files {
    /// Adds one file and the folders above it.
    pub(crate) fn insert(&mut self, path: &str, bytes: impl Into<Arc<[u8]>>) {
        self.files.insert(path.to_owned(), bytes.into());
        let mut path = path;
        loop {
            let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
            let entries = self.folders.entry(folder.to_owned()).or_default();
            if !entries.insert(name.to_owned()) || folder.is_empty() {
                break;
            }
            path = folder;
        }
    }

    /// What a path relative to the root leads to.
    pub(crate) fn entry(&self, path: &str) -> Option<Entry<'_>> {
        let path = normal(path)?;
        if let Some(bytes) = self.files.get(&path) {
            return Some(Entry::File(bytes));
        }
        self.folders.contains_key(&path).then_some(Entry::Folder)
    }

    /// Opens a path relative to the root.
    pub(crate) fn open(&mut self, path: &str) -> Option<u32> {
        let opened = match self.entry(path)? {
            Entry::File(bytes) => Open::File {
                bytes: bytes.clone(),
                position: 0,
            },
            Entry::Folder => Open::Folder(normal(path)?),
        };
        let slot = self.open.iter().position(Option::is_none).or_else(|| {
            (self.open.len() < MOST_OPEN).then(|| {
                self.open.push(None);
                self.open.len() - 1
            })
        })?;
        self.open[slot] = Some(opened);
        Some(FIRST + slot as u32)
    }

    /// An open descriptor.
    pub(crate) fn get(&mut self, descriptor: u32) -> Option<&mut Open> {
        let slot = descriptor.checked_sub(FIRST)? as usize;
        self.open.get_mut(slot)?.as_mut()
    }

    /// Closes a descriptor.
    pub(crate) fn close(&mut self, descriptor: u32) -> Option<()> {
        let slot = descriptor.checked_sub(FIRST)? as usize;
        self.open.get_mut(slot)?.take().map(drop)
    }

    /// What a folder holds, sorted by name.
    pub(crate) fn list(&self, folder: &str) -> Vec<FolderEntry> {
        let names = self.folders.get(folder).into_iter().flatten();
        names
            .map(|name| {
                let path = if folder.is_empty() {
                    name.clone()
                } else {
                    format!("{folder}/{name}")
                };
                FolderEntry {
                    name: name.clone(),
                    is_folder: self.folders.contains_key(&path),
                }
            })
            .collect()
    }
}

/// A path without `.`, doubled and trailing slashes; none that climbs.
fn normal(path: &str) -> Option<GuestPath> {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => return None,
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn folders_list_what_was_put_into_them() {
        let mut files = Files::default();
        files.insert("lib/a/x.py", *b"x");
        files.insert("lib/b.py", *b"b");
        let entry = |name: &str, is_folder| FolderEntry {
            name: name.to_owned(),
            is_folder,
        };
        assert_eq!(files.list("lib"), [entry("a", true), entry("b.py", false)]);
        assert_eq!(files.list(""), [entry("lib", true)]);
        assert!(matches!(files.entry("/lib//a/./"), Some(Entry::Folder)));
        assert!(files.entry("lib/../lib/b.py").is_none());
        let descriptor = files.open("lib/b.py").unwrap();
        assert!(
            matches!(files.get(descriptor), Some(Open::File { bytes, .. }) if bytes[..] == *b"b")
        );
        files.close(descriptor).unwrap();
        assert!(files.get(descriptor).is_none());
    }
}
