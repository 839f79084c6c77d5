use sky_torch::{AdamW, AdamWSlot, fused_adamw_};
use tch::{Kind, Tensor, no_grad};

use super::Store;
use crate::{Moments, Pending, TrainError, eight_bit, moments::Dither, vector::Vector};

impl Store<'_> {
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
            Moments::Bf16 => Some(Dither::new(seed, self.places.optimizer)?),
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
            let moments = match (&shard.exp_avg, &shard.exp_avg_sq) {
                (Vector::Plain(first), Vector::Plain(second)) => Some((first, second)),
                (Vector::EightBit(first), Vector::EightBit(second)) => {
                    let param = (&shard.master, &grad);
                    eight_bit::step(param, (first, second), hyper, decayed, done)?;
                    None
                }
                // Both are made of one kind.
                _ => None,
            };
            let plain = moments.into_iter().flat_map(|moments| {
                [
                    (moments, 0, decayed, hyper.weight_decay),
                    (moments, decayed, end - begin - decayed, 0.0),
                ]
            });
            for ((first, second), from, length, weight_decay) in plain {
                if length == 0 {
                    continue;
                }
                let part = |t: &Tensor| t.f_narrow(0, from, length);
                let step = Tensor::f_full([], done as f64, (Kind::Float, self.places.optimizer))?;
                let slot = AdamWSlot {
                    param: &part(&shard.master)?,
                    grad: &part(&grad)?,
                    exp_avg: &part(first)?,
                    exp_avg_sq: &part(second)?,
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
        if self.layouts[block].numel == 0 {
            return Ok(Pending::done());
        }
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
