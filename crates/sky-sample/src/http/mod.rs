//! The OpenAI-style client.

mod client;
mod retry;
mod wire;

pub use client::{Endpoint, HttpGenerator};
