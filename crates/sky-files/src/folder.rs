//! A stage folder's lock and its content.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::Path,
};

use tracing::warn;

use crate::{FileError, Result, in_progress::IN_PROGRESS};

/// Locked by the process at work, which updates its modification time.
pub(crate) const LOCK: &str = ".lock";

/// Takes the lock of a folder, or says that another process has it.
pub(crate) fn lock(dir: &Path) -> Result<File> {
    let path = dir.join(LOCK);
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(|source| FileError::io(&path, "open", source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(FileError::Locked { path: dir.into() }),
        Err(TryLockError::Error(source)) => Err(FileError::io(&path, "lock", source)),
    }
}

/// Whether the folder holds results that only the in-progress marker ties to their inputs.
pub(crate) fn holds_results(dir: &Path, preserve: &[&str]) -> Result<bool> {
    let known = |entry: &fs::DirEntry| {
        let name = entry.file_name();
        // A kill may leave the marker's temporary file, which has the marker's name as its prefix.
        name.to_string_lossy().starts_with(IN_PROGRESS) || preserve.iter().any(|kept| name == *kept)
    };
    Ok(entries(dir)?.iter().any(|entry| !known(entry)))
}

/// The folder's entries, without the lock.
fn entries(dir: &Path) -> Result<Vec<fs::DirEntry>> {
    let all: io::Result<Vec<_>> = fs::read_dir(dir).and_then(Iterator::collect);
    let mut all = all.map_err(|source| FileError::io(dir, "list the folder", source))?;
    all.retain(|entry| entry.file_name() != LOCK);
    Ok(all)
}

/// Removes everything but the lock and the preserved folders.
pub(crate) fn clear(dir: &Path, preserve: &[&str]) -> Result<()> {
    let fail = |source| FileError::io(dir, "clear the folder", source);
    for entry in entries(dir)? {
        let path = entry.path();
        if preserve.iter().any(|kept| entry.file_name() == *kept) {
            warn!("{}: kept; the rest is made again", path.display());
            continue;
        }
        if entry.file_type().map_err(fail)?.is_dir() {
            fs::remove_dir_all(path)
        } else {
            fs::remove_file(path)
        }
        .map_err(fail)?;
    }
    Ok(())
}
