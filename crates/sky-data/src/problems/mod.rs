//! Problems for a run: generated ones, HumanEval, and files that a reader converted.

mod config;
mod family;
mod gather;
mod generate;
mod rational;
mod words;

pub use config::{Disjoint, ProblemFile, ProblemsConfig};
pub use family::Family;
pub use gather::{Gathered, HUMAN_EVAL, Places, gather};
pub use generate::generate;
