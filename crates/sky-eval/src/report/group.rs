use std::{collections::BTreeMap, path::Path};

use sky_types::{FinishReason, derive_seed};

use super::ReportConfig;
use crate::{Judged, Result, VerdictMix, judged};

/// The replies of one stage with their verdicts, counted, and a bounded choice of them for the explorer.
pub(super) struct Group {
    /// Short name in addresses: `before`, `samples`, `after`.
    pub(super) key: &'static str,
    /// Name for a person.
    pub(super) label: &'static str,
    pub(super) mix: VerdictMix,
    pub(super) lengths: Lengths,
    /// In the file's order.
    pub(super) picked: Vec<Judged>,
}

/// Exact counts of reply lengths in tokens.
#[derive(Default)]
pub(super) struct Lengths {
    counts: BTreeMap<u32, u64>,
    /// Replies that ended at the token limit.
    pub(super) cut: u64,
}

impl Group {
    /// Reads a stage's files once; `each` sees every row.
    pub(super) fn read(
        key: &'static str,
        label: &'static str,
        samples: &Path,
        verdicts: &Path,
        (config, seed): (&ReportConfig, u64),
        mut each: impl FnMut(&Judged),
    ) -> Result<Self> {
        let mut group = Self {
            key,
            label,
            mix: VerdictMix::default(),
            lengths: Lengths::default(),
            picked: Vec::new(),
        };
        let mut kept: Vec<(u64, Judged)> = Vec::new();
        let room = config.samples_per_stage as u64;
        for (number, row) in (0_u64..).zip(judged(samples, verdicts)?) {
            let mut row = row?;
            each(&row);
            group.mix.add(row.verdict.verdict);
            group.lengths.add(&row);
            // Reservoir sampling (Vitter 1985, algorithm R): every row has the same chance to stay.
            let slot = if number < room {
                number
            } else {
                derive_seed(seed, key, number) % (number + 1)
            };
            if slot >= room {
                continue;
            }
            row.sample.text = shorten(row.sample.text, config.max_text_bytes);
            row.verdict.detail = shorten(row.verdict.detail, config.max_text_bytes);
            if number < room {
                kept.push((number, row));
            } else if let Some(place) = kept.get_mut(slot as usize) {
                *place = (number, row);
            }
        }
        kept.sort_by_key(|(number, _)| *number);
        group.picked = kept.into_iter().map(|(_, row)| row).collect();
        Ok(group)
    }
}

impl Lengths {
    fn add(&mut self, row: &Judged) {
        *self.counts.entry(row.sample.completion_tokens).or_default() += 1;
        self.cut += u64::from(row.sample.finish_reason == FinishReason::Length);
    }

    pub(super) fn max(&self) -> u32 {
        self.counts
            .last_key_value()
            .map_or(0, |(&length, _)| length)
    }

    fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    pub(super) fn mean(&self) -> f64 {
        let tokens: f64 = self
            .counts
            .iter()
            .map(|(&length, &count)| f64::from(length) * count as f64)
            .sum();
        tokens / self.total().max(1) as f64
    }

    pub(super) fn median(&self) -> u32 {
        let half = self.total().div_ceil(2);
        let mut seen = 0;
        let found = self.counts.iter().find(|(_, count)| {
            seen += **count;
            seen >= half
        });
        found.map_or(0, |(&length, _)| length)
    }

    /// Counts in bins of equal width; bin `i` holds lengths in `i * width..(i + 1) * width`.
    pub(super) fn bins(&self, width: u32, bins: usize) -> Vec<u64> {
        let mut counts = vec![0; bins];
        for (&length, &count) in &self.counts {
            if let Some(bin) = counts.get_mut((length / width.max(1)) as usize) {
                *bin += count;
            }
        }
        counts
    }
}

/// Takes the middle out of a long text and says so in its place.
pub(super) fn shorten(text: String, limit: usize) -> String {
    if text.len() <= limit {
        return text;
    }
    let head = text.floor_char_boundary(limit * 2 / 3);
    let tail = text.ceil_char_boundary(text.len() - limit / 3);
    format!(
        "{}\n\n[... {} bytes are left out here; the whole reply is in the run folder ...]\n\n{}",
        &text[..head],
        tail - head,
        &text[tail..]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_exact() {
        let lengths = Lengths {
            counts: BTreeMap::from([(2, 1), (5, 2), (30, 1)]),
            cut: 0,
        };
        assert_eq!((lengths.max(), lengths.median()), (30, 5));
        assert!((lengths.mean() - 10.5).abs() < 1e-12);
        assert_eq!(lengths.bins(10, 4), [3, 0, 0, 1]);
        assert_eq!(Lengths::default().median(), 0);
    }

    #[test]
    fn a_long_text_loses_its_middle_at_character_borders() {
        let text = "ä".repeat(1000);
        let short = shorten(text.clone(), 301);
        assert!(short.len() < 450 && short.starts_with("ä") && short.ends_with("ä"));
        assert!(short.contains("bytes are left out"));
        assert_eq!(shorten(text.clone(), 2000), text);
    }
}
