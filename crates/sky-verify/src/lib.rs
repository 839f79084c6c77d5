//! Is this reply right? Mathematics by value, here; code in a sandbox, behind the feature `python`.
//!
//! [`math::MathChecker`] compares an answer with a gold answer: it finds the answer in a whole response, parses both and
//! decides whether they mean the same, within a fixed budget of steps and with a reason a person can read.
//!
//! ```
//! use sky_verify::math::{MathChecker, Outcome, Options};
//!
//! let checker = MathChecker::new(Options::default());
//! let verdict = checker.check(r"\frac{3}{4}", r"Adding up, the answer is $\boxed{0.75}$.");
//! assert_eq!(verdict.outcome, Outcome::Correct);
//! assert!(checker.equal(r"2\sqrt{2}", r"\sqrt{8}"));
//! assert!(!checker.equal("(1, 2)", "(2, 1)"));
//! ```
// The sandbox loads compiled code, once, with its reasons beside it; without it nothing here is unsafe.
#![cfg_attr(not(feature = "python"), forbid(unsafe_code))]
#![deny(unsafe_code)]

mod config;
pub mod math;
#[cfg(feature = "python")]
pub mod python;

pub use config::{REVISION, VerifyConfig};
