//! Statistics that need the single problems: bootstrap intervals and McNemar's test.

use std::collections::BTreeMap;

use sky_types::derive_seed;

use crate::Interval;

/// Resamples of a bootstrap.
const RESAMPLES: usize = 2000;

/// The 95 % percentile bootstrap interval of the mean of `values` (Efron 1979), resampling whole
/// clusters: `clusters[i]` names the cluster of `values[i]`. Problems that share a text are one
/// cluster, as their results depend on each other. Seeded: the same values give the same interval.
///
/// Without values it is 0 to 1. `clusters` must be as long as `values`; a value without one is a
/// cluster of its own.
pub fn bootstrap_mean(values: &[f64], clusters: &[String], seed: u64) -> Interval {
    if values.is_empty() {
        return Interval {
            low: 0.0,
            high: 1.0,
        };
    }
    #[derive(Clone, Copy, Default)]
    struct Sum {
        total: f64,
        count: f64,
    }
    let mut sums: BTreeMap<&str, Sum> = BTreeMap::new();
    let mut single = Vec::new();
    for (at, &value) in values.iter().enumerate() {
        let sum = match clusters.get(at) {
            Some(name) => sums.entry(name.as_str()).or_default(),
            None => {
                single.push(Sum {
                    total: value,
                    count: 1.0,
                });
                continue;
            }
        };
        sum.total += value;
        sum.count += 1.0;
    }
    let sums: Vec<Sum> = sums.into_values().chain(single).collect();
    let mut draw = Draws(derive_seed(seed, "bootstrap", values.len() as u64));
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let mut sum = Sum::default();
            for _ in 0..sums.len() {
                let one = sums[draw.below(sums.len())];
                sum.total += one.total;
                sum.count += one.count;
            }
            sum.total / sum.count
        })
        .collect();
    means.sort_by(f64::total_cmp);
    let at = |share: f64| means[((RESAMPLES - 1) as f64 * share).round() as usize];
    Interval {
        low: at(0.025),
        high: at(0.975),
    }
}

/// SplitMix64 (Steele, Lea and Flood 2014).
struct Draws(u64);

impl Draws {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        // The high half of the product: as even as 64 bits allow.
        ((u128::from(z) * n as u128) >> 64) as usize
    }
}

/// The two-sided p-value of McNemar's exact test: of the problems that exactly one of two models
/// solves, `first` and `second` are solved by each. Under the hypothesis that the models are alike
/// each such problem is a fair coin. 1 when there is none.
pub fn mcnemar(first: u64, second: u64) -> f64 {
    let n = first + second;
    let least = first.min(second);
    // In logarithms: 2^-n underflows from n = 1075 on.
    let mut term = -(n as f64) * std::f64::consts::LN_2;
    let mut sum = term.exp();
    for k in 1..=least {
        term += ((n - k + 1) as f64 / k as f64).ln();
        sum += term.exp();
    }
    (2.0 * sum).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mcnemar_is_a_two_sided_sign_test() {
        assert_eq!(mcnemar(0, 0), 1.0);
        assert_eq!(mcnemar(5, 5), 1.0);
        // 2 (C(10, 0) + C(10, 1)) / 2^10.
        assert!((mcnemar(1, 9) - 22.0 / 1024.0).abs() < 1e-12);
        assert!((mcnemar(9, 1) - 22.0 / 1024.0).abs() < 1e-12);
        assert!((mcnemar(0, 6) - 2.0 / 64.0).abs() < 1e-12);
        let large = mcnemar(4000, 4200);
        assert!(large > 0.02 && large < 0.04, "{large}");
    }

    #[test]
    fn bootstrap_covers_and_clusters_widen() {
        let values: Vec<f64> = (0..400).map(|i| f64::from(u8::from(i % 4 == 0))).collect();
        let own: Vec<String> = (0..400).map(|i| i.to_string()).collect();
        let plain = bootstrap_mean(&values, &own, 1);
        assert_eq!(plain, bootstrap_mean(&values, &own, 1));
        // The normal approximation: 0.25 +- 1.96 * sqrt(0.25 * 0.75 / 400).
        assert!((plain.low - 0.2076).abs() < 0.01 && (plain.high - 0.2924).abs() < 0.01);
        let mut sorted = values.clone();
        sorted.sort_by(f64::total_cmp);
        let tens: Vec<String> = (0..400).map(|i| (i / 10).to_string()).collect();
        let wide = bootstrap_mean(&sorted, &tens, 1);
        assert!(
            wide.high - wide.low > 2.0 * (plain.high - plain.low),
            "{wide:?}"
        );
        assert_eq!(bootstrap_mean(&[1.0; 9], &[], 1).low, 1.0);
        assert_eq!(bootstrap_mean(&[], &[], 1).high, 1.0);
    }
}
