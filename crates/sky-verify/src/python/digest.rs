//! SHA-256 of something large, by all cores: the SHA-256 of those of its pieces, in order.

use std::fs::File;
use std::io;
use std::num::NonZero;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicUsize, Ordering};

use sha2::{Digest, Sha256};

const PIECE: usize = 1 << 20;
/// More threads than this wait for memory.
const MOST_THREADS: usize = 8;

type Piece = [u8; 32];

/// Of what an open file holds, in hexadecimal.
pub(super) fn of_file(file: &File) -> io::Result<String> {
    let len = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
    of(len, &|at, len| {
        let mut bytes = vec![0; len];
        file.read_exact_at(&mut bytes, at as u64)?;
        Ok(Sha256::digest(bytes).into())
    })
}

/// Of bytes in memory, the same.
pub(super) fn of_bytes(bytes: &[u8]) -> String {
    let piece = |at: usize, len: usize| {
        let piece = bytes.get(at..at + len).unwrap_or_default();
        Ok(Sha256::digest(piece).into())
    };
    // Nothing of it can fail; empty is no hash.
    of(bytes.len(), &piece).unwrap_or_default()
}

fn of(len: usize, hash: &(dyn Fn(usize, usize) -> io::Result<Piece> + Sync)) -> io::Result<String> {
    let count = len.div_ceil(PIECE);
    let next = AtomicUsize::new(0);
    let work = || -> io::Result<Vec<(usize, Piece)>> {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                return Ok(done);
            }
            let at = index * PIECE;
            done.push((index, hash(at, PIECE.min(len - at))?));
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let mut pieces = std::thread::scope(|scope| {
        let others: Vec<_> = (1..cores.min(MOST_THREADS).min(count))
            .map(|_| scope.spawn(work))
            .collect();
        let mut pieces = work()?;
        for other in others {
            let panicked = |_| io::Error::other("a hashing thread panicked");
            pieces.extend(other.join().map_err(panicked)??);
        }
        io::Result::Ok(pieces)
    })?;
    pieces.sort_unstable();
    let mut all = Sha256::new();
    all.update((len as u64).to_le_bytes());
    for (_, piece) in pieces {
        all.update(piece);
    }
    Ok(format!("{:x}", all.finalize()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_file_and_its_bytes_have_one_digest_and_every_bit_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let mut seen = Vec::new();
        for len in [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 5] {
            let mut bytes: Vec<u8> = (0..len).map(|at| ((at * 31) >> 7) as u8).collect();
            std::fs::write(&path, &bytes).unwrap();
            let digest = of_bytes(&bytes);
            assert_eq!(of_file(&File::open(&path).unwrap()).unwrap(), digest);
            assert_eq!(digest.len(), 64);
            seen.push(digest);
            if let Some(last) = bytes.last_mut() {
                *last ^= 1;
                seen.push(of_bytes(&bytes));
            }
        }
        let all = seen.len();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), all);
    }
}
