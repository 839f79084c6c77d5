//! Fine-tuning: plan, optimizer, checkpoints, trainer
#![forbid(unsafe_code)]

mod config;
mod order;
mod schedule;

pub use config::{Checkpointing, OverLong, Precision, TrainConfig};
pub use order::Order;
pub use schedule::{Decay, Schedule};
