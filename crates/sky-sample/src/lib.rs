//! Samples over any [`Generate`](sky_types::Generate): `n` replies to each problem, journaled one
//! by one so that a killed run resumes where it stopped; rewriting into Sky-T1's two sections; a
//! client for OpenAI-style servers.
//!
//! - [`sample()`] with a [`Sampling`]: problems in, `samples.jsonl` out, byte for byte the same
//!   after any number of kills.
//! - [`split`] and [`rewrite_by_rules`]: text is moved into [`Sections`], never made up;
//!   [`rewrite_with_model`] asks a model.
//! - [`HttpGenerator`]: a pool of connections to an [`Endpoint`] (feature `http`).
//!
//! ```
//! use sky_sample::{Sections, split};
//!
//! let Sections { thought, solution } = split("<think>2 + 2 is 4</think> The answer is 4.").unwrap();
//! assert_eq!((thought.as_str(), solution.as_str()), ("2 + 2 is 4", "The answer is 4."));
//! assert!(split("<think>2 + 2 is").is_none(), "an unfinished thought has no solution");
//! ```
#![forbid(unsafe_code)]

mod config;
mod error;
mod generate_missing;
#[cfg(feature = "http")]
mod http;
mod rewrite;
mod sample;

pub use config::{Example, RewriteConfig, RewriteKind, SampleConfig};
pub use error::SampleError;
#[cfg(feature = "http")]
pub use http::{Endpoint, HttpGenerator};
pub use rewrite::{
    IsRight, MARKERS, RewriteCounts, Rewriting, Rewritten, Sections, rewrite_by_rules,
    rewrite_right_by_rules, rewrite_with_model, split,
};
pub use sample::{Event, Sampled, Sampling, sample};

/// The README's example, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
