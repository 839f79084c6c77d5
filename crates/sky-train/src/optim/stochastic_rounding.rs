//! Stochastic rounding to bf16: AdamW with optimizer states, or master weights, in bf16.
//!
//! This is the unfused path. Its twin in the fused path is `store_stochastic` in
//! `crates/sky-torch/shim/adamw.cpp`: change both together.

use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sky_torch::{AdamW, AdamWSlot, RoundingBits, fused_adamw_};
use tch::{Device, Kind, Tensor, no_grad};

use crate::TrainError;

/// How many times over they lie on a GPU, where the number of operations is what counts.
const TIMES_ON_GPU: i64 = 64;
/// Random numbers per step, and elements that are converted to f32 at once: few enough for a cache,
/// enough to keep every core busy.
const CHUNK: i64 = 1 << 18;
/// Bits of an f32 that a bf16 has not.
const DROPPED: i64 = 16;

/// Rounds f32 to bf16 stochastically: up with a probability that grows with the distance from the
/// lower neighbour, so that the mean is exact. With rounding to nearest a second moment that should
/// shrink by a thousandth would never move, for bf16 has 8 bits.
pub(crate) struct StochasticRounding {
    /// i32 `[CHUNK]`, on a GPU as many times over as fit a larger piece: uniform, the upper half of
    /// each for optimizer states, the lower for master weights.
    random: Tensor,
}

/// What is rounded.
#[derive(Clone, Copy)]
enum What {
    Moment,
    Master,
}

impl StochasticRounding {
    /// Draws the random bits of one step.
    pub(crate) fn new(seed: u64, device: Device) -> Result<Self, TrainError> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let random: Vec<i32> = (0..CHUNK).map(|_| rng.next_u32().cast_signed()).collect();
        let random = Tensor::f_from_slice(&random)?.f_to_device(device)?;
        Ok(Self {
            random: match device {
                Device::Cpu => random,
                _ => random.f_repeat([TIMES_ON_GPU])?,
            },
        })
    }

    /// The bits for elements from index `at` of a block on.
    pub(crate) fn rounding_bits(&self, at: i64) -> RoundingBits<'_> {
        RoundingBits {
            table: &self.random,
            at,
        }
    }

    /// One AdamW step of a range whose first element has the number `at` in its block; the
    /// optimizer states are bf16. Which random bits an element takes depends on its number alone,
    /// not on who keeps it.
    pub(crate) fn step(
        &self,
        slot: &AdamWSlot<'_>,
        hyper: &AdamW,
        done: u64,
        at: i64,
    ) -> Result<(), TrainError> {
        for (from, count) in self.pieces(at, slot.param.size1()?) {
            let part = |t: &Tensor| t.f_narrow(0, from, count);
            let [exp_avg, exp_avg_sq] = [part(slot.exp_avg)?, part(slot.exp_avg_sq)?];
            let [f32_values, f32_values_sq] = [
                exp_avg.f_to_kind(Kind::Float)?,
                exp_avg_sq.f_to_kind(Kind::Float)?,
            ];
            fused_adamw_(
                &[AdamWSlot {
                    param: &part(slot.param)?,
                    grad: &part(slot.grad)?,
                    exp_avg: &f32_values,
                    exp_avg_sq: &f32_values_sq,
                    step: &Tensor::f_full([], done as f64, (Kind::Float, slot.param.device()))?,
                }],
                hyper,
            )?;
            self.round(&f32_values, exp_avg, at + from, What::Moment)?;
            self.round(&f32_values_sq, exp_avg_sq, at + from, What::Moment)?;
        }
        Ok(())
    }

    /// Rounds new master weights, f32, into what they are kept in, bf16, a range as of
    /// [`StochasticRounding::step`]. `f32_values` is overwritten.
    pub(crate) fn round_master(
        &self,
        f32_values: &Tensor,
        kept: &Tensor,
        at: i64,
    ) -> Result<(), TrainError> {
        for (from, count) in self.pieces(at, f32_values.size1()?) {
            let part = |t: &Tensor| t.f_narrow(0, from, count);
            self.round(&part(f32_values)?, part(kept)?, at + from, What::Master)?;
        }
        Ok(())
    }

    /// Cuts a range of this many elements from number `at` on where the random bits end and begin
    /// again: each piece's beginning, and its elements.
    fn pieces(&self, at: i64, length: i64) -> impl Iterator<Item = (i64, i64)> + use<> {
        let there = self.random.numel() as i64;
        let mut from = 0;
        std::iter::from_fn(move || {
            let count = (there - (at + from) % CHUNK).min(length - from);
            from += count;
            (count > 0).then_some((from - count, count))
        })
    }

    /// Overwrites `f32_values`, one of the pieces. Sign and magnitude are apart in a float: adding
    /// to its bits moves it away from zero.
    fn round(
        &self,
        f32_values: &Tensor,
        mut narrow: Tensor,
        at: i64,
        what: What,
    ) -> Result<(), TrainError> {
        no_grad(|| {
            let random = self.random.f_narrow(0, at % CHUNK, narrow.size1()?)?;
            let random = match what {
                What::Moment => random.f_bitwise_right_shift_tensor_scalar(DROPPED)?,
                What::Master => random,
            };
            let mut bits = f32_values.f_view_dtype(Kind::Int)?;
            // What is no number, or infinite, stays so.
            let random = random.f_bitwise_and((1_i64 << DROPPED) - 1)?;
            let random = random.f_mul(&f32_values.f_isfinite()?.f_to_kind(Kind::Int)?)?;
            let _ = bits.f_add_(&random)?;
            let _ = bits.f_bitwise_and_(-1_i64 << DROPPED)?;
            narrow.f_copy_(f32_values)?;
            Ok(())
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use sky_torch::{AdamWPass, adamw_pass_};

    use super::*;

    #[test]
    fn a_second_moment_without_gradient_shrinks_as_it_should_and_to_nearest_it_would_not() {
        let count = 1000;
        let float = (Kind::Float, Device::Cpu);
        let (param, grad) = (Tensor::zeros([count], float), Tensor::zeros([count], float));
        let moment = |value| Tensor::full([count], value, (Kind::BFloat16, Device::Cpu));
        let (exp_avg, exp_avg_sq) = (moment(-3.0), moment(1.7));
        let hyper = AdamW {
            lr: 0.0,
            beta1: 0.999,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.0,
        };
        let slot = AdamWSlot {
            param: &param,
            grad: &grad,
            exp_avg: &exp_avg,
            exp_avg_sq: &exp_avg_sq,
            step: &Tensor::zeros([], float),
        };
        let begin = [&exp_avg, &exp_avg_sq].map(|t| t.to_kind(Kind::Double).double_value(&[0]));
        for step in 0..1000 {
            // Across the boundary between two chunks.
            let rounding = StochasticRounding::new(step, Device::Cpu).unwrap();
            rounding.step(&slot, &hyper, step, CHUNK - 300).unwrap();
        }
        // What is left: 0.999 ^ 1000 = 0.3677.
        for (t, begin) in [&exp_avg, &exp_avg_sq].into_iter().zip(begin) {
            let mean = t.to_kind(Kind::Double).mean(Kind::Double).double_value(&[]);
            assert!((mean / begin - 0.3677).abs() < 0.004, "{mean} of {begin}");
        }
        let nearest = (moment(1.7).to_kind(Kind::Float) * 0.999).to_kind(Kind::BFloat16);
        assert!(Tensor::equal(&nearest, &moment(1.7)));
    }

    #[test]
    fn master_weights_move_by_steps_far_below_their_last_bit_as_in_one_pass() {
        let count = 4000;
        let float = (Kind::Float, Device::Cpu);
        let of = |value: f64| Tensor::full([count], value, (Kind::BFloat16, Device::Cpu));
        let (kept, same) = (of(1.0), of(1.0));
        let zeros = || Tensor::zeros([count], float);
        // lr x weight decay: a step of 1/4000 of the weight, where bf16's last bit is 1/128 of it.
        let hyper = AdamW {
            lr: 1.0,
            beta1: 0.9,
            beta2: 0.9,
            eps: 1e-8,
            weight_decay: 1.0 / 4000.0,
        };
        for step in 0..1000 {
            // Across the boundary between two chunks.
            let (rounding, at) = (
                StochasticRounding::new(step, Device::Cpu).unwrap(),
                CHUNK - 300,
            );
            let f32_values = kept.to_kind(Kind::Float) * (1.0 - 1.0 / 4000.0);
            rounding.round_master(&f32_values, &kept, at).unwrap();
            let pass = AdamWPass {
                master: &same,
                grad: &zeros(),
                scale: 1.0,
                exp_avg: &zeros(),
                exp_avg_sq: &zeros(),
                weights: None,
                rounding_bits: Some(rounding.rounding_bits(at)),
            };
            adamw_pass_(&pass, &hyper, step).unwrap();
        }
        // What is left: (1 - 1/4000) ^ 1000 = 0.7788.
        let mean = kept.mean(Kind::Float).double_value(&[]);
        assert!((mean - 0.7788).abs() < 0.004, "{mean}");
        assert!(Tensor::equal(&kept, &same));
    }

    #[test]
    fn what_is_no_number_stays_none() {
        let f32_values =
            Tensor::from_slice(&[f32::NAN, f32::from_bits(0x7fff_ffff), -f32::INFINITY]);
        let narrow = Tensor::zeros([3], (Kind::BFloat16, Device::Cpu));
        let rounding = StochasticRounding::new(1, Device::Cpu).unwrap();
        rounding
            .round(&f32_values, narrow.shallow_clone(), 0, What::Master)
            .unwrap();
        let found = Vec::<f32>::try_from(narrow.to_kind(Kind::Float)).unwrap();
        assert!(found[0].is_nan() && found[1].is_nan());
        assert_eq!(found[2], -f32::INFINITY);
    }

    #[test]
    fn what_bf16_can_hold_is_kept_as_it_is() {
        let f32_values = Tensor::from_slice(&[0.0_f32, -0.0, 1.0, -2.5, 3.0e38, f32::INFINITY]);
        let before = f32_values.copy();
        let narrow = Tensor::zeros([6], (Kind::BFloat16, Device::Cpu));
        let exact = before.to_kind(Kind::BFloat16).to_kind(Kind::Float);
        let held = exact.eq_tensor(&before);
        let rounding = StochasticRounding::new(1, Device::Cpu).unwrap();
        rounding
            .round(&f32_values, narrow.shallow_clone(), 7, What::Moment)
            .unwrap();
        let found = narrow.to_kind(Kind::Float);
        let same = found.eq_tensor(&before).logical_or(&held.logical_not());
        assert!(same.all().int64_value(&[]) == 1, "{found:?}");
        assert!(held.sum(Kind::Int64).int64_value(&[]) >= 5);
    }
}
