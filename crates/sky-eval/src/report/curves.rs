use std::path::Path;

use serde::Deserialize;
use sky_files::read_jsonl;

use crate::Result;

/// Most points of a curve. A screen has no pixels for more.
const MAX_POINTS: usize = 600;

/// Loss and learning rate over the steps of a training run, averaged to a bounded number of points.
#[derive(Default)]
pub(super) struct Curves {
    pub(super) points: Vec<Point>,
    /// Steps of one point; its loss is their mean.
    pub(super) stride: u64,
    /// Number of steps.
    pub(super) steps: u64,
    /// The loss on the validation rows, at each step where it was measured.
    pub(super) validation: Vec<Measured>,
}

/// A value measured after a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Measured {
    pub(super) step: u64,
    pub(super) loss: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    /// Last step of the point.
    pub(super) step: u64,
    pub(super) loss: f64,
    pub(super) lr: f64,
    steps: u64,
}

/// The fields of a line of `metrics.jsonl` that the curves need.
#[derive(Deserialize)]
struct Metric {
    step: u64,
    /// `null` when it is not finite.
    loss: Option<f64>,
    #[serde(alias = "learning_rate")]
    lr: Option<f64>,
    /// Only on steps where it was measured.
    #[serde(default)]
    validation_loss: Option<f64>,
}

impl Curves {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let mut curves = Self {
            stride: 1,
            ..Self::default()
        };
        for metric in read_jsonl::<Metric>(path)? {
            curves.add(&metric?);
        }
        Ok(curves)
    }

    fn add(&mut self, metric: &Metric) {
        // A resumed run may repeat steps; the later line counts.
        while self
            .validation
            .last()
            .is_some_and(|last| last.step >= metric.step)
        {
            self.validation.pop();
        }
        if let Some(loss) = metric.validation_loss.filter(|loss| loss.is_finite()) {
            self.validation.push(Measured {
                step: metric.step,
                loss,
            });
        }
        let Some(loss) = metric.loss.filter(|loss| loss.is_finite()) else {
            return;
        };
        // A resumed run may repeat steps; the later line counts.
        while self
            .points
            .last()
            .is_some_and(|last| last.step >= metric.step)
        {
            self.points.pop();
        }
        self.steps = metric.step;
        let lr = metric.lr.filter(|lr| lr.is_finite()).unwrap_or(0.0);
        let point = Point {
            step: metric.step,
            loss,
            lr,
            steps: 1,
        };
        match self.points.last_mut() {
            Some(last) if last.steps < self.stride => *last = last.join(point),
            _ => self.points.push(point),
        }
        if self.points.len() > MAX_POINTS {
            self.stride *= 2;
            self.points = self
                .points
                .chunks(2)
                .map(|pair| match *pair {
                    [first, second] => first.join(second),
                    _ => pair[0],
                })
                .collect();
        }
    }

    /// The losses, smoothed by a Gaussian window over about a twentieth of the run.
    ///
    /// The window is symmetric, so that the curve does not lag behind a falling loss as a running
    /// mean does. Near an end it becomes narrower.
    pub(super) fn smooth(&self) -> Vec<f64> {
        let sigma = (self.points.len() as f64 / 40.0).max(1.0);
        let reach = (3.0 * sigma).ceil() as usize;
        let weight = |distance: usize| (-0.5 * (distance as f64 / sigma).powi(2)).exp();
        let mean = |at: usize| {
            // The same reach on both sides: an uneven window would bend the ends.
            let reach = reach.min(at).min(self.points.len() - 1 - at);
            let near = at - reach..=at + reach;
            let total: f64 = near.clone().map(|i| weight(i.abs_diff(at))).sum();
            near.map(|i| weight(i.abs_diff(at)) * self.points[i].loss)
                .sum::<f64>()
                / total
        };
        (0..self.points.len()).map(mean).collect()
    }
}

impl Point {
    fn join(self, next: Self) -> Self {
        let (a, b) = (self.steps as f64, next.steps as f64);
        Self {
            step: next.step,
            loss: (self.loss * a + next.loss * b) / (a + b),
            lr: next.lr,
            steps: self.steps + next.steps,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curves(steps: impl IntoIterator<Item = (u64, f64)>) -> Curves {
        let mut curves = Curves {
            stride: 1,
            ..Curves::default()
        };
        for (step, loss) in steps {
            curves.add(&Metric {
                step,
                loss: Some(loss),
                lr: Some(1e-5),
                validation_loss: step.is_multiple_of(2).then_some(loss + 1.0),
            });
        }
        curves
    }

    #[test]
    fn long_runs_are_averaged_and_repeated_steps_count_once() {
        let long = curves((1..=5000).map(|step| (step, step as f64)));
        assert!(long.points.len() <= MAX_POINTS && long.points.len() > MAX_POINTS / 3);
        assert_eq!(
            (long.steps, long.points.last().map(|p| p.step)),
            (5000, Some(5000))
        );
        let sum: f64 = long.points.iter().map(|p| p.loss * p.steps as f64).sum();
        assert!((sum - 5000.0 * 5001.0 / 2.0).abs() < 1e-3);

        let resumed = curves([(1, 4.0), (2, 3.0), (3, 9.0), (2, 3.5), (3, 2.0)]);
        let losses: Vec<f64> = resumed.points.iter().map(|p| p.loss).collect();
        assert_eq!(losses, [4.0, 3.5, 2.0]);
        let measured = Measured { step: 2, loss: 4.5 };
        assert_eq!(resumed.validation, [measured]);
        assert_eq!(resumed.smooth().len(), 3);
        assert_eq!(resumed.smooth()[0], 4.0);
        let straight = curves((1..=100).map(|step| (step, 100.0 - step as f64)));
        for (smooth, point) in straight.smooth().iter().zip(&straight.points) {
            assert!(
                (smooth - point.loss).abs() < 1e-9,
                "a straight line stays one"
            );
        }
        assert!(curves([(1, f64::NAN)]).points.is_empty());
    }
}
