use serde::{Deserialize, Serialize};

/// The 0.975 quantile of the standard normal distribution: two-sided 95 %.
const Z: f64 = 1.959_963_984_540_054;

/// A 95 % confidence interval of a proportion, both ends in 0..=1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Wilson's score interval at 95 % for a proportion `p` of `n` independent trials.
///
/// E. B. Wilson described it in 1927. Unlike the normal approximation it stays inside 0..=1, and it
/// holds for few trials and for proportions near the ends. Without trials it is 0 to 1.
pub fn wilson(p: f64, n: u64) -> Interval {
    if n == 0 {
        return Interval {
            low: 0.0,
            high: 1.0,
        };
    }
    let n = n as f64;
    let p = p.clamp(0.0, 1.0);
    let scale = 1.0 + Z * Z / n;
    let centre = (p + Z * Z / (2.0 * n)) / scale;
    let half = Z / scale * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    Interval {
        low: (centre - half).clamp(0.0, p),
        high: (centre + half).clamp(p, 1.0),
    }
}

/// The unbiased estimate of pass@k from `n` samples of which `correct` are right.
///
/// It is `1 - C(n - c, k) / C(n, k)`, computed as the product of Chen et al. 2021 (Evaluating Large
/// Language Models Trained on Code, equation 1 and figure 3), which cannot overflow. `k` above `n`
/// counts as `n`; without samples the estimate is 0.
pub fn pass_at_k(n: u64, correct: u64, k: u64) -> f64 {
    let (correct, k) = (correct.min(n), k.min(n));
    if correct == 0 || k == 0 {
        return 0.0;
    }
    if n - correct < k {
        return 1.0;
    }
    let none_right: f64 = (n - correct + 1..=n)
        .map(|i| 1.0 - k as f64 / i as f64)
        .product();
    1.0 - none_right
}

/// The values of k that a summary reports for `n` samples: n, n/2, ... 1.
pub(crate) fn reported_k(n: u64) -> impl Iterator<Item = u64> {
    std::iter::successors(Some(n), |k| Some(k / 2)).take_while(|&k| k > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_matches_published_values() {
        // Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
        for (right, n, low, high) in [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ] {
            let found = wilson(f64::from(right) / n as f64, n);
            assert!(
                (found.low - low).abs() < 5e-5 && (found.high - high).abs() < 5e-5,
                "{right}/{n}: {found:?}"
            );
        }
        assert_eq!(
            wilson(0.5, 0),
            Interval {
                low: 0.0,
                high: 1.0
            }
        );
        for n in 1..200 {
            for right in 0..=n {
                let p = right as f64 / n as f64;
                let Interval { low, high } = wilson(p, n);
                assert!(0.0 <= low && low <= p && p <= high && high <= 1.0);
            }
        }
    }

    #[test]
    fn pass_at_k_is_the_chance_that_a_subset_holds_a_right_one() {
        // By counting every subset.
        for n in 1..=10_u32 {
            for correct in 0..=n {
                for k in 1..=n {
                    let subsets = (0..1_u32 << n).filter(|set| set.count_ones() == k);
                    let (all, hit) = subsets.fold((0_u32, 0_u32), |(all, hit), set| {
                        (all + 1, hit + u32::from(set & ((1 << correct) - 1) != 0))
                    });
                    let expected = f64::from(hit) / f64::from(all);
                    let found = pass_at_k(n.into(), correct.into(), k.into());
                    assert!((found - expected).abs() < 1e-12, "{n} {correct} {k}");
                }
            }
        }
        assert_eq!(pass_at_k(0, 0, 1), 0.0);
        assert!(pass_at_k(1_000_000, 3, 1000) < 0.01);
        assert_eq!(reported_k(8).collect::<Vec<_>>(), [8, 4, 2, 1]);
        assert_eq!(reported_k(0).count(), 0);
    }
}
