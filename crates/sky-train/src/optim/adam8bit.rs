//! Optimizer states in 8 bits: block-wise, by the dynamic tree map (Dettmers et al., 2022, "8-bit
//! optimizers via block-wise quantization").

use sky_torch::{AdamW, AdamWSlot, fused_adamw_};
use tch::{Device, Kind, Tensor, no_grad};

use crate::{TrainError, params::flat_layout::ALIGN};

/// Elements that share a scale. Every shard is a multiple of it, so that who keeps an element
/// changes none of its bits.
const BLOCK: i64 = ALIGN;
/// Elements that are converted to f32 at once: few enough for a cache, enough to keep every core
/// busy.
const CHUNK: i64 = 1 << 18;
/// The same on a GPU, where the number of operations is what counts.
const CHUNK_ON_GPU: i64 = 1 << 25;
/// A block whose largest element is smaller counts as zero: its small elements would not be normal
/// numbers any more.
const SMALLEST: f64 = 1e-30;

/// Which of AdamW's moments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Of either sign.
    First,
    /// Zero or more.
    Second,
}

/// The 256 values of a code, ascending, from -0.993 or 0 to 1: seven decades, each with twice the
/// values of the one below, in the middle of equal parts of `0.1..1` of its power of ten; then 0
/// and 1 (section 2.3 of the paper, as in its authors' bitsandbytes).
fn values(moment: Moment) -> Vec<f32> {
    let signed = moment == Moment::First;
    let mut values = vec![0.0, 1.0];
    for exponent in 0..7 {
        let parts = 1 << (exponent + i32::from(!signed));
        let decade = 10_f64.powi(exponent - 6);
        for part in 0..parts {
            let middle = 0.1 + 0.9 * (f64::from(part) + 0.5) / f64::from(parts);
            values.push((decade * middle) as f32);
            if signed {
                values.push((-decade * middle) as f32);
            }
        }
    }
    values.sort_by(f32::total_cmp);
    values
}

/// A vector in 8 bits: a code for each element, and for each block of 64 the element that is
/// farthest from zero.
#[derive(Debug)]
pub(crate) struct QuantizedTensor {
    moment: Moment,
    /// u8 `[length]`.
    codes: Tensor,
    /// f32 `[length / 64]`, with its sign: the code of this element is exactly 1, whatever its
    /// sign, so that what was quantized and widened gives the same codes again.
    scales: Tensor,
    /// f32 `[256]`, what the codes stand for.
    values: Tensor,
    /// f32 `[255]`: between two values, where the nearer one changes.
    bounds: Tensor,
}

impl QuantizedTensor {
    /// Zeros; `length` is a multiple of 64. `place` makes vectors of zeros.
    pub(crate) fn zeros(
        moment: Moment,
        length: i64,
        device: Device,
        place: &mut dyn FnMut(i64, Kind) -> Result<Tensor, TrainError>,
    ) -> Result<Self, TrainError> {
        let values = values(moment);
        let bounds: Vec<f32> = values
            .windows(2)
            .map(|two| (two[0] + two[1]) / 2.0)
            .collect();
        let zero = values.iter().position(|&value| value == 0.0).unwrap_or(0);
        let codes = place(length, Kind::Uint8)?;
        let _ = codes.shallow_clone().f_fill_(zero as i64)?;
        Ok(Self {
            moment,
            codes,
            scales: place(length / BLOCK, Kind::Float)?,
            values: Tensor::f_from_slice(&values)?.f_to_device(device)?,
            bounds: Tensor::f_from_slice(&bounds)?.f_to_device(device)?,
        })
    }

    pub(crate) fn length(&self) -> i64 {
        self.codes.numel() as i64
    }

    pub(crate) fn device(&self) -> Device {
        self.codes.device()
    }

    /// Bytes of codes and scales.
    pub(crate) fn bytes(&self) -> u64 {
        (self.codes.numel() + 4 * self.scales.numel()) as u64
    }

    /// Elements `from..from + length`, the same memory; both are multiples of 64.
    pub(crate) fn narrow(&self, from: i64, length: i64) -> Result<Self, TrainError> {
        Ok(Self {
            moment: self.moment,
            codes: self.codes.f_narrow(0, from, length)?,
            scales: self.scales.f_narrow(0, from / BLOCK, length / BLOCK)?,
            values: self.values.shallow_clone(),
            bounds: self.bounds.shallow_clone(),
        })
    }

    /// A copy in host memory.
    pub(crate) fn copied(&self) -> Result<Self, TrainError> {
        let host = |t: &Tensor| -> Result<Tensor, TrainError> {
            let mut copy = Tensor::f_empty(t.size(), (t.kind(), Device::Cpu))?;
            copy.f_copy_(t)?;
            Ok(copy)
        };
        Ok(Self {
            moment: self.moment,
            codes: host(&self.codes)?,
            scales: host(&self.scales)?,
            values: host(&self.values)?,
            bounds: host(&self.bounds)?,
        })
    }

    /// Dequantizes: f32 `[length]`.
    pub(crate) fn to_f32(&self) -> Result<Tensor, TrainError> {
        no_grad(|| {
            let codes = self.codes.f_to_kind(Kind::Int)?;
            let shares = self.values.f_index_select(0, &codes)?;
            Ok(shares
                .f_view([-1, BLOCK])?
                .f_mul_(&self.scales.f_unsqueeze(1)?)?
                .f_view([-1])?)
        })
    }

    /// Takes the nearest codes of f32 values `[length]`. A second moment above zero does not become
    /// zero: the step would be divided by next to nothing.
    pub(crate) fn set(&self, f32_values: &Tensor) -> Result<(), TrainError> {
        no_grad(|| {
            let rows = f32_values.f_view([-1, BLOCK])?;
            let farthest = rows.f_abs()?.f_argmax(1, true)?;
            let scale = rows.f_gather(1, &farthest, false)?;
            let is_zero = scale.f_abs()?.f_lt(SMALLEST)?;
            let scale = scale.f_masked_fill(&is_zero, 0.0)?;
            // A block of zeros: divided by infinity.
            let shares = rows.f_div(&scale.f_masked_fill(&is_zero, f64::INFINITY)?)?;
            let mut codes = shares.f_bucketize(&self.bounds, true, false)?;
            if self.moment == Moment::Second {
                codes = codes.f_maximum(&shares.f_gt(0.0)?.f_to_kind(Kind::Int)?)?;
            }
            self.codes
                .shallow_clone()
                .f_copy_(&codes.f_view([-1])?.f_to_kind(Kind::Uint8)?)?;
            self.scales.shallow_clone().f_copy_(&scale.f_view([-1])?)?;
            Ok(())
        })
    }
}

/// 4-byte words of the codes and scales of `length` elements.
pub(crate) fn words(length: i64) -> i64 {
    length / 4 + length / BLOCK
}

/// One AdamW step of a shard, a range at a time in f32; weight decay applies to its first
/// `decayed` elements. `done` steps were taken before.
pub(crate) fn step(
    param: &Tensor,
    grad: &Tensor,
    [first, second]: [&QuantizedTensor; 2],
    hyper: &AdamW,
    decayed: i64,
    done: u64,
) -> Result<(), TrainError> {
    let mut from = 0;
    let chunk = match first.device() {
        Device::Cpu => CHUNK,
        _ => CHUNK_ON_GPU,
    };
    while from < first.length() {
        let count = chunk.min(first.length() - from);
        let moments = [first.narrow(from, count)?, second.narrow(from, count)?];
        let f32_values = [moments[0].to_f32()?, moments[1].to_f32()?];
        let split = (decayed - from).clamp(0, count);
        for (begin, length, weight_decay) in
            [(0, split, hyper.weight_decay), (split, count - split, 0.0)]
        {
            if length == 0 {
                continue;
            }
            let slot = AdamWSlot {
                param: &param.f_narrow(0, from + begin, length)?,
                grad: &grad.f_narrow(0, from + begin, length)?,
                exp_avg: &f32_values[0].f_narrow(0, begin, length)?,
                exp_avg_sq: &f32_values[1].f_narrow(0, begin, length)?,
                step: &Tensor::f_full([], done as f64, (Kind::Float, param.device()))?,
            };
            let hyper = AdamW {
                weight_decay,
                ..*hyper
            };
            fused_adamw_(&[slot], &hyper)?;
        }
        for (moment, f32_values) in moments.iter().zip(&f32_values) {
            moment.set(f32_values)?;
        }
        from += count;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use sky_types::derive_seed;

    use super::*;

    fn zeros(moment: Moment, length: i64) -> QuantizedTensor {
        QuantizedTensor::zeros(moment, length, Device::Cpu, &mut |length, kind| {
            Ok(Tensor::f_zeros([length], (kind, Device::Cpu))?)
        })
        .unwrap()
    }

    /// Values over twelve decades, of either sign for the first moment, one block of zeros, one too
    /// small to keep.
    fn some(moment: Moment) -> Tensor {
        let values: Vec<f32> = (0..64 * 40_u64)
            .map(|i| {
                let unit = |what| derive_seed(1, what, i) as f64 / u64::MAX as f64;
                let size = 10_f64.powf(-12.0 * unit("size")) * (i / 64 + 1) as f64;
                let negative = moment == Moment::First && unit("sign") < 0.5;
                let value = if negative { -size } else { size };
                match i / 64 {
                    3 => 0.0,
                    5 => (value * 1e-33) as f32,
                    7 => -value.abs().min(f64::from(moment == Moment::First)) as f32,
                    _ => value as f32,
                }
            })
            .collect();
        Tensor::from_slice(&values)
    }

    #[test]
    fn the_map_has_256_values_and_those_of_its_authors() {
        let (signed, unsigned) = (values(Moment::First), values(Moment::Second));
        for all in [&signed, &unsigned] {
            assert_eq!(all.len(), 256);
            assert!(all.windows(2).all(|two| two[0] < two[1]));
            assert_eq!(all[255], 1.0);
        }
        // bitsandbytes' create_dynamic_map(): its first, smallest positive and last but one.
        assert!((signed[0] + 0.992_968_75).abs() < 1e-7);
        assert!((signed[128] - 5.5e-7).abs() < 1e-12 && signed[127] == 0.0);
        assert!((unsigned[1] - 3.25e-7).abs() < 1e-12 && unsigned[0] == 0.0);
        assert!((unsigned[254] - 0.996_484_4).abs() < 1e-6);
    }

    #[test]
    fn what_was_quantized_is_quantized_to_the_same_again() {
        for moment in [Moment::First, Moment::Second] {
            let (once, again) = (zeros(moment, 64 * 40), zeros(moment, 64 * 40));
            let f32_values = some(moment);
            once.set(&f32_values).unwrap();
            again.set(&once.to_f32().unwrap()).unwrap();
            assert_eq!((&once.codes, &once.scales), (&again.codes, &again.scales));
            let (kept, f32_values) = (once.to_f32().unwrap(), f32_values.view([-1, 64]));
            let largest = f32_values.abs().amax([1_i64].as_slice(), true);
            let off = (kept.view([-1, 64]) - &f32_values).abs() / largest.clamp_min(1e-20);
            // Half of the widest distance between two values.
            let widest = if moment == Moment::First {
                0.0071
            } else {
                0.0036
            };
            assert!(off.max().double_value(&[]) < widest);
            // The element that gives the scale is kept as it is.
            let same = kept.view([-1, 64]).eq_tensor(&f32_values).any_dim(1, false);
            assert!(same.sum(Kind::Int64).int64_value(&[]) >= 39);
            assert_eq!(
                zeros(moment, 128).to_f32().unwrap(),
                Tensor::zeros([128], (Kind::Float, Device::Cpu))
            );
            if moment == Moment::Second {
                let lost = f32_values.gt(0.0).logical_and(&kept.view([-1, 64]).eq(0.0));
                // Only the block that is too small as a whole.
                assert_eq!(lost.sum(Kind::Int64).int64_value(&[]), 64);
            }
        }
    }

    #[test]
    fn parts_are_quantized_as_the_whole_is() {
        let (whole, parts) = (zeros(Moment::First, 64 * 40), zeros(Moment::First, 64 * 40));
        let f32_values = some(Moment::First);
        whole.set(&f32_values).unwrap();
        for (from, length) in [(0, 64), (64, 64 * 30), (64 * 31, 64 * 9)] {
            let part = parts.narrow(from, length).unwrap();
            part.set(&f32_values.narrow(0, from, length)).unwrap();
        }
        assert_eq!((&whole.codes, &whole.scales), (&parts.codes, &parts.scales));
        assert_eq!(
            whole.copied().unwrap().to_f32().unwrap(),
            parts.to_f32().unwrap()
        );
        assert_eq!(whole.bytes(), 64 * 40 + 4 * 40);
    }
}
