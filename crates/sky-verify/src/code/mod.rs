//! Programs, judged by a problem's tests in the sandbox.

mod check;
mod checked;
mod compare;
mod extract;
mod io_tests;
mod loop_depth;
mod result;

pub use check::CodeCheck;
pub use extract::{Extracted, extract};
