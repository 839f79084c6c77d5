use std::collections::HashSet;

use sky_types::{Answer, Domain, Problem, Section, derive_seed};

use super::{Disjoint, Family, ProblemsConfig};
use crate::{DataError, Result, seeded_rng::SeededRng, text::normalise};

/// Generates the problems of the settings' families: `(train, heldout)`.
///
/// Each family has its own random stream. So a larger set contains the smaller one's problems under
/// the same ids; only the order is shuffled. No two problems of a set have the same wording. No
/// problem shares with the other set, of this or any other seed, what [`Disjoint`] names.
///
/// # Errors
/// When a setting is impossible, or a family has too few different problems.
pub fn generate(config: &ProblemsConfig, seed: u64) -> Result<(Vec<Problem>, Vec<Problem>)> {
    config.check()?;
    let train = draw_set(config, seed, Side::Train, config.train)?;
    let heldout = draw_set(config, seed, Side::Heldout, config.heldout)?;
    Ok((train, heldout))
}

#[derive(Clone, Copy, PartialEq)]
enum Side {
    Train,
    Heldout,
}

impl Side {
    /// Half of all keys, whatever the seed.
    fn of(key: &str) -> Self {
        if derive_seed(0, key, 0).is_multiple_of(2) {
            Self::Train
        } else {
            Self::Heldout
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Heldout => "held-out",
        }
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::Train => "",
            Self::Heldout => "heldout-",
        }
    }
}

fn draw_set(config: &ProblemsConfig, seed: u64, side: Side, total: usize) -> Result<Vec<Problem>> {
    let mut problems = Vec::with_capacity(total);
    let mut seen = HashSet::new();
    for (family, wanted) in shares(config, total) {
        let label = format!("problems/{}/{}", side.name(), family.as_str());
        let mut draw = SeededRng::new(derive_seed(seed, &label, 0));
        let mut found = 0;
        let mut attempts = 1_000 + 200 * wanted as u64;
        while found < wanted {
            attempts -= 1;
            if attempts == 0 {
                return Err(DataError::Exhausted {
                    family: family.as_str(),
                    side: side.name(),
                    wanted,
                    found,
                    max_operand: config.max_operand,
                });
            }
            let drawn = family.draw(&mut draw, i64::from(config.max_operand));
            let wording = normalise(&drawn.prompt);
            let key = match config.disjoint {
                Disjoint::Facts => &drawn.fact,
                Disjoint::Prompts => &wording,
            };
            if Side::of(key) != side || !seen.insert(wording) {
                continue;
            }
            let mut problem = Problem::new(
                format!("{}{}-{found}", side.prefix(), family.as_str()),
                family.as_str(),
                Domain::Math,
                drawn.prompt,
                Answer::Math(drawn.answer.to_string()),
            );
            problem.meta.insert("fact".into(), drawn.fact.into());
            problem.meta.insert("steps".into(), family.steps().into());
            problems.push(problem);
            found += 1;
        }
    }
    SeededRng::new(derive_seed(seed, "problems/order", 0)).shuffle(&mut problems);
    Ok(problems)
}

/// Splits a total by weight. The rest of the rounding goes to the largest remainders, and to
/// earlier families first.
fn shares(config: &ProblemsConfig, total: usize) -> Vec<(Family, usize)> {
    let weights: Vec<u64> = config
        .families
        .iter()
        .map(|family| u64::from(config.weight(*family)))
        .collect();
    let sum = weights.iter().sum::<u64>().max(1);
    let exact = |weight: u64| u128::from(weight) * total as u128;
    let mut shares: Vec<usize> = weights
        .iter()
        .map(|&weight| (exact(weight) / u128::from(sum)) as usize)
        .collect();
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by_key(|&at| std::cmp::Reverse(exact(weights[at]) % u128::from(sum)));
    let left = total.saturating_sub(shares.iter().sum());
    for &at in order.iter().take(left) {
        shares[at] += 1;
    }
    config.families.iter().copied().zip(shares).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_and_follow_the_weights() {
        let mut config = ProblemsConfig::default();
        for total in [0, 1, 5, 6, 128, 192] {
            let sum: usize = shares(&config, total).iter().map(|(_, n)| n).sum();
            assert_eq!(sum, total);
        }
        config.weights = [(Family::Sum, 3), (Family::Product, 0)].into();
        let counts = shares(&config, 70);
        assert_eq!(counts[0], (Family::Sum, 30));
        assert_eq!(counts[2], (Family::Product, 0));
    }
}
