#![doc = include_str!("../README.md")]
// The sandbox loads compiled code, once, with its reasons beside it.
#![deny(unsafe_code)]

mod bake;
mod cache;
mod cancel;
mod digest;
mod dirty_pages;
mod driver_report;
mod engine;
mod error;
mod files;
mod fuel;
mod guest;
mod host;
mod host_trap;
mod image;
mod instrument;
mod isolated_test;
mod layout;
mod limits;
mod sandbox;
mod session;

mod wasi;

pub use bake::GuestPaths;
pub use cache::BakeReason;
pub use cancel::Cancel;
pub use error::SandboxError;
pub use isolated_test::{IsolatedResult, IsolatedTest};
pub use limits::{Exit, INSTRUCTIONS_PER_SECOND, Limits, MAX_MEMORY, Outcome};
pub use sandbox::{Found, Sandbox};
pub use session::{Finished, Job};
