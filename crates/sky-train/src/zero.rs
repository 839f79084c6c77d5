use std::borrow::Borrow;

use sky_model::{BlockSpec, ParamSpec};
use sky_torch::{AdamW, AdamWSlot, fused_adamw_};
use tch::{Device, Kind, Tensor, no_grad};

use crate::{
    Collective, Offload, Pending, TrainConfig, TrainError,
    layout::{ALIGN, Layout},
    moments::Dither,
};

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
}

/// What is sharded; each rank keeps the rest whole.
#[derive(Clone, Copy, Debug)]
struct Sharded {
    optimizer: bool,
    gradients: bool,
    parameters: bool,
}

impl Sharded {
    fn stage(stage: u8, world: usize) -> Self {
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
struct Places {
    /// What computes.
    compute: Device,
    /// The weights that the model computes with, between uses.
    weights: Device,
    /// Master weights, moments, and the gradients they meet; the optimizer's step is done there.
    optimizer: Device,
}

impl Places {
    /// On a CPU there is nowhere to offload to: all is in host memory already.
    fn new(compute: Device, offload: Offload) -> Self {
        let (weights, optimizer) = match offload {
            Offload::None => (compute, compute),
            Offload::Optimizer => (compute, Device::Cpu),
            Offload::OptimizerAndParameters => (Device::Cpu, Device::Cpu),
        };
        Self {
            compute,
            weights,
            optimizer,
        }
    }

    /// A vector of zeros; in host memory that a GPU can read and write directly when it computes elsewhere.
    fn zeros(self, length: i64, kind: Kind, place: Device) -> Result<Tensor, tch::TchError> {
        let zeros = Tensor::f_zeros([length], (kind, place))?;
        if place == self.compute {
            Ok(zeros)
        } else {
            zeros.f_pin_memory(self.compute)
        }
    }
}

/// What one rank keeps of one block: vectors of `layout.shard` elements where sharded, else of `layout.whole()`.
struct Shard {
    /// What the model computes with. With f32 compute, the master weights are a part of them.
    weights: Tensor,
    /// f32 master weights.
    master: Tensor,
    /// First moment.
    exp_avg: Tensor,
    /// Second moment.
    exp_avg_sq: Tensor,
    /// f32 gradient, summed over the micro-batches of a step.
    grad: Tensor,
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

/// Gradients on their way.
struct Reducing {
    block: usize,
    flat: Tensor,
    mine: Tensor,
    pending: Pending,
}

/// Vectors of a layer's size that are used again and again; the embedding's and the head's are too large to be kept.
#[derive(Default)]
struct Buffers(Vec<Tensor>);

impl Buffers {
    fn take(&mut self, length: i64, options: (Kind, Device)) -> Result<Tensor, TrainError> {
        let found = self
            .0
            .iter()
            .position(|t| t.numel() as i64 == length && t.kind() == options.0);
        Ok(match found {
            Some(index) => self.0.swap_remove(index),
            None => Tensor::f_zeros([length], options)?,
        })
    }

    fn give_back(&mut self, buffer: Tensor, is_layer: bool) {
        // Two parameters' and one gradient's are in use at once; kept graphs hold more for a while.
        if is_layer && self.0.len() < 4 {
            self.0.push(buffer);
        }
    }
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
        let places = Places::new(device, config.offload);
        let moments = config.moments.kind();
        let layouts: Vec<Layout> = blocks.iter().map(|b| Layout::new(b, world)).collect();
        let shards = layouts
            .iter()
            .map(|layout| Shard::zeros(layout, sharded, rank, (kind, moments), places))
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
            store.refresh(index)?.wait()?;
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
        self.kind == Kind::Float && self.places.weights == self.places.optimizer
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

    /// Adds gradients of the block's parameters, in the order of [`Gathered::params`], to this step's sum. Where gradients
    /// are sharded they are added up over the ranks meanwhile.
    pub(crate) fn reduce<T: Borrow<Tensor>>(
        &mut self,
        block: usize,
        grads: &[T],
    ) -> Result<(), TrainError> {
        let exchanged = self.sharded.gradients && self.comm.world() > 1;
        let float = (Kind::Float, self.places.compute);
        let sum = if exchanged {
            self.finish_reducing()?;
            let whole = self.layouts[block].whole();
            let mut flat = self.buffers.take(whole, float)?;
            let _ = flat.f_zero_()?;
            flat
        } else {
            self.shards[block].grad.shallow_clone()
        };
        let layout = &self.layouts[block];
        no_grad(|| {
            for ((param, offset), grad) in layout.params.iter().zip(grads) {
                let _ = sum
                    .f_narrow(0, *offset, param.numel())?
                    .f_view(param.shape.as_slice())?
                    .f_add_(&grad.borrow().f_to_device(sum.device())?)?;
            }
            Ok::<_, TrainError>(())
        })?;
        if exchanged {
            let mine = Tensor::f_zeros([layout.shard], float)?;
            let pending = self.comm.reduce_scatter(&mine, &sum)?;
            self.reducing = Some(Reducing {
                block,
                flat: sum,
                mine,
                pending,
            });
        }
        Ok(())
    }

    fn finish_reducing(&mut self) -> Result<(), TrainError> {
        if let Some(reducing) = self.reducing.take() {
            reducing.pending.wait()?;
            let _ = no_grad(|| {
                self.shards[reducing.block]
                    .grad
                    .shallow_clone()
                    .f_add_(&reducing.mine.f_to_device(self.places.optimizer)?)
            })?;
            let is_layer = self.is_layer(reducing.block);
            self.buffers.give_back(reducing.flat, is_layer);
        }
        Ok(())
    }

    /// After the last micro-batch: what the optimizer will meet is the sum over all ranks.
    pub(crate) fn finish_gradients(&mut self) -> Result<(), TrainError> {
        self.finish_reducing()?;
        if self.comm.world() == 1 || self.sharded.gradients {
            return Ok(());
        }
        for (layout, shard) in self.layouts.iter().zip(&self.shards) {
            if self.sharded.optimizer {
                let mine = Tensor::f_zeros([layout.shard], (Kind::Float, shard.grad.device()))?;
                self.comm.reduce_scatter(&mine, &shard.grad)?.wait()?;
                let (from, _) = layout.part(self.comm.rank());
                shard.grad.f_narrow(0, from, layout.shard)?.f_copy_(&mine)?;
            } else {
                self.comm.all_reduce(&shard.grad)?.wait()?;
            }
        }
        Ok(())
    }

    /// The gradient of the elements of [`Store::kept`].
    fn grad(&self, block: usize) -> Result<Tensor, TrainError> {
        let grad = &self.shards[block].grad;
        if self.sharded.optimizer && !self.sharded.gradients {
            let (from, to) = self.kept(block);
            return Ok(grad.f_narrow(0, from, to - from)?);
        }
        Ok(grad.shallow_clone())
    }

    /// Euclidean norm of the whole gradient, over all blocks and ranks.
    pub(crate) fn grad_norm(&self) -> Result<f64, TrainError> {
        let mut sum = 0.0;
        for block in 0..self.shards.len() {
            // Row by row, and f64 over the rows: libtorch's f32 norm of ten million elements is off by a thousandth.
            let rows = self.grad(block)?.f_view([-1, ALIGN])?;
            let norms = rows.f_norm_scalaropt_dim(2.0, [1_i64].as_slice(), false)?;
            let norms = norms.f_to_kind(Kind::Double)?;
            sum += norms.f_dot(&norms)?.f_double_value(&[])?;
        }
        if self.sharded.optimizer {
            sum = self.sum_over_ranks(sum)?;
        }
        Ok(sum.sqrt())
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

    /// One AdamW step with the gradient times `scale`; `done` steps were taken before. The gradient is zero afterwards.
    /// `seed` is that of the step: bf16 moments are rounded by it.
    pub(crate) fn update(
        &mut self,
        hyper: &AdamW,
        scale: f64,
        done: u64,
        seed: u64,
    ) -> Result<(), TrainError> {
        let dither = match self.moments {
            Kind::BFloat16 => Some(Dither::new(seed, self.places.optimizer)?),
            _ => None,
        };
        let mut travelling = Pending::done();
        for index in 0..self.shards.len() {
            let (layout, shard) = (&self.layouts[index], &self.shards[index]);
            let mut grad = self.grad(index)?;
            if scale != 1.0 {
                let _ = grad.f_mul_scalar_(scale)?;
            }
            let (begin, end) = self.kept(index);
            let decayed = (layout.decayed - begin).clamp(0, end - begin);
            for (from, length, weight_decay) in [
                (0, decayed, hyper.weight_decay),
                (decayed, end - begin - decayed, 0.0),
            ] {
                if length == 0 {
                    continue;
                }
                let part = |t: &Tensor| t.f_narrow(0, from, length);
                let step = Tensor::f_full([], done as f64, (Kind::Float, self.places.optimizer))?;
                let slot = AdamWSlot {
                    param: &part(&shard.master)?,
                    grad: &part(&grad)?,
                    exp_avg: &part(&shard.exp_avg)?,
                    exp_avg_sq: &part(&shard.exp_avg_sq)?,
                    step: &step,
                };
                let hyper = AdamW {
                    weight_decay,
                    ..*hyper
                };
                match &dither {
                    Some(dither) => dither.step(&slot, &hyper, done, begin + from)?,
                    None => fused_adamw_(&[slot], &hyper)?,
                }
            }
            let _ = shard.grad.shallow_clone().f_zero_()?;
            // One block's new weights travel while the next one's are made.
            std::mem::replace(&mut travelling, self.refresh(index)?).wait()?;
        }
        travelling.wait()
    }

    /// Brings what the model computes with up to date with the master weights.
    pub(crate) fn refresh(&mut self, block: usize) -> Result<Pending, TrainError> {
        let shard = &self.shards[block];
        let gathered = self.sharded.optimizer && !self.sharded.parameters;
        let (from, to) = self.kept(block);
        let mine = if gathered {
            shard.weights.f_narrow(0, from, to - from)?
        } else {
            shard.weights.shallow_clone()
        };
        if !self.one_memory() {
            no_grad(|| mine.shallow_clone().f_copy_(&shard.master))?;
        }
        if !gathered {
            return Ok(Pending::done());
        }
        // A copy: what is sent and what is received must not be the same memory.
        let mut sent = Tensor::f_empty_like(&mine)?;
        no_grad(|| sent.f_copy_(&mine))?;
        self.comm.all_gather_into(&shard.weights, &sent)
    }
}

impl Shard {
    fn zeros(
        layout: &Layout,
        sharded: Sharded,
        rank: usize,
        (kind, moments): (Kind, Kind),
        places: Places,
    ) -> Result<Self, TrainError> {
        let zeros = |whole: bool, kind, place| {
            let length = if whole { layout.whole() } else { layout.shard };
            places.zeros(length, kind, place)
        };
        let weights = zeros(!sharded.parameters, kind, places.weights)?;
        let state = |kind| zeros(!sharded.optimizer, kind, places.optimizer);
        Ok(Self {
            master: if kind != Kind::Float || places.weights != places.optimizer {
                state(Kind::Float)?
            } else if sharded.optimizer && !sharded.parameters {
                let (from, to) = layout.part(rank);
                weights.f_narrow(0, from, to - from)?
            } else {
                weights.shallow_clone()
            },
            weights,
            exp_avg: state(moments)?,
            exp_avg_sq: state(moments)?,
            grad: zeros(!sharded.gradients, Kind::Float, places.optimizer)?,
        })
    }
}
