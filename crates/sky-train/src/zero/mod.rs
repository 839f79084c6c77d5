mod behind;
mod buffers;
mod disk;
mod frozen;
mod gradients;
mod shard;
mod update;

use std::{
    cell::{Cell, RefCell},
    time::Duration,
};

use sky_model::{BlockSpec, ParamSpec};
use tch::{Device, Tensor, no_grad};

use self::{
    behind::Behind,
    buffers::Buffers,
    disk::Disk,
    frozen::Frozen,
    gradients::{Landing, Reducing},
    shard::{Kinds, Places, Shard, Sharded, state_words},
};
use crate::{
    Collective, Pending, StepMemory, TrainConfig, TrainError, layout::Layout,
    same_weights::SameWeights, vector::Vector,
};

/// The model's parameters, gradients and optimizer state, each block one flat vector that is sharded over the ranks as far
/// as the ZeRO stage says (Rajbhandari et al., 2020).
///
/// The fold asks for a block with [`Store::gather`] and gives its gradients back with [`Store::reduce`]; nothing else in
/// the trainer knows how parameters come to be whole. With one rank a shard is the whole block, and nothing is copied.
///
/// With adapters `layouts` and `shards` are theirs (those of embedding and head are empty), and the model's own weights are
/// frozen: they have nothing but themselves.
pub(crate) struct Store<'c> {
    pub(crate) layouts: Vec<Layout>,
    shards: Vec<Shard>,
    /// Block by block; nothing when all weights are trained.
    frozen: Vec<Frozen>,
    /// SHA-256 of the frozen weights.
    base: Option<String>,
    sharded: Sharded,
    comm: &'c dyn Collective,
    kinds: Kinds,
    places: Places,
    buffers: Buffers,
    ahead: Option<Ahead>,
    reducing: Option<Reducing>,
    landing: Option<Landing>,
    /// Of all gradients that the last step's optimizer met.
    gradient_bytes: u64,
    /// Whether the optimizer's step goes on behind the next forward pass.
    behind_compute: bool,
    behind: RefCell<Option<Behind>>,
    waited: Cell<Duration>,
}

/// A block's parameters, whole.
pub(crate) struct Gathered {
    /// Leaves that a graph can be built on, in the order the block's function takes them.
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

/// A block on its way before it is needed.
struct Ahead {
    block: usize,
    parts: Vec<(Tensor, Pending)>,
}

impl<'c> Store<'c> {
    /// Fills the shards from `weights`, which gives each parameter whole, in any kind, and the same on every rank: the
    /// `frozen` ones first, block by block, then the trained ones. `frozen` is empty when all are trained. `compare` says
    /// whether rank 0's are compared with.
    pub(crate) fn new(
        blocks: &[BlockSpec],
        frozen: &[BlockSpec],
        config: &TrainConfig,
        (device, compare): (Device, bool),
        comm: &'c dyn Collective,
        weights: &mut dyn FnMut(&ParamSpec) -> Result<Tensor, TrainError>,
    ) -> Result<Self, TrainError> {
        let (rank, world) = (comm.rank(), comm.world());
        let mut same = compare.then(SameWeights::default);
        let mut weights = |param: &ParamSpec| {
            let whole = checked(param, weights(param)?)?;
            if let Some(same) = &mut same {
                same.note(param, &whole)?;
            }
            Ok(whole)
        };
        let sharded = Sharded::stage(config.zero_stage, world);
        let places = Places::new(device, config.offloaded());
        let kinds = Kinds::of(config);
        let layouts: Vec<Layout> = blocks.iter().map(|b| Layout::new(b, world)).collect();
        let mut disk = None;
        if let Some(folder) = &config.offload_folder {
            let words = |layout| state_words(layout, sharded, kinds, places);
            disk = Some(Disk::new(folder, layouts.iter().map(words).sum())?);
        }
        let shards = layouts
            .iter()
            .map(|layout| {
                let disk = disk.as_mut();
                Shard::zeros(layout, sharded, rank, kinds, places, disk)
            })
            .collect::<Result<_, _>>()?;
        let (frozen, base) =
            frozen::fill(frozen, sharded, comm, (kinds.compute, places), &mut weights)?;
        let mut store = Self {
            layouts,
            shards,
            frozen,
            base,
            sharded,
            comm,
            kinds,
            places,
            buffers: Buffers::default(),
            ahead: None,
            reducing: None,
            landing: None,
            gradient_bytes: 0,
            behind_compute: config.offloaded().optimizer(),
            behind: RefCell::default(),
            waited: Cell::default(),
        };
        for index in 0..store.layouts.len() {
            let (layout, master) = (&store.layouts[index], &store.shards[index].master);
            let (begin, end) = store.kept(index);
            for (param, offset) in &layout.params {
                copy_part(&weights(param)?, *offset, master, (begin, end))?;
            }
            store.refresh(index)?;
        }
        if let Some(same) = same {
            same.compare(comm)?;
        }
        Ok(store)
    }

    pub(crate) fn comm(&self) -> &'c dyn Collective {
        self.comm
    }

    /// SHA-256 of the frozen weights; none when all are trained.
    pub(crate) fn base(&self) -> Option<&str> {
        self.base.as_deref()
    }

    /// Bytes this rank keeps when all of the last step's gradients are there, by kind.
    pub(crate) fn memory(&self) -> StepMemory {
        let frozen = self.frozen.iter();
        let mut memory = StepMemory {
            weights: frozen.map(|block| bytes_of(&block.weights)).sum(),
            gradients: self.gradient_bytes,
            ..StepMemory::default()
        };
        for shard in &self.shards {
            let master = if self.one_memory() {
                0
            } else {
                bytes_of(&shard.master)
            };
            memory.weights += bytes_of(&shard.weights);
            memory.optimizer += master + shard.exp_avg.bytes() + shard.exp_avg_sq.bytes();
        }
        memory
    }

    /// Whether the master weights lie within the weights: of one kind, in one place.
    fn one_memory(&self) -> bool {
        !self.places.own_master(self.kinds)
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

    /// Master weights and the two moments of a block's elements `from..to`, which this rank keeps.
    pub(crate) fn state(
        &self,
        block: usize,
        (from, to): (i64, i64),
    ) -> Result<[Vector; 3], TrainError> {
        let (shard, begin) = (&self.shards[block], self.kept(block).0);
        let (from, length) = (from - begin, to - from);
        Ok([
            Vector::Plain(shard.master.f_narrow(0, from, length)?),
            shard.exp_avg.narrow(from, length)?,
            shard.exp_avg_sq.narrow(from, length)?,
        ])
    }

    /// The same, this rank's shard alone: what it writes into a checkpoint.
    pub(crate) fn shard_of_state(&self, block: usize) -> Result<[Vector; 3], TrainError> {
        self.state(block, self.layouts[block].part(self.comm.rank()))
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
                        let wholes = arrived(unused.parts)?;
                        self.give_back(wholes, unused.block);
                    }
                    self.send_for(block)?
                }
            };
            if let Some(next) = next {
                self.ahead = Some(self.send_for(next)?);
            }
            let wholes = arrived(now.parts)?;
            let (params, adapters) = self.leaves(block, &wholes)?;
            return Ok(Gathered {
                params,
                adapters,
                block,
                buffers: wholes,
            });
        }
        let (params, adapters) = self.leaves(block, &self.at_hand(block)?)?;
        Ok(Gathered {
            params,
            adapters,
            block,
            buffers: Vec::new(),
        })
    }

    /// Takes a block back that is not needed any more: nothing may hold its parameters.
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

    /// The block's parameters, whole, outside of a step; those of its adapters follow.
    pub(crate) fn look(&self, block: usize) -> Result<Vec<Tensor>, TrainError> {
        self.reach(block)?;
        let mut wholes = self.at_hand(block)?;
        if self.sharded.parameters && self.comm.world() > 1 {
            for (whole, (layout, _, _)) in wholes.iter_mut().zip(self.parts(block)) {
                let options = (self.kinds.compute, self.places.compute);
                let shard = std::mem::replace(whole, Tensor::f_zeros([layout.whole()], options)?);
                self.comm.all_gather_into(whole, &shard)?.wait()?;
            }
        }
        let (mut params, adapters) = self.leaves(block, &wholes)?;
        params.extend(adapters);
        Ok(params)
    }

    /// What is gathered for a block: frozen weights, trained ones, whichever there are. The last says whether they are
    /// trained.
    fn parts(&self, block: usize) -> impl Iterator<Item = (&Layout, &Tensor, bool)> {
        let frozen = self.frozen.get(block);
        let frozen = frozen.map(|frozen| (&frozen.layout, &frozen.weights, false));
        let trained = (&self.layouts[block], &self.shards[block].weights, true);
        let all = frozen.into_iter().chain([trained]);
        all.filter(|(layout, _, _)| layout.numel > 0)
    }

    /// What this rank keeps of a block's weights, where they are computed with.
    fn at_hand(&self, block: usize) -> Result<Vec<Tensor>, TrainError> {
        self.parts(block)
            .map(|(_, weights, _)| {
                // From pinned memory, in its turn of the GPU's stream.
                let (compute, kind) = (self.places.compute, weights.f_kind()?);
                Ok(weights.f_to_device_(compute, kind, true, false)?)
            })
            .collect()
    }

    fn is_layer(&self, block: usize) -> bool {
        (1..self.layouts.len() - 1).contains(&block)
    }

    fn send_for(&mut self, block: usize) -> Result<Ahead, TrainError> {
        let lengths: Vec<i64> = self
            .parts(block)
            .map(|(layout, ..)| layout.whole())
            .collect();
        let mut parts = Vec::with_capacity(lengths.len());
        for (length, shard) in lengths.into_iter().zip(self.at_hand(block)?) {
            let options = (self.kinds.compute, self.places.compute);
            let whole = self.buffers.take(length, options)?;
            let pending = self.comm.all_gather_into(&whole, &shard)?;
            parts.push((whole, pending));
        }
        Ok(Ahead { block, parts })
    }

    /// The block's parameters, and those of its adapters.
    fn leaves(
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

fn bytes_of(tensor: &Tensor) -> u64 {
    (tensor.numel() * tensor.kind().elt_size_in_bytes()) as u64
}

/// Waits for all parts of a block.
fn arrived(parts: Vec<(Tensor, Pending)>) -> Result<Vec<Tensor>, TrainError> {
    parts
        .into_iter()
        .map(|(whole, pending)| pending.wait().map(|()| whole))
        .collect()
}

/// A weight, if it has the shape it should have.
fn checked(param: &ParamSpec, whole: Tensor) -> Result<Tensor, TrainError> {
    if whole.size() == param.shape {
        return Ok(whole);
    }
    Err(sky_model::ModelError::Shape {
        name: param.name.clone(),
        expected: param.shape.clone(),
        found: whole.size(),
    }
    .into())
}

/// Copies what of a parameter, which begins at `offset` of its block's flat vector, lies in elements `kept`, of which
/// `target` is made.
fn copy_part(
    whole: &Tensor,
    offset: i64,
    target: &Tensor,
    kept: (i64, i64),
) -> Result<(), TrainError> {
    let end = offset + whole.numel() as i64;
    let (from, to) = (kept.0.max(offset), kept.1.min(end));
    if from < to {
        let part = whole
            .f_reshape([-1])?
            .f_narrow(0, from - offset, to - from)?;
        no_grad(|| target.f_narrow(0, from - kept.0, to - from)?.f_copy_(&part))?;
    }
    Ok(())
}
