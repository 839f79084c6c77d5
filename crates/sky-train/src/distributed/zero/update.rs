use std::{
    cell::RefCell,
    sync::Arc,
    time::{Duration, Instant},
};

use sky_torch::AdamW;
use tch::{Tensor, no_grad};

use super::{
    async_step::AsyncOptimizerStep,
    block_step::{BlockStep, StepParams},
    flat::bytes_of,
    state::ShardedState,
};
use crate::{Optimizer, Pending, TrainError, optim::stochastic_rounding::StochasticRounding};

impl ShardedState<'_> {
    /// Takes one AdamW step with the gradient times `scale`; `done` steps were taken before. The
    /// gradient is consumed. `seed` is the step's: it seeds the stochastic rounding of bf16 states.
    /// A `custom` optimizer takes the step in place of AdamW.
    ///
    /// With an offloaded optimizer this returns at once. The step overlaps the next step's first
    /// forward pass, block by block in the order of their use; whoever needs a block waits for it
    /// with `wait_for_block`. Nothing is ever computed with old weights.
    pub(crate) fn update(
        &mut self,
        hyper: &AdamW,
        scale: f64,
        done: u64,
        seed: u64,
        custom: Option<Arc<dyn Optimizer>>,
    ) -> Result<(), TrainError> {
        // A step that still runs writes to the same tensors.
        self.wait_all()?;
        let stochastic_rounding = self.dtypes.stochastic_rounding();
        let rounding =
            stochastic_rounding.then(|| StochasticRounding::new(seed, self.devices.optimizer));
        let step = StepParams {
            hyper: *hyper,
            scale,
            done,
            rounding: rounding.transpose()?,
            custom,
        };
        self.gradient_bytes = 0;
        let parts = (0..self.shards.len()).map(|block| {
            let grad = self.shards[block].grad.take();
            let mut part = self.block_step(block)?;
            if let Some(grad) = grad {
                self.gradient_bytes += bytes_of(&grad);
                part.grad = Some(self.local_grad(block, &grad)?);
                // A pinned gradient stays with the shard and is zeroed. Any other now belongs to
                // the step, which frees it.
                if self.devices.optimizer != self.devices.compute {
                    part.pinned_grad = Some(grad.shallow_clone());
                    self.shards[block].grad = Some(grad);
                }
            }
            Ok(part)
        });
        let parts: Vec<BlockStep> = parts.collect::<Result<_, TrainError>>()?;
        if self.overlaps_compute {
            self.async_step = RefCell::new(Some(AsyncOptimizerStep::begin(parts, step)?));
            return Ok(());
        }
        let mut gathering = Pending::done();
        for (block, part) in parts.into_iter().enumerate() {
            part.apply(&step)?;
            // Frees this block's gradient.
            drop(part);
            // The all-gather of this block overlaps the next block's step; two are never in flight,
            // so that at most one copy of a block's shard exists.
            std::mem::replace(&mut gathering, self.all_gather_weights(block)?).wait()?;
        }
        gathering.wait()
    }

    /// Waits until the blocks up to this one have taken the asynchronous step.
    ///
    /// The all-gather of new weights starts here, on the calling thread: collectives must begin in
    /// the same order on all ranks, which a second thread could not promise.
    pub(super) fn wait_for_block(&self, block: usize) -> Result<(), TrainError> {
        let mut slot = self.async_step.borrow_mut();
        while let Some(async_step) = slot
            .as_mut()
            .filter(|async_step| async_step.next() <= block)
        {
            let began = Instant::now();
            let ready = async_step.wait()?;
            // The last block: dropping the step joins its thread.
            if ready + 1 == self.shards.len() {
                *slot = None;
            }
            self.all_gather_weights(ready)?.wait()?;
            self.wait_time.set(self.wait_time.get() + began.elapsed());
        }
        Ok(())
    }

    /// Waits until no asynchronous step is running.
    pub(crate) fn wait_all(&self) -> Result<(), TrainError> {
        self.wait_for_block(self.shards.len())
    }

    /// Time spent in [`ShardedState::wait_for_block`] since the last call.
    pub(crate) fn take_wait_time(&self) -> Duration {
        self.wait_time.take()
    }

    /// Casts and gathers a block's compute weights after its master weights were set.
    pub(crate) fn refresh(&mut self, block: usize) -> Result<(), TrainError> {
        self.block_step(block)?.cast_weights()?;
        self.all_gather_weights(block)?.wait()
    }

    fn block_step(&self, block: usize) -> Result<BlockStep, TrainError> {
        let (layout, shard) = (&self.layouts[block], &self.shards[block]);
        let local = self.local_range(block);
        let weights = if self.master_aliases_weights() {
            None
        } else {
            Some(self.local_weights(block)?)
        };
        // Handles that share the shard's memory: the step changes the shard.
        Ok(BlockStep {
            master: shard.master.shallow_clone(),
            exp_avg: shard.exp_avg.narrow(0, shard.exp_avg.length())?,
            exp_avg_sq: shard.exp_avg_sq.narrow(0, shard.exp_avg_sq.length())?,
            grad: None,
            pinned_grad: None,
            weights,
            begin: local.start,
            // Where this rank's part of the decayed elements ends, counted from its first element.
            decayed: (layout.decayed - local.start).clamp(0, local.end - local.start),
        })
    }

    /// The compute weights of the elements of [`ShardedState::local_range`].
    fn local_weights(&self, block: usize) -> Result<Tensor, TrainError> {
        let weights = &self.shards[block].weights;
        if self.sharded.optimizer && !self.sharded.parameters {
            let local = self.local_range(block);
            return Ok(weights.f_narrow(0, local.start, local.end - local.start)?);
        }
        Ok(weights.shallow_clone())
    }

    /// Starts the all-gather of a block's new weights where each rank keeps them whole but has
    /// stepped its shard alone (stages 1 and 2).
    fn all_gather_weights(&self, block: usize) -> Result<Pending, TrainError> {
        let apart = self.sharded.optimizer && !self.sharded.parameters;
        if !apart || self.layouts[block].numel == 0 {
            return Ok(Pending::done());
        }
        let mine = self.local_weights(block)?;
        // A copy: the shard is a part of the tensor that the collective writes into.
        let mut sent = Tensor::f_empty_like(&mine)?;
        no_grad(|| sent.f_copy_(&mine))?;
        self.comm
            .all_gather_into(&self.shards[block].weights, &sent)
    }
}
