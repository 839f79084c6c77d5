//! Qwen2 and Llama models on libtorch: layers, weights, adapters and a batching generator.
//!
//! - [`Config`] is a model's shape; [`blocks`] lists its blocks with their parameters
//!   ([`ParamSpec`]).
//! - [`embed`], [`layer`], [`head_logits`], [`head_loss`] and [`head_backward`] are pure functions
//!   of parameters and inputs. A trainer wraps sharding, recomputation and offload around them.
//! - [`PackedSequences`] says where the documents of a packed sequence begin and end.
//! - [`ModelFiles`] reads weights from safetensors or GGUF; [`save_hf`] writes a Hugging Face
//!   folder.
//! - [`LocalGenerator`] generates replies in this process.
//! - [`CustomLayers`] names layers that another program defines ([`Config::with_custom_layers`]),
//!   made from the same parts: [`rms_norm`], [`rotary`], [`attention`], [`swiglu`].
//!
//! ```
//! use sky_model::{Config, PackedSequences, blocks, embed, layer};
//! use tch::{Device, Kind, Tensor};
//!
//! let config = Config::from_json(
//!     r#"{"model_type": "qwen2", "vocab_size": 16, "hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 2,
//!         "num_attention_heads": 2, "num_key_value_heads": 1}"#,
//! )?;
//! let float = (Kind::Float, Device::Cpu);
//! let params: Vec<Vec<Tensor>> = blocks(&config)
//!     .iter()
//!     .map(|block| block.params.iter().map(|p| Tensor::ones(p.shape.as_slice(), float) * 0.1).collect())
//!     .collect();
//! // Two documents, of three and two tokens, packed into one sequence.
//! let sequences = PackedSequences::new(&config, &[3, 2], Kind::Float, Device::Cpu);
//! let mut x = embed(&params[0], &Tensor::from_slice(&[1i64, 2, 3, 4, 5]));
//! for block in &params[1..=config.num_layers] {
//!     x = layer(&config, block, &x, &sequences);
//! }
//! assert_eq!(x.size(), [5, 8]);
//! # Ok::<(), sky_model::ModelError>(())
//! ```
#![forbid(unsafe_code)]

mod batch;
mod blocks;
mod cache;
mod config;
mod custom_layers;
mod decoder;
mod error;
mod export;
mod family;
mod files;
mod generator;
mod gguf;
mod layers;
mod lora;
mod packed_sequences;
mod param_spec;
mod prompts;
mod quant;
mod safetensors;
mod safetensors_dir;
mod sampler;

pub use blocks::{BlockId, BlockSpec, blocks};
pub use config::{Config, RopeScaling};
pub use custom_layers::CustomLayers;
pub use error::ModelError;
pub use export::{ModelText, SaveOptions, save_hf, save_tensors};
pub use family::Family;
pub use files::ModelFiles;
pub use generator::{GeneratorOptions, LocalGenerator, compute_dtype};
pub use layers::{
    HeadGrads, HeadLoss, HeadOptions, adapted_layer, attention, embed, head_backward, head_logits,
    head_loss, layer, rms_norm, rotary, swiglu,
};
pub use lora::{Adapters, Lora, PROJECTIONS};
pub use packed_sequences::PackedSequences;
pub use param_spec::ParamSpec;
pub use safetensors::{TensorEntry, write_safetensors};
pub use sky_text::IGNORE_INDEX;
pub use sky_types::Precision;
pub use tch::Device;

/// The README's example, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
