//! What is trained and what is frozen, and how adapters begin.

use sky_model::{BlockSpec, Config, Lora, ParamSpec, blocks};
use sky_plan::TrainConfig;
use sky_types::derive_seed;
use tch::{Device, Kind, Tensor};

use super::init_param::uniform;
use crate::TrainError;

/// The adapters that the settings ask for; none when the model itself is trained.
pub(crate) fn lora(config: &TrainConfig) -> Option<Lora> {
    config.lora.as_ref().map(|lora| Lora {
        rank: lora.rank as i64,
        alpha: lora.alpha,
        adapted: lora.adapted(),
    })
}

/// The trained parameters, block by block.
pub(crate) fn trained_blocks(model: &Config, config: &TrainConfig) -> Vec<BlockSpec> {
    lora(config).map_or_else(|| blocks(model), |lora| lora.blocks(model))
}

/// An adapter's first value, f32: B is zero, so that training begins with the model as it is, and A
/// uniform within `1 / sqrt(in)`, which is Kaiming's with a slope of `sqrt(5)` (as PEFT and torch's
/// own linear layers begin). A function of the seed and the name.
pub(crate) fn init_adapter(param: &ParamSpec, seed: u64) -> Result<Tensor, TrainError> {
    if param.name.ends_with(".lora_B.weight") {
        return Ok(Tensor::f_zeros(
            param.shape.as_slice(),
            (Kind::Float, Device::Cpu),
        )?);
    }
    let bound = (param.shape.last().copied().unwrap_or(1).max(1) as f64).powf(-0.5) as f32;
    uniform(param, bound, derive_seed(seed, "lora", 0))
}
