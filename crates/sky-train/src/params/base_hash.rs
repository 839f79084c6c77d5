//! The identity of the model that adapters belong to.

use sha2::{Digest, Sha256};
use sky_model::ParamSpec;
use tch::{Device, Tensor};

use crate::TrainError;

/// SHA-256 over names, shapes and bytes of frozen weights in the order of the model's blocks: the
/// model that adapters belong to.
#[derive(Default)]
pub(crate) struct BaseHash(Sha256);

impl BaseHash {
    /// Adds a weight, which is in the dtype that the model computes in.
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
