//! The nouns of the Sky pipeline and the two traits that connect its parts. Types, nothing else.
//!
//! A [`Problem`] is sampled into [`Sample`]s, a sample gets a [`Verdict`], a right sample becomes a
//! [`Conversation`], and a conversation becomes a [`TokenSeq`]. [`Generate`] turns requests into
//! replies, [`Check`] turns a problem and a reply into a verdict.
//!
//! ```
//! use sky_types::{Answer, Domain, Problem};
//!
//! let problem = Problem::new("sum-1", "demo", Domain::Math, "What is 2 + 3?", Answer::Math("5".into()));
//! let line = serde_json::to_string(&problem)?;
//! assert_eq!(serde_json::from_str::<Problem>(&line)?, problem);
//! # Ok::<(), serde_json::Error>(())
//! ```
#![forbid(unsafe_code)]

mod check;
mod conversation;
mod generate;
mod hf_config;
mod json;
mod precision;
mod problem;
mod prompt;
mod sample;
mod seed;
mod setting;
mod tokens;
mod verdict;
mod version;

pub use check::{Check, CheckError, CheckOutcome};
pub use conversation::{Conversation, From, Message, Role, Turn};
pub use generate::{Generate, GenerateError, Reply, Request, Sink};
pub use hf_config::{HfConfig, HfRope, ModelSizes, OneOrMany};
pub use json::Json;
pub use precision::Precision;
pub use problem::{Answer, Compare, Domain, Harness, Problem, Program, Tests};
pub use prompt::Prompt;
pub use sample::{FinishReason, Sample, SamplingParams};
pub use seed::derive_seed;
pub use setting::{Section, SettingError};
pub use tokens::TokenSeq;
pub use verdict::{Verdict, VerdictRecord};
pub use version::{Version, is_version_error};

/// The README's example, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
