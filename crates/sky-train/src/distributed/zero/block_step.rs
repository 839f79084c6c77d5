use std::sync::Arc;

use sky_torch::{AdamW, AdamWPass, AdamWSlot, adamw_pass_, fused_adamw_, supports_fused};
use tch::{Device, Kind, Tensor, no_grad};

use crate::{
    Optimizer, ShardStep, TrainError, optim::adam8bit, optim::state_tensor::StateTensor,
    optim::stochastic_rounding::StochasticRounding,
};

/// The parameters of one AdamW step that are the same for all blocks.
pub(super) struct StepParams {
    pub(super) hyper: AdamW,
    /// What gradients are multiplied by.
    pub(super) scale: f64,
    /// Steps taken before: AdamW's bias correction depends on it.
    pub(super) done: u64,
    pub(super) rounding: Option<StochasticRounding>,
    /// Takes the step in place of AdamW.
    pub(super) custom: Option<Arc<dyn Optimizer>>,
}

/// The optimizer's step of one block, over the elements that this rank keeps. It owns handles to
/// all of its tensors, so that it can run in another thread than the trainer's.
pub(super) struct BlockStep {
    pub(super) master: Tensor,
    pub(super) exp_avg: StateTensor,
    pub(super) exp_avg_sq: StateTensor,
    /// Freed with this value: a gradient lives from its backward pass to its optimizer step.
    pub(super) grad: Option<Tensor>,
    /// The whole gradient where it lies in pinned memory. It is zeroed, not freed: pinned memory is
    /// slow to allocate.
    pub(super) pinned_grad: Option<Tensor>,
    /// Compute weights; none where the master weights are the compute weights.
    pub(super) weights: Option<Tensor>,
    /// Index in the block of the first element. Rounding bits depend on it and not on the rank, so
    /// that sharding changes no bit.
    pub(super) begin: i64,
    /// Elements that weight decay applies to; they come first.
    pub(super) decayed: i64,
}

/// A range of a shard whose elements have one weight decay.
struct ParamGroup {
    /// Index of its first element in the shard.
    from: i64,
    length: i64,
    weight_decay: f64,
}

impl BlockStep {
    /// Takes the optimizer's step and casts the new weights.
    pub(super) fn apply(&self, step: &StepParams) -> Result<(), TrainError> {
        // With adapters, a block without any has no gradient.
        let Some(grad) = &self.grad else {
            return Ok(());
        };
        if let Some(optimizer) = &step.custom {
            self.custom_step(&**optimizer, grad, step)?;
            self.cast_weights()?;
        } else if !self.fused_step(grad, step)? {
            self.unfused_step(grad, step)?;
            self.cast_weights()?;
        }
        // Safe here although this may be another thread: the trainer adds to a block's gradient
        // only after it has waited for the block's step.
        if let Some(pinned_grad) = &self.pinned_grad {
            let _ = pinned_grad.shallow_clone().f_zero_()?;
        }
        Ok(())
    }

    /// The elements that weight decay applies to, then the others. Either group may be empty.
    fn param_groups(&self, weight_decay: f64) -> Result<[ParamGroup; 2], TrainError> {
        let decayed = ParamGroup {
            from: 0,
            length: self.decayed,
            weight_decay,
        };
        let rest = ParamGroup {
            from: self.decayed,
            length: self.master.size1()? - self.decayed,
            weight_decay: 0.0,
        };
        Ok([decayed, rest])
    }

    /// A custom optimizer's step, range by range.
    fn custom_step(
        &self,
        optimizer: &dyn Optimizer,
        grad: &Tensor,
        step: &StepParams,
    ) -> Result<(), TrainError> {
        let f32_states = match (&self.exp_avg, &self.exp_avg_sq) {
            (StateTensor::Plain(first), StateTensor::Plain(second)) => {
                let all = [&self.master, first, second];
                let wide = all.iter().all(|tensor| tensor.kind() == Kind::Float);
                wide.then_some([first, second])
            }
            _ => None,
        };
        let Some([first, second]) = f32_states else {
            return Err(TrainError::Config {
                key: "optimizer_dtype",
                reason: "must be f32, and master_dtype too, with a custom optimizer".into(),
            });
        };
        // An f32 gradient is scaled in place: nothing reads it after the step.
        let mut grad = grad.f_to_kind(Kind::Float)?;
        if step.scale != 1.0 {
            let _ = grad.f_mul_scalar_(step.scale)?;
        }
        for group in self.param_groups(step.hyper.weight_decay)? {
            let ParamGroup {
                from,
                length,
                weight_decay,
            } = group;
            if length == 0 {
                continue;
            }
            let part = |t: &Tensor| t.f_narrow(0, from, length);
            no_grad(|| {
                optimizer.step(&ShardStep {
                    param: &part(&self.master)?,
                    grad: &part(&grad)?,
                    states: [&part(first)?, &part(second)?],
                    lr: step.hyper.lr,
                    weight_decay,
                    step: step.done,
                })
            })?;
        }
        Ok(())
    }

    /// The step in one pass over memory: on a CPU, with optimizer states in f32 or bf16. False
    /// where the fused kernel does not apply; then nothing was changed.
    fn fused_step(&self, grad: &Tensor, step: &StepParams) -> Result<bool, TrainError> {
        let (StateTensor::Plain(first), StateTensor::Plain(second)) =
            (&self.exp_avg, &self.exp_avg_sq)
        else {
            return Ok(false);
        };
        if !supports_fused(grad.kind(), self.master.device()) {
            return Ok(false);
        }
        // The kernel writes these compute weights in the same pass; others are cast afterwards.
        let here = |t: &&Tensor| t.kind() == Kind::BFloat16 && t.device() == self.master.device();
        let weights = self.weights.as_ref().filter(here);
        for group in self.param_groups(step.hyper.weight_decay)? {
            let ParamGroup {
                from,
                length,
                weight_decay,
            } = group;
            let part = |t: &Tensor| t.f_narrow(0, from, length);
            let weights = weights.map(part).transpose()?;
            let pass = AdamWPass {
                master: &part(&self.master)?,
                grad: &part(grad)?,
                scale: step.scale,
                exp_avg: &part(first)?,
                exp_avg_sq: &part(second)?,
                weights: weights.as_ref(),
                rounding_bits: step
                    .rounding
                    .as_ref()
                    .map(|rounding| rounding.rounding_bits(self.begin + from)),
            };
            let hyper = AdamW {
                weight_decay,
                ..step.hyper
            };
            adamw_pass_(&pass, &hyper, step.done)?;
        }
        if weights.is_none() {
            self.cast_weights()?;
        }
        Ok(true)
    }

    /// The step in several passes, for all others. Master weights in bf16 are converted to f32,
    /// since a step below their last bit would be lost, and rounded stochastically afterwards.
    fn unfused_step(&self, grad: &Tensor, step: &StepParams) -> Result<(), TrainError> {
        let master = self.master.f_to_kind(Kind::Float)?;
        self.f32_step(&master, grad, step)?;
        match &step.rounding {
            Some(rounding) if self.master.kind() != Kind::Float => {
                rounding.round_master(&master, &self.master, self.begin)
            }
            _ => Ok(()),
        }
    }

    fn f32_step(
        &self,
        master: &Tensor,
        grad: &Tensor,
        step: &StepParams,
    ) -> Result<(), TrainError> {
        // An f32 gradient is scaled in place: nothing reads it after the step.
        let mut grad = grad.f_to_kind(Kind::Float)?;
        if step.scale != 1.0 {
            let _ = grad.f_mul_scalar_(step.scale)?;
        }
        let (first, second) = match (&self.exp_avg, &self.exp_avg_sq) {
            (StateTensor::Plain(first), StateTensor::Plain(second)) => (first, second),
            (StateTensor::Quantized(first), StateTensor::Quantized(second)) => {
                let states = [first, second];
                return adam8bit::step(master, &grad, states, &step.hyper, self.decayed, step.done);
            }
            // `Shard::zeros` makes both of one dtype.
            _ => return Ok(()),
        };
        for group in self.param_groups(step.hyper.weight_decay)? {
            let ParamGroup {
                from,
                length,
                weight_decay,
            } = group;
            if length == 0 {
                continue;
            }
            let part = |t: &Tensor| t.f_narrow(0, from, length);
            let float = (Kind::Float, master.device());
            let slot = AdamWSlot {
                param: &part(master)?,
                grad: &part(&grad)?,
                exp_avg: &part(first)?,
                exp_avg_sq: &part(second)?,
                step: &Tensor::f_full([], step.done as f64, float)?,
            };
            let hyper = AdamW {
                weight_decay,
                ..step.hyper
            };
            match &step.rounding {
                Some(rounding) if first.kind() != Kind::Float => {
                    rounding.step(&slot, &hyper, step.done, self.begin + from)?;
                }
                _ => fused_adamw_(&[slot], &hyper)?,
            }
        }
        Ok(())
    }

    /// Casts the master weights to the compute weights.
    pub(super) fn cast_weights(&self) -> Result<(), TrainError> {
        if let Some(weights) = &self.weights {
            let there = weights.device();
            let cast = if there == Device::Cpu && self.master.device() != there {
                // The optimizer is on a GPU and the weights are in host memory: cast on the GPU, so
                // that half the bytes are copied. The copy blocks, as the host reads the weights
                // next.
                self.master.f_to_kind(weights.kind())?
            } else {
                // The weights are on a GPU: copy the master weights unrounded and cast them there.
                // The copy is asynchronous; the stream orders it before the next kernel that reads
                // them.
                let kind = self.master.kind();
                self.master.f_to_device_(there, kind, true, false)?
            };
            no_grad(|| weights.shallow_clone().f_copy_(&cast))?;
        }
        Ok(())
    }
}
