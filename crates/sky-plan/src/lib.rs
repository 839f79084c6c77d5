//! What a fine-tuning run will do, need and cost, before anything is paid for: from formulas,
//! without libtorch.
//!
//! - [`TrainConfig`] is the recipe's `[train]`; [`Schedule`] gives each step's learning rate,
//!   [`BatchSampler`] its rows.
//! - [`Plan`] gives memory, time and dollars of each [`Setting`] on GPUs, [`CpuPlan`] memory on
//!   CPUs (`docs/crates/sky-plan.md`).
//! - [`ModelShape`] is a model's size, [`DataSize`] that of the data, [`Hardware`] the numbers of
//!   known GPUs.
//! - [`host_memory`] is the memory that this process may use, in bytes.
//!
//! ```
//! use sky_plan::{BatchSampler, Schedule, TrainConfig};
//!
//! let config = TrainConfig { epochs: 2, global_batch: 8, ..TrainConfig::default() };
//! let mut sampler = BatchSampler::new(&config, 20, 1);
//! assert_eq!(sampler.steps(), 5);
//! assert_eq!(sampler.batch(3), BatchSampler::new(&config, 20, 1).batch(3), "any step, in any process");
//! let schedule = Schedule::new(&config, sampler.steps());
//! assert!(schedule.lr(4) < schedule.lr(1));
//! ```
#![forbid(unsafe_code)]

#[doc = include_str!("../README.md")]
#[cfg(doctest)]
struct Readme;

mod assumptions;
mod batch_sampler;
mod config;
mod config_types;
mod cpu_plan;
mod data_size;
mod error;
mod gpu_plan;
mod hardware;
mod host_memory;
mod lora;
mod memory_setting;
mod model_shape;
mod pass_bytes;
mod plan;
mod schedule;
mod state_bytes;
mod step_time;

pub use batch_sampler::BatchSampler;
pub use config::TrainConfig;
pub use config_types::{
    ActivationCheckpointing, Decay, MasterDtype, Offload, OptimizerDtype, OverLong,
};
pub use cpu_plan::{CpuBytes, CpuPlan, CpuPlanInput};
pub use data_size::DataSize;
pub use error::PlanError;
pub use gpu_plan::{GpuBytes, HostBytes, PlanInput, SettingPlan};
pub use hardware::{Cpu, Gpu, Hardware, HardwareConfig, Host, parse_bytes};
pub use host_memory::{available_host_memory, host_memory};
pub use lora::{LoraConfig, Projection};
pub use memory_setting::Setting;
pub use model_shape::{Collectives, ModelShape};
pub use plan::Plan;
pub use schedule::Schedule;
pub use sky_types::Precision;
