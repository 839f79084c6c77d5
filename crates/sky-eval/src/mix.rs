use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sky_types::Verdict;

/// How many replies got each verdict; on disk an object from verdict to count, without those that did not occur.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VerdictMix(BTreeMap<Verdict, u64>);

impl VerdictMix {
    /// Counts one more.
    pub fn add(&mut self, verdict: Verdict) {
        *self.0.entry(verdict).or_default() += 1;
    }

    /// How many got this verdict.
    pub fn of(&self, verdict: Verdict) -> u64 {
        self.0.get(&verdict).copied().unwrap_or(0)
    }

    /// How many there are in all.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// The verdicts that occurred with their counts, in the order of [`Verdict::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Verdict, u64)> + '_ {
        self.0.iter().map(|(&verdict, &count)| (verdict, count))
    }
}
