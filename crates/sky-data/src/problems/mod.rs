//! Problems for a run: generated ones, HumanEval, and files that a reader converted.

mod config;
mod family;
mod file_funnel;
mod generate;
mod load;
mod rational;
mod words;

pub use config::{Disjoint, ProblemFile, ProblemsConfig};
pub use family::Family;
pub use file_funnel::FileFunnel;
pub use generate::generate;
pub use load::{HUMAN_EVAL, LoadedProblems, NeededFile, ProblemPaths, load_problems};
