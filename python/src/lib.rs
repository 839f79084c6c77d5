//! The native half of the Python package `sky_verify`.
//!
//! It converts arguments and results; the crates sky-math, sky-sandbox and sky-verify do the work.
//! Every call that takes longer than a conversion releases the GIL. No call installs a signal
//! handler of Python's, and none needs the main thread.
//!
//! - `math` compares answers, `compat` has what Math-Verify's `parse` and `verify` need.
//! - `sandbox` runs programs, `code` judges them by a problem's tests.
//! - `parallel` spreads many checks over threads, `text` reads Python's strings.

// `forbid` does not work: PyO3's macros generate unsafe code, each piece with an `allow` of its
// own. There is none in this crate's source.
#![deny(unsafe_code)]
// PyO3 hands arguments over by value.
#![allow(clippy::needless_pass_by_value)]

mod code;
mod compat;
mod math;
mod parallel;
mod sandbox;
mod text;
mod verdict;

use pyo3::prelude::*;

/// Checks replies of language models: answers by value, programs in a sandbox.
#[pymodule]
mod _native {
    #[pymodule_export]
    use crate::code::{Problem, ProgramChecker, problem};
    #[pymodule_export]
    use crate::compat::{ParsedAnswer, any_equal, find_answer};
    #[pymodule_export]
    use crate::math::MathChecker;
    #[pymodule_export]
    use crate::sandbox::{Outcome, Sandbox, SandboxError};
    #[pymodule_export]
    use crate::verdict::Verdict;
    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
