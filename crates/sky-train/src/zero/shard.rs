use sky_torch::pinned_zeros;
use tch::{Device, Kind, Tensor};

use super::disk::{Disk, words};
use crate::{
    Moments, Offload, TrainConfig, TrainError,
    eight_bit::{self, EightBit, Moment},
    layout::Layout,
    vector::Vector,
};

/// What is kept in which kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kinds {
    /// Of what the model computes with.
    pub(super) compute: Kind,
    pub(super) master: Kind,
    pub(super) moments: Moments,
}

impl Kinds {
    pub(super) fn of(config: &TrainConfig) -> Self {
        Self {
            compute: config.precision.kind(),
            master: config.master_weights.kind(),
            moments: config.moments,
        }
    }

    /// Whether any state is rounded by chance.
    pub(super) fn by_chance(self) -> bool {
        self.moments == Moments::Bf16 || self.master == Kind::BFloat16
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
    pub(super) fn stage(stage: u8, world: usize) -> Self {
        // One rank's shard is the whole: the stages are the same then.
        let from = |least| world == 1 || stage >= least;
        Self {
            optimizer: from(1),
            gradients: from(2),
            parameters: from(3),
        }
    }
}

/// Where things lie. They differ when something is offloaded from a GPU.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    /// What computes.
    pub(super) compute: Device,
    /// The weights that the model computes with, between uses.
    pub(super) weights: Device,
    /// Master weights, moments, and the gradients they meet; the optimizer's step is done there.
    pub(super) optimizer: Device,
}

impl Places {
    /// On a CPU there is nowhere to offload to: all is in host memory already.
    pub(super) fn new(compute: Device, offload: Offload) -> Self {
        let place = |away| if away { Device::Cpu } else { compute };
        Self {
            compute,
            weights: place(offload.parameters()),
            optimizer: place(offload.optimizer()),
        }
    }

    /// Whether master weights are apart from the weights; of one kind and in one place they are the same memory.
    pub(super) fn own_master(self, kinds: Kinds) -> bool {
        kinds.master != kinds.compute || self.weights != self.optimizer
    }

    /// A vector of zeros; in host memory that a GPU can read and write directly when it computes elsewhere.
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
pub(super) fn grad_length(layout: &Layout, sharded: Sharded) -> i64 {
    if sharded.gradients {
        layout.shard
    } else {
        layout.whole()
    }
}

fn state_length(layout: &Layout, sharded: Sharded) -> i64 {
    if sharded.optimizer {
        layout.shard
    } else {
        layout.whole()
    }
}

/// 4-byte words of a block's master weights, where these are apart, and moments.
pub(super) fn state_words(layout: &Layout, sharded: Sharded, kinds: Kinds, places: Places) -> i64 {
    let length = state_length(layout, sharded);
    let master = if places.own_master(kinds) {
        words(length, kinds.master)
    } else {
        0
    };
    let moment = match kinds.moments {
        Moments::F32 => words(length, Kind::Float),
        Moments::Bf16 => words(length, Kind::BFloat16),
        Moments::EightBit => eight_bit::words(length),
    };
    master + 2 * moment
}

/// What one rank keeps of one block: vectors of `layout.shard` elements where sharded, else of `layout.whole()`.
pub(super) struct Shard {
    /// What the model computes with. The master weights are a part of them where [`Places::own_master`] says no.
    pub(super) weights: Tensor,
    /// Master weights, f32 or bf16.
    pub(super) master: Tensor,
    /// First moment.
    pub(super) exp_avg: Vector,
    /// Second moment.
    pub(super) exp_avg_sq: Vector,
    /// Gradient, summed over the micro-batches of a step in f32; that of a first one may be in bf16. It is there from the
    /// block's first one until the optimizer has met it. In pinned host memory, which is slow to come by, it stays, as zeros.
    pub(super) grad: Option<Tensor>,
}

impl Shard {
    pub(super) fn zeros(
        layout: &Layout,
        sharded: Sharded,
        rank: usize,
        kinds: Kinds,
        places: Places,
        disk: Option<&mut Disk>,
    ) -> Result<Self, TrainError> {
        let zeros = |whole: bool, kind, place| {
            let length = if whole { layout.whole() } else { layout.shard };
            places.zeros(length, kind, place)
        };
        let weights = zeros(!sharded.parameters, kinds.compute, places.weights)?;
        let mut disk = disk;
        let mut state = |length, kind| match &mut disk {
            Some(disk) => disk.take(length, kind),
            None => places.zeros(length, kind, places.optimizer),
        };
        let length = state_length(layout, sharded);
        let mut moment = |moment| {
            Ok::<_, TrainError>(match kinds.moments {
                Moments::F32 => Vector::Plain(state(length, Kind::Float)?),
                Moments::Bf16 => Vector::Plain(state(length, Kind::BFloat16)?),
                Moments::EightBit => {
                    let place = places.optimizer;
                    Vector::EightBit(EightBit::zeros(moment, length, place, &mut state)?)
                }
            })
        };
        let (exp_avg, exp_avg_sq) = (moment(Moment::First)?, moment(Moment::Second)?);
        Ok(Self {
            master: if places.own_master(kinds) {
                state(length, kinds.master)?
            } else if sharded.optimizer && !sharded.parameters {
                let (from, to) = layout.part(rank);
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
