//! Checks replies: math by value, choices by letter, programs by running them.
//!
//! The nouns:
//!
//! - A [`Check`](sky_types::Check) turns a problem and a reply into a verdict with a reason.
//!   [`MathCheck`] compares answers (sky-math). `CodeCheck` runs programs on a problem's tests in a
//!   sandbox (sky-sandbox, feature `sandbox`).
//! - [`StandardChecks`] holds the checks of every domain, built from a recipe's [`VerifyConfig`].
//!   [`ByDomain`] does the same for checks of the caller's own.
//! - [`ParallelChecker`] turns `problems.jsonl` and `samples.jsonl` into `verdicts.jsonl`: on all
//!   cores, resumable, in the order of the samples. It returns [`VerdictCounts`].
//! - [`read_judged_samples`] reads samples and verdicts side by side; [`ProblemIndex`] finds
//!   problems by id without holding their tests in memory.
//!
//! ```
//! use sky_types::{Answer, Check, Domain, FinishReason, Problem};
//! use sky_verify::{StandardChecks, VerifyConfig};
//!
//! let checks = StandardChecks::new(&VerifyConfig::default());
//! let answer = Answer::Math("3/4".into());
//! let problem = Problem::new("sum", "demo", Domain::Math, "1/2 + 1/4?", answer);
//! let checked = checks.check(&problem, r"It is $\boxed{0.75}$.", FinishReason::Stop)?;
//! assert!(checked.verdict.is_correct(), "{}", checked.detail);
//! # Ok::<(), sky_types::CheckError>(())
//! ```
#![forbid(unsafe_code)]

mod by_domain;
#[cfg(feature = "sandbox")]
mod code;
mod config;
mod cut;
mod error;
mod judged_samples;
mod math_check;
mod parallel_checker;
mod problem_index;
mod standard_checks;
mod verdict_counts;
mod vote;

pub use by_domain::ByDomain;
#[cfg(feature = "sandbox")]
pub use code::{CodeCheck, Extracted, extract};
pub use config::{CodeOptions, REVISION, VerifyConfig};
pub use error::{Result, VerifyError};
pub use judged_samples::{JudgedSample, read_judged_samples};
pub use math_check::MathCheck;
pub use parallel_checker::ParallelChecker;
pub use problem_index::ProblemIndex;
pub use standard_checks::StandardChecks;
#[cfg(feature = "sandbox")]
pub use standard_checks::open_sandbox;
pub use verdict_counts::VerdictCounts;
pub use vote::Ballot;

/// The README's example, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
