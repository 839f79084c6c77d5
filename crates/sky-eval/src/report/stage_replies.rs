use std::{collections::BTreeMap, path::PathBuf};

use sky_types::{FinishReason, derive_seed};

use sky_verify::{JudgedSample, VerdictCounts, read_judged_samples};

use super::ReportConfig;
use crate::Result;

/// The judged replies of one stage: counts of all, and a bounded random choice for the explorer.
pub(super) struct StageReplies {
    pub(super) key: &'static str,
    pub(super) label: &'static str,
    pub(super) counts: VerdictCounts,
    pub(super) lengths: Lengths,
    /// The replies on the page, in the file's order.
    pub(super) picked: Vec<JudgedSample>,
}

/// Where a stage's rows come from.
pub(super) struct StageReplyFiles {
    /// Short name in the page's addresses: `before`, `samples`, `after`.
    pub(super) key: &'static str,
    /// Name on the page.
    pub(super) label: &'static str,
    pub(super) samples: PathBuf,
    pub(super) verdicts: PathBuf,
}

/// Bounds what the page keeps of a stage's rows, and seeds the choice.
#[derive(Clone, Copy)]
pub(super) struct Limits<'a> {
    pub(super) config: &'a ReportConfig,
    pub(super) seed: u64,
}

/// Counts replies by their length in tokens.
#[derive(Default)]
pub(super) struct Lengths {
    counts: BTreeMap<u32, u64>,
    /// Replies that ended at the token limit.
    pub(super) cut: u64,
}

impl StageReplies {
    /// Reads a stage's files once; `on_row` sees every row.
    pub(super) fn read(
        source: &StageReplyFiles,
        limits: Limits<'_>,
        mut on_row: impl FnMut(&JudgedSample),
    ) -> Result<Self> {
        let Limits { config, seed } = limits;
        let mut replies = Self {
            key: source.key,
            label: source.label,
            counts: VerdictCounts::default(),
            lengths: Lengths::default(),
            picked: Vec::new(),
        };
        let mut kept: Vec<(u64, JudgedSample)> = Vec::new();
        let room = config.samples_per_stage as u64;
        for (number, row) in (0_u64..).zip(read_judged_samples(&source.samples, &source.verdicts)?)
        {
            let mut row = row?;
            on_row(&row);
            replies.counts.add(row.verdict.verdict);
            replies.lengths.add(&row);
            // Reservoir sampling (Vitter 1985, algorithm R) keeps every row with the same chance.
            let slot = if number < room {
                number
            } else {
                derive_seed(seed, source.key, number) % (number + 1)
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
        replies.picked = kept.into_iter().map(|(_, row)| row).collect();
        Ok(replies)
    }
}

impl Lengths {
    fn add(&mut self, row: &JudgedSample) {
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

    /// A histogram; bin `i` counts lengths in `i * width..(i + 1) * width`.
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

/// Replaces the middle of a text longer than `limit` bytes by a note.
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
