//! Is an answer the gold answer? Extraction, parsing and equality of mathematics, exact where it can be, bounded always.
//!
//! [`MathChecker::check`] takes a gold answer and a whole response. [`MathChecker::extract`] finds the answer in it, by the
//! first of a list of [`Rule`]s that applies; [`MathChecker::equal`] compares two bare answers. A [`Verdict`] says what was
//! compared and why it came out so. The conventions, each with an example, are in `docs/math-equality.md`; [`Options`]
//! holds those on which graders differ.
//!
//! Every call ends within [`Options::budget`] steps, so that a verdict never depends on the machine or its load.

mod ball;
mod budget;
mod checker;
mod clean;
mod compare;
mod complex;
mod eval;
mod exact;
mod explain;
mod expr;
mod extract;
mod identity;
mod lex;
mod modular;
mod names;
mod normal;
mod options;
mod parse;
mod print;
mod problem;
mod units;
mod verdict;
mod wording;

pub use checker::MathChecker;
pub use explain::Explanation;
pub use extract::{Extraction, Rule};
pub use options::{Options, Percent};
pub use verdict::{Outcome, Verdict};
