//! Two evaluations of the same problems: which problems they differ on, why, and whether that is
//! chance.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use serde::Serialize;
use sky_files::read_jsonl;
use sky_types::{Verdict, VerdictRecord};

use crate::{EvalError, Interval, Result, bootstrap_mean, mcnemar};

/// The verdicts on the replies to each problem, in the order of the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Problems {
    order: Vec<String>,
    verdicts: HashMap<String, Vec<Verdict>>,
}

impl Problems {
    /// Reads a `verdicts.jsonl`, in any order. Problems that cannot be judged are left out.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(verdicts: &Path) -> Result<Self> {
        let mut problems = Self::default();
        for row in read_jsonl::<VerdictRecord>(verdicts)? {
            let row = row?;
            problems.add(row.problem_id, row.verdict);
        }
        let unsupported = |all: &[Verdict]| all.contains(&Verdict::Unsupported);
        problems.verdicts.retain(|_, all| !unsupported(all));
        let kept = &problems.verdicts;
        problems.order.retain(|id| kept.contains_key(id));
        Ok(problems)
    }

    fn add(&mut self, id: String, verdict: Verdict) {
        match self.verdicts.get_mut(&id) {
            Some(all) => all.push(verdict),
            None => {
                self.order.push(id.clone());
                self.verdicts.insert(id, vec![verdict]);
            }
        }
    }

    fn share(all: &[Verdict]) -> f64 {
        let right = all.iter().filter(|verdict| verdict.is_correct()).count();
        right as f64 / all.len().max(1) as f64
    }
}

/// A problem that exactly one of two evaluations solved with its first reply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Flip {
    /// The problem.
    pub problem_id: String,
    /// The first evaluation's verdict.
    pub first: Verdict,
    /// The second one's.
    pub second: Verdict,
}

/// What [`compare`] finds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Number of problems that both evaluations have.
    pub n: u64,
    /// Problems that only the first has; they are left out.
    pub only_first: u64,
    /// Problems that only the second has; they are left out.
    pub only_second: u64,
    /// Mean over the common problems of the share of right replies, in the first evaluation.
    pub first: f64,
    /// The same in the second.
    pub second: f64,
    /// `second - first`.
    pub difference: f64,
    /// The 95 % interval of the difference, by resampling problems in pairs.
    pub interval: Interval,
    /// Problems solved by the first alone, first replies only.
    pub lost: u64,
    /// Problems solved by the second alone, first replies only.
    pub won: u64,
    /// Two-sided p-value of McNemar's exact test on `lost` and `won`.
    pub p_value: f64,
    /// The flips, in the first file's order.
    pub flips: Vec<Flip>,
    /// Number of flips by what each evaluation said: `wrong -> correct`.
    pub reasons: BTreeMap<String, u64>,
}

impl Comparison {
    /// Whether the difference is more than chance at 5 %, by both tests.
    pub fn is_significant(&self) -> bool {
        self.p_value < 0.05 && (self.interval.low > 0.0 || self.interval.high < 0.0)
    }
}

/// Compares two evaluations on the problems that both have.
///
/// # Errors
/// When they have no problem in common; `second_path` is named.
pub fn compare(
    first: &Problems,
    second: &Problems,
    second_path: &Path,
    seed: u64,
) -> Result<Comparison> {
    let mut differences = Vec::new();
    let (mut sum_first, mut sum_second) = (0.0, 0.0);
    let mut flips = Vec::new();
    let mut reasons: BTreeMap<String, u64> = BTreeMap::new();
    for id in &first.order {
        let (Some(a), Some(b)) = (first.verdicts.get(id), second.verdicts.get(id)) else {
            continue;
        };
        let (x, y) = (Problems::share(a), Problems::share(b));
        sum_first += x;
        sum_second += y;
        differences.push(y - x);
        if let (Some(&a), Some(&b)) = (a.first(), b.first())
            && a.is_correct() != b.is_correct()
        {
            *reasons.entry(format!("{a} -> {b}")).or_default() += 1;
            flips.push(Flip {
                problem_id: id.clone(),
                first: a,
                second: b,
            });
        }
    }
    if differences.is_empty() {
        return Err(EvalError::mismatch(
            second_path,
            "has no problem of the first evaluation: compare two evaluations of the same problems",
        ));
    }
    let n = differences.len() as u64;
    let won = flips.iter().filter(|flip| flip.second.is_correct()).count() as u64;
    let lost = flips.len() as u64 - won;
    Ok(Comparison {
        n,
        only_first: first.order.len() as u64 - n,
        only_second: second.order.len() as u64 - n,
        first: sum_first / n as f64,
        second: sum_second / n as f64,
        difference: (sum_second - sum_first) / n as f64,
        interval: bootstrap_mean(&differences, &[], seed),
        lost,
        won,
        p_value: mcnemar(lost, won),
        flips,
        reasons,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn problems(rows: &[(&str, Verdict)]) -> Problems {
        let mut problems = Problems::default();
        for (id, verdict) in rows {
            problems.add((*id).to_owned(), *verdict);
        }
        problems
    }

    #[test]
    fn flips_are_counted_with_their_reasons() {
        use Verdict::{Correct, Truncated, Unparsed, Wrong};
        let a = problems(&[
            ("1", Wrong),
            ("2", Correct),
            ("3", Truncated),
            ("4", Correct),
        ]);
        let b = problems(&[
            ("3", Correct),
            ("1", Correct),
            ("2", Unparsed),
            ("9", Wrong),
        ]);
        let found = compare(&a, &b, Path::new("b"), 1).unwrap();
        assert_eq!((found.n, found.only_first, found.only_second), (3, 1, 1));
        assert_eq!((found.won, found.lost), (2, 1));
        assert!((found.difference - 1.0 / 3.0).abs() < 1e-12);
        assert_eq!(found.reasons["wrong -> correct"], 1);
        assert_eq!(found.reasons["correct -> unparsed"], 1);
        assert_eq!(found.flips[0].problem_id, "1");
        assert!(!found.is_significant(), "three problems prove nothing");
        let other = problems(&[("x", Wrong)]);
        let error = compare(&a, &other, Path::new("b.jsonl"), 1).unwrap_err();
        assert!(error.to_string().contains("b.jsonl"), "{error}");
    }

    #[test]
    fn a_large_difference_is_found_and_none_is_not() {
        let ids: Vec<String> = (0..200).map(|i| i.to_string()).collect();
        let with = |right: &dyn Fn(usize) -> bool| {
            let mut all = Problems::default();
            for (at, id) in ids.iter().enumerate() {
                let verdict = if right(at) {
                    Verdict::Correct
                } else {
                    Verdict::Wrong
                };
                all.add(id.clone(), verdict);
            }
            all
        };
        let (third, half) = (with(&|i| i % 3 == 0), with(&|i| i % 3 == 0 || i % 4 == 1));
        let found = compare(&third, &half, Path::new("b"), 1).unwrap();
        assert!(found.is_significant() && found.lost == 0, "{found:?}");
        let same = compare(&third, &third, Path::new("b"), 1).unwrap();
        assert_eq!((same.difference, same.p_value), (0.0, 1.0));
        assert!(!same.is_significant());
    }
}
