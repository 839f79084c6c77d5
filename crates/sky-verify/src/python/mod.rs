//! Untrusted Python, run in WebAssembly: a fresh interpreter for every program in a third of a millisecond.
//!
//! - [`Sandbox`] runs one program on one input: [`Limits`] in, [`Outcome`] out.
//! - [`CodeChecker`] judges a reply to a code problem: finds the program ([`extract`]), runs it on the problem's tests.
//!
//! How it isolates, what it limits and what it costs: `docs/sandbox.md`.

mod bake;
mod cache;
mod calls;
mod checker;
mod compare;
mod digest;
mod effort;
mod engine;
mod error;
mod exam;
mod extract;
mod files;
mod fuel;
mod guest;
mod host;
mod image;
mod instrument;
mod io_tests;
mod limits;
mod meter;
mod pages;
mod record;
mod result;
mod sandbox;
mod session;
mod stack_check;

mod wasi;

pub use bake::GuestPaths;
pub use checker::{CodeChecker, CodeOptions};
pub use error::SandboxError;
pub use extract::{Extracted, extract};
pub use limits::{Exit, INSTRUCTIONS_PER_SECOND, Limits, MAX_MEMORY, Outcome};
pub use sandbox::{Found, Sandbox};
