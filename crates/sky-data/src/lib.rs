//! Problems in, training data out: a generator of graded problems, readers of public sources,
//! selection of right samples, ShareGPT files and their card.
//!
//! - [`generate`] draws problems of the [`Family`]s that a [`ProblemsConfig`] names;
//!   [`load_problems`] adds HumanEval and files.
//! - [`sources`] turns rows of GSM8K, MATH, AIME, MBPP, APPS and their like into problems.
//! - [`select()`] turns problems, samples and verdicts into training rows; [`card()`] describes
//!   them.
//! - [`ContaminationIndex`], [`near_duplicates()`], [`fold_layout`] and [`normalise`]
//!   compare texts.
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
mod decontaminate;
mod error;
mod layout;
mod near_duplicates;
mod problems;
mod seeded_rng;
mod select;
mod sharegpt;
pub mod sources;
mod text;
mod tokens;

pub use card::{CardFacts, card, licence_of};
pub use decontaminate::ContaminationIndex;
pub use error::{DataError, Result};
pub use layout::fold_layout;
pub use near_duplicates::near_duplicates;
pub use problems::{
    Disjoint, Family, FileFunnel, HUMAN_EVAL, LoadedProblems, NeededFile, ProblemFile,
    ProblemPaths, ProblemsConfig, generate, load_problems,
};
pub use select::{
    DroppedProblem, Funnel, SelectConfig, SelectInput, Selected, Selection, SourceCounts, select,
};
pub use sharegpt::{read_sharegpt, write_sharegpt};
pub use text::{normalise, words};

/// The README's example, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
