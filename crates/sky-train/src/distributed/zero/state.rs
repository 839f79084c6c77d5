use std::{
    cell::{Cell, RefCell},
    time::Duration,
};

use sky_model::{BlockSpec, ParamSpec};
use sky_plan::TrainConfig;
use tch::{Device, Tensor};

use super::{
    async_step::AsyncOptimizerStep,
    buffers::Buffers,
    disk::Disk,
    flat::{bytes_of, checked, copy_part},
    frozen::{self, Frozen},
    in_flight::{GradOffload, PendingReduceScatter, Prefetch},
    shard::{Devices, Dtypes, Shard, Sharded, state_words},
};
use crate::{
    Collective, StepMemory, TrainError, checkpoint::layout::Layout,
    optim::state_tensor::StateTensor,
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
    pub(crate) layouts: Vec<Layout>,
    pub(super) shards: Vec<Shard>,
    /// Block by block; nothing when all weights are trained.
    pub(super) frozen: Vec<Frozen>,
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
    pub(super) wait_time: Cell<Duration>,
}

/// A block's parameters, whole.
pub(crate) struct Gathered {
    /// Leaves of the autograd graph, in the order that the block's function takes them.
    pub(crate) params: Vec<Tensor>,
    /// The same of its adapters, when `params` are frozen.
    pub(crate) adapters: Vec<Tensor>,
    block: usize,
    buffers: Vec<Tensor>,
}

impl Gathered {
    /// The parameters that want a gradient.
    pub(crate) fn trained(&self) -> &[Tensor] {
        if self.params.iter().any(Tensor::requires_grad) {
            &self.params
        } else {
            &self.adapters
        }
    }
}

impl<'c> ShardedState<'c> {
    /// Fills the shards from `weights`, which gives each parameter whole, in any kind: the `frozen`
    /// ones first, block by block, then the trained ones. `frozen` is empty when all are trained.
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
        let layouts: Vec<Layout> = blocks.iter().map(|b| Layout::new(b, world_size)).collect();
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
        let (frozen, base) =
            frozen::fill(frozen, sharded, comm, (dtypes.compute, devices), weights)?;
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
        for index in 0..sharded_state.layouts.len() {
            let (layout, master) = (
                &sharded_state.layouts[index],
                &sharded_state.shards[index].master,
            );
            let (begin, end) = sharded_state.local_range(index);
            for (param, offset) in &layout.params {
                let whole = checked(param, weights(param)?)?;
                copy_part(&whole, *offset, master, (begin, end))?;
            }
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

    /// The elements of a block whose optimizer states this rank keeps: first, and one past the
    /// last.
    pub(crate) fn local_range(&self, block: usize) -> (i64, i64) {
        let layout = &self.layouts[block];
        if self.sharded.optimizer {
            layout.part(self.comm.rank())
        } else {
            (0, layout.whole())
        }
    }

    /// Master weights and both moments of a block's elements `from..to`, which this rank keeps. The
    /// tensors share this state's memory.
    pub(crate) fn tensors(
        &self,
        block: usize,
        (from, to): (i64, i64),
    ) -> Result<[StateTensor; 3], TrainError> {
        let (shard, begin) = (&self.shards[block], self.local_range(block).0);
        let (from, length) = (from - begin, to - from);
        Ok([
            StateTensor::Plain(shard.master.f_narrow(0, from, length)?),
            shard.exp_avg.narrow(from, length)?,
            shard.exp_avg_sq.narrow(from, length)?,
        ])
    }

    /// The same of this rank's shard alone: what it writes into a checkpoint.
    pub(crate) fn shard_tensors(&self, block: usize) -> Result<[StateTensor; 3], TrainError> {
        self.tensors(block, self.layouts[block].part(self.comm.rank()))
    }

    /// Gathers a block's parameters. `next` is the block that will be asked for after this one: its
    /// all-gather is started and overlaps this block's computation.
    pub(crate) fn gather(
        &mut self,
        block: usize,
        next: Option<usize>,
    ) -> Result<Gathered, TrainError> {
        self.wait_for_block(block.max(next.unwrap_or(block)))?;
        if self.sharded.parameters && self.comm.world_size() > 1 {
            let found = self.prefetch.take();
            let now = match found {
                Some(prefetch) if prefetch.block == block => prefetch,
                other => {
                    // The wrong guess, as after an evaluation that was broken off. Its collective
                    // has begun on every rank and must end before its buffers are used for another.
                    if let Some(unused) = other {
                        let block = unused.block;
                        let wholes = unused.wait()?;
                        self.give_back(wholes, block);
                    }
                    self.start_all_gather(block)?
                }
            };
            // Started before this block is waited for: both are in flight, in the same order on all
            // ranks.
            if let Some(next) = next {
                self.prefetch = Some(self.start_all_gather(next)?);
            }
            let wholes = now.wait()?;
            let (params, adapters) = self.param_views(block, &wholes)?;
            return Ok(Gathered {
                params,
                adapters,
                block,
                buffers: wholes,
            });
        }
        let (params, adapters) = self.param_views(block, &self.weights_on_device(block)?)?;
        Ok(Gathered {
            params,
            adapters,
            block,
            buffers: Vec::new(),
        })
    }

    /// Takes a block back that is no longer needed. Nothing may hold its parameters: its buffers
    /// are written by a later all-gather.
    pub(crate) fn release(&mut self, gathered: Gathered) {
        let Gathered {
            params,
            adapters,
            block,
            buffers,
        } = gathered;
        drop((params, adapters));
        self.give_back(buffers, block);
    }

    fn give_back(&mut self, buffers: Vec<Tensor>, block: usize) {
        let is_layer = self.is_layer(block);
        for buffer in buffers {
            self.buffers.give_back(buffer, is_layer);
        }
    }

    /// A block's full parameters, outside of a step; those of its adapters follow. No prefetch, and
    /// fresh buffers, since whoever asked may keep them.
    pub(crate) fn full_params(&self, block: usize) -> Result<Vec<Tensor>, TrainError> {
        self.wait_for_block(block)?;
        let mut wholes = self.weights_on_device(block)?;
        if self.sharded.parameters && self.comm.world_size() > 1 {
            for (whole, (layout, _, _)) in wholes.iter_mut().zip(self.parts(block)) {
                let options = (self.dtypes.compute, self.devices.compute);
                let shard = std::mem::replace(whole, Tensor::f_zeros([layout.whole()], options)?);
                self.comm.all_gather_into(whole, &shard)?.wait()?;
            }
        }
        let (mut params, adapters) = self.param_views(block, &wholes)?;
        params.extend(adapters);
        Ok(params)
    }

    /// What is gathered for a block: frozen weights, then trained ones, where there are any. The
    /// flag says whether they are trained.
    fn parts(&self, block: usize) -> impl Iterator<Item = (&Layout, &Tensor, bool)> {
        let frozen = self.frozen.get(block);
        let frozen = frozen.map(|frozen| (&frozen.layout, &frozen.weights, false));
        let trained = (&self.layouts[block], &self.shards[block].weights, true);
        let all = frozen.into_iter().chain([trained]);
        all.filter(|(layout, _, _)| layout.numel > 0)
    }

    /// What this rank keeps of a block's weights, copied to the compute device where it is
    /// offloaded.
    fn weights_on_device(&self, block: usize) -> Result<Vec<Tensor>, TrainError> {
        self.parts(block)
            .map(|(_, weights, _)| {
                // Asynchronous from pinned memory: the copy is ordered by the GPU's stream, after
                // the kernels that read the block before.
                let (compute, kind) = (self.devices.compute, weights.f_kind()?);
                Ok(weights.f_to_device_(compute, kind, true, false)?)
            })
            .collect()
    }

    pub(super) fn is_layer(&self, block: usize) -> bool {
        (1..self.layouts.len() - 1).contains(&block)
    }

    fn start_all_gather(&mut self, block: usize) -> Result<Prefetch, TrainError> {
        let lengths: Vec<i64> = self
            .parts(block)
            .map(|(layout, ..)| layout.whole())
            .collect();
        let mut parts = Vec::with_capacity(lengths.len());
        for (length, shard) in lengths.into_iter().zip(self.weights_on_device(block)?) {
            let options = (self.dtypes.compute, self.devices.compute);
            let whole = self.buffers.take(length, options)?;
            let pending = self.comm.all_gather_into(&whole, &shard)?;
            parts.push((whole, pending));
        }
        Ok(Prefetch { block, parts })
    }

    /// Views of a block's parameters and of its adapters' in their flat vectors. They are detached:
    /// leaves of a new graph, which shares memory with the vector but not history.
    fn param_views(
        &self,
        block: usize,
        wholes: &[Tensor],
    ) -> Result<(Vec<Tensor>, Vec<Tensor>), TrainError> {
        let mut found = (Vec::new(), Vec::new());
        for ((layout, _, trained), whole) in self.parts(block).zip(wholes) {
            let list = if trained && !self.frozen.is_empty() {
                &mut found.1
            } else {
                &mut found.0
            };
            for (param, offset) in &layout.params {
                let view = whole
                    .f_narrow(0, *offset, param.numel())?
                    .f_view(param.shape.as_slice())?;
                list.push(view.f_detach()?.f_set_requires_grad(trained)?);
            }
        }
        Ok(found)
    }

    /// A number summed over all ranks.
    pub(crate) fn sum_over_ranks(&self, value: f64) -> Result<f64, TrainError> {
        if self.comm.world_size() == 1 {
            return Ok(value);
        }
        let tensor = Tensor::f_from_slice(&[value])?;
        self.comm.all_reduce(&tensor)?.wait()?;
        Ok(tensor.f_double_value(&[0])?)
    }

    /// Whether it is true on any rank.
    pub(crate) fn any_rank(&self, this: bool) -> Result<bool, TrainError> {
        Ok(self.sum_over_ranks(if this { 1.0 } else { 0.0 })? > 0.0)
    }
}
