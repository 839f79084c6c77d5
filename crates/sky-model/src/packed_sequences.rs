use tch::{Device, Kind, Tensor};

use crate::{Config, RopeScaling};

/// Where the documents of one packed sequence begin and end, with the rotary tables of their
/// positions.
///
/// Positions restart at 0 in each document, and no document sees another.
#[derive(Debug)]
pub struct PackedSequences {
    /// `[0, len0, len0 + len1, ...]`; the last is the number of tokens.
    pub cu_seqlens: Vec<i64>,
    /// Cosines, `[tokens, 1, head_dim / 2]` in the kind of the activations.
    pub(crate) cos: Tensor,
    /// Sines, likewise.
    pub(crate) sin: Tensor,
    /// On a GPU: `cu_seqlens` there, i32.
    pub(crate) cu_seqlens_gpu: Option<Tensor>,
    /// All documents, in order.
    pub(crate) runs: Vec<DocumentRun>,
}

/// Neighbouring documents of one length, computed as one batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DocumentRun {
    /// The first document's first token.
    pub(crate) start: i64,
    pub(crate) documents: i64,
    /// Tokens of each document.
    pub(crate) length: i64,
}

/// Cosines and sines of rotary positions, both of the same shape.
#[derive(Debug)]
pub(crate) struct RopeTables {
    pub(crate) cos: Tensor,
    pub(crate) sin: Tensor,
}

impl PackedSequences {
    /// Documents of these lengths, one after the other; empty ones are passed over. `kind` is that
    /// of the activations.
    pub fn new(config: &Config, lengths: &[i64], kind: Kind, device: Device) -> Self {
        let lengths: Vec<i64> = lengths.iter().copied().filter(|&n| n > 0).collect();
        let mut cu_seqlens = vec![0];
        let mut runs: Vec<DocumentRun> = Vec::new();
        let mut start = 0;
        for &length in &lengths {
            match runs.last_mut() {
                Some(run) if run.length == length => run.documents += 1,
                _ => runs.push(DocumentRun {
                    start,
                    documents: 1,
                    length,
                }),
            }
            start += length;
            cu_seqlens.push(start);
        }
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let rope = rope_tables(config, longest, kind, device);
        let pick = |table: &Tensor| match lengths.as_slice() {
            [] => table.shallow_clone(),
            all => Tensor::cat(
                &all.iter()
                    .map(|&n| table.narrow(0, 0, n))
                    .collect::<Vec<_>>(),
                0,
            ),
        };
        Self {
            cos: pick(&rope.cos).unsqueeze(1),
            sin: pick(&rope.sin).unsqueeze(1),
            cu_seqlens_gpu: device.is_cuda().then(|| {
                let cu_seqlens_gpu: Vec<i32> = cu_seqlens.iter().map(|&at| at as i32).collect();
                Tensor::from_slice(&cu_seqlens_gpu).to_device(device)
            }),
            cu_seqlens,
            runs,
        }
    }

    /// Tokens of the longest document.
    pub(crate) fn longest(&self) -> i64 {
        self.runs.iter().map(|run| run.length).max().unwrap_or(0)
    }

    /// Number of tokens.
    pub fn tokens(&self) -> i64 {
        self.cu_seqlens.last().copied().unwrap_or(0)
    }

    /// Number of documents.
    pub fn documents(&self) -> usize {
        self.cu_seqlens.len() - 1
    }
}

/// Cosines and sines of positions `0..positions`, each `[positions, head_dim / 2]`, computed in f32
/// like the reference implementations and then rounded to `kind`.
pub(crate) fn rope_tables(
    config: &Config,
    positions: i64,
    kind: Kind,
    device: Device,
) -> RopeTables {
    let float = (Kind::Float, device);
    let exponents =
        Tensor::arange_start_step(0, config.head_dim, 2, float) / config.head_dim as f64;
    let frequencies = Tensor::pow_scalar(config.rope_theta, &exponents).reciprocal();
    let frequencies = match config.rope_scaling {
        None => frequencies,
        Some(RopeScaling::Linear { factor }) => frequencies / factor,
        Some(RopeScaling::Llama3 {
            factor,
            low_freq_factor,
            high_freq_factor,
            original_context,
        }) => {
            // The ramp of Llama 3.1's reference code: 0 at the low boundary, 1 at the high one.
            let wavelength = frequencies.reciprocal() * std::f64::consts::TAU;
            let ramp = (wavelength.reciprocal() * original_context - low_freq_factor)
                / (high_freq_factor - low_freq_factor);
            let ramp = ramp.clamp(0.0, 1.0);
            let slow = (&ramp * -1.0 + 1.0) * &frequencies / factor;
            slow + ramp * frequencies
        }
    };
    let angles = Tensor::arange(positions, float).unsqueeze(1) * frequencies.unsqueeze(0);
    RopeTables {
        cos: angles.cos().to_kind(kind),
        sin: angles.sin().to_kind(kind),
    }
}
