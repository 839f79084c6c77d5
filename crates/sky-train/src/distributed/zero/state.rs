use std::{
    cell::{Cell, RefCell},
    ops::Range,
    time::Duration,
};

use sky_model::{BlockSpec, ParamSpec};
use sky_plan::TrainConfig;
use tch::{Device, Tensor};

use super::{
    async_step::AsyncOptimizerStep,
    buffers::Buffers,
    disk::Disk,
    flat::{bytes_of, copy_part, with_checked_shape},
    frozen::{self, FrozenBlock, FrozenWeights},
    pending_grads::{GradOffload, PendingReduceScatter},
    prefetch::Prefetch,
    shard::{Devices, Dtypes, Shard, Sharded, state_words},
};
use crate::{
    Collective, StepMemory, TrainError,
    optim::state_tensor::StateTensor,
    params::flat_layout::{FlatLayout, FlatParam},
};

/// The model's parameters, gradients and optimizer state, each block one flat vector that is
/// sharded over the ranks as far as the ZeRO stage says (Rajbhandari et al., 2020).
///
/// The forward and backward pass asks for a block with [`ShardedState::gather`] and gives its
/// gradients back with [`ShardedState::reduce`]; nothing else in the trainer knows how parameters
/// are gathered. With one rank a shard is the whole block, and nothing is copied.
///
/// With adapters `layouts` and `shards` are theirs (those of embedding and head are empty), and the
/// model's own weights are frozen: they have nothing but themselves.
pub(crate) struct ShardedState<'c> {
    pub(crate) layouts: Vec<FlatLayout>,
    pub(super) shards: Vec<Shard>,
    /// The frozen weights, block by block; empty when all weights are trained.
    pub(super) frozen: Vec<FrozenBlock>,
    /// SHA-256 of the frozen weights.
    pub(super) base: Option<String>,
    pub(super) sharded: Sharded,
    pub(super) comm: &'c dyn Collective,
    pub(super) dtypes: Dtypes,
    pub(super) devices: Devices,
    pub(super) buffers: Buffers,
    pub(super) prefetch: Option<Prefetch>,
    pub(super) pending_reduce: Option<PendingReduceScatter>,
    pub(super) grad_offload: Option<GradOffload>,
    /// Bytes of all gradients of the last optimizer step.
    pub(super) gradient_bytes: u64,
    /// Whether the optimizer step overlaps the next forward pass.
    pub(super) overlaps_compute: bool,
    /// In a cell: a checkpoint or an evaluation, which only reads, has to wait for it too.
    pub(super) async_step: RefCell<Option<AsyncOptimizerStep>>,
    /// Time that the trainer's thread has spent waiting for the asynchronous step.
    pub(super) wait_time: Cell<Duration>,
}

impl<'c> ShardedState<'c> {
    /// Fills the shards from `weights`, which gives each parameter whole, in any dtype: the
    /// `frozen` ones first, block by block, then the trained ones. `frozen` is empty when all are
    /// trained.
    pub(crate) fn new(
        blocks: &[BlockSpec],
        frozen: &[BlockSpec],
        config: &TrainConfig,
        device: Device,
        comm: &'c dyn Collective,
        weights: &mut dyn FnMut(&ParamSpec) -> Result<Tensor, TrainError>,
    ) -> Result<Self, TrainError> {
        let (rank, world_size) = (comm.rank(), comm.world_size());
        let sharded = Sharded::stage(config.zero_stage, world_size);
        let devices = Devices::new(device, config.offloaded());
        let dtypes = Dtypes::of(config);
        let layouts: Vec<FlatLayout> = blocks
            .iter()
            .map(|b| FlatLayout::new(b, world_size))
            .collect();
        // Sized for all blocks at once: a mapped file cannot grow.
        let mut disk = None;
        if let Some(folder) = &config.offload_folder {
            let words = |layout| state_words(layout, sharded, dtypes, devices);
            disk = Some(Disk::new(folder, layouts.iter().map(words).sum())?);
        }
        let shards = layouts
            .iter()
            .map(|layout| {
                let disk = disk.as_mut();
                Shard::zeros(layout, sharded, rank, dtypes, devices, disk)
            })
            .collect::<Result<_, _>>()?;
        let FrozenWeights {
            blocks: frozen,
            hash: base,
        } = frozen::fill(frozen, sharded, comm, dtypes.compute, devices, weights)?;
        let mut sharded_state = Self {
            layouts,
            shards,
            frozen,
            base,
            sharded,
            comm,
            dtypes,
            devices,
            buffers: Buffers::default(),
            prefetch: None,
            pending_reduce: None,
            grad_offload: None,
            gradient_bytes: 0,
            overlaps_compute: config.offloaded().optimizer(),
            async_step: RefCell::default(),
            wait_time: Cell::default(),
        };
        // Each rank reads every parameter and keeps its part, so that nothing has to be sent.
        for index in 0..sharded_state.layouts.len() {
            let (layout, master) = (
                &sharded_state.layouts[index],
                &sharded_state.shards[index].master,
            );
            let local = sharded_state.local_range(index);
            for FlatParam { spec, offset } in &layout.params {
                let whole = with_checked_shape(spec, weights(spec)?)?;
                copy_part(&whole, *offset, master, &local)?;
            }
            // A collective at stages 1 and 2: all ranks fill the blocks in the same order.
            sharded_state.refresh(index)?;
        }
        Ok(sharded_state)
    }

    pub(crate) fn comm(&self) -> &'c dyn Collective {
        self.comm
    }

    /// SHA-256 of the frozen weights; none when all are trained.
    pub(crate) fn base(&self) -> Option<&str> {
        self.base.as_deref()
    }

    /// Bytes that this rank keeps when all gradients of the last step exist, by purpose.
    pub(crate) fn memory(&self) -> StepMemory {
        let frozen = self.frozen.iter();
        let mut memory = StepMemory {
            weights: frozen.map(|block| bytes_of(&block.weights)).sum(),
            gradients: self.gradient_bytes,
            ..StepMemory::default()
        };
        for shard in &self.shards {
            let master = if self.master_aliases_weights() {
                0
            } else {
                bytes_of(&shard.master)
            };
            memory.weights += bytes_of(&shard.weights);
            memory.optimizer += master + shard.exp_avg.bytes() + shard.exp_avg_sq.bytes();
        }
        memory
    }

    /// Whether the master weights are the compute weights: of one dtype, on one device.
    pub(super) fn master_aliases_weights(&self) -> bool {
        !self.devices.has_separate_master(self.dtypes)
    }

    /// The elements of a block whose optimizer states this rank keeps.
    pub(crate) fn local_range(&self, block: usize) -> Range<i64> {
        let layout = &self.layouts[block];
        if self.sharded.optimizer {
            layout.shard_range(self.comm.rank())
        } else {
            0..layout.padded_numel()
        }
    }

    /// Master weights and both moments of some of a block's elements, which this rank keeps. The
    /// tensors share this state's memory.
    pub(crate) fn tensors(
        &self,
        block: usize,
        elements: Range<i64>,
    ) -> Result<[StateTensor; 3], TrainError> {
        let shard = &self.shards[block];
        let from = elements.start - self.local_range(block).start;
        let length = elements.end - elements.start;
        Ok([
            StateTensor::Plain(shard.master.f_narrow(0, from, length)?),
            shard.exp_avg.narrow(from, length)?,
            shard.exp_avg_sq.narrow(from, length)?,
        ])
    }

    /// The same of this rank's shard alone: what it writes into a checkpoint.
    pub(crate) fn shard_tensors(&self, block: usize) -> Result<[StateTensor; 3], TrainError> {
        self.tensors(block, self.layouts[block].shard_range(self.comm.rank()))
    }

    /// Whether a block is a layer. The first block is the embedding, the last one the head; layers
    /// have one size, so that their buffers can be reused.
    pub(super) fn is_layer(&self, block: usize) -> bool {
        (1..self.layouts.len() - 1).contains(&block)
    }

    /// A number summed over all ranks. A collective: every rank calls it at the same point.
    pub(crate) fn sum_over_ranks(&self, value: f64) -> Result<f64, TrainError> {
        if self.comm.world_size() == 1 {
            return Ok(value);
        }
        let tensor = Tensor::f_from_slice(&[value])?;
        self.comm.all_reduce(&tensor)?.wait()?;
        Ok(tensor.f_double_value(&[0])?)
    }

    /// Whether it is true on any rank. A collective too: when the answer decides which collectives
    /// follow, all ranks must decide alike.
    pub(crate) fn any_rank(&self, this: bool) -> Result<bool, TrainError> {
        Ok(self.sum_over_ranks(if this { 1.0 } else { 0.0 })? > 0.0)
    }
}
