use crate::{Decay, TrainConfig};

/// The learning rate of every step of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    peak: f64,
    floor: f64,
    decay: Decay,
    warmup: u64,
    decay_steps: u64,
    total: u64,
}

impl Schedule {
    /// The schedule of a run of `total` steps.
    pub fn new(config: &TrainConfig, total: u64) -> Self {
        let share = |ratio: f64| (total as f64 * ratio).ceil() as u64;
        let warmup = config
            .warmup_steps
            .unwrap_or_else(|| share(config.warmup_ratio))
            .min(total);
        Self {
            peak: config.learning_rate,
            floor: config.learning_rate * config.min_lr_ratio,
            decay: config.schedule,
            warmup,
            decay_steps: share(config.decay_ratio).clamp(1, (total - warmup).max(1)),
            total,
        }
    }

    /// Steps of the warm-up.
    pub fn warmup(&self) -> u64 {
        self.warmup
    }

    /// Learning rate of the update that ends step `step`, from 0.
    ///
    /// During a warm-up of `w` steps it is `peak (step + 1) / (w + 1)`: no step is spent at zero,
    /// and step `w` is the first at the peak. After it, with `p = (step - w) / (total - w)`, cosine
    /// gives `floor + (peak - floor) (1 + cos(pi p)) / 2` as transformers does, linear `floor +
    /// (peak - floor) (1 - p)`.
    pub fn lr(&self, step: u64) -> f64 {
        if step < self.warmup {
            return self.peak * (step + 1) as f64 / (self.warmup + 1) as f64;
        }
        let part = |from: u64, steps: u64| {
            (step.saturating_sub(from) as f64 / steps.max(1) as f64).clamp(0.0, 1.0)
        };
        let left = match self.decay {
            Decay::Constant => 1.0,
            Decay::Linear => 1.0 - part(self.warmup, self.total - self.warmup),
            Decay::Cosine => {
                (1.0 + (std::f64::consts::PI * part(self.warmup, self.total - self.warmup)).cos())
                    / 2.0
            }
            Decay::Wsd => {
                1.0 - part(
                    self.total.saturating_sub(self.decay_steps),
                    self.decay_steps,
                )
            }
        };
        self.floor + (self.peak - self.floor) * left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(decay: Decay) -> Schedule {
        let config = TrainConfig {
            learning_rate: 2.0,
            schedule: decay,
            warmup_ratio: 0.1,
            min_lr_ratio: 0.1,
            decay_ratio: 0.2,
            ..TrainConfig::default()
        };
        Schedule::new(&config, 100)
    }

    fn near(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-12, "{a} {b}");
    }

    #[test]
    fn warm_up_starts_above_zero_and_ends_at_the_peak() {
        for decay in [Decay::Cosine, Decay::Linear, Decay::Constant, Decay::Wsd] {
            let s = schedule(decay);
            assert_eq!(s.warmup(), 10);
            near(s.lr(0), 2.0 / 11.0);
            near(s.lr(9), 20.0 / 11.0);
            near(s.lr(10), 2.0);
        }
    }

    #[test]
    fn each_decay_has_its_shape() {
        near(schedule(Decay::Cosine).lr(55), 0.2 + 1.8 / 2.0);
        near(
            schedule(Decay::Cosine).lr(99),
            0.2 + 0.9 * (1.0 + (std::f64::consts::PI * 89.0 / 90.0).cos()),
        );
        near(schedule(Decay::Linear).lr(55), 0.2 + 1.8 / 2.0);
        near(schedule(Decay::Linear).lr(100), 0.2);
        near(schedule(Decay::Constant).lr(99), 2.0);
        near(schedule(Decay::Wsd).lr(80), 2.0);
        near(schedule(Decay::Wsd).lr(90), 0.2 + 0.9);
    }

    #[test]
    fn impossible_lengths_stay_finite() {
        for total in [0, 1, 2] {
            for decay in [Decay::Cosine, Decay::Linear, Decay::Constant, Decay::Wsd] {
                let config = TrainConfig {
                    schedule: decay,
                    warmup_steps: Some(50),
                    ..TrainConfig::default()
                };
                let s = Schedule::new(&config, total);
                assert!((0..60).all(|step| s.lr(step).is_finite() && s.lr(step) >= 0.0));
            }
        }
    }
}
