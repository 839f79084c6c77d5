//! NEFTune: noise on the embedded tokens of each conversation (Jain et al., 2023).

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sky_text::PackedRow;
use sky_types::derive_seed;
use tch::{Device, Kind, Tensor};

use crate::TrainError;

/// How much noise, and which.
#[derive(Clone, Copy)]
pub(crate) struct NoiseOptions {
    /// `neftune_alpha`; 0 for none.
    pub(crate) alpha: f64,
    /// The run's seed.
    pub(crate) seed: u64,
    /// Steps done.
    pub(crate) step: u64,
}

/// Noise for a packed row, `[tokens, hidden]`: uniform from `-alpha / sqrt(tokens x hidden)` to as
/// much above zero, where `tokens` is the length of the token's own conversation.
///
/// A conversation's noise is a function of seed, step and its number in the data (`batch` has those
/// of the members): it does not depend on how rows are packed, nor on which rank they are.
pub(crate) fn noise(
    row: &PackedRow,
    batch: &[usize],
    hidden: i64,
    noise: NoiseOptions,
    kind: Kind,
    device: Device,
) -> Result<Option<Tensor>, TrainError> {
    let NoiseOptions { alpha, seed, step } = noise;
    if alpha == 0.0 || row.members.is_empty() {
        return Ok(None);
    }
    let seed = derive_seed(seed, "neftune", step);
    let width = hidden.unsigned_abs() as usize;
    let mut values: Vec<f32> = Vec::with_capacity(row.len() * width);
    for (&tokens, &member) in row.lengths.iter().zip(&row.members) {
        let bound = (alpha / ((tokens * width) as f64).sqrt()) as f32;
        let number = batch.get(member).copied().unwrap_or(member) as u64;
        let mut rng = ChaCha8Rng::seed_from_u64(derive_seed(seed, "row", number));
        values.extend((0..tokens * width).map(|_| (2.0 * rng.random::<f32>() - 1.0) * bound));
    }
    let noise = Tensor::f_from_slice(&values)?.f_view([-1, hidden])?;
    Ok(Some(noise.f_to_device(device)?.f_to_kind(kind)?))
}
