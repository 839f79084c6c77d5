//! Fine-tuning that can be killed at any moment and planned before it is paid for.
//!
//! - [`TrainConfig`] is the recipe's `[train]`; [`Schedule`] and [`Order`] say each step's learning rate and rows.
//! - [`Plan`] tells memory, time and cost from formulas, without libtorch.
//!
//! With feature `torch` (the default), the trainer itself:
//!
//! - [`Trainer`] runs a [`Job`]. A step is a fold over blocks: parameters of a block are gathered, used and let go, and its
//!   gradients are reduced as soon as they are known, over any [`Collective`]: [`Solo`] is the one of a single process,
//!   [`Gloo`] connects processes on any number of hosts as [`Ranks`] finds them in the environment, [`Nccl`] their GPUs (not yet
//!   run on any).
//!   A layer, and a learning rate, of one's own: [`Trainer::with_layers`], [`Trainer::with_schedule`].
//! - Master weights, moments (unless fewer bits are asked for either) and summed gradients are f32; the model computes in bf16. The loss is the mean over the target
//!   tokens of the whole batch, however it is packed and over however many ranks.
//! - [`Checkpoint`] is the state on disk: hashed, written whole or not at all, read back by any number of ranks. A run is a
//!   function of data, settings and seed: cut anywhere and started again, it ends with the same bits.
//! - [`export`] writes a checkpoint as a Hugging Face folder.
//!
//! ```
//! use sky_train::{Order, Schedule, TrainConfig};
//!
//! let config = TrainConfig { epochs: 2, global_batch: 8, ..TrainConfig::default() };
//! let mut order = Order::new(&config, 20, 1);
//! assert_eq!(order.steps(), 5);
//! assert_eq!(order.batch(3), Order::new(&config, 20, 1).batch(3), "any step, in any process");
//! let schedule = Schedule::new(&config, order.steps());
//! assert!(schedule.lr(4) < schedule.lr(1));
//! ```
#![forbid(unsafe_code)]

mod choices;
mod config;
mod error;
mod lora;
mod memory;
mod order;
mod plan;
mod ranks;
mod schedule;

#[cfg(feature = "torch")]
mod adapters;
#[cfg(feature = "torch")]
mod checkpoint;
#[cfg(feature = "torch")]
mod collective;
#[cfg(feature = "torch")]
mod dataset;
#[cfg(feature = "torch")]
mod dither;
#[cfg(feature = "torch")]
mod eight_bit;
#[cfg(feature = "torch")]
mod export;
#[cfg(feature = "torch")]
mod fold;
#[cfg(feature = "torch")]
mod fresh;
#[cfg(feature = "torch")]
mod gloo;
#[cfg(feature = "torch")]
mod heartbeat;
#[cfg(feature = "torch")]
mod keep;
#[cfg(feature = "torch")]
mod layout;
#[cfg(feature = "torch")]
mod mathematics;
#[cfg(feature = "torch")]
mod meter;
#[cfg(feature = "torch")]
mod metrics;
#[cfg(feature = "torch")]
mod nccl;
#[cfg(feature = "torch")]
mod neftune;
#[cfg(feature = "torch")]
mod rendezvous;
#[cfg(feature = "torch")]
mod same_weights;
#[cfg(feature = "torch")]
mod saver;
#[cfg(feature = "torch")]
mod shard_file;
#[cfg(feature = "torch")]
mod split;
#[cfg(feature = "torch")]
mod tensorboard;
#[cfg(feature = "torch")]
mod trainer;
#[cfg(feature = "torch")]
mod vector;
#[cfg(feature = "torch")]
mod zero;

pub use choices::{Checkpointing, MasterWeights, Moments, OverLong, Precision};
pub use config::TrainConfig;
pub use error::TrainError;
pub use lora::{LoraConfig, Projection};
pub use memory::host_memory;
pub use order::Order;
pub use plan::{
    Collectives, Cpu, CpuBytes, CpuPlan, CpuPlanInput, Gpu, GpuBytes, Hardware, HardwareConfig,
    Host, HostBytes, ModelShape, Offload, Plan, PlanInput, Setting, SettingPlan, parse_bytes,
};
pub use ranks::{Ranks, free_port};
pub use schedule::{Decay, Schedule};

#[cfg(feature = "torch")]
pub use {
    checkpoint::{Checkpoint, State, prune},
    collective::{Collective, Pending, Solo},
    dataset::{DataId, Dataset},
    export::{export, export_adapter, export_merged},
    fresh::fresh,
    gloo::Gloo,
    metrics::{StepMemory, StepMetrics, StepTime},
    nccl::Nccl,
    trainer::{Ended, Job, Trainer, encode},
};
