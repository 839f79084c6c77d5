//! Bytes that a rank keeps between steps: weights, gradients, optimizer states. The same on GPUs
//! and on CPUs.

use crate::{ModelShape, Offload, TrainConfig};

/// Trained parameters that a rank keeps of a state that is sharded from ZeRO stage `stage` on.
pub(crate) fn local_params(
    shape: &ModelShape,
    config: &TrainConfig,
    world_size: u64,
    stage: u8,
) -> u64 {
    share(shape.trained(config), config, world_size, stage)
}

/// Bytes of the weights that a rank keeps between steps, trained and frozen.
pub(crate) fn weights(shape: &ModelShape, config: &TrainConfig, world_size: u64) -> u64 {
    let frozen = share(shape.frozen(config), config, world_size, 3);
    config.precision.bytes() * (frozen + local_params(shape, config, world_size, 3))
}

/// Parameters out of `params` that a rank keeps of a state that is sharded from ZeRO stage `stage`
/// on.
pub(crate) fn share(params: u64, config: &TrainConfig, world_size: u64, stage: u8) -> u64 {
    if config.zero_stage >= stage {
        params.div_ceil(world_size)
    } else {
        params
    }
}

/// Whether master weights are apart from the weights: when they have another dtype or lie in
/// another memory. Otherwise they are the weights and take no memory of their own.
pub(crate) fn has_own_master(config: &TrainConfig, offload: Offload) -> bool {
    config.master_dtype.bytes() != config.precision.bytes()
        || offload.optimizer() != offload.parameters()
}

/// Bytes of master weights, unless they are the weights, and optimizer states of `params`
/// parameters.
pub(crate) fn optimizer_states(config: &TrainConfig, params: u64, offload: Offload) -> u64 {
    let master = if has_own_master(config, offload) {
        config.master_dtype.bytes() * params
    } else {
        0
    };
    master + moments(config, params)
}

/// A rank's vectors in pinned host memory, one a block: libtorch rounds each up to a power of two
/// (`CachingHostAllocator`).
pub(crate) struct Pinned<'a> {
    pub(crate) shape: &'a ModelShape,
    pub(crate) config: &'a TrainConfig,
    pub(crate) world_size: u64,
}

impl Pinned<'_> {
    /// Bytes of a vector of trained parameters, `width` bytes each, that is sharded from ZeRO stage
    /// `stage` on.
    pub(crate) fn trained(&self, stage: u8, width: f64) -> u64 {
        match self.config.lora {
            None => self.of_model(stage, width),
            Some(_) => {
                self.shape.layers
                    * self.vector(self.shape.layer_adapters(self.config), stage, width)
            }
        }
    }

    /// The same of frozen weights.
    pub(crate) fn frozen(&self, width: f64) -> u64 {
        match self.config.lora {
            None => 0,
            Some(_) => self.of_model(3, width),
        }
    }

    /// Master weights, unless they are the weights, and optimizer states.
    pub(crate) fn optimizer_states(&self, offload: Offload) -> u64 {
        let moment = self.config.optimizer_dtype.bytes();
        // Codes and scales are two vectors.
        let whole = moment.floor();
        let scales = self.trained(1, moment - whole);
        let master = self.config.master_dtype.bytes() as f64;
        let master = if has_own_master(self.config, offload) {
            self.trained(1, master)
        } else {
            0
        };
        master + 2 * (self.trained(1, whole) + scales)
    }

    /// Buffers of the gradient offload: two layers' gradients at a time, and one of the embedding's
    /// or head's size. The allocator reuses a pinned buffer for the next one of its size.
    pub(crate) fn grad_offload(&self) -> u64 {
        let (embedding, layer) = match self.config.lora {
            None => (self.shape.embedding(), self.shape.layer()),
            Some(_) => (0, self.shape.layer_adapters(self.config)),
        };
        self.vector(embedding, 2, 4.0) + 2 * self.vector(layer, 2, 4.0)
    }

    fn of_model(&self, stage: u8, width: f64) -> u64 {
        let shape = self.shape;
        let head = shape.params() - shape.embedding() - shape.layers * shape.layer();
        let of = |params| self.vector(params, stage, width);
        of(shape.embedding()) + shape.layers * of(shape.layer()) + of(head)
    }

    fn vector(&self, params: u64, stage: u8, width: f64) -> u64 {
        match (width * share(params, self.config, self.world_size, stage) as f64) as u64 {
            0 => 0,
            bytes => bytes.next_power_of_two(),
        }
    }
}

fn moments(config: &TrainConfig, params: u64) -> u64 {
    (2.0 * config.optimizer_dtype.bytes() * params as f64) as u64
}

/// Bytes of the copy that a background checkpoint is written from; 0 when checkpoints are written
/// in the foreground.
pub(crate) fn checkpoint_copy(config: &TrainConfig, params: u64, steps: u64) -> u64 {
    let during_training = config.save_every > 0 && config.save_every < steps;
    if config.background_save && during_training {
        // A checkpoint holds master weights even where they are the weights.
        config.master_dtype.bytes() * params + moments(config, params)
    } else {
        0
    }
}
