use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
};

use serde::{Serialize, de::DeserializeOwned};

use crate::{FileError, Result, write_atomic};

/// Longest line that is read. A 16k-token trace is about 64 kB; a problem's tests can take tens of
/// megabytes.
pub const MAX_LINE_BYTES: usize = 256 << 20;

/// Largest whole document that is read into memory.
const MAX_DOCUMENT_BYTES: u64 = 1 << 30;

/// Reads a JSON-lines file row by row; blank lines are skipped.
///
/// # Errors
/// At once when the file cannot be opened; per row when it cannot be read, is too long, or does not
/// have the row's form.
pub fn read_jsonl<T: DeserializeOwned>(
    path: &Path,
) -> Result<impl Iterator<Item = Result<T>> + use<T>> {
    let file = File::open(path).map_err(|source| FileError::io(path, "open", source))?;
    Ok(read_jsonl_from(
        BufReader::with_capacity(1 << 16, file),
        path,
    ))
}

/// [`read_jsonl`] from any reader; `path` is the name that errors give.
pub fn read_jsonl_from<T: DeserializeOwned, R: BufRead>(
    mut reader: R,
    path: &Path,
) -> impl Iterator<Item = Result<T>> + use<T, R> {
    let path: PathBuf = path.into();
    let mut number = 0_u64;
    let mut line = Vec::new();
    let mut failed = false;
    std::iter::from_fn(move || {
        while !failed {
            line.clear();
            number += 1;
            match read_line(&mut reader, &mut line) {
                Ok(0) => return None,
                Ok(_) if line.iter().all(u8::is_ascii_whitespace) => {}
                Ok(_) => {
                    let row = serde_json::from_slice(&line)
                        .map_err(|error| FileError::json(&path, Some(number), &error));
                    return Some(row);
                }
                Err(source) => {
                    failed = true;
                    return Some(Err(FileError::io(&path, "read", source)));
                }
            }
        }
        None
    })
}

/// Writes a JSON-lines file atomically; returns the number of rows.
///
/// # Errors
/// When the operating system refuses, or a row has no JSON form.
pub fn write_jsonl<T: Serialize>(path: &Path, rows: impl IntoIterator<Item = T>) -> Result<u64> {
    let mut count = 0;
    write_atomic(path, |writer| {
        for row in rows {
            serde_json::to_writer(&mut *writer, &row).map_err(io::Error::from)?;
            writer.write_all(b"\n")?;
            count += 1;
        }
        Ok(())
    })?;
    Ok(count)
}

/// Reads one JSON document of at most a gibibyte.
///
/// # Errors
/// When it cannot be read, is too large, or does not have the form of `T`.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = read_text(path)?;
    serde_json::from_str(&text)
        .map_err(|error| FileError::json(path, Some(error.line() as u64), &error))
}

/// Reads a text file of at most a gibibyte.
///
/// # Errors
/// When it cannot be read, is too large, or is not UTF-8.
pub fn read_text(path: &Path) -> Result<String> {
    let size = fs::metadata(path)
        .map_err(|source| FileError::io(path, "open", source))?
        .len();
    if size > MAX_DOCUMENT_BYTES {
        return Err(FileError::format(
            path,
            format!("{size} bytes; at most {MAX_DOCUMENT_BYTES} are read"),
        ));
    }
    fs::read_to_string(path).map_err(|source| FileError::io(path, "read", source))
}

/// Reads up to and including a newline; an error once the line passes [`MAX_LINE_BYTES`].
pub(crate) fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<usize> {
    let read = reader
        .take(MAX_LINE_BYTES as u64 + 1)
        .read_until(b'\n', line)?;
    if read > MAX_LINE_BYTES {
        return Err(io::Error::other(format!(
            "a line is longer than {MAX_LINE_BYTES} bytes"
        )));
    }
    Ok(read)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_and_a_bad_one_names_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows.jsonl");
        assert_eq!(write_jsonl(&path, [1, 2, 3]).unwrap(), 3);
        assert_eq!(
            read_jsonl::<u32>(&path)
                .unwrap()
                .collect::<Result<Vec<_>>>()
                .unwrap(),
            [1, 2, 3]
        );
        fs::write(&path, "1\n\n\"two\"\n3\n").unwrap();
        let rows: Vec<Result<u32>> = read_jsonl(&path).unwrap().collect();
        assert_eq!(rows.len(), 3);
        assert!(
            rows[1]
                .as_ref()
                .unwrap_err()
                .to_string()
                .contains("rows.jsonl:3:")
        );
        assert_eq!(*rows[2].as_ref().unwrap(), 3);
    }
}
