#![doc = include_str!("../README.md")]
//!
//! The conventions, each with an example, are in the book's page on math equality.
//!
//! # Modules
//!
//! A text goes through `unicode_to_latex` (one spelling), `wording` (words), `lex` and `parse` (a
//! tree of `expr`). `compare` walks two trees by kind: sets, relations, units, collections.
//! `identity` compares two values with `exact`, `normal_form`, `modular`, and `eval` over `ball`
//! and `complex`. `budget` bounds all of it.

#![forbid(unsafe_code)]

mod ball;
mod budget;
mod checker;
mod compare;
mod complex;
mod eval;
mod exact;
mod explain;
mod expr;
mod extract;
mod glyphs;
mod grade;
mod identity;
mod latex_names;
mod lex;
mod modular;
mod negation;
mod normal_form;
mod options;
mod parse;
mod print;
mod second_look;
mod unicode_to_latex;
mod units;
mod wording;

pub use checker::MathChecker;
pub use explain::Explanation;
pub use extract::{Extraction, Rule};
pub use grade::{Grade, Graded};
pub use options::{Options, Percent};
