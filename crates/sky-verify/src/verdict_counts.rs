use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sky_types::Verdict;

/// Counts replies by verdict.
///
/// On disk it is an object from verdict to count; verdicts that did not occur are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VerdictCounts(BTreeMap<Verdict, u64>);

impl VerdictCounts {
    /// Counts one more reply.
    pub fn add(&mut self, verdict: Verdict) {
        *self.0.entry(verdict).or_default() += 1;
    }

    /// Number of replies that got this verdict.
    pub fn of(&self, verdict: Verdict) -> u64 {
        self.0.get(&verdict).copied().unwrap_or(0)
    }

    /// Number of replies.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// The verdicts that occurred, with their counts, in the order of [`Verdict::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Verdict, u64)> + '_ {
        self.0.iter().map(|(&verdict, &count)| (verdict, count))
    }
}
