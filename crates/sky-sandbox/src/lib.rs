#![doc = include_str!("../README.md")]
//!
//! # Modules
//!
//! - `bake` starts the guest and takes the snapshot. `files` is the library that it imports from,
//!   `image` rewrites the module, `instrument` adds instruction counting and the stack check, and
//!   `cache` keeps the compiled result on disk.
//! - `guest` makes guests from the snapshot and resets used ones (`dirty_pages`). `session` runs
//!   one job in one guest; `isolated_test` runs a test in a second one.
//! - `wasi` is every call that a guest can make, `host` the state behind these calls, and `fuel`
//!   its instruction budget.

// Unsafe code is allowed in two places, each with its reason: loading the compiled guest
// (`cache`) and the ioctl for dirty pages.
#![deny(unsafe_code)]

mod bake;
mod cache;
mod cancel;
mod devices;
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
mod signature;

mod wasi;

pub use bake::GuestPaths;
pub use cache::BakeReason;
pub use cancel::Cancel;
pub use error::SandboxError;
pub use isolated_test::{IsolatedResult, IsolatedTest};
pub use limits::{Exit, INSTRUCTIONS_PER_SECOND, Limits, MAX_MEMORY, Outcome};
pub use sandbox::{Found, Sandbox};
pub use session::{Finished, Job};
pub use signature::{Method, Parameter, Shape, Signature};
pub use sky_types::Harness;
