//! The files a run stands on: atomic writes, JSON lines, journals that survive a kill at any
//! moment, and stage folders that end with a manifest.
//!
//! - [`write_atomic`], [`write_json`]: a file is there whole or not at all.
//! - [`read_jsonl`], [`write_jsonl`]: streaming, with errors that name the file and the line.
//! - [`Journal`]: append one result at a time; after a kill, what was written is read back and
//!   checked.
//! - [`StageDir`]: one stage's folder, its inputs' hashes, its settings and its [`Manifest`],
//!   written last.
//!
//! ```
//! # let dir = tempfile::tempdir()?;
//! let path = dir.path().join("results.journal");
//! let (mut journal, found) = sky_files::Journal::<u32>::open(&path)?;
//! assert!(found.rows.is_empty());
//! journal.append(&7)?;
//! drop(journal);
//! assert_eq!(sky_files::Journal::<u32>::open(&path)?.1.rows, [7]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod atomic;
mod checksummed;
mod duration;
mod error;
mod folder;
mod hash;
mod heartbeat;
mod in_progress;
mod journal;
mod jsonl;
pub mod layout;
mod manifest;
mod peak_memory;
mod provenance;
mod stage;

pub use atomic::{write_atomic, write_bytes, write_json};
pub use duration::duration;
pub use error::{FileError, Result};
pub use hash::{FileHash, hash_file, hex};
pub use journal::{Journal, Recovered};
pub use jsonl::{MAX_LINE_BYTES, read_json, read_jsonl, read_jsonl_from, read_text, write_jsonl};
pub use manifest::{Counts, Manifest};
pub use peak_memory::peak_memory;
pub use stage::{Stage, StageDir, StageSpec};

/// The README's example, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
