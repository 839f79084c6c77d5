//! What is trained and what is frozen, and how adapters begin.

use sha2::{Digest, Sha256};
use sky_model::{BlockSpec, Config, Lora, ParamSpec, blocks};
use sky_types::derive_seed;
use tch::{Device, Kind, Tensor};

use crate::{TrainError, trainer::init_param::uniform};
use sky_plan::TrainConfig;

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

/// SHA-256 over names, shapes and bytes of frozen weights in the order of the model's blocks: the
/// model that adapters belong to.
#[derive(Default)]
pub(crate) struct BaseHash(Sha256);

impl BaseHash {
    /// Adds a weight, which is in the kind that the model computes in.
    pub(crate) fn add(&mut self, param: &ParamSpec, weight: &Tensor) -> Result<(), TrainError> {
        let weight = weight
            .f_detach()?
            .f_to_device(Device::Cpu)?
            .f_contiguous()?;
        let numel = weight.numel();
        let mut bytes = vec![0; numel * weight.kind().elt_size_in_bytes()];
        weight.f_copy_data_u8(&mut bytes, numel)?;
        self.0
            .update(format!("{} {:?}\n", param.name, param.shape).as_bytes());
        self.0.update(&bytes);
        Ok(())
    }

    pub(crate) fn finish(self) -> String {
        sky_files::hex(&self.0.finalize())
    }
}
