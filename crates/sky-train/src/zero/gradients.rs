use std::borrow::Borrow;

use tch::{Device, Kind, Tensor, no_grad};

use super::{Store, shard::grad_length};
use crate::{Pending, TrainError, layout::ALIGN};

/// Gradients on their way.
pub(super) struct Reducing {
    pub(super) block: usize,
    pub(super) flat: Tensor,
    pub(super) mine: Tensor,
    pub(super) pending: Pending,
}

impl Store<'_> {
    /// Adds gradients of the block's parameters, in the order of [`Gathered::trained`], to this step's sum. Where gradients
    /// are sharded they are added up over the ranks meanwhile.
    pub(crate) fn reduce<T: Borrow<Tensor>>(
        &mut self,
        block: usize,
        grads: &[T],
    ) -> Result<(), TrainError> {
        let exchanged = self.exchanged();
        if !exchanged && self.adopt(block, grads)? {
            return Ok(());
        }
        let sum = if exchanged {
            self.on_its_way(block)?
        } else {
            self.sum(block)?
        };
        let layout = &self.layouts[block];
        no_grad(|| {
            for ((param, offset), grad) in layout.params.iter().zip(grads) {
                let part = sum
                    .f_narrow(0, *offset, param.numel())?
                    .f_view(param.shape.as_slice())?;
                add(part, grad.borrow())?;
            }
            Ok::<_, TrainError>(())
        })?;
        if exchanged {
            self.send_off(block, sum)?;
        }
        Ok(())
    }

    /// The same of an embedding, its block's only parameter: row `i` of `upstream` is the gradient of the row `ids[i]`.
    pub(crate) fn reduce_rows(
        &mut self,
        block: usize,
        ids: &Tensor,
        upstream: &Tensor,
    ) -> Result<(), TrainError> {
        let rows = self.layouts[block].params[0].0.shape[0];
        // In f32: a frequent token's gradient is a long sum.
        let upstream = upstream.f_to_kind(Kind::Float)?;
        // One after the other on a CPU; on a GPU their order would be another each time.
        if !self.exchanged() && self.places.compute == Device::Cpu {
            let numel = self.layouts[block].params[0].0.numel();
            let sum = self.sum(block)?.f_narrow(0, 0, numel)?;
            let _ = no_grad(|| sum.f_view([rows, -1])?.f_index_add_(0, ids, &upstream))?;
            return Ok(());
        }
        let whole =
            no_grad(|| Tensor::f_embedding_dense_backward(&upstream, ids, rows, -1, false))?;
        self.reduce(block, &[whole])
    }

    /// Whether a micro-batch's gradients are summed over the ranks at once.
    fn exchanged(&self) -> bool {
        self.sharded.gradients && self.comm.world() > 1
    }

    /// Zeros for a whole block's gradient, once the last one has arrived.
    fn on_its_way(&mut self, block: usize) -> Result<Tensor, TrainError> {
        self.finish_reducing()?;
        let whole = self.layouts[block].whole();
        let mut flat = self
            .buffers
            .take(whole, (Kind::Float, self.places.compute))?;
        let _ = flat.f_zero_()?;
        Ok(flat)
    }

    fn send_off(&mut self, block: usize, flat: Tensor) -> Result<(), TrainError> {
        let float = (Kind::Float, self.places.compute);
        let mine = Tensor::f_zeros([self.layouts[block].shard], float)?;
        let pending = self.comm.reduce_scatter(&mine, &flat)?;
        self.reducing = Some(Reducing {
            block,
            flat,
            mine,
            pending,
        });
        Ok(())
    }

    /// Takes a block's first and only gradient as the sum itself: a head's is a hundred megabytes and more.
    fn adopt<T: Borrow<Tensor>>(&mut self, block: usize, grads: &[T]) -> Result<bool, TrainError> {
        let (layout, shard) = (&self.layouts[block], &mut self.shards[block]);
        let [grad] = grads else { return Ok(false) };
        let grad = grad.borrow();
        let fits = shard.grad.is_none()
            && grad.kind() == Kind::Float
            && grad.device() == self.places.optimizer
            && grad.is_contiguous()
            && grad.numel() as i64 == layout.whole();
        if fits {
            shard.grad = Some(grad.f_detach()?.f_view([-1])?);
        }
        Ok(fits)
    }

    /// A block's gradient so far: zeros at first.
    fn sum(&mut self, block: usize) -> Result<Tensor, TrainError> {
        let shard = &mut self.shards[block];
        if let Some(sum) = &shard.grad {
            return Ok(sum.shallow_clone());
        }
        let length = grad_length(&self.layouts[block], self.sharded);
        let sum = self
            .places
            .zeros(length, Kind::Float, self.places.optimizer)?;
        shard.grad = Some(sum.shallow_clone());
        Ok(sum)
    }

    fn finish_reducing(&mut self) -> Result<(), TrainError> {
        if let Some(reducing) = self.reducing.take() {
            reducing.pending.wait()?;
            let mut sum = self.sum(reducing.block)?;
            let _ = no_grad(|| sum.f_add_(&reducing.mine.f_to_device(self.places.optimizer)?))?;
            let is_layer = self.is_layer(reducing.block);
            self.buffers.give_back(reducing.flat, is_layer);
        }
        Ok(())
    }

    /// After the last micro-batch: what the optimizer will meet is the sum over all ranks.
    pub(crate) fn finish_gradients(&mut self) -> Result<(), TrainError> {
        self.finish_reducing()?;
        for block in 0..self.shards.len() {
            // A rank without a micro-batch has zeros.
            let sum = self.sum(block)?;
            let layout = &self.layouts[block];
            if self.comm.world() == 1 || self.sharded.gradients || layout.numel == 0 {
                continue;
            }
            if self.sharded.optimizer {
                let mine = Tensor::f_zeros([layout.shard], (Kind::Float, sum.device()))?;
                self.comm.reduce_scatter(&mine, &sum)?.wait()?;
                let (from, _) = layout.part(self.comm.rank());
                sum.f_narrow(0, from, layout.shard)?.f_copy_(&mine)?;
            } else {
                self.comm.all_reduce(&sum)?.wait()?;
            }
        }
        Ok(())
    }

    /// The part of a block's gradient that belongs to the elements of [`Store::kept`].
    pub(super) fn kept_of(&self, block: usize, grad: &Tensor) -> Result<Tensor, TrainError> {
        if self.sharded.optimizer && !self.sharded.gradients {
            let (from, to) = self.kept(block);
            return Ok(grad.f_narrow(0, from, to - from)?);
        }
        Ok(grad.shallow_clone())
    }

    /// Euclidean norm of the whole gradient, over all blocks and ranks.
    pub(crate) fn grad_norm(&self) -> Result<f64, TrainError> {
        let mut sum = 0.0;
        // A block without adapters has no gradient.
        let trained = |block: &usize| self.layouts[*block].numel > 0;
        for block in (0..self.shards.len()).filter(trained) {
            // Row by row, and f64 over the rows: libtorch's f32 norm of ten million elements is off by a thousandth.
            let Some(grad) = &self.shards[block].grad else {
                continue;
            };
            let rows = self.kept_of(block, grad)?.f_view([-1, ALIGN])?;
            let norms = rows.f_norm_scalaropt_dim(2.0, [1_i64].as_slice(), false)?;
            let norms = norms.f_to_kind(Kind::Double)?;
            sum += norms.f_dot(&norms)?.f_double_value(&[])?;
        }
        if self.sharded.optimizer {
            sum = self.sum_over_ranks(sum)?;
        }
        Ok(sum.sqrt())
    }
}

/// Adds a gradient to a sum in f32, from wherever it lies.
fn add(mut sum: Tensor, grad: &Tensor) -> Result<(), TrainError> {
    let here = sum.device() == grad.device();
    if here && sky_torch::fuses(grad.kind(), grad.device()) {
        sky_torch::accumulate_(&sum, &grad.f_contiguous()?)?;
    } else {
        let _ = sum.f_add_(&grad.f_to_device(sum.device())?)?;
    }
    Ok(())
}
