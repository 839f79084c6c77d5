//! Programs, judged by a problem's tests in the sandbox.

mod code_check;
mod compare;
mod extract;
mod io_tests;
mod loop_depth;
mod result;
mod run_verdict;
mod starter_code;

pub use code_check::CodeCheck;
pub use extract::{Extracted, extract};
