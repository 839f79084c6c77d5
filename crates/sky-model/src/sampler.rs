use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sky_types::SamplingParams;

/// Draws the tokens of one reply. The draw depends on the request's seed and its own probabilities
/// alone.
#[derive(Debug)]
pub(crate) struct Sampler {
    rng: ChaCha8Rng,
    temperature: f64,
    top_p: f64,
}

/// Values added up at once.
const LANES: usize = 16;
/// Values whose sum is looked at before they are.
const CHUNK: usize = 512;

impl Sampler {
    pub(crate) fn new(params: &SamplingParams, seed: u64) -> Self {
        Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
            temperature: params.temperature,
            top_p: params.top_p,
        }
    }

    /// What to divide the logits by before the softmax; `None` for the likeliest token, which needs
    /// no softmax.
    pub(crate) fn temperature(&self) -> Option<f64> {
        (self.temperature > 0.0).then_some(self.temperature)
    }

    /// Draws from probabilities; what is not a number is never drawn.
    pub(crate) fn draw(&mut self, probabilities: &[f32]) -> u32 {
        // One number a token, whatever the settings.
        let uniform: f64 = self.rng.random();
        if self.top_p < 1.0 {
            return self.draw_nucleus(probabilities, uniform);
        }
        let sums: Vec<f64> = probabilities
            .chunks(CHUNK)
            .map(|c| f64::from(sum(c)))
            .collect();
        let mut left = uniform * sums.iter().sum::<f64>();
        for (chunk, (values, sum)) in probabilities.chunks(CHUNK).zip(&sums).enumerate() {
            if left >= *sum {
                left -= sum;
                continue;
            }
            for (i, &p) in values.iter().enumerate() {
                left -= f64::from(p);
                if left < 0.0 {
                    return (chunk * CHUNK + i) as u32;
                }
            }
            // Rounding kept the walk a hair below the chunk's sum.
            left = 0.0;
        }
        likeliest(probabilities)
    }

    /// Draws from the smallest set of likeliest tokens that reaches `top_p`, at least one.
    fn draw_nucleus(&self, probabilities: &[f32], uniform: f64) -> u32 {
        // All tokens under this together hold less than 1 - top_p, so none of them is needed.
        let floor = ((1.0 - self.top_p) / probabilities.len().max(1) as f64) as f32;
        let mut candidates: Vec<(u32, f64)> = probabilities
            .iter()
            .enumerate()
            .filter(|&(_, &p)| p >= floor)
            .map(|(id, &p)| (id as u32, f64::from(p)))
            .collect();
        candidates.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let mut reached = 0.0;
        let kept = candidates.iter().take_while(|(_, p)| {
            let more = reached < self.top_p;
            reached += p;
            more
        });
        let kept = kept.count().max(1);
        candidates.truncate(kept);
        let mut left = uniform * candidates.iter().map(|(_, p)| p).sum::<f64>();
        let drawn = candidates.iter().find(|(_, p)| {
            left -= p;
            left < 0.0
        });
        drawn
            .or(candidates.first())
            .map_or_else(|| likeliest(probabilities), |&(id, _)| id)
    }
}

/// The first of the largest values; 0 when none is a number.
pub(crate) fn likeliest(values: &[f32]) -> u32 {
    let mut best = [f32::NEG_INFINITY; LANES];
    for chunk in values.chunks(LANES) {
        for (best, &value) in best.iter_mut().zip(chunk) {
            *best = if value > *best { value } else { *best };
        }
    }
    let best = best.into_iter().fold(f32::NEG_INFINITY, f32::max);
    values.iter().position(|&v| v == best).unwrap_or(0) as u32
}

fn sum(values: &[f32]) -> f32 {
    let mut sums = [0.0; LANES];
    for chunk in values.chunks(LANES) {
        for (sum, value) in sums.iter_mut().zip(chunk) {
            *sum += value;
        }
    }
    sums.iter().sum()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn sampler(top_p: f64, seed: u64) -> Sampler {
        Sampler::new(
            &SamplingParams {
                temperature: 1.0,
                top_p,
                max_tokens: 1,
            },
            seed,
        )
    }

    #[test]
    fn the_likeliest_is_the_first_of_the_best() {
        let mut values = vec![0.0f32; 1000];
        values[700] = 3.0;
        values[37] = 3.0;
        values[5] = f32::NAN;
        assert_eq!(likeliest(&values), 37);
        assert_eq!(likeliest(&[f32::NAN; 20]), 0);
        assert_eq!(likeliest(&[]), 0);
    }

    #[test]
    fn frequencies_follow_the_probabilities() {
        // Spread over several chunks, with most of the mass in two places.
        let mut probabilities = vec![0.2 / 1998.0f32; 2000];
        probabilities[3] = 0.5;
        probabilities[1500] = 0.3;
        for top_p in [1.0, 0.9] {
            let mut sampler = sampler(top_p, 7);
            let draws: Vec<u32> = (0..20_000).map(|_| sampler.draw(&probabilities)).collect();
            let share = |id: u32| draws.iter().filter(|&&d| d == id).count() as f64 / 20_000.0;
            let mass = if top_p < 1.0 { 0.9 } else { 1.0 };
            assert!((share(3) - 0.5 / mass).abs() < 0.015, "{}", share(3));
            assert!((share(1500) - 0.3 / mass).abs() < 0.015, "{}", share(1500));
        }
    }

    #[test]
    fn the_nucleus_leaves_out_the_tail_and_the_seed_decides() {
        let probabilities = [0.15f32, 0.5, 0.05, 0.3];
        let draws = |top_p: f64, seed: u64| {
            let mut sampler = sampler(top_p, seed);
            (0..200)
                .map(|_| sampler.draw(&probabilities))
                .collect::<Vec<_>>()
        };
        assert!(draws(0.79, 1).iter().all(|id| [1, 3].contains(id)) && draws(0.79, 1).contains(&3));
        assert!(draws(0.1, 1).iter().all(|&id| id == 1));
        assert!(draws(1.0, 1).contains(&2));
        assert_eq!(draws(1.0, 5), draws(1.0, 5));
        assert_ne!(draws(1.0, 5), draws(1.0, 6));
        let nan = [f32::NAN; 4];
        assert_eq!(
            (sampler(1.0, 1).draw(&nan), sampler(0.5, 1).draw(&nan)),
            (0, 0)
        );
    }
}
