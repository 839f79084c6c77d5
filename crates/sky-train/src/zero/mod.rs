mod behind;
mod buffers;
mod disk;
mod gradients;
mod shard;
mod update;

use std::{
    cell::{Cell, RefCell},
    time::Duration,
};

use sky_model::{BlockSpec, ParamSpec};
use tch::{Device, Kind, Tensor, no_grad};

use self::{
    behind::Behind,
    buffers::Buffers,
    disk::Disk,
    gradients::Reducing,
    shard::{Places, Shard, Sharded, state_words},
};
use crate::{Collective, Offload, Pending, TrainConfig, TrainError, layout::Layout};

/// The model's parameters, gradients and optimizer state, each block one flat vector that is sharded over the ranks as far
/// as the ZeRO stage says (Rajbhandari et al., 2020).
///
/// The fold asks for a block with [`Store::gather`] and gives its gradients back with [`Store::reduce`]; nothing else in
/// the trainer knows how parameters come to be whole. With one rank a shard is the whole block, and nothing is copied.
pub(crate) struct Store<'c> {
    pub(crate) layouts: Vec<Layout>,
    shards: Vec<Shard>,
    sharded: Sharded,
    comm: &'c dyn Collective,
    kind: Kind,
    /// Of the moments.
    moments: Kind,
    places: Places,
    buffers: Buffers,
    ahead: Option<Ahead>,
    reducing: Option<Reducing>,
    /// Whether the optimizer's step goes on behind the next forward pass.
    behind_compute: bool,
    behind: RefCell<Option<Behind>>,
    waited: Cell<Duration>,
}

/// A block's parameters, whole.
pub(crate) struct Gathered {
    /// Leaves that a graph can be built on, in the order the block's function takes them.
    pub(crate) params: Vec<Tensor>,
    block: usize,
    buffer: Option<Tensor>,
}

/// A block on its way before it is needed.
struct Ahead {
    block: usize,
    whole: Tensor,
    pending: Pending,
}

impl<'c> Store<'c> {
    /// Fills the shards from `weights`, which gives each parameter whole, in any kind.
    pub(crate) fn new(
        blocks: &[BlockSpec],
        config: &TrainConfig,
        kind: Kind,
        device: Device,
        comm: &'c dyn Collective,
        weights: &mut dyn FnMut(&ParamSpec) -> Result<Tensor, TrainError>,
    ) -> Result<Self, TrainError> {
        let (rank, world) = (comm.rank(), comm.world());
        let sharded = Sharded::stage(config.zero_stage, world);
        let places = Places::new(device, config.offloaded());
        let moments = config.moments.kind();
        let layouts: Vec<Layout> = blocks.iter().map(|b| Layout::new(b, world)).collect();
        let mut disk = None;
        if let Some(folder) = &config.offload_folder {
            let words = |layout| state_words(layout, sharded, (kind, moments), places);
            disk = Some(Disk::new(folder, layouts.iter().map(words).sum())?);
        }
        let shards = layouts
            .iter()
            .map(|layout| {
                let disk = disk.as_mut();
                Shard::zeros(layout, sharded, rank, (kind, moments), places, disk)
            })
            .collect::<Result<_, _>>()?;
        let mut store = Self {
            layouts,
            shards,
            sharded,
            comm,
            kind,
            moments,
            places,
            buffers: Buffers::default(),
            ahead: None,
            reducing: None,
            behind_compute: config.offloaded() != Offload::None,
            behind: RefCell::default(),
            waited: Cell::default(),
        };
        for index in 0..store.layouts.len() {
            let (layout, master) = (&store.layouts[index], &store.shards[index].master);
            let (begin, end) = store.kept(index);
            for (param, offset) in &layout.params {
                let whole = weights(param)?;
                if whole.size() != param.shape {
                    return Err(sky_model::ModelError::Shape {
                        name: param.name.clone(),
                        expected: param.shape.clone(),
                        found: whole.size(),
                    }
                    .into());
                }
                let (from, to) = (begin.max(*offset), end.min(offset + param.numel()));
                if from < to {
                    no_grad(|| {
                        master.narrow(0, from - begin, to - from).f_copy_(
                            &whole
                                .f_reshape([-1])?
                                .f_narrow(0, from - offset, to - from)?,
                        )
                    })?;
                }
            }
            store.refresh(index)?;
        }
        Ok(store)
    }

    pub(crate) fn comm(&self) -> &'c dyn Collective {
        self.comm
    }

    /// Bytes this rank keeps between steps.
    pub(crate) fn bytes(&self) -> u64 {
        let of = |t: &Tensor| (t.numel() * t.kind().elt_size_in_bytes()) as u64;
        self.shards
            .iter()
            .map(|shard| {
                let master = if self.one_memory() {
                    0
                } else {
                    of(&shard.master)
                };
                let rest = [
                    &shard.weights,
                    &shard.exp_avg,
                    &shard.exp_avg_sq,
                    &shard.grad,
                ];
                master + rest.into_iter().map(of).sum::<u64>()
            })
            .sum()
    }

    /// Whether the master weights lie within the weights: with f32 compute in one place.
    fn one_memory(&self) -> bool {
        !self.places.own_master(self.kind)
    }

    /// The elements of a block whose master weights and moments this rank keeps: from, and up to.
    pub(crate) fn kept(&self, block: usize) -> (i64, i64) {
        let layout = &self.layouts[block];
        if self.sharded.optimizer {
            layout.part(self.comm.rank())
        } else {
            (0, layout.whole())
        }
    }

    /// Master weights and the two moments of a block, as far as this rank keeps them.
    pub(crate) fn state(&self, block: usize) -> [&Tensor; 3] {
        let shard = &self.shards[block];
        [&shard.master, &shard.exp_avg, &shard.exp_avg_sq]
    }

    /// The same, this rank's shard alone: what it writes into a checkpoint.
    pub(crate) fn shard_of_state(&self, block: usize) -> Result<[Tensor; 3], TrainError> {
        let layout = &self.layouts[block];
        let (from, _) = layout.part(self.comm.rank());
        let begin = from - self.kept(block).0;
        let [master, exp_avg, exp_avg_sq] = self.state(block);
        let part = |t: &Tensor| t.f_narrow(0, begin, layout.shard);
        Ok([part(master)?, part(exp_avg)?, part(exp_avg_sq)?])
    }

    /// The block's parameters, whole. `next` is the block that will be asked for after this one: it travels meanwhile.
    pub(crate) fn gather(
        &mut self,
        block: usize,
        next: Option<usize>,
    ) -> Result<Gathered, TrainError> {
        self.reach(block.max(next.unwrap_or(block)))?;
        if self.sharded.parameters && self.comm.world() > 1 {
            let found = self.ahead.take();
            let now = match found {
                Some(ahead) if ahead.block == block => ahead,
                other => {
                    if let Some(unused) = other {
                        unused.pending.wait()?;
                        let is_layer = self.is_layer(unused.block);
                        self.buffers.give_back(unused.whole, is_layer);
                    }
                    self.send_for(block)?
                }
            };
            if let Some(next) = next {
                self.ahead = Some(self.send_for(next)?);
            }
            now.pending.wait()?;
            return Ok(Gathered {
                params: self.leaves(block, &now.whole)?,
                block,
                buffer: Some(now.whole),
            });
        }
        let weights = self.at_hand(block)?;
        Ok(Gathered {
            params: self.leaves(block, &weights)?,
            block,
            buffer: None,
        })
    }

    /// Takes a block back that is not needed any more: nothing may hold its parameters.
    pub(crate) fn release(&mut self, gathered: Gathered) {
        let Gathered {
            params,
            block,
            buffer,
        } = gathered;
        drop(params);
        if let Some(buffer) = buffer {
            let is_layer = self.is_layer(block);
            self.buffers.give_back(buffer, is_layer);
        }
    }

    /// The block's parameters, whole, outside of a step.
    pub(crate) fn look(&self, block: usize) -> Result<Vec<Tensor>, TrainError> {
        self.reach(block)?;
        let weights = self.at_hand(block)?;
        if !self.sharded.parameters || self.comm.world() == 1 {
            return self.leaves(block, &weights);
        }
        let options = (self.kind, self.places.compute);
        let whole = Tensor::f_zeros([self.layouts[block].whole()], options)?;
        self.comm.all_gather_into(&whole, &weights)?.wait()?;
        self.leaves(block, &whole)
    }

    /// What this rank keeps of a block's weights, where they are computed with.
    fn at_hand(&self, block: usize) -> Result<Tensor, TrainError> {
        Ok(self.shards[block]
            .weights
            .f_to_device(self.places.compute)?)
    }

    fn is_layer(&self, block: usize) -> bool {
        (1..self.layouts.len() - 1).contains(&block)
    }

    fn send_for(&mut self, block: usize) -> Result<Ahead, TrainError> {
        let whole = self.buffers.take(
            self.layouts[block].whole(),
            (self.kind, self.places.compute),
        )?;
        let pending = self.comm.all_gather_into(&whole, &self.at_hand(block)?)?;
        Ok(Ahead {
            block,
            whole,
            pending,
        })
    }

    fn leaves(&self, block: usize, whole: &Tensor) -> Result<Vec<Tensor>, TrainError> {
        self.layouts[block]
            .params
            .iter()
            .map(|(param, offset)| {
                let view = whole
                    .f_narrow(0, *offset, param.numel())?
                    .f_view(param.shape.as_slice())?;
                Ok(view.f_detach()?.f_set_requires_grad(true)?)
            })
            .collect()
    }

    /// A number added up over all ranks.
    pub(crate) fn sum_over_ranks(&self, value: f64) -> Result<f64, TrainError> {
        if self.comm.world() == 1 {
            return Ok(value);
        }
        let tensor = Tensor::f_from_slice(&[value])?;
        self.comm.all_reduce(&tensor)?.wait()?;
        Ok(tensor.f_double_value(&[0])?)
    }

    /// Whether any rank says so.
    pub(crate) fn any_rank(&self, this: bool) -> Result<bool, TrainError> {
        Ok(self.sum_over_ranks(if this { 1.0 } else { 0.0 })? > 0.0)
    }
}
