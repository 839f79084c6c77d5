//! Untrusted Python, run in WebAssembly: a fresh interpreter for every program in about a millisecond.
//!
//! - [`Sandbox`] runs one program on one input: [`Limits`] in, [`Outcome`] out.
//!
//! How it isolates, what it limits and what it costs: `docs/sandbox.md`.

mod bake;
mod cache;
mod engine;
mod error;
mod files;
mod host;
mod image;
mod limits;
mod record;
mod sandbox;
mod wasi;
mod watchdog;

pub use bake::GuestPaths;
pub use error::SandboxError;
pub use limits::{Exit, INSTRUCTIONS_PER_SECOND, Limits, MAX_MEMORY, Outcome};
pub use sandbox::Sandbox;
