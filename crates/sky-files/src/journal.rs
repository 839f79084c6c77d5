use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{BufReader, Seek, SeekFrom, Write},
    marker::PhantomData,
    path::{Path, PathBuf},
};

use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use crate::{FileError, Result, hash::hex, jsonl::read_line};

/// Results appended one line at a time, safe against a kill at any moment.
///
/// A line is the first 8 bytes of the SHA-256 of the row in hexadecimal, a space, the row as JSON, a newline. A torn or
/// damaged line is found by its hash when the journal is opened again, and its row is simply computed anew.
#[derive(Debug)]
pub struct Journal<T> {
    path: PathBuf,
    file: File,
    row: PhantomData<fn(&T)>,
}

/// What a journal held when it was opened.
#[derive(Debug)]
pub struct Recovered<T> {
    /// The rows whose hash is right, in the order they were written.
    pub rows: Vec<T>,
    /// 1-based numbers of the lines that were torn or damaged, and are left out.
    pub damaged_lines: Vec<u64>,
}

impl<T: Serialize + DeserializeOwned> Journal<T> {
    /// Opens or makes a journal, takes its lock, and reads back what it holds. With damaged lines, the journal is first
    /// rewritten without them.
    ///
    /// # Errors
    /// When another process holds it, it cannot be read or written, or an intact row does not have the form of `T`.
    pub fn open(path: &Path) -> Result<(Self, Recovered<T>)> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)
                .map_err(|source| FileError::io(folder, "make the folder", source))?;
        }
        let mut options = OpenOptions::new();
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(|source| FileError::io(path, "open", source))?;
        lock(&file, path)?;
        let (recovered, intact) = recover(&file, path)?;
        let fail = |source| FileError::io(path, "write", source);
        if !recovered.damaged_lines.is_empty() {
            // In place: a temporary file would lose the lock. A kill in between loses rows, never invents one.
            file.seek(SeekFrom::Start(0)).map_err(fail)?;
            file.write_all(&intact).map_err(fail)?;
            file.set_len(intact.len() as u64).map_err(fail)?;
            file.sync_data().map_err(fail)?;
        }
        file.seek(SeekFrom::End(0)).map_err(fail)?;
        Ok((
            Self {
                path: path.into(),
                file,
                row: PhantomData,
            },
            recovered,
        ))
    }

    /// Appends one row with a single write, so that a kill leaves it whole, torn at the very end, or absent.
    ///
    /// # Errors
    /// When the row has no JSON form or the operating system refuses.
    pub fn append(&mut self, row: &T) -> Result<()> {
        let json = serde_json::to_string(row)
            .map_err(|error| FileError::format(&self.path, error.to_string()))?;
        let line = format!("{} {json}\n", check(json.as_bytes()));
        self.file
            .write_all(line.as_bytes())
            .map_err(|source| FileError::io(&self.path, "append", source))
    }

    /// Forces what was appended to the disk.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn sync(&self) -> Result<()> {
        self.file
            .sync_data()
            .map_err(|source| FileError::io(&self.path, "sync", source))
    }
}

fn lock(file: &File, path: &Path) -> Result<()> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(FileError::Locked { path: path.into() }),
        Err(TryLockError::Error(source)) => Err(FileError::io(path, "lock", source)),
    }
}

fn recover<T: DeserializeOwned>(file: &File, path: &Path) -> Result<(Recovered<T>, Vec<u8>)> {
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let mut recovered = Recovered {
        rows: Vec::new(),
        damaged_lines: Vec::new(),
    };
    let (mut intact, mut line, mut number) = (Vec::new(), Vec::new(), 0);
    loop {
        line.clear();
        number += 1;
        if read_line(&mut reader, &mut line)
            .map_err(|source| FileError::io(path, "read", source))?
            == 0
        {
            return Ok((recovered, intact));
        }
        let Some(json) = row_of(&line) else {
            recovered.damaged_lines.push(number);
            continue;
        };
        let row = serde_json::from_slice(json).map_err(|error| FileError::Format {
            path: path.into(),
            line: Some(number),
            message: format!(
                "{error}; it was written by another version: finish with that one, or use --force"
            ),
        })?;
        recovered.rows.push(row);
        intact.extend_from_slice(&line);
    }
}

fn row_of(line: &[u8]) -> Option<&[u8]> {
    let line = line.strip_suffix(b"\n")?;
    let (hash, json) = line.split_at_checked(16)?;
    let json = json.strip_prefix(b" ")?;
    (check(json).as_bytes() == hash).then_some(json)
}

fn check(json: &[u8]) -> String {
    hex(&Sha256::digest(json)[..8])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn rows(path: &Path) -> Recovered<String> {
        Journal::open(path).unwrap().1
    }

    #[test]
    fn torn_and_flipped_lines_are_left_out_and_the_rest_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("j");
        let (mut journal, _) = Journal::open(&path).unwrap();
        for row in ["alpha", "beta", "gamma"] {
            journal.append(&row.to_owned()).unwrap();
        }
        drop(journal);
        let whole = fs::read(&path).unwrap();

        for cut in 0..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let found = rows(&path).rows;
            assert_eq!(found, ["alpha", "beta", "gamma"][..found.len()]);
            assert_eq!(
                found.len(),
                whole[..cut].iter().filter(|&&byte| byte == b'\n').count()
            );
        }
        for place in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[place] ^= 1;
            fs::write(&path, &damaged).unwrap();
            let found = rows(&path);
            assert!(
                !found.damaged_lines.is_empty(),
                "flip at {place} was not seen"
            );
            assert!(
                found
                    .rows
                    .iter()
                    .all(|row| ["alpha", "beta", "gamma"].contains(&row.as_str()))
            );
            assert!(
                rows(&path).damaged_lines.is_empty(),
                "opening repairs the journal"
            );
        }
    }

    #[test]
    fn a_second_writer_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("j");
        let first = Journal::<u32>::open(&path).unwrap();
        assert!(matches!(
            Journal::<u32>::open(&path),
            Err(FileError::Locked { .. })
        ));
        drop(first);
        Journal::<u32>::open(&path).unwrap();
    }
}
