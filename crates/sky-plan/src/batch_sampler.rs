use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use sky_types::derive_seed;

use crate::TrainConfig;

/// Which rows each step trains on: every epoch is a shuffle of all rows, and batches are cut from
/// the epochs laid end to end, so that only the very last may be smaller.
///
/// A function of the number of rows and the seed alone. Any step can be asked for, so the data
/// cursor of a checkpoint is its step.
#[derive(Clone, Debug)]
pub struct BatchSampler {
    rows: usize,
    batch: usize,
    steps: u64,
    end: u64,
    seed: u64,
    shuffled: Option<(u64, Vec<usize>)>,
}

impl BatchSampler {
    /// The order over `rows` rows.
    pub fn new(config: &TrainConfig, rows: usize, seed: u64) -> Self {
        let end = (rows as u64).saturating_mul(u64::from(config.epochs));
        let batch = config.global_batch.max(1);
        let steps = end.div_ceil(batch as u64);
        let steps = config.max_steps.map_or(steps, |most| steps.min(most));
        Self {
            rows,
            batch,
            steps,
            end,
            seed,
            shuffled: None,
        }
    }

    /// Number of steps of the run.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Epochs that are done after `steps` steps.
    pub fn epoch(&self, steps: u64) -> f64 {
        let seen = steps.saturating_mul(self.batch as u64).min(self.end);
        seen as f64 / self.rows.max(1) as f64
    }

    /// The rows of step `step`, from 0; none past the end.
    pub fn batch(&mut self, step: u64) -> Vec<usize> {
        if step >= self.steps {
            return Vec::new();
        }
        let from = step * self.batch as u64;
        let to = (from + self.batch as u64).min(self.end);
        let rows = self.rows as u64;
        (from..to)
            .map(|at| self.shuffle(at / rows)[(at % rows) as usize])
            .collect()
    }

    fn shuffle(&mut self, epoch: u64) -> &[usize] {
        let (_, order) = match self.shuffled.take() {
            Some(found) if found.0 == epoch => self.shuffled.insert(found),
            _ => {
                let mut order: Vec<usize> = (0..self.rows).collect();
                let seed = derive_seed(self.seed, "train-order", epoch);
                order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
                self.shuffled.insert((epoch, order))
            }
        };
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(rows: usize, batch: usize, seed: u64) -> BatchSampler {
        let config = TrainConfig {
            epochs: 3,
            global_batch: batch,
            ..TrainConfig::default()
        };
        BatchSampler::new(&config, rows, seed)
    }

    #[test]
    fn every_row_comes_once_an_epoch_and_any_step_can_be_asked_for() {
        let mut all = order(10, 4, 1);
        assert_eq!(all.steps(), 8);
        let stream: Vec<usize> = (0..8).flat_map(|step| all.batch(step)).collect();
        for epoch in stream.chunks(10) {
            let mut rows = epoch.to_vec();
            rows.sort_unstable();
            assert_eq!(rows, (0..10).collect::<Vec<_>>());
        }
        assert_ne!(stream[..10], stream[10..20]);
        assert_eq!(order(10, 4, 1).batch(5), stream[20..24]);
        assert_eq!(all.batch(7), stream[28..]);
        assert_eq!(all.batch(8), [] as [usize; 0]);
        assert_ne!(order(10, 4, 2).batch(0), order(10, 4, 1).batch(0));
        assert!((all.epoch(5) - 2.0).abs() < 1e-12);
    }

    #[test]
    fn the_order_is_pinned() {
        // A run resumed under another version must read the same rows.
        assert_eq!(order(8, 8, 1).batch(0), PINNED);
    }

    const PINNED: [usize; 8] = [4, 1, 2, 6, 0, 5, 3, 7];
}
