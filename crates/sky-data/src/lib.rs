//! Problems in, training data out: a generator of graded problems, readers of public sources, selection of right samples,
//! ShareGPT files and their card; chat template, tokens and packing.
//!
//! - [`generate`] draws problems of the [`Family`]s that a [`ProblemsConfig`] names; [`gather`] adds HumanEval and files.
//! - [`sources`] turns rows of GSM8K, MATH, AIME, MBPP, APPS and their like into problems.
//! - [`select()`] turns problems, samples and verdicts into training rows; [`card()`] describes them.
//! - [`Contamination`], [`near_duplicates`] and [`normalise`] compare texts.
//! - `Tokenizer`, `ChatTemplate` and [`pack()`] turn rows into token batches (feature `tokenizer`).
//!
//! ```
//! use sky_data::{ProblemsConfig, generate};
//!
//! let config = ProblemsConfig { train: 12, heldout: 12, ..ProblemsConfig::default() };
//! let (train, heldout) = generate(&config, 1)?;
//! assert_eq!((train.len(), heldout.len()), (12, 12));
//! assert_eq!(generate(&config, 1)?.0, train, "one seed, one set");
//! # Ok::<(), sky_data::DataError>(())
//! ```
#![forbid(unsafe_code)]

mod card;
#[cfg(feature = "tokenizer")]
mod chat;
mod draw;
mod error;
mod overlap;
mod pack;
mod problems;
mod select;
mod sharegpt;
pub mod sources;
mod text;
#[cfg(feature = "tokenizer")]
mod tokenizer;

#[cfg(feature = "tokenizer")]
pub use chat::ChatTemplate;
#[cfg(feature = "tokenizer")]
pub use tokenizer::{GgufVocab, TextError, Tokenizer};

pub use card::{CardFacts, card, licence_of};
pub use error::{DataError, Result};
pub use overlap::{Contamination, near_duplicates};
pub use pack::{IGNORED, Packed, PackedRow, pack};
pub use problems::{
    Disjoint, Family, Gathered, HUMAN_EVAL, Places, ProblemFile, ProblemsConfig, gather, generate,
};
pub use select::{Funnel, SelectConfig, SelectInput, Selected, Selection, SourceCounts, select};
pub use sharegpt::{read_sharegpt, write_sharegpt};
pub use text::{normalise, words};
