//! Problems for a run: generated ones, HumanEval, and files that a reader converted.

mod config;
mod family;
mod generate;
mod file_funnel;
mod load;
mod rational;
mod words;

pub use config::{Disjoint, ProblemFile, ProblemsConfig};
pub use family::Family;
pub use generate::generate;
pub use file_funnel::FileFunnel;
pub use load::{HUMAN_EVAL, LoadedProblems, NeededFile, ProblemPaths, load_problems};
