use std::{
    collections::HashMap,
    fs::File,
    io::{BufRead, BufReader, Read, Seek},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::Deserialize;
use sky_files::{FileError, MAX_LINE_BYTES};
use sky_types::{Domain, Problem};

use crate::{Result, VerifyError};

/// Finds the problems of a `problems.jsonl` by id.
///
/// Only ids and file positions are held in memory: one problem's tests can take megabytes, and a
/// data set has thousands of problems.
#[derive(Debug)]
pub struct ProblemIndex {
    path: PathBuf,
    file: BufReader<File>,
    positions: HashMap<String, Position>,
    domains: Vec<Domain>,
    last: Option<Arc<Problem>>,
}

#[derive(Clone, Copy, Debug)]
struct Position {
    start: u64,
    bytes: u64,
    line: u64,
}

/// The fields of a problem that the index needs.
#[derive(Deserialize)]
struct Head {
    id: String,
    domain: Domain,
}

impl ProblemIndex {
    /// Opens a file and reads through it once.
    ///
    /// # Errors
    /// When it cannot be read, a line is not a problem, or an id occurs twice.
    pub fn open(path: &Path) -> Result<Self> {
        let fail = |source| FileError::io(path, "read", source);
        let file = File::open(path).map_err(|source| FileError::io(path, "open", source))?;
        let mut file = BufReader::with_capacity(1 << 16, file);
        let (mut positions, mut domains) = (HashMap::new(), Vec::new());
        let (mut start, mut line, mut text) = (0, 0, Vec::new());
        loop {
            text.clear();
            line += 1;
            let bytes = (&mut file)
                .take(MAX_LINE_BYTES as u64)
                .read_until(b'\n', &mut text)
                .map_err(fail)? as u64;
            if bytes == 0 {
                break;
            }
            let position = Position { start, bytes, line };
            start += bytes;
            if text.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let head: Head = serde_json::from_slice(&text)
                .map_err(|error| FileError::json(path, Some(line), &error))?;
            if !domains.contains(&head.domain) {
                domains.push(head.domain);
            }
            if positions.insert(head.id.clone(), position).is_some() {
                let message = format!("the id {:?} occurs twice", head.id);
                let (path, line) = (path.into(), Some(line));
                return Err(FileError::Format {
                    path,
                    line,
                    message,
                }
                .into());
            }
        }
        Ok(Self {
            path: path.into(),
            file,
            positions,
            domains,
            last: None,
        })
    }

    /// Number of problems.
    pub fn len(&self) -> usize {
        self.positions.len()
    }

    /// Whether there are no problems.
    pub fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }

    /// Whether any problem is of this domain.
    pub fn has(&self, domain: Domain) -> bool {
        self.domains.contains(&domain)
    }

    /// A problem's line in the file; none for an unknown id.
    pub(crate) fn line(&self, id: &str) -> Option<u64> {
        self.positions.get(id).map(|position| position.line)
    }

    /// One problem, read from the file. The last one is cached.
    ///
    /// # Errors
    /// When there is no such problem, or its line cannot be read.
    pub fn get(&mut self, id: &str) -> Result<Arc<Problem>> {
        if let Some(last) = self.last.as_ref().filter(|problem| problem.id == id) {
            return Ok(Arc::clone(last));
        }
        let Some(&position) = self.positions.get(id) else {
            return Err(VerifyError::mismatch(
                &self.path,
                format!("has no problem {id:?}; were the samples made from other problems?"),
            ));
        };
        let fail = |source| FileError::io(&self.path, "read", source);
        // Callers mostly follow the file's order: a relative seek keeps the buffer.
        let here = self.file.stream_position().map_err(fail)?;
        let ahead = (position.start as i64).wrapping_sub(here as i64);
        self.file.seek_relative(ahead).map_err(fail)?;
        let mut text = Vec::new();
        (&mut self.file)
            .take(position.bytes)
            .read_to_end(&mut text)
            .map_err(fail)?;
        let problem: Problem = serde_json::from_slice(&text)
            .map_err(|error| FileError::json(&self.path, Some(position.line), &error))?;
        let problem = Arc::new(problem);
        self.last = Some(Arc::clone(&problem));
        Ok(problem)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use sky_files::write_jsonl;
    use sky_types::Answer;

    use super::*;

    fn problem(number: usize) -> Problem {
        let prompt = "x".repeat(number * 997);
        let answer = Answer::Math(number.to_string());
        Problem::new(format!("p{number}"), "demo", Domain::Math, prompt, answer)
    }

    #[test]
    fn every_problem_is_found_in_any_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("problems.jsonl");
        write_jsonl(&path, (0..200).map(problem)).unwrap();
        let mut index = ProblemIndex::open(&path).unwrap();
        assert_eq!(index.len(), 200);
        assert!(index.has(Domain::Math) && !index.has(Domain::Code));
        for step in 0..400 {
            let number = step * 77 % 200;
            assert_eq!(*index.get(&format!("p{number}")).unwrap(), problem(number));
        }
        let missing = index.get("p200").unwrap_err().to_string();
        assert!(missing.contains("p200") && missing.contains("problems.jsonl"));
    }

    #[test]
    fn a_repeated_id_and_a_broken_line_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("problems.jsonl");
        write_jsonl(&path, [1, 2, 1].map(problem)).unwrap();
        let error = ProblemIndex::open(&path).unwrap_err().to_string();
        assert!(error.contains(":3: the id \"p1\" occurs twice"), "{error}");
        fs::write(&path, "\n{\"id\": \"p1\", \"domain\": \"maths\"}\n").unwrap();
        let error = ProblemIndex::open(&path).unwrap_err().to_string();
        assert!(error.contains(":2: ") && error.contains("maths"), "{error}");
    }
}
