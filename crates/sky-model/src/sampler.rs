use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sky_types::SamplingParams;

/// Draws the tokens of one reply. The draw depends on the request's seed and its own logits alone.
#[derive(Debug)]
pub(crate) struct Sampler {
    rng: ChaCha8Rng,
    temperature: f64,
    top_p: f64,
}

/// Candidates whose probability is under e^-32 of the likeliest one's are passed over: together they hold less than one
/// part in a billion of even a vocabulary of 150,000, and most of the cost.
const NEGLIGIBLE: f64 = 32.0;

impl Sampler {
    pub(crate) fn new(params: &SamplingParams, seed: u64) -> Self {
        Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
            temperature: params.temperature,
            top_p: params.top_p,
        }
    }

    /// The next token. Logits that are not numbers are never drawn.
    pub(crate) fn draw(&mut self, logits: &[f32]) -> u32 {
        let best = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        if self.temperature <= 0.0 {
            return logits.iter().position(|&l| l == best).unwrap_or(0) as u32;
        }
        // One number a token, whatever the candidates, so that replies stay comparable across settings.
        let uniform: f64 = self.rng.random();
        let floor = (f64::from(best) - NEGLIGIBLE * self.temperature) as f32;
        let mut candidates: Vec<(u32, f64)> = logits
            .iter()
            .enumerate()
            .filter(|&(_, &l)| l >= floor)
            .map(|(id, &l)| (id as u32, (f64::from(l - best) / self.temperature).exp()))
            .collect();
        if self.top_p < 1.0 {
            self.nucleus(&mut candidates);
        }
        let total: f64 = candidates.iter().map(|(_, w)| w).sum();
        let mut left = uniform * total;
        for &(id, weight) in &candidates {
            left -= weight;
            if left < 0.0 {
                return id;
            }
        }
        candidates.last().map_or(0, |&(id, _)| id)
    }

    /// The smallest set of likeliest tokens that reaches `top_p`, at least one.
    fn nucleus(&self, candidates: &mut Vec<(u32, f64)>) {
        candidates.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let target = self.top_p * candidates.iter().map(|(_, w)| w).sum::<f64>();
        let mut reached = 0.0;
        let kept = candidates.iter().take_while(|(_, weight)| {
            let more = reached < target;
            reached += weight;
            more
        });
        let kept = kept.count().max(1);
        candidates.truncate(kept);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn sampler(temperature: f64, top_p: f64, seed: u64) -> Sampler {
        Sampler::new(
            &SamplingParams {
                temperature,
                top_p,
                max_tokens: 1,
            },
            seed,
        )
    }

    #[test]
    fn greedy_takes_the_first_of_the_best_and_survives_nan() {
        assert_eq!(sampler(0.0, 1.0, 1).draw(&[0.0, 3.0, f32::NAN, 3.0]), 1);
        assert_eq!(sampler(0.0, 1.0, 1).draw(&[f32::NAN, f32::NAN]), 0);
        assert_eq!(sampler(1.0, 0.5, 1).draw(&[f32::NAN, f32::NAN]), 0);
    }

    #[test]
    fn frequencies_follow_the_softmax() {
        let logits = [1.0f32, 0.0, 2.0, -1.0];
        for temperature in [0.5, 1.0, 2.0] {
            let mut sampler = sampler(temperature, 1.0, 7);
            let mut counts = [0.0f64; 4];
            for _ in 0..40_000 {
                counts[sampler.draw(&logits) as usize] += 1.0 / 40_000.0;
            }
            let weights = logits.map(|l| (f64::from(l) / temperature).exp());
            let total: f64 = weights.iter().sum();
            for (count, weight) in counts.iter().zip(weights) {
                assert!((count - weight / total).abs() < 0.01, "{counts:?}");
            }
        }
    }

    #[test]
    fn the_nucleus_leaves_out_the_tail_and_the_seed_decides() {
        let logits = [0.5f32, 0.3, 0.15, 0.05].map(f32::ln);
        let draws = |top_p: f64, seed: u64| {
            let mut sampler = sampler(1.0, top_p, seed);
            (0..200).map(|_| sampler.draw(&logits)).collect::<Vec<_>>()
        };
        assert!(draws(0.79, 1).iter().all(|&id| id < 2) && draws(0.79, 1).contains(&1));
        assert!(draws(0.1, 1).iter().all(|&id| id == 0));
        assert!(draws(1.0, 1).contains(&3));
        assert_eq!(draws(1.0, 5), draws(1.0, 5));
        assert_ne!(draws(1.0, 5), draws(1.0, 6));
    }
}
