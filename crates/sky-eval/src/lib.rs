//! Scores language models on problems and reports whole runs.
//!
//! The nouns:
//!
//! - [`Scoring`] turns `samples.jsonl` and `verdicts.jsonl` into `results.json` and an
//!   [`EvalSummary`]: accuracy with a [`wilson`] interval, [`pass_at_k`], and the
//!   [`VerdictCounts`](sky_verify::VerdictCounts).
//! - [`compare`](fn@compare) says whether two evaluations of the same problems differ, and why.
//! - [`outputs`] reads replies that other programs wrote.
//! - [`EvalConfig`] is the recipe's `[eval]`: how the replies are sampled.
//! - [`report`] reads a whole run folder and writes one self-contained HTML page.
//!
//! ```
//! use sky_eval::{pass_at_k, wilson};
//!
//! // 70 of 96 held-out problems right: 73 %. The interval bounds the score on all such problems.
//! let interval = wilson(70.0 / 96.0, 96);
//! assert!(interval.low > 0.63 && interval.high < 0.81);
//! // 3 of 10 samples right: the chance that one of 5 is right.
//! assert!((pass_at_k(10, 3, 5) - 11.0 / 12.0).abs() < 1e-12);
//! ```
#![forbid(unsafe_code)]

mod compare;
mod config;
mod error;
pub mod outputs;
mod paired;
mod repetition;
pub mod report;
mod scoring;
mod stats;
mod task;

pub use compare::{Comparison, Flip, Problems, compare};
pub use config::EvalConfig;
pub use error::{EvalError, Result};
pub use paired::{bootstrap_mean, mcnemar};
pub use repetition::ends_in_loop;
pub use scoring::{EvalSummary, Expect, Rates, Scoring, SourceScore};
pub use stats::{Interval, pass_at_k, wilson};
pub use task::{PublishedScore, Task, TaskPrompt, TaskSource};

/// The README's example, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
