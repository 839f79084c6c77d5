use std::borrow::Borrow;

use sky_torch::GpuMark;
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

/// A gradient on its way from a GPU to host memory, where it will be added up.
pub(super) struct Landing {
    block: usize,
    /// Pinned; not to be read before the mark is reached.
    host: Tensor,
    ready: GpuMark,
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
        if !exchanged && (self.adopt(block, grads)? || self.keep_as_they_are(block, grads)?) {
            return Ok(());
        }
        let away = self.places.optimizer != self.places.compute;
        let sum = if exchanged || away {
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
        } else if away {
            self.land(block, &sum)?;
            let is_layer = self.is_layer(block);
            self.buffers.give_back(sum, is_layer);
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

    /// Keeps a block's first gradients in bf16 when they come so: a second micro-batch's, or the optimizer, widens them. It is
    /// half the memory for a step's only micro-batch, and the same bits.
    fn keep_as_they_are<T: Borrow<Tensor>>(
        &mut self,
        block: usize,
        grads: &[T],
    ) -> Result<bool, TrainError> {
        let (layout, shard) = (&self.layouts[block], &mut self.shards[block]);
        let place = self.places.optimizer;
        let fits = self.comm.world() == 1
            && self.places.compute == place
            && shard.grad.is_none()
            && grads
                .iter()
                .all(|grad| grad.borrow().kind() == Kind::BFloat16);
        if fits {
            let flat = self.places.zeros(layout.whole(), Kind::BFloat16, place)?;
            for ((param, offset), grad) in layout.params.iter().zip(grads) {
                let mut part = flat.f_narrow(0, *offset, param.numel())?;
                no_grad(|| part.f_copy_(&grad.borrow().f_reshape([-1])?))?;
            }
            shard.grad = Some(flat);
        }
        Ok(fits)
    }

    /// A block's gradient so far, in f32: zeros at first.
    fn sum(&mut self, block: usize) -> Result<Tensor, TrainError> {
        let shard = &mut self.shards[block];
        if let Some(sum) = &shard.grad {
            let sum = sum.f_to_kind(Kind::Float)?;
            shard.grad = Some(sum.shallow_clone());
            return Ok(sum);
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
            self.land(reducing.block, &reducing.mine)?;
            let is_layer = self.is_layer(reducing.block);
            self.buffers.give_back(reducing.flat, is_layer);
        }
        Ok(())
    }

    /// Adds a gradient up where it lies. An offloaded one is sent on its way to host memory, and the one before it added up: the
    /// GPU goes on with the next block meanwhile.
    fn land(&mut self, block: usize, grad: &Tensor) -> Result<(), TrainError> {
        let away = self.places.optimizer != self.places.compute;
        let (Device::Cuda(gpu), true) = (grad.device(), away) else {
            return self.add_up(block, grad);
        };
        // Not blocking, so the copy is in pinned memory.
        let host = grad.f_to_device_(self.places.optimizer, Kind::Float, true, false)?;
        let ready = GpuMark::new(gpu)?;
        let landing = Landing { block, host, ready };
        let before = self.landing.replace(landing);
        self.add_landed(before)
    }

    fn add_landed(&mut self, landed: Option<Landing>) -> Result<(), TrainError> {
        if let Some(Landing { block, host, ready }) = landed {
            ready.wait()?;
            self.add_up(block, &host)?;
        }
        Ok(())
    }

    fn add_up(&mut self, block: usize, grad: &Tensor) -> Result<(), TrainError> {
        let mut sum = self.sum(block)?;
        let _ = no_grad(|| sum.f_add_(grad))?;
        Ok(())
    }

    /// After the last micro-batch: what the optimizer will meet is the sum over all ranks.
    pub(crate) fn finish_gradients(&mut self) -> Result<(), TrainError> {
        self.finish_reducing()?;
        let last = self.landing.take();
        self.add_landed(last)?;
        if self.comm.world() == 1 {
            return Ok(());
        }
        for block in 0..self.shards.len() {
            // A rank without a micro-batch has zeros.
            let sum = self.sum(block)?;
            let layout = &self.layouts[block];
            if self.sharded.gradients || layout.numel == 0 {
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
            let rows = self
                .kept_of(block, grad)?
                .f_to_kind(Kind::Float)?
                .f_view([-1, ALIGN])?;
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use sky_model::{BlockId, BlockSpec, ParamSpec};
    use sky_torch::AdamW;

    use super::*;
    use crate::{Solo, TrainConfig};

    const SHAPES: [[i64; 2]; 2] = [[48, 32], [7, 9]];
    const NUMEL: i64 = 48 * 32 + 7 * 9;

    /// A block of two parameters, in bf16.
    fn store() -> Store<'static> {
        let param = |(i, shape): (usize, &[i64; 2])| ParamSpec {
            name: format!("weight.{i}"),
            shape: shape.to_vec(),
            decay: i == 0,
        };
        let block = BlockSpec {
            id: BlockId::Layer(0),
            params: SHAPES.iter().enumerate().map(param).collect(),
        };
        let mut weights = |param: &ParamSpec| Ok(numbers(&param.shape, 1));
        Store::new(
            &[block],
            &[],
            &TrainConfig::default(),
            (Device::Cpu, false),
            &Solo,
            &mut weights,
        )
        .unwrap()
    }

    /// Numbers of both signs and of many sizes.
    fn numbers(shape: &[i64], seed: i64) -> Tensor {
        let index = Tensor::arange(shape.iter().product::<i64>(), (Kind::Double, Device::Cpu));
        let numbers = ((index + seed) * 12.9898).sin() * 3.0;
        (numbers.exp() - 1.0)
            .view(shape)
            .to_kind(Kind::BFloat16)
            .copy()
    }

    /// Weights and moments after steps of so many micro-batches each, the gradients' norms, and their bytes.
    fn train(micro_batches: i64, kind: Kind) -> (Vec<Vec<f32>>, Vec<f64>, u64) {
        let mut store = store();
        let mut norms = Vec::new();
        for step in 0..3 {
            for micro in 0..micro_batches {
                let seed = 100 * step + micro;
                let grads = SHAPES.map(|shape| numbers(&shape, seed).to_kind(kind));
                store.reduce(0, &grads).unwrap();
            }
            store.finish_gradients().unwrap();
            norms.push(store.grad_norm().unwrap());
            let hyper = AdamW {
                lr: 1e-2,
                beta1: 0.9,
                beta2: 0.999,
                eps: 1e-8,
                weight_decay: 0.1,
            };
            store.update(&hyper, 0.37, step as u64, 1).unwrap();
        }
        let state = store.state(0, (0, NUMEL)).unwrap();
        let flat = state.map(|vector| Vec::try_from(vector.wide().unwrap()).unwrap());
        (flat.to_vec(), norms, store.memory().gradients)
    }

    #[test]
    fn a_gradient_kept_in_bf16_makes_the_same_bits_as_its_sum() {
        let padded = (NUMEL as u64).next_multiple_of(ALIGN as u64);
        for micro_batches in [1, 2, 3] {
            let (state, norms, bytes) = train(micro_batches, Kind::BFloat16);
            let (sums, norms_of_sums, bytes_of_sums) = train(micro_batches, Kind::Float);
            assert_eq!(state, sums);
            assert_eq!(norms, norms_of_sums);
            assert_eq!(bytes_of_sums, 4 * padded);
            assert_eq!(bytes, if micro_batches == 1 { 2 } else { 4 } * padded);
        }
        assert_ne!(train(1, Kind::Float).0, train(2, Kind::Float).0);
    }
}
