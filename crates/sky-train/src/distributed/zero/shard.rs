use std::ops::Range;

use sky_torch::pinned_zeros;
use tch::{Device, Kind, Tensor};

use super::disk::{Disk, words};
use crate::{
    TrainError,
    optim::adam8bit::{self, Moment, QuantizedTensor},
    optim::state_tensor::StateTensor,
    params::flat_layout::FlatLayout,
};
use sky_plan::{Offload, OptimizerDtype, TrainConfig};

/// The dtypes of weights and optimizer states.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dtypes {
    /// Of the weights that the model computes with.
    pub(super) compute: Kind,
    pub(super) master: Kind,
    pub(super) optimizer: OptimizerDtype,
}

impl Dtypes {
    pub(super) fn of(config: &TrainConfig) -> Self {
        Self {
            compute: sky_model::compute_dtype(config.precision),
            master: crate::optim::dtype::master_dtype(config.master_dtype),
            optimizer: config.optimizer_dtype,
        }
    }

    /// Whether any state is rounded stochastically.
    pub(super) fn stochastic_rounding(self) -> bool {
        self.optimizer == OptimizerDtype::Bf16 || self.master == Kind::BFloat16
    }
}

/// What is sharded; each rank keeps the rest whole.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sharded {
    pub(super) optimizer: bool,
    pub(super) gradients: bool,
    pub(super) parameters: bool,
}

impl Sharded {
    pub(super) fn stage(stage: u8, world_size: usize) -> Self {
        // One rank's shard is the whole: the stages are the same then.
        let from = |least| world_size == 1 || stage >= least;
        Self {
            optimizer: from(1),
            gradients: from(2),
            parameters: from(3),
        }
    }
}

/// The devices of weights and optimizer states. They differ when something is offloaded from a GPU.
#[derive(Clone, Copy, Debug)]
pub(super) struct Devices {
    /// What computes.
    pub(super) compute: Device,
    /// The weights that the model computes with, between uses.
    pub(super) weights: Device,
    /// Master weights, optimizer states and summed gradients; the optimizer step runs there.
    pub(super) optimizer: Device,
}

impl Devices {
    /// On a CPU there is nowhere to offload to: all is in host memory already.
    pub(super) fn new(compute: Device, offload: Offload) -> Self {
        let place = |away| if away { Device::Cpu } else { compute };
        Self {
            compute,
            weights: place(offload.parameters()),
            optimizer: place(offload.optimizer()),
        }
    }

    /// Whether master weights have memory of their own. With one dtype on one device they are the
    /// compute weights.
    pub(super) fn has_separate_master(self, dtypes: Dtypes) -> bool {
        dtypes.master != dtypes.compute || self.weights != self.optimizer
    }

    /// A vector of zeros; in host memory that a GPU can read and write directly when it computes
    /// elsewhere.
    pub(super) fn zeros(
        self,
        length: i64,
        kind: Kind,
        place: Device,
    ) -> Result<Tensor, TrainError> {
        if place == self.compute {
            Ok(Tensor::f_zeros([length], (kind, place))?)
        } else {
            Ok(pinned_zeros(length, kind)?)
        }
    }
}

/// Elements of a block's gradient that a rank sums up.
pub(super) fn grad_length(layout: &FlatLayout, sharded: Sharded) -> i64 {
    if sharded.gradients {
        layout.shard
    } else {
        layout.padded_numel()
    }
}

fn state_length(layout: &FlatLayout, sharded: Sharded) -> i64 {
    if sharded.optimizer {
        layout.shard
    } else {
        layout.padded_numel()
    }
}

/// 4-byte words of a block's master weights, where these are apart, and optimizer states: exactly
/// what [`Shard::zeros`] takes from the [`Disk`], which cannot grow.
pub(super) fn state_words(
    layout: &FlatLayout,
    sharded: Sharded,
    dtypes: Dtypes,
    devices: Devices,
) -> i64 {
    let length = state_length(layout, sharded);
    let master = if devices.has_separate_master(dtypes) {
        words(length, dtypes.master)
    } else {
        0
    };
    let moment = match dtypes.optimizer {
        OptimizerDtype::F32 => words(length, Kind::Float),
        OptimizerDtype::Bf16 => words(length, Kind::BFloat16),
        OptimizerDtype::EightBit => adam8bit::words(length),
    };
    master + 2 * moment
}

/// What one rank keeps of one block: vectors of `layout.shard` elements where sharded, else of
/// `layout.padded_numel()`.
pub(super) struct Shard {
    /// What the model computes with. The master weights are a part of them where
    /// [`Devices::has_separate_master`] says no.
    pub(super) weights: Tensor,
    /// Master weights, f32 or bf16.
    pub(super) master: Tensor,
    /// First moment.
    pub(super) exp_avg: StateTensor,
    /// Second moment.
    pub(super) exp_avg_sq: StateTensor,
    /// Gradient, summed over the micro-batches of a step in f32; that of a first one may be in
    /// bf16. It lives from the block's first backward pass to its optimizer step. In pinned host
    /// memory, which is slow to allocate, it is zeroed and kept.
    pub(super) grad: Option<Tensor>,
}

impl Shard {
    pub(super) fn zeros(
        layout: &FlatLayout,
        sharded: Sharded,
        rank: usize,
        dtypes: Dtypes,
        devices: Devices,
        disk: Option<&mut Disk>,
    ) -> Result<Self, TrainError> {
        let zeros = |whole: bool, kind, place| {
            let length = if whole {
                layout.padded_numel()
            } else {
                layout.shard
            };
            devices.zeros(length, kind, place)
        };
        let weights = zeros(!sharded.parameters, dtypes.compute, devices.weights)?;
        let mut disk = disk;
        let mut state = |length, kind| match &mut disk {
            Some(disk) => disk.take(length, kind),
            None => devices.zeros(length, kind, devices.optimizer),
        };
        let length = state_length(layout, sharded);
        let mut moment = |moment| {
            Ok::<_, TrainError>(match dtypes.optimizer {
                OptimizerDtype::F32 => StateTensor::Plain(state(length, Kind::Float)?),
                OptimizerDtype::Bf16 => StateTensor::Plain(state(length, Kind::BFloat16)?),
                OptimizerDtype::EightBit => {
                    let place = devices.optimizer;
                    StateTensor::Quantized(QuantizedTensor::zeros(
                        moment, length, place, &mut state,
                    )?)
                }
            })
        };
        let (exp_avg, exp_avg_sq) = (moment(Moment::First)?, moment(Moment::Second)?);
        Ok(Self {
            master: if devices.has_separate_master(dtypes) {
                state(length, dtypes.master)?
            } else if sharded.optimizer && !sharded.parameters {
                // Aliases this rank's range: the step changes the compute weights in place.
                let Range {
                    start: from,
                    end: to,
                } = layout.shard_range(rank);
                weights.f_narrow(0, from, to - from)?
            } else {
                weights.shallow_clone()
            },
            weights,
            exp_avg,
            exp_avg_sq,
            grad: None,
        })
    }
}
