//! GGML's block quantisations, as `ggml-quants.c` and the `gguf` Python package define them.

use half::{bf16, f16};

/// How a GGUF tensor's values are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(non_camel_case_types)] // the names everybody knows
pub(crate) enum QuantKind {
    F32,
    F16,
    BF16,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q4_K,
    Q5_K,
    Q6_K,
}

/// The size of one block of quantised values.
#[derive(Clone, Copy)]
pub(crate) struct BlockSize {
    pub(crate) values: usize,
    pub(crate) bytes: usize,
}

impl QuantKind {
    pub(crate) fn from_id(id: u32) -> Option<Self> {
        Some(match id {
            0 => Self::F32,
            1 => Self::F16,
            2 => Self::Q4_0,
            3 => Self::Q4_1,
            6 => Self::Q5_0,
            7 => Self::Q5_1,
            8 => Self::Q8_0,
            12 => Self::Q4_K,
            13 => Self::Q5_K,
            14 => Self::Q6_K,
            30 => Self::BF16,
            _ => return None,
        })
    }

    /// The size of one block.
    pub(crate) fn block(self) -> BlockSize {
        let (values, bytes) = match self {
            Self::F32 => (1, 4),
            Self::F16 | Self::BF16 => (1, 2),
            Self::Q4_0 => (32, 18),
            Self::Q4_1 => (32, 20),
            Self::Q5_0 => (32, 22),
            Self::Q5_1 => (32, 24),
            Self::Q8_0 => (32, 34),
            Self::Q4_K => (256, 144),
            Self::Q5_K => (256, 176),
            Self::Q6_K => (256, 210),
        };
        BlockSize { values, bytes }
    }

    /// Values of whole blocks; a partial block at the end is passed over.
    pub(crate) fn dequantize(self, raw: &[u8]) -> Vec<f32> {
        let BlockSize { values, bytes } = self.block();
        let mut out = Vec::with_capacity(raw.len() / bytes * values);
        for block in raw.chunks_exact(bytes) {
            match self {
                Self::F32 => out.push(f32::from_le_bytes([block[0], block[1], block[2], block[3]])),
                Self::F16 => out.push(half_at(block, 0)),
                Self::BF16 => out.push(bf16::from_le_bytes([block[0], block[1]]).to_f32()),
                Self::Q4_0 => {
                    let d = half_at(block, 0);
                    nibbles(&block[2..], |q, _| d * (f32::from(q) - 8.0), &mut out);
                }
                Self::Q4_1 => {
                    let (d, m) = (half_at(block, 0), half_at(block, 2));
                    nibbles(&block[4..], |q, _| d * f32::from(q) + m, &mut out);
                }
                Self::Q5_0 => {
                    let d = half_at(block, 0);
                    let high = u32::from_le_bytes([block[2], block[3], block[4], block[5]]);
                    nibbles(
                        &block[6..],
                        |q, i| d * (f32::from(fifth(q, high, i)) - 16.0),
                        &mut out,
                    );
                }
                Self::Q5_1 => {
                    let (d, m) = (half_at(block, 0), half_at(block, 2));
                    let high = u32::from_le_bytes([block[4], block[5], block[6], block[7]]);
                    nibbles(
                        &block[8..],
                        |q, i| d * f32::from(fifth(q, high, i)) + m,
                        &mut out,
                    );
                }
                Self::Q8_0 => {
                    let d = half_at(block, 0);
                    out.extend(block[2..].iter().map(|&q| d * f32::from(q.cast_signed())));
                }
                Self::Q4_K => k_block(block, None, &block[16..], &mut out),
                Self::Q5_K => k_block(block, Some(&block[16..48]), &block[48..], &mut out),
                Self::Q6_K => six_bit(block, &mut out),
            }
        }
        out
    }
}

fn half_at(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

/// 16 bytes hold values 0..16 in their low halves and 16..32 in their high ones.
fn nibbles(bytes: &[u8], value: impl Fn(u8, usize) -> f32, out: &mut Vec<f32>) {
    out.extend(bytes.iter().enumerate().map(|(i, b)| value(b & 15, i)));
    out.extend(bytes.iter().enumerate().map(|(i, b)| value(b >> 4, i + 16)));
}

fn fifth(low: u8, high: u32, i: usize) -> u8 {
    low | (((high >> i) & 1) as u8) << 4
}

/// Q4_K and Q5_K: two halves, twelve bytes of 6-bit scales and minima for eight groups of 32
/// values.
fn k_block(block: &[u8], fifth_bits: Option<&[u8]>, quants: &[u8], out: &mut Vec<f32>) {
    let (d, dmin) = (half_at(block, 0), half_at(block, 2));
    let packed = &block[4..16];
    let scale_and_min = |j: usize| {
        if j < 4 {
            (packed[j] & 63, packed[j + 4] & 63)
        } else {
            (
                (packed[j + 4] & 15) | ((packed[j - 4] >> 6) << 4),
                (packed[j + 4] >> 4) | ((packed[j] >> 6) << 4),
            )
        }
    };
    for group in 0..8 {
        let (scale, min) = scale_and_min(group);
        let (scale, min) = (d * f32::from(scale), dmin * f32::from(min));
        for i in 0..32 {
            let byte = quants[group / 2 * 32 + i];
            let low = if group % 2 == 0 { byte & 15 } else { byte >> 4 };
            let high = fifth_bits.map_or(0, |bits| ((bits[i] >> group) & 1) << 4);
            out.push(scale * f32::from(low | high) - min);
        }
    }
}

/// Q6_K: 128 bytes of low halves, 64 of high quarters, 16 signed scales, one half.
fn six_bit(block: &[u8], out: &mut Vec<f32>) {
    let (low, rest) = block.split_at(128);
    let (high, scales) = rest.split_at(64);
    let d = half_at(scales, 16);
    for i in 0..256 {
        let (part, within) = (i / 128, i % 128);
        let (quarter, column) = (within / 32, within % 32);
        let byte = low[part * 64 + (quarter % 2) * 32 + column];
        let four = if quarter < 2 { byte & 15 } else { byte >> 4 };
        let two = (high[part * 32 + column] >> (2 * quarter)) & 3;
        let q = f32::from(four | (two << 4)) - 32.0;
        out.push(d * f32::from(scales[i / 16].cast_signed()) * q);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One block of a fixed pattern in each quantisation: three of its values, their sum, and their
    /// sum weighted by place, as the `gguf` Python package 0.19 dequantizes it.
    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn every_quantisation_agrees_with_the_gguf_package() {
        use QuantKind::{Q4_0, Q4_1, Q4_K, Q5_0, Q5_1, Q5_K, Q6_K, Q8_0};
        for (kind, first, third, last, sum, weighted) in [
            (
                Q4_0,
                -0.086_090_09,
                0.012_298_584,
                -0.024_597_168,
                -0.036_895_752,
                -1.180_664_1,
            ),
            (
                Q4_1,
                -0.413_909_9,
                -0.315_521_24,
                -0.377_014_16,
                -12.986_847,
                -204.007_97,
            ),
            (
                Q5_0,
                0.061_492_92,
                0.159_881_59,
                -0.184_478_76,
                0.061_492_92,
                2.336_730_9,
            ),
            (
                Q5_1,
                -0.167_938_23,
                -0.266_326_9,
                -0.364_715_58,
                -9.543_243,
                -155.920_5,
            ),
            (
                Q8_0,
                -0.774_810_8,
                -1.069_976_8,
                0.750_213_6,
                1.967_773_4,
                98.782_23,
            ),
            (Q4_K, 14.938_934, 20.684_479, 20.0, 4_612.425_8, 633_828.93),
            (
                Q5_K, 22.613_25, 20.684_479, 23.763_367, 5564.828, 734_083.84,
            ),
            (
                Q6_K,
                -10.515_289,
                -19.001_312,
                3.874_054,
                -328.126_22,
                -15_203.903,
            ),
        ] {
            let BlockSize { values, bytes } = kind.block();
            let mut block: Vec<u8> = (0..bytes)
                .map(|i| ((i * 73 + i * i * 7 + 19) % 256) as u8)
                .collect();
            let scale = f16::from_f32(0.0123).to_le_bytes();
            let at = if kind == Q6_K { 208 } else { 0 };
            block[at..at + 2].copy_from_slice(&scale);
            if matches!(kind, Q4_1 | Q5_1 | Q4_K | Q5_K) {
                block[2..4].copy_from_slice(&f16::from_f32(-0.5).to_le_bytes());
            }
            let found = kind.dequantize(&block);
            assert_eq!(found.len(), values);
            let close = |found: f64, expected: f64| {
                (found - expected).abs() < 1e-5 * expected.abs().max(0.1)
            };
            let wide = || found.iter().map(|&v| f64::from(v));
            let total: f64 = wide().sum();
            let by_place: f64 = wide().zip(0..).map(|(v, i)| v * f64::from(i)).sum();
            for (found, expected) in [
                (f64::from(found[0]), first),
                (f64::from(found[values / 8 * 2]), third),
                (f64::from(found[values / 8 * 7]), last),
                (total, sum),
                (by_place, weighted),
            ] {
                assert!(close(found, expected), "{kind:?}: {found} {expected}");
            }
        }
        assert_eq!(QuantKind::F32.dequantize(&1.5f32.to_le_bytes()), [1.5]);
        assert_eq!(
            QuantKind::F16.dequantize(&f16::from_f32(1.5).to_le_bytes()),
            [1.5]
        );
        assert_eq!(
            QuantKind::BF16.dequantize(&bf16::from_f32(1.5).to_le_bytes()),
            [1.5]
        );
    }
}
