//! Benchmarks: a run is task x [`Generate`](sky_types::Generate) x [`Check`](sky_types::Check), and a report of it all.
//!
//! [`Checking`] turns `samples.jsonl` into `verdicts.jsonl` with a journal, in any number of threads, in the samples' order.
//! [`Scoring`] turns both into `results.json` and an [`EvalSummary`]: accuracy with a [`wilson`] interval, [`pass_at_k`], the
//! [`VerdictMix`]. [`report`] reads a whole run folder and writes one self-contained HTML page.
//!
//! ```
//! use sky_eval::{pass_at_k, wilson};
//!
//! // 70 of 96 held-out problems right: 73 %, and what that says about all such problems.
//! let interval = wilson(70.0 / 96.0, 96);
//! assert!(interval.low > 0.63 && interval.high < 0.81);
//! // 3 of 10 samples right: how likely is one right among 5?
//! assert!((pass_at_k(10, 3, 5) - 11.0 / 12.0).abs() < 1e-12);
//! ```
#![forbid(unsafe_code)]

mod by_domain;
mod checking;
mod config;
mod error;
mod judged;
mod mix;
mod problems;
pub mod report;
mod scoring;
mod stats;

pub use by_domain::ByDomain;
pub use checking::Checking;
pub use config::EvalConfig;
pub use error::{EvalError, Result};
pub use judged::{Judged, judged};
pub use mix::VerdictMix;
pub use problems::ProblemIndex;
pub use scoring::{EvalSummary, Scoring, SourceScore};
pub use stats::{Interval, pass_at_k, wilson};
