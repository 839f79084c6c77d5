use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
};

use serde::Serialize;

use crate::{FileError, Result};

static NEXT_TEMPORARY: AtomicU64 = AtomicU64::new(0);

/// Writes a file so that it is there whole or not at all: a temporary file in the same folder,
/// fsync, rename, fsync of the folder. Missing parent folders are made.
///
/// # Errors
/// When the operating system refuses or `fill` fails; the temporary file is removed and the old
/// content stays.
pub fn write_atomic(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<()> {
    let folder = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    fs::create_dir_all(folder)
        .map_err(|source| FileError::io(folder, "make the folder", source))?;
    let temporary = temporary_beside(path);
    let written = File::create(&temporary).and_then(|file| {
        // Opened before the new name is seen: whoever waits for it may move the folder at once.
        let folder = File::open(folder)?;
        let mut writer = BufWriter::with_capacity(1 << 16, file);
        fill(&mut writer)?;
        writer
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?
            .sync_all()?;
        fs::rename(&temporary, path)?;
        folder.sync_all()
    });
    written.map_err(|source| {
        // The temporary file may never have come to be; the error that matters is the first one.
        let _ = fs::remove_file(&temporary);
        FileError::io(path, "write", source)
    })
}

/// Writes bytes as [`write_atomic`] does.
///
/// # Errors
/// When the operating system refuses.
pub fn write_bytes(path: &Path, bytes: &[u8]) -> Result<()> {
    write_atomic(path, |writer| writer.write_all(bytes))
}

/// Writes one indented JSON document, with a final newline, as [`write_atomic`] does.
///
/// # Errors
/// When the operating system refuses or the value has no JSON form.
pub fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    write_atomic(path, |writer| {
        serde_json::to_writer_pretty(&mut *writer, value).map_err(io::Error::from)?;
        writer.write_all(b"\n")
    })
}

fn temporary_beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    let number = NEXT_TEMPORARY.fetch_add(1, Ordering::Relaxed);
    name.push(format!(".{}.{number}.tmp", process::id()));
    path.with_file_name(name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_content_and_no_litter() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b.txt");
        write_bytes(&path, b"old").unwrap();
        let failed = write_atomic(&path, |writer| {
            writer.write_all(b"half")?;
            Err(io::Error::other("stop"))
        });
        assert!(failed.unwrap_err().to_string().contains("b.txt"));
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }
}
