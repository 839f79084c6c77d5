//! The rows of a file: its lines, or the elements of its one JSON array.

use std::{
    io::{BufRead, Read},
    path::{Path, PathBuf},
};

use sky_files::{FileError, MAX_LINE_BYTES};

use super::{SourceRow, open::open};

/// A row and where it stands.
pub(super) struct Numbered {
    /// 1-based line of its first character.
    pub(super) line: u64,
    /// The row; an error when it is no JSON, after which reading goes on.
    pub(super) row: Result<SourceRow, FileError>,
}

/// Reads the rows of a file one at a time; the rows may be JSON lines or one JSON array.
///
/// # Errors
/// At once when the file cannot be opened; the iterator's last item when it cannot be read.
pub(super) fn rows(
    path: &Path,
) -> Result<impl Iterator<Item = Result<Numbered, FileError>> + use<>, FileError> {
    let mut rows = Rows {
        reader: open(path)?,
        path: path.into(),
        line: 1,
        array: false,
        ended: false,
    };
    rows.array = rows.begins_array()?;
    Ok(rows)
}

struct Rows {
    reader: Box<dyn BufRead>,
    path: PathBuf,
    /// The line that comes next, from 1.
    line: u64,
    array: bool,
    ended: bool,
}

impl Iterator for Rows {
    type Item = Result<Numbered, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let mut text = Vec::new();
        let found = if self.array {
            self.element(&mut text)
        } else {
            self.json_line(&mut text)
        };
        match found {
            Ok(Some(line)) => {
                let row = serde_json::from_slice(&text)
                    .map_err(|error| FileError::json(&self.path, Some(line), &error));
                Some(Ok(Numbered { line, row }))
            }
            Ok(None) => {
                self.ended = true;
                None
            }
            Err(error) => {
                self.ended = true;
                Some(Err(error))
            }
        }
    }
}

impl Rows {
    fn fail(&self, source: std::io::Error) -> FileError {
        FileError::io(&self.path, "read", source)
    }

    fn too_long(&self, line: u64) -> FileError {
        let message = format!("line {line}: a row is longer than {MAX_LINE_BYTES} bytes");
        self.fail(std::io::Error::other(message))
    }

    /// The next character that is no blank, which stays there.
    fn peek(&mut self) -> Result<Option<u8>, FileError> {
        loop {
            let read = self.reader.fill_buf();
            let bytes = read.map_err(|source| FileError::io(&self.path, "read", source))?;
            let Some(&byte) = bytes.first() else {
                return Ok(None);
            };
            if !byte.is_ascii_whitespace() {
                return Ok(Some(byte));
            }
            self.line += u64::from(byte == b'\n');
            self.reader.consume(1);
        }
    }

    /// Whether the file is one JSON array, whose bracket is then taken.
    fn begins_array(&mut self) -> Result<bool, FileError> {
        let array = self.peek()? == Some(b'[');
        if array {
            self.reader.consume(1);
        }
        Ok(array)
    }

    /// The next line that is not blank, and its number.
    fn json_line(&mut self, text: &mut Vec<u8>) -> Result<Option<u64>, FileError> {
        if self.peek()?.is_none() {
            return Ok(None);
        }
        let line = self.line;
        let mut limited = self.reader.by_ref().take(MAX_LINE_BYTES as u64 + 1);
        let read = limited.read_until(b'\n', text);
        let read = read.map_err(|source| FileError::io(&self.path, "read", source))?;
        if read > MAX_LINE_BYTES {
            return Err(self.too_long(line));
        }
        self.line += 1;
        Ok(Some(line))
    }

    /// The array's next element, and the line that it begins in.
    fn element(&mut self, text: &mut Vec<u8>) -> Result<Option<u64>, FileError> {
        if self.peek()? == Some(b',') {
            self.reader.consume(1);
        }
        let first = self.peek()?;
        let line = self.line;
        if first == Some(b']') {
            self.reader.consume(1);
            if self.peek()?.is_some() {
                let message = "something stands after the array; use JSON lines or one array";
                return Err(FileError::Format {
                    path: self.path.clone(),
                    line: Some(self.line),
                    message: message.into(),
                });
            }
            return Ok(None);
        }
        let mut scan = Scan::default();
        loop {
            let read = self.reader.fill_buf();
            let bytes = read.map_err(|source| FileError::io(&self.path, "read", source))?;
            if bytes.is_empty() {
                let what = "its JSON array is not closed; fetch or write the file again";
                return Err(FileError::damaged(&self.path, what));
            }
            let end = bytes.iter().position(|byte| scan.ends_at(*byte));
            let part = &bytes[..end.unwrap_or(bytes.len())];
            self.line += part.iter().filter(|byte| **byte == b'\n').count() as u64;
            text.extend_from_slice(part);
            let length = part.len();
            self.reader.consume(length);
            if text.len() > MAX_LINE_BYTES {
                return Err(self.too_long(line));
            }
            if end.is_some() {
                return Ok(Some(line));
            }
        }
    }
}

/// Where an element of an array ends.
#[derive(Default)]
struct Scan {
    depth: usize,
    in_text: bool,
    escaped: bool,
}

impl Scan {
    /// Whether this byte comes after the element.
    fn ends_at(&mut self, byte: u8) -> bool {
        if self.in_text {
            self.in_text = self.escaped || byte != b'"';
            self.escaped = !self.escaped && byte == b'\\';
            return false;
        }
        match byte {
            b'"' => self.in_text = true,
            b'{' | b'[' => self.depth += 1,
            b',' | b']' if self.depth == 0 => return true,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        false
    }
}
