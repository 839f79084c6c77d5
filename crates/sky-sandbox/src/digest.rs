//! A digest of large files on all cores: the SHA-256 of the length and of each piece's SHA-256, in
//! order. Every opening of the sandbox hashes about 80 MB.

use std::fs::File;
use std::io;
use std::num::NonZero;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use sha2::{Digest, Sha256};

use crate::SandboxError;

const PIECE: usize = 1 << 20;
/// More threads than this are not faster: they wait for memory.
const MOST_THREADS: usize = 8;

type Piece = [u8; 32];

/// The digest of an open file's content, in hexadecimal.
pub(crate) fn of_file(file: &File) -> io::Result<String> {
    let len = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
    let pieces = by_all_cores(&parts(len), |part, buffer| of_part(file, part, buffer))?;
    Ok(joined(len, &pieces))
}

/// The digest of each of these files of the guest, in their order.
///
/// # Errors
/// A file cannot be read.
pub(crate) fn of_files(paths: &[PathBuf]) -> Result<Vec<String>, SandboxError> {
    let fail = |path: &PathBuf, source| SandboxError::Guest {
        path: path.clone(),
        source,
    };
    let mut lens = Vec::new();
    let mut all = Vec::new();
    for path in paths {
        let len = std::fs::metadata(path)
            .and_then(|found| usize::try_from(found.len()).map_err(io::Error::other))
            .map_err(|error| fail(path, error))?;
        all.extend(parts(len).into_iter().map(|part| (path, part)));
        lens.push(len);
    }
    let pieces = by_all_cores(&all, |(path, part), buffer| {
        File::open(path)
            .and_then(|file| of_part(&file, part, buffer))
            .map_err(|error| fail(path, error))
    })?;
    let mut rest = pieces.as_slice();
    let digests = lens.into_iter().map(|len| {
        let (own, others) = rest.split_at(parts(len).len().min(rest.len()));
        rest = others;
        joined(len, own)
    });
    Ok(digests.collect())
}

/// The digest of bytes in memory; equal to that of a file with these bytes.
pub(crate) fn of_bytes(bytes: &[u8]) -> String {
    let pieces: Vec<Piece> = bytes
        .chunks(PIECE)
        .map(|piece| Sha256::digest(piece).into())
        .collect();
    joined(bytes.len(), &pieces)
}

/// The bytes of each piece.
fn parts(len: usize) -> Vec<Range<usize>> {
    (0..len)
        .step_by(PIECE)
        .map(|at| at..len.min(at + PIECE))
        .collect()
}

fn of_part(file: &File, part: &Range<usize>, buffer: &mut Vec<u8>) -> io::Result<Piece> {
    buffer.resize(part.len(), 0);
    file.read_exact_at(buffer, part.start as u64)?;
    Ok(Sha256::digest(buffer).into())
}

fn joined(len: usize, pieces: &[Piece]) -> String {
    let mut all = Sha256::new();
    all.update((len as u64).to_le_bytes());
    for piece in pieces {
        all.update(piece);
    }
    format!("{:x}", all.finalize())
}

/// Hashes every item on all cores; gives the results in the items' order. `hash` gets a buffer that
/// it may reuse.
fn by_all_cores<T: Sync, E: Send>(
    items: &[T],
    hash: impl Fn(&T, &mut Vec<u8>) -> Result<Piece, E> + Sync,
) -> Result<Vec<Piece>, E> {
    let next = AtomicUsize::new(0);
    let work = || {
        let (mut done, mut buffer) = (Vec::new(), Vec::new());
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else {
                return Ok(done);
            };
            done.push((index, hash(item, &mut buffer)?));
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let mut pieces = std::thread::scope(|scope| {
        let others: Vec<_> = (1..cores.min(MOST_THREADS).min(items.len()))
            .map(|_| scope.spawn(work))
            .collect();
        let mut pieces = work()?;
        for other in others {
            match other.join() {
                Ok(found) => pieces.extend(found?),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok(pieces)
    })?;
    pieces.sort_unstable();
    Ok(pieces.into_iter().map(|(_, piece)| piece).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_file_and_its_bytes_have_one_digest_and_every_bit_counts() {
        let folder = tempfile::tempdir().unwrap();
        let mut seen = Vec::new();
        let mut files = Vec::new();
        for len in [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 5] {
            let path = folder.path().join(len.to_string());
            let mut bytes: Vec<u8> = (0..len).map(|at| ((at * 31) >> 7) as u8).collect();
            std::fs::write(&path, &bytes).unwrap();
            let digest = of_bytes(&bytes);
            assert_eq!(of_file(&File::open(&path).unwrap()).unwrap(), digest);
            assert_eq!(digest.len(), 64);
            files.push((path, digest.clone()));
            seen.push(digest);
            if let Some(last) = bytes.last_mut() {
                *last ^= 1;
                seen.push(of_bytes(&bytes));
            }
        }
        let (paths, digests): (Vec<_>, Vec<_>) = files.into_iter().unzip();
        assert_eq!(of_files(&paths).unwrap(), digests);
        let missing = folder.path().join("missing");
        let error = of_files(&[paths[0].clone(), missing.clone()]).unwrap_err();
        assert!(matches!(error, SandboxError::Guest { path, .. } if path == missing));
        let all = seen.len();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), all);
    }
}
