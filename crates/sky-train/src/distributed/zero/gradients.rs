use std::borrow::Borrow;

use sky_torch::CudaEvent;
use tch::{Device, Kind, Tensor, no_grad};

use super::{
    pending_grads::{GradOffload, PendingReduceScatter},
    shard::grad_length,
    state::ShardedState,
};
use crate::{TrainError, params::flat_layout::ALIGN};

impl ShardedState<'_> {
    /// Adds the gradients of a block's parameters to this step's sum, in the order of
    /// `Gathered::trained`. Where gradients are sharded, a reduce-scatter starts: it overlaps the
    /// backward pass of the next block.
    pub(crate) fn reduce<T: Borrow<Tensor>>(
        &mut self,
        block: usize,
        grads: &[T],
    ) -> Result<(), TrainError> {
        let exchanged = self.exchanged();
        // Two shortcuts for a step's first gradient, which need no zeroed vector and no addition.
        if !exchanged && (self.adopt(block, grads)? || self.keep_in_bf16(block, grads)?) {
            return Ok(());
        }
        let away = self.devices.optimizer != self.devices.compute;
        // A gradient that goes to other ranks or to the host is collected in a buffer first. One
        // that stays is added to the step's sum directly.
        let sum = if exchanged || away {
            self.gradient_buffer(block)?
        } else {
            self.sum(block)?
        };
        let layout = &self.layouts[block];
        no_grad(|| {
            for (param, grad) in layout.params.iter().zip(grads) {
                let part = sum
                    .f_narrow(0, param.offset, param.spec.numel())?
                    .f_view(param.spec.shape.as_slice())?;
                add(part, grad.borrow())?;
            }
            Ok::<_, TrainError>(())
        })?;
        if exchanged {
            self.start_reduce_scatter(block, sum)?;
        } else if away {
            self.accumulate_or_offload(block, &sum)?;
            let is_layer = self.is_layer(block);
            // The copy to the host may still read the buffer. The GPU's stream orders it before
            // the next user's zeroing.
            self.buffers.release(sum, is_layer);
        }
        Ok(())
    }

    /// [`ShardedState::reduce`] of an embedding, its block's only parameter: row `i` of `upstream`
    /// is the gradient of the row `ids[i]`.
    pub(crate) fn reduce_rows(
        &mut self,
        block: usize,
        ids: &Tensor,
        upstream: &Tensor,
    ) -> Result<(), TrainError> {
        let spec = &self.layouts[block].params[0].spec;
        let (rows, numel) = (spec.shape[0], spec.numel());
        // In f32: a frequent token's gradient is a long sum.
        let upstream = upstream.f_to_kind(Kind::Float)?;
        // `index_add_` adds row after row on a CPU. On a GPU its order, and so its bits, would
        // differ from run to run.
        if !self.exchanged() && self.devices.compute == Device::Cpu {
            let sum = self.sum(block)?.f_narrow(0, 0, numel)?;
            let _ = no_grad(|| sum.f_view([rows, -1])?.f_index_add_(0, ids, &upstream))?;
            return Ok(());
        }
        let whole =
            no_grad(|| Tensor::f_embedding_dense_backward(&upstream, ids, rows, -1, false))?;
        self.reduce(block, &[whole])
    }

    /// Whether the gradients of each micro-batch are reduced over the ranks.
    fn exchanged(&self) -> bool {
        self.sharded.gradients && self.comm.world_size() > 1
    }

    /// A zeroed buffer for a whole block's gradient. The reduce-scatter before is waited for first:
    /// one is in flight at a time, which bounds the buffers to two.
    fn gradient_buffer(&mut self, block: usize) -> Result<Tensor, TrainError> {
        self.finish_reduce_scatter()?;
        let whole = self.layouts[block].padded_numel();
        let mut flat = self
            .buffers
            .take(whole, Kind::Float, self.devices.compute)?;
        let _ = flat.f_zero_()?;
        Ok(flat)
    }

    fn start_reduce_scatter(&mut self, block: usize, flat: Tensor) -> Result<(), TrainError> {
        let float = (Kind::Float, self.devices.compute);
        let mine = Tensor::f_zeros([self.layouts[block].shard], float)?;
        let pending = self.comm.reduce_scatter(&mine, &flat)?;
        self.pending_reduce = Some(PendingReduceScatter {
            block,
            flat,
            mine,
            pending,
        });
        Ok(())
    }

    /// Takes a block's first gradient as the sum itself, where the block has one parameter: a copy
    /// of the head's would be a hundred megabytes and more. Later micro-batches are added to this
    /// tensor in place, so the caller must not use it again.
    fn adopt<T: Borrow<Tensor>>(&mut self, block: usize, grads: &[T]) -> Result<bool, TrainError> {
        let (layout, shard) = (&self.layouts[block], &mut self.shards[block]);
        let [grad] = grads else { return Ok(false) };
        let grad = grad.borrow();
        let fits = shard.grad.is_none()
            && grad.kind() == Kind::Float
            && grad.device() == self.devices.optimizer
            && grad.is_contiguous()
            && grad.numel() as i64 == layout.padded_numel();
        if fits {
            shard.grad = Some(grad.f_detach()?.f_view([-1])?);
        }
        Ok(fits)
    }

    /// Keeps a block's first gradients in bf16 when they come so. A second micro-batch or the
    /// optimizer converts them to f32. It halves the memory of a step's only micro-batch; the bits
    /// are the same, since bf16 to f32 is exact.
    fn keep_in_bf16<T: Borrow<Tensor>>(
        &mut self,
        block: usize,
        grads: &[T],
    ) -> Result<bool, TrainError> {
        let (layout, shard) = (&self.layouts[block], &mut self.shards[block]);
        let place = self.devices.optimizer;
        // With more ranks, the sum over them is in f32 in any case.
        let fits = self.comm.world_size() == 1
            && self.devices.compute == place
            && shard.grad.is_none()
            && grads
                .iter()
                .all(|grad| grad.borrow().kind() == Kind::BFloat16);
        if fits {
            let flat = self
                .devices
                .zeros(layout.padded_numel(), Kind::BFloat16, place)?;
            for (param, grad) in layout.params.iter().zip(grads) {
                let mut part = flat.f_narrow(0, param.offset, param.spec.numel())?;
                no_grad(|| part.f_copy_(&grad.borrow().f_reshape([-1])?))?;
            }
            shard.grad = Some(flat);
        }
        Ok(fits)
    }

    /// A block's gradient so far, in f32; zeros at first.
    fn sum(&mut self, block: usize) -> Result<Tensor, TrainError> {
        let shard = &mut self.shards[block];
        if let Some(sum) = &shard.grad {
            let sum = sum.f_to_kind(Kind::Float)?;
            shard.grad = Some(sum.shallow_clone());
            return Ok(sum);
        }
        let length = grad_length(&self.layouts[block], self.sharded);
        let sum = self
            .devices
            .zeros(length, Kind::Float, self.devices.optimizer)?;
        shard.grad = Some(sum.shallow_clone());
        Ok(sum)
    }

    fn finish_reduce_scatter(&mut self) -> Result<(), TrainError> {
        if let Some(pending_reduce) = self.pending_reduce.take() {
            pending_reduce.pending.wait()?;
            // `mine` is freed below while its copy to the host may still run: the GPU's caching
            // allocator reuses memory in the order of the stream.
            self.accumulate_or_offload(pending_reduce.block, &pending_reduce.mine)?;
            let is_layer = self.is_layer(pending_reduce.block);
            self.buffers.release(pending_reduce.flat, is_layer);
        }
        Ok(())
    }

    /// Accumulates a gradient, or starts its offload to host memory and accumulates the one before
    /// it. So a device-to-host copy overlaps the next block's backward pass: the host waits for a
    /// copy only when the next one has been queued.
    fn accumulate_or_offload(&mut self, block: usize, grad: &Tensor) -> Result<(), TrainError> {
        let away = self.devices.optimizer != self.devices.compute;
        let (Device::Cuda(gpu), true) = (grad.device(), away) else {
            return self.accumulate(block, grad);
        };
        // A non-blocking copy allocates pinned memory; the event says when it is done.
        let host = grad.f_to_device_(self.devices.optimizer, Kind::Float, true, false)?;
        let ready = CudaEvent::new(gpu)?;
        let grad_offload = GradOffload { block, host, ready };
        let before = self.grad_offload.replace(grad_offload);
        self.finish_offload(before)
    }

    fn finish_offload(&mut self, offload: Option<GradOffload>) -> Result<(), TrainError> {
        if let Some(GradOffload { block, host, ready }) = offload {
            ready.wait()?;
            self.accumulate(block, &host)?;
        }
        Ok(())
    }

    fn accumulate(&mut self, block: usize, grad: &Tensor) -> Result<(), TrainError> {
        let mut sum = self.sum(block)?;
        let _ = no_grad(|| sum.f_add_(grad))?;
        Ok(())
    }

    /// Finishes the step's gradients after the last micro-batch: sums over all micro-batches and
    /// ranks.
    pub(crate) fn finish_gradients(&mut self) -> Result<(), TrainError> {
        self.finish_reduce_scatter()?;
        let last = self.grad_offload.take();
        self.finish_offload(last)?;
        if self.comm.world_size() == 1 {
            return Ok(());
        }
        // In the order of the blocks on every rank: these are collectives.
        for block in 0..self.shards.len() {
            // `sum` makes zeros on a rank that had no micro-batch: it takes part in the collectives
            // all the same.
            let sum = self.sum(block)?;
            let layout = &self.layouts[block];
            if self.sharded.gradients || layout.numel == 0 {
                continue;
            }
            if self.sharded.optimizer {
                let mine = Tensor::f_zeros([layout.shard], (Kind::Float, sum.device()))?;
                self.comm.reduce_scatter(&mine, &sum)?.wait()?;
                let from = layout.shard_range(self.comm.rank()).start;
                // The rest of `sum` stays incomplete: `local_grad` reads this rank's range alone.
                sum.f_narrow(0, from, layout.shard)?.f_copy_(&mine)?;
            } else {
                self.comm.all_reduce(&sum)?.wait()?;
            }
        }
        Ok(())
    }

    /// The part of a block's gradient for the elements of [`ShardedState::local_range`].
    pub(super) fn local_grad(&self, block: usize, grad: &Tensor) -> Result<Tensor, TrainError> {
        if self.sharded.optimizer && !self.sharded.gradients {
            let local = self.local_range(block);
            return Ok(grad.f_narrow(0, local.start, local.end - local.start)?);
        }
        Ok(grad.shallow_clone())
    }

    /// Euclidean norm of the whole gradient, over all blocks and ranks.
    pub(crate) fn grad_norm(&self) -> Result<f64, TrainError> {
        let mut sum = 0.0;
        // A block without adapters has no gradient.
        let trained = |block: &usize| self.layouts[*block].numel > 0;
        for block in (0..self.shards.len()).filter(trained) {
            // Rows of 64 in f32, then f64 over the rows: libtorch's f32 norm of ten million
            // elements is off by a thousandth. Shards are multiples of 64, so the rows do not
            // depend on sharding.
            let Some(grad) = &self.shards[block].grad else {
                continue;
            };
            let rows = self
                .local_grad(block, grad)?
                .f_to_kind(Kind::Float)?
                .f_view([-1, ALIGN])?;
            let norms = rows.f_norm_scalaropt_dim(2.0, [1_i64].as_slice(), false)?;
            let norms = norms.f_to_kind(Kind::Double)?;
            sum += norms.f_dot(&norms)?.f_double_value(&[])?;
        }
        // In stage 0 each rank has the whole gradient.
        if self.sharded.optimizer {
            sum = self.sum_over_ranks(sum)?;
        }
        Ok(sum.sqrt())
    }
}

/// Adds a gradient to a sum in f32, from whichever device it is on.
fn add(mut sum: Tensor, grad: &Tensor) -> Result<(), TrainError> {
    let here = sum.device() == grad.device();
    if here && sky_torch::supports_fused(grad.kind(), grad.device()) {
        // A matrix's gradient may be a transposed view, and the kernel reads memory in order.
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
    use crate::SingleProcess;
    use sky_plan::TrainConfig;

    const SHAPES: [[i64; 2]; 2] = [[48, 32], [7, 9]];
    const NUMEL: i64 = 48 * 32 + 7 * 9;

    /// A block of two parameters, in bf16.
    fn sharded_state() -> ShardedState<'static> {
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
        ShardedState::new(
            &[block],
            &[],
            &TrainConfig::default(),
            Device::Cpu,
            &SingleProcess,
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

    /// Weights and moments after steps of that many micro-batches each, the gradients' norms, and
    /// their bytes.
    fn train(micro_batches: i64, kind: Kind) -> (Vec<Vec<f32>>, Vec<f64>, u64) {
        let mut sharded_state = sharded_state();
        let mut norms = Vec::new();
        for step in 0..3 {
            for micro in 0..micro_batches {
                let seed = 100 * step + micro;
                let grads = SHAPES.map(|shape| numbers(&shape, seed).to_kind(kind));
                sharded_state.reduce(0, &grads).unwrap();
            }
            sharded_state.finish_gradients().unwrap();
            norms.push(sharded_state.grad_norm().unwrap());
            let hyper = AdamW {
                lr: 1e-2,
                beta1: 0.9,
                beta2: 0.999,
                eps: 1e-8,
                weight_decay: 0.1,
            };
            sharded_state
                .update(&hyper, 0.37, step as u64, 1, None)
                .unwrap();
        }
        let state = sharded_state.tensors(0, 0..NUMEL).unwrap();
        let flat = state.map(|vector| Vec::try_from(vector.to_f32().unwrap()).unwrap());
        (flat.to_vec(), norms, sharded_state.memory().gradients)
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
