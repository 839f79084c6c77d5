//! The real pipeline with a recipe of a few problems: killed, damaged and repeated, it has to give
//! the same bytes.
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;
mod damage;
mod kills;
mod repro;
