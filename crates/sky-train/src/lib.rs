//! Fine-tuning: plan, optimizer, checkpoints, trainer
#![forbid(unsafe_code)]

mod config;
mod error;
mod order;
mod schedule;

#[cfg(feature = "torch")]
mod checkpoint;
#[cfg(feature = "torch")]
mod collective;
#[cfg(feature = "torch")]
mod dataset;
#[cfg(feature = "torch")]
mod export;
#[cfg(feature = "torch")]
mod fold;
#[cfg(feature = "torch")]
mod layout;
#[cfg(feature = "torch")]
mod metrics;
#[cfg(feature = "torch")]
mod shard_file;
#[cfg(feature = "torch")]
mod trainer;
#[cfg(feature = "torch")]
mod zero;

pub use config::{Checkpointing, OverLong, Precision, TrainConfig};
pub use error::TrainError;
pub use order::Order;
pub use schedule::{Decay, Schedule};

#[cfg(feature = "torch")]
pub use {
    checkpoint::{Checkpoint, State, prune},
    collective::{Collective, Pending, Solo},
    dataset::{DataId, Dataset},
    export::export,
    metrics::{StepMetrics, StepTime},
    trainer::{Ended, Job, Trainer, encode},
};
