use std::borrow::Borrow;

use sky_model::{BlockSpec, ParamSpec};
use sky_torch::{AdamW, AdamWSlot, fused_adamw_};
use tch::{Device, Kind, Tensor, no_grad};

use crate::{Collective, TrainError, layout::Layout};

/// The model's parameters, gradients and optimizer state, each block one flat vector of which every rank keeps its shard
/// (ZeRO stage 3: Rajbhandari et al., 2020).
///
/// The fold asks for a block with [`Store::gather`] and gives its gradients back with [`Store::reduce`]; nothing else in
/// the trainer knows how parameters come to be whole. With one rank a shard is the whole block, and nothing is copied.
pub(crate) struct Store<'c> {
    pub(crate) layouts: Vec<Layout>,
    pub(crate) shards: Vec<Shard>,
    comm: &'c dyn Collective,
    kind: Kind,
    device: Device,
}

/// One rank's part of one block, all vectors of `layout.shard` elements.
pub(crate) struct Shard {
    /// What the model computes with. With f32 compute, the master weights themselves.
    weights: Tensor,
    /// f32 master weights.
    master: Tensor,
    /// f32 first moment.
    exp_avg: Tensor,
    /// f32 second moment.
    exp_avg_sq: Tensor,
    /// f32 gradient, summed over the micro-batches of a step.
    grad: Tensor,
}

impl<'c> Store<'c> {
    /// Fills the shards from `weights`, which gives each parameter whole, in any kind.
    pub(crate) fn new(
        blocks: &[BlockSpec],
        kind: Kind,
        device: Device,
        comm: &'c dyn Collective,
        weights: &mut dyn FnMut(&ParamSpec) -> Result<Tensor, TrainError>,
    ) -> Result<Self, TrainError> {
        let world = comm.world();
        let layouts: Vec<Layout> = blocks.iter().map(|b| Layout::new(b, world)).collect();
        let store = Self {
            shards: layouts
                .iter()
                .map(|layout| Shard::zeros(layout.shard, kind, device))
                .collect(),
            layouts,
            comm,
            kind,
            device,
        };
        for index in 0..store.layouts.len() {
            let (layout, shard) = (&store.layouts[index], &store.shards[index]);
            let begin = comm.rank() as i64 * layout.shard;
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
                let (from, to) = (
                    begin.max(*offset),
                    (begin + layout.shard).min(offset + param.numel()),
                );
                if from < to {
                    no_grad(|| {
                        shard.master.narrow(0, from - begin, to - from).f_copy_(
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

    /// The block's parameters, whole, as leaves that a graph can be built on, in the order its function takes them.
    pub(crate) fn gather(&self, block: usize) -> Result<Vec<Tensor>, TrainError> {
        let (layout, shard) = (&self.layouts[block], &self.shards[block]);
        let world = self.comm.world();
        let whole = if world == 1 {
            shard.weights.shallow_clone()
        } else {
            let whole = Tensor::f_zeros([layout.shard * world as i64], (self.kind, self.device))?;
            self.comm.all_gather_into(&whole, &shard.weights)?.wait()?;
            whole
        };
        layout
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

    /// Adds gradients of the block's parameters, in the order of [`Store::gather`], to this step's sum over all ranks.
    pub(crate) fn reduce<T: Borrow<Tensor>>(
        &mut self,
        block: usize,
        grads: &[T],
    ) -> Result<(), TrainError> {
        let (layout, shard) = (&self.layouts[block], &self.shards[block]);
        let world = self.comm.world();
        no_grad(|| {
            let float = (Kind::Float, self.device);
            let sum = if world == 1 {
                shard.grad.shallow_clone()
            } else {
                Tensor::f_zeros([layout.shard * world as i64], float)?
            };
            for ((param, offset), grad) in layout.params.iter().zip(grads) {
                let _ = sum
                    .f_narrow(0, *offset, param.numel())?
                    .f_view(param.shape.as_slice())?
                    .f_add_(grad.borrow())?;
            }
            if world > 1 {
                let mine = Tensor::f_zeros([layout.shard], float)?;
                self.comm.reduce_scatter(&mine, &sum)?.wait()?;
                let _ = shard.grad.shallow_clone().f_add_(&mine)?;
            }
            Ok(())
        })
    }

    /// Euclidean norm of the whole gradient, over all blocks and ranks.
    pub(crate) fn grad_norm(&self) -> Result<f64, TrainError> {
        let mut sum = 0.0;
        for shard in &self.shards {
            let norm = shard.grad.f_norm()?.f_double_value(&[])?;
            sum += norm * norm;
        }
        Ok(self.sum_over_ranks(sum)?.sqrt())
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

    /// One AdamW step with the gradient times `scale`; `done` steps were taken before. The gradient is zero afterwards.
    pub(crate) fn update(
        &mut self,
        hyper: &AdamW,
        scale: f64,
        done: u64,
    ) -> Result<(), TrainError> {
        let rank = self.comm.rank();
        for index in 0..self.shards.len() {
            let (layout, shard) = (&self.layouts[index], &self.shards[index]);
            if scale != 1.0 {
                let _ = shard.grad.shallow_clone().f_mul_scalar_(scale)?;
            }
            let decayed = layout.decayed_in(rank);
            for (from, length, weight_decay) in [
                (0, decayed, hyper.weight_decay),
                (decayed, layout.shard - decayed, 0.0),
            ] {
                if length == 0 {
                    continue;
                }
                let part = |t: &Tensor| t.f_narrow(0, from, length);
                let step = Tensor::f_full([], done as f64, (Kind::Float, self.device))?;
                let slot = AdamWSlot {
                    param: &part(&shard.master)?,
                    grad: &part(&shard.grad)?,
                    exp_avg: &part(&shard.exp_avg)?,
                    exp_avg_sq: &part(&shard.exp_avg_sq)?,
                    step: &step,
                };
                fused_adamw_(
                    &[slot],
                    &AdamW {
                        weight_decay,
                        ..*hyper
                    },
                )?;
            }
            let _ = shard.grad.shallow_clone().f_zero_()?;
            self.refresh(index)?;
        }
        Ok(())
    }

    /// Brings a block's compute weights up to its master weights.
    pub(crate) fn refresh(&self, block: usize) -> Result<(), TrainError> {
        let shard = &self.shards[block];
        if shard.weights.kind() != Kind::Float {
            no_grad(|| shard.weights.shallow_clone().f_copy_(&shard.master))?;
        }
        Ok(())
    }
}

impl Shard {
    /// What a checkpoint keeps: master weights and the two moments.
    pub(crate) fn parts(&self) -> [&Tensor; 3] {
        [&self.master, &self.exp_avg, &self.exp_avg_sq]
    }

    fn zeros(length: i64, kind: Kind, device: Device) -> Self {
        let zeros = |kind| Tensor::zeros([length], (kind, device));
        let master = zeros(Kind::Float);
        Self {
            weights: if kind == Kind::Float {
                master.shallow_clone()
            } else {
                zeros(kind)
            },
            master,
            exp_avg: zeros(Kind::Float),
            exp_avg_sq: zeros(Kind::Float),
            grad: zeros(Kind::Float),
        }
    }
}
