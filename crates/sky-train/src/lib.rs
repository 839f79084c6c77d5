//! Fine-tuning that resumes after a kill with the same bits, on one or many ranks.
//!
//! - A [`Job`] is what a run is made from: settings ([`sky_plan::TrainConfig`]), model shape,
//!   [`Dataset`], seed. Its results are a function of these.
//! - [`Trainer`] runs a job. A step is a forward and a backward pass block by block: a block's
//!   parameters are gathered, used and released, and its gradients are reduced as soon as they are
//!   known (ZeRO; Rajbhandari et al., 2020).
//! - A custom layer, [`Loss`], [`Optimizer`] or learning rate replaces the default:
//!   [`Trainer::with_layers`], [`Trainer::with_loss`], [`Trainer::with_optimizer`],
//!   [`Trainer::with_schedule`].
//! - [`session::Session`] is what several ranks share: who they are, which checkpoint they resume
//!   from, whether the run fits into memory, who exports the model. [`DistributedEnv`] finds the
//!   ranks in the environment.
//! - A [`Collective`] is a process group: [`SingleProcess`], [`Gloo`] on CPUs, [`Nccl`] on GPUs.
//! - A [`Checkpoint`] is the state on disk: hashed, written whole or not at all, read back by any
//!   number of ranks. [`export()`] writes it as a Hugging Face folder.
//!
//! Master weights, optimizer states and summed gradients are f32 unless the settings name a smaller
//! dtype; the model computes in bf16. The loss is the mean over the target tokens of the whole
//! batch, on whichever ranks they are.
//!
//! ```
//! use sky_model::Config;
//! use sky_plan::TrainConfig;
//! use sky_train::{Dataset, Job, SingleProcess, Trainer, init_param};
//! use sky_types::TokenSeq;
//! use tch::Device;
//!
//! let model = Config::from_json(
//!     r#"{"model_type": "llama", "vocab_size": 32, "hidden_size": 16, "intermediate_size": 32,
//!         "num_hidden_layers": 1, "num_attention_heads": 2, "tie_word_embeddings": true}"#,
//! )?;
//! let config = TrainConfig { epochs: 4, global_batch: 4, learning_rate: 1e-2, threads: 1, ..TrainConfig::default() };
//! let counting = |row: u32| TokenSeq { ids: (row..row + 8).collect(), target: vec![true; 8] };
//! let data = Dataset::new((0..16).map(counting).collect(), model.vocab_size, &config)?;
//! let job = Job { config, model, data, seed: 1 };
//! let mut trainer = Trainer::new(job, Device::Cpu, &SingleProcess, &mut |param| init_param(param, 1))?;
//! let first = trainer.train_step()?.loss;
//! while trainer.step() < trainer.steps() {
//!     trainer.train_step()?;
//! }
//! assert!(trainer.history()[15].loss < first);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

#[doc = include_str!("../README.md")]
#[cfg(doctest)]
struct Readme;

pub mod checkpoint;
pub mod data;
pub mod distributed;
mod error;
mod host_memory;
pub mod metrics;
mod model_shape;
pub mod optim;
mod params;
pub mod session;
mod trainer;

pub use checkpoint::{Checkpoint, TrainerState, export, export_adapter, export_merged, prune};
pub use data::{DataId, Dataset};
pub use distributed::{Collective, DistributedEnv, Gloo, Nccl, Pending, SingleProcess, free_port};
pub use error::TrainError;
pub use metrics::{StepMemory, StepMetrics, StepTime};
pub use model_shape::model_shape;
pub use optim::{Optimizer, ShardStep};
pub use params::init_param;
pub use trainer::{Job, Loss, LossChunk, RunEnd, Trainer, encode};
