//! Chat templates, tokenizers and packing: conversations become token ids with target masks, and
//! these become packed rows.
//!
//! - [`Tokenizer`] reads a `tokenizer.json` or the vocabulary of a GGUF file.
//! - [`ChatTemplate`] renders a conversation as its model was trained on it, and marks the tokens
//!   to be learnt.
//! - [`pack()`] puts token sequences into rows of a fixed length. Packing lives here because
//!   sky-train must not depend on sky-data.
//!
//! ```
//! use sky_text::pack;
//! use sky_types::TokenSeq;
//!
//! let seq = |len: usize| TokenSeq { ids: vec![7; len], target: vec![true; len] };
//! let packed = pack(&[seq(3), seq(5), seq(2)], 8);
//! assert_eq!(packed.rows.len(), 2);
//! ```
#![forbid(unsafe_code)]

mod chat;
mod pack;
mod tokenizer;

pub use chat::ChatTemplate;
pub use pack::{IGNORE_INDEX, Packed, PackedRow, pack};
pub use tokenizer::{GgufVocab, TextError, Tokenizer};

/// The README's example, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
