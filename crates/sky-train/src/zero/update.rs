use std::{
    cell::RefCell,
    time::{Duration, Instant},
};

use sky_torch::{AdamW, AdamWPass, AdamWSlot, adamw_pass_, fused_adamw_, fuses};
use tch::{Device, Kind, Tensor, no_grad};

use super::{Store, behind::Behind, bytes_of};
use crate::{Pending, TrainError, dither::Dither, eight_bit, vector::Vector};

/// One AdamW step: what is the same for all blocks.
pub(super) struct Step {
    hyper: AdamW,
    /// What gradients are multiplied by.
    scale: f64,
    /// Steps taken before.
    done: u64,
    dither: Option<Dither>,
}

/// What the optimizer's step needs of one block, as far as this rank keeps it.
pub(super) struct Part {
    master: Tensor,
    exp_avg: Vector,
    exp_avg_sq: Vector,
    /// Let go of with the part.
    grad: Option<Tensor>,
    /// All of a gradient that stays, to be zeros again.
    staying: Option<Tensor>,
    /// What the model computes with, where that is not the master weights' own memory.
    weights: Option<Tensor>,
    /// Number in the block of the first element.
    begin: i64,
    /// Elements that weight decay applies to: they lie first.
    decayed: i64,
}

impl Part {
    /// AdamW, and the new weights.
    pub(super) fn take(&self, step: &Step) -> Result<(), TrainError> {
        let Some(grad) = &self.grad else {
            return Ok(());
        };
        if !self.in_one_pass(grad, step)? {
            self.in_passes(grad, step)?;
            self.renew()?;
        }
        if let Some(staying) = &self.staying {
            let _ = staying.shallow_clone().f_zero_()?;
        }
        Ok(())
    }

    /// Where the elements that are decayed begin, those that are not, how many these are, and by how much they are.
    fn stretches(&self, decay: f64) -> Result<[(i64, i64, f64); 2], TrainError> {
        let rest = self.master.size1()? - self.decayed;
        Ok([(0, self.decayed, decay), (self.decayed, rest, 0.0)])
    }

    /// On a CPU, with moments in f32 or bf16; says whether it was done.
    fn in_one_pass(&self, grad: &Tensor, step: &Step) -> Result<bool, TrainError> {
        let (Vector::Plain(first), Vector::Plain(second)) = (&self.exp_avg, &self.exp_avg_sq)
        else {
            return Ok(false);
        };
        if !fuses(grad.kind(), self.master.device()) {
            return Ok(false);
        }
        let here = |t: &&Tensor| t.kind() == Kind::BFloat16 && t.device() == self.master.device();
        let weights = self.weights.as_ref().filter(here);
        for (from, length, weight_decay) in self.stretches(step.hyper.weight_decay)? {
            let part = |t: &Tensor| t.f_narrow(0, from, length);
            let weights = weights.map(part).transpose()?;
            let pass = AdamWPass {
                master: &part(&self.master)?,
                grad: &part(grad)?,
                scale: step.scale,
                exp_avg: &part(first)?,
                exp_avg_sq: &part(second)?,
                weights: weights.as_ref(),
                chances: step
                    .dither
                    .as_ref()
                    .map(|dither| dither.chances(self.begin + from)),
            };
            let hyper = AdamW {
                weight_decay,
                ..step.hyper
            };
            adamw_pass_(&pass, &hyper, step.done)?;
        }
        if weights.is_none() {
            self.renew()?;
        }
        Ok(true)
    }

    /// Step by step, for all others: master weights in bf16 are widened for it.
    fn in_passes(&self, grad: &Tensor, step: &Step) -> Result<(), TrainError> {
        let master = self.master.f_to_kind(Kind::Float)?;
        self.in_f32(&master, grad, step)?;
        match &step.dither {
            Some(dither) if self.master.kind() != Kind::Float => {
                dither.renew(&master, &self.master, self.begin)
            }
            _ => Ok(()),
        }
    }

    fn in_f32(&self, master: &Tensor, grad: &Tensor, step: &Step) -> Result<(), TrainError> {
        let mut grad = grad.f_to_kind(Kind::Float)?;
        if step.scale != 1.0 {
            let _ = grad.f_mul_scalar_(step.scale)?;
        }
        let (first, second) = match (&self.exp_avg, &self.exp_avg_sq) {
            (Vector::Plain(first), Vector::Plain(second)) => (first, second),
            (Vector::EightBit(first), Vector::EightBit(second)) => {
                let (param, hyper) = ((master, &grad), &step.hyper);
                return eight_bit::step(param, (first, second), hyper, self.decayed, step.done);
            }
            // Both are made of one kind.
            _ => return Ok(()),
        };
        for (from, length, weight_decay) in self.stretches(step.hyper.weight_decay)? {
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
            match &step.dither {
                Some(dither) if first.kind() != Kind::Float => {
                    dither.step(&slot, &hyper, step.done, self.begin + from)?;
                }
                _ => fused_adamw_(&[slot], &hyper)?,
            }
        }
        Ok(())
    }

    /// Rounds the master weights to what the model computes with.
    fn renew(&self) -> Result<(), TrainError> {
        if let Some(weights) = &self.weights {
            let there = weights.device();
            let renewed = if there == Device::Cpu && self.master.device() != there {
                // From a GPU rounded; the copy waits for it.
                self.master.f_to_kind(weights.kind())?
            } else {
                // To a GPU as they are, to be rounded there: nothing waits for it but the GPU's own stream.
                let kind = self.master.kind();
                self.master.f_to_device_(there, kind, true, false)?
            };
            no_grad(|| weights.shallow_clone().f_copy_(&renewed))?;
        }
        Ok(())
    }
}

impl Store<'_> {
    /// One AdamW step with the gradient times `scale`; `done` steps were taken before. The gradient is gone afterwards.
    /// `seed` is that of the step: what is kept in bf16 is rounded by it.
    ///
    /// With an offloaded optimizer this returns at once: the step goes on behind the next forward pass, block by block in the
    /// order of their use, and whoever needs a block waits for it. Nothing is ever computed with old weights.
    pub(crate) fn update(
        &mut self,
        hyper: &AdamW,
        scale: f64,
        done: u64,
        seed: u64,
    ) -> Result<(), TrainError> {
        self.settle()?;
        let by_chance = self.kinds.by_chance();
        let dither = by_chance.then(|| Dither::new(seed, self.places.optimizer));
        let step = Step {
            hyper: *hyper,
            scale,
            done,
            dither: dither.transpose()?,
        };
        self.gradient_bytes = 0;
        let parts = (0..self.shards.len()).map(|block| {
            let grad = self.shards[block].grad.take();
            let mut part = self.part(block)?;
            if let Some(grad) = grad {
                self.gradient_bytes += bytes_of(&grad);
                part.grad = Some(self.kept_of(block, &grad)?);
                if self.places.optimizer != self.places.compute {
                    part.staying = Some(grad.shallow_clone());
                    self.shards[block].grad = Some(grad);
                }
            }
            Ok(part)
        });
        let parts: Vec<Part> = parts.collect::<Result<_, TrainError>>()?;
        if self.behind_compute {
            self.behind = RefCell::new(Some(Behind::begin(parts, step)?));
            return Ok(());
        }
        let mut travelling = Pending::done();
        for (block, part) in parts.into_iter().enumerate() {
            part.take(&step)?;
            drop(part);
            // One block's new weights travel while the next one's are made.
            std::mem::replace(&mut travelling, self.spread(block)?).wait()?;
        }
        travelling.wait()
    }

    /// Waits until the blocks up to this one have taken the step that goes on behind.
    pub(super) fn reach(&self, block: usize) -> Result<(), TrainError> {
        let mut slot = self.behind.borrow_mut();
        while let Some(behind) = slot.as_mut().filter(|behind| behind.next() <= block) {
            let began = Instant::now();
            let ready = behind.wait()?;
            if ready + 1 == self.shards.len() {
                *slot = None;
            }
            self.spread(ready)?.wait()?;
            self.waited.set(self.waited.get() + began.elapsed());
        }
        Ok(())
    }

    /// Waits until no step goes on behind.
    pub(crate) fn settle(&self) -> Result<(), TrainError> {
        self.reach(self.shards.len())
    }

    /// How long blocks were waited for since this was last asked.
    pub(crate) fn take_waited(&self) -> Duration {
        self.waited.take()
    }

    /// Brings what the model computes with up to date with the master weights.
    pub(crate) fn refresh(&mut self, block: usize) -> Result<(), TrainError> {
        self.part(block)?.renew()?;
        self.spread(block)?.wait()
    }

    fn part(&self, block: usize) -> Result<Part, TrainError> {
        let (layout, shard) = (&self.layouts[block], &self.shards[block]);
        let (begin, end) = self.kept(block);
        let weights = if self.one_memory() {
            None
        } else {
            Some(self.kept_weights(block)?)
        };
        Ok(Part {
            master: shard.master.shallow_clone(),
            exp_avg: shard.exp_avg.narrow(0, shard.exp_avg.length())?,
            exp_avg_sq: shard.exp_avg_sq.narrow(0, shard.exp_avg_sq.length())?,
            grad: None,
            staying: None,
            weights,
            begin,
            decayed: (layout.decayed - begin).clamp(0, end - begin),
        })
    }

    /// The compute weights of the elements of [`Store::kept`].
    fn kept_weights(&self, block: usize) -> Result<Tensor, TrainError> {
        let weights = &self.shards[block].weights;
        if self.sharded.optimizer && !self.sharded.parameters {
            let (from, to) = self.kept(block);
            return Ok(weights.f_narrow(0, from, to - from)?);
        }
        Ok(weights.shallow_clone())
    }

    /// Gives every rank the new weights, where each keeps them whole and has made a part.
    fn spread(&self, block: usize) -> Result<Pending, TrainError> {
        let apart = self.sharded.optimizer && !self.sharded.parameters;
        if !apart || self.layouts[block].numel == 0 {
            return Ok(Pending::done());
        }
        let mine = self.kept_weights(block)?;
        // A copy: what is sent and what is received must not be the same memory.
        let mut sent = Tensor::f_empty_like(&mine)?;
        no_grad(|| sent.f_copy_(&mine))?;
        self.comm
            .all_gather_into(&self.shards[block].weights, &sent)
    }
}
