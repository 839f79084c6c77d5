//! Qwen2 and Llama mathematics on libtorch.
//!
//! A forward pass is a fold over blocks: [`embed`], then [`layer`] for each transformer layer, then the head
//! ([`head_logits`], [`head_loss`], [`head_backward`]). [`blocks`] lists them with their parameters' names and shapes; the
//! functions are pure, so a trainer wraps sharding, recomputation and offload around them from outside. Packed sequences
//! are described by [`Segments`]. A layer of one's own is named in the configuration ([`Config::with_own_layers`]) and made
//! from the same parts: [`rms_norm`], [`rotary`], [`attention`], [`swiglu`].
//!
//! ```
//! use sky_model::{Config, Segments, blocks, embed, layer};
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
//! let segments = Segments::new(&config, &[3, 2], Kind::Float, Device::Cpu);
//! let mut x = embed(&params[0], &Tensor::from_slice(&[1i64, 2, 3, 4, 5]));
//! for block in &params[1..=config.num_layers] {
//!     x = layer(&config, block, &x, &segments);
//! }
//! assert_eq!(x.size(), [5, 8]);
//! # Ok::<(), sky_model::ModelError>(())
//! ```
#![forbid(unsafe_code)]

mod batch;
mod blocks;
mod cache;
mod config;
mod decoder;
mod error;
mod export;
mod files;
mod generator;
mod gguf;
mod lora;
mod math;
mod own_layers;
mod quant;
mod safetensors_dir;
mod sampler;
mod segments;

pub use blocks::{BlockId, BlockSpec, ParamSpec, blocks};
pub use config::{Config, Family, RopeScaling};
pub use error::ModelError;
pub use export::{SaveOptions, save_hf, save_tensors};
pub use files::ModelFiles;
pub use generator::{GeneratorOptions, LocalGenerator, Precision};
pub use lora::{Adapters, Lora, PROJECTIONS};
pub use math::{
    HeadGrads, HeadOptions, IGNORED, adapted_layer, attention, embed, head_backward, head_logits,
    head_loss, layer, rms_norm, rotary, swiglu,
};
pub use own_layers::OwnLayers;
pub use segments::Segments;
