use std::borrow::Borrow;

use tch::{Kind, Tensor, no_grad};

use super::Store;
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
                let part = sum
                    .f_narrow(0, *offset, param.numel())?
                    .f_view(param.shape.as_slice())?;
                add(part, grad.borrow())?;
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
            if layout.numel == 0 {
                continue;
            }
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
    pub(super) fn grad(&self, block: usize) -> Result<Tensor, TrainError> {
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
        // A block without adapters has no gradient.
        let trained = |block: &usize| self.layouts[*block].numel > 0;
        for block in (0..self.shards.len()).filter(trained) {
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
