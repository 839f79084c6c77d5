use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{BufReader, Seek, SeekFrom},
    marker::PhantomData,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use crate::{FileError, Result, hash::hex, jsonl::read_line};

/// Results appended one line at a time, safe against a kill at any moment.
///
/// A line is the first 8 bytes of the SHA-256 of the row in hexadecimal, a space, the row as JSON,
/// a newline. A torn or damaged line is found by its hash when the journal is opened again, and its
/// row is simply recomputed.
#[derive(Debug)]
pub struct Journal<T> {
    path: PathBuf,
    file: File,
    /// Where the next row goes.
    end: u64,
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
    /// Opens or makes a journal, takes its lock, and reads back what it holds. With damaged lines,
    /// the journal is first rewritten without them.
    ///
    /// # Errors
    /// When another process holds it, it cannot be read or written, or an intact row does not have
    /// the form of `T`.
    pub fn open(path: &Path) -> Result<(Self, Recovered<T>)> {
        let mut rows = Vec::new();
        let (journal, damaged_lines) = Self::replay(path, |row, _| {
            rows.push(row);
            Ok(())
        })?;
        Ok((
            journal,
            Recovered {
                rows,
                damaged_lines,
            },
        ))
    }

    /// As [`Journal::open`], handing over row by row what the journal holds, each with its place
    /// for [`Journal::row_at`]: nothing is kept. Gives the journal and the numbers of the damaged
    /// lines.
    ///
    /// # Errors
    /// As [`Journal::open`], and what `each` gives.
    pub fn replay<E: From<FileError>>(
        path: &Path,
        mut each: impl FnMut(T, u64) -> std::result::Result<(), E>,
    ) -> std::result::Result<(Self, Vec<u64>), E> {
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
        let damaged = mend(&mut file, path)?;
        let fail = |action| move |source| FileError::io(path, action, source);
        file.seek(SeekFrom::Start(0)).map_err(fail("read"))?;
        let mut reader = BufReader::with_capacity(1 << 16, &file);
        let (mut line, mut number, mut place) = (Vec::new(), 0, 0);
        loop {
            line.clear();
            number += 1;
            if read_line(&mut reader, &mut line).map_err(fail("read"))? == 0 {
                break;
            }
            each(row(&line, path, Some(number))?, place)?;
            place += line.len() as u64;
        }
        let journal = Self {
            path: path.into(),
            file,
            end: place,
            row: PhantomData,
        };
        Ok((journal, damaged))
    }

    /// The row that stands at a place which [`Journal::replay`] or [`Journal::append`] gave.
    ///
    /// # Errors
    /// When it cannot be read, or no row begins there.
    pub fn row_at(&self, place: u64) -> Result<T> {
        let fail = |source| FileError::io(&self.path, "read", source);
        let mut line = Vec::new();
        let mut chunk = [0; 512];
        while !line.contains(&b'\n') {
            let at = place.saturating_add(line.len() as u64);
            match self.file.read_at(&mut chunk, at).map_err(fail)? {
                0 => break,
                read => line.extend_from_slice(&chunk[..read]),
            }
        }
        let end = line.iter().position(|&byte| byte == b'\n');
        line.truncate(end.map_or(line.len(), |end| end + 1));
        row(&line, &self.path, None)
    }

    /// Appends one row with a single write, so that a kill leaves it whole, torn at the very end,
    /// or absent. Gives its place.
    ///
    /// # Errors
    /// When the row has no JSON form or the operating system refuses.
    pub fn append(&mut self, row: &T) -> Result<u64> {
        let json = serde_json::to_string(row)
            .map_err(|error| FileError::format(&self.path, error.to_string()))?;
        let line = format!("{} {json}\n", check(json.as_bytes()));
        self.file
            .write_all_at(line.as_bytes(), self.end)
            .map_err(|source| FileError::io(&self.path, "append", source))?;
        let place = self.end;
        self.end += line.len() as u64;
        Ok(place)
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

/// Takes torn and damaged lines out of the file; gives their numbers.
fn mend(file: &mut File, path: &Path) -> Result<Vec<u64>> {
    let fail = |action| move |source| FileError::io(path, action, source);
    let mut reader = BufReader::with_capacity(1 << 16, &*file);
    let (mut damaged, mut line, mut number, mut end) = (Vec::new(), Vec::new(), 0, 0);
    loop {
        line.clear();
        number += 1;
        if read_line(&mut reader, &mut line).map_err(fail("read"))? == 0 {
            break;
        }
        if row_of(&line).is_none() {
            damaged.push(number);
            continue;
        }
        // In place: a temporary file would lose the lock. What is written lies before what is still
        // to be read; a kill in between loses rows or leaves one twice, never invents one.
        if !damaged.is_empty() {
            file.write_all_at(&line, end).map_err(fail("write"))?;
        }
        end += line.len() as u64;
    }
    if !damaged.is_empty() {
        file.set_len(end).map_err(fail("write"))?;
        file.sync_data().map_err(fail("write"))?;
    }
    Ok(damaged)
}

/// The row of an intact line.
fn row<T: DeserializeOwned>(line: &[u8], path: &Path, number: Option<u64>) -> Result<T> {
    let json = row_of(line).ok_or_else(|| FileError::Format {
        path: path.into(),
        line: number,
        message: "it changed while it was read".to_owned(),
    })?;
    serde_json::from_slice(json).map_err(|error| {
        let message = format!(
            "{error}; it was written by another version: finish with that one, or use --force"
        );
        FileError::json_with(path, number, &error, message)
    })
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
    fn rows_are_found_again_at_their_places() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("j");
        let (mut journal, _) = Journal::open(&path).unwrap();
        let texts: Vec<String> = (0..50).map(|n| "x".repeat(n * 97)).collect();
        let mut places: Vec<u64> = texts.iter().map(|t| journal.append(t).unwrap()).collect();
        drop(journal);
        // The 21st row is damaged: those after it move.
        let mut bytes = fs::read(&path).unwrap();
        bytes[places[20] as usize + 30] ^= 1;
        fs::write(&path, bytes).unwrap();
        let mut found = Vec::new();
        let (mut journal, damaged) = Journal::<String>::replay(&path, |row, place| {
            found.push((row, place));
            Ok::<_, FileError>(())
        })
        .unwrap();
        assert_eq!(damaged, [21]);
        places.clear();
        for (row, place) in &found {
            assert_eq!(journal.row_at(*place).unwrap(), *row);
            places.push(*place);
        }
        assert_eq!(found.len(), 49);
        let last = journal.append(&"last".to_owned()).unwrap();
        assert_eq!(journal.row_at(last).unwrap(), "last");
        assert!(journal.row_at(last + 1).is_err() && journal.row_at(1 << 40).is_err());
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
