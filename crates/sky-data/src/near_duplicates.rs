use std::collections::{HashMap, HashSet};

use crate::text::words;

/// For each text, the index of the earlier text that it nearly repeats. That is the first one that
/// itself repeats no other and whose set of three-word shingles has a Jaccard similarity of at
/// least `threshold` (0 to 1) with this text's. The result is exact, not sketched.
///
/// Prefix filtering (Bayardo, Ma and Srikant, 2007): a text's shingles are sorted rarest first, and
/// only as many are indexed as two texts that match at this threshold cannot all differ in. So
/// common phrases cost nothing.
pub fn near_duplicates<T: AsRef<str>>(
    texts: impl IntoIterator<Item = T>,
    threshold: f64,
) -> Vec<Option<usize>> {
    let threshold = threshold.clamp(f64::MIN_POSITIVE, 1.0);
    let sets = shingle_sets(texts);
    let mut index: HashMap<u32, Vec<usize>> = HashMap::new();
    let mut repeats = Vec::with_capacity(sets.len());
    for (at, set) in sets.iter().enumerate() {
        let needed = (threshold * set.len() as f64).ceil() as usize;
        let prefix = &set[..(set.len() + 1).saturating_sub(needed.max(1)).min(set.len())];
        let candidates: HashSet<usize> = prefix
            .iter()
            .filter_map(|shingle| index.get(shingle))
            .flatten()
            .copied()
            .collect();
        let earlier = candidates
            .into_iter()
            .filter(|&other| jaccard(&sets[other], set) >= threshold)
            .min();
        if earlier.is_none() {
            for &shingle in prefix {
                index.entry(shingle).or_default().push(at);
            }
        }
        repeats.push(earlier);
    }
    repeats
}

/// Each text's three-word shingles as numbers, rare ones first. A text of fewer words is one
/// shingle.
fn shingle_sets<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Vec<Vec<u32>> {
    let mut numbers: HashMap<String, u32> = HashMap::new();
    let mut counts: Vec<u32> = Vec::new();
    let mut sets: Vec<Vec<u32>> = Vec::new();
    for text in texts {
        let words = words(text.as_ref());
        let runs: HashSet<String> = if words.len() < 3 {
            HashSet::from([words.join(" ")])
        } else {
            words.windows(3).map(|run| run.join(" ")).collect()
        };
        let set = runs
            .into_iter()
            .map(|run| {
                let next = numbers.len() as u32;
                let number = *numbers.entry(run).or_insert(next);
                if number == next {
                    counts.push(0);
                }
                counts[number as usize] += 1;
                number
            })
            .collect();
        sets.push(set);
    }
    for set in &mut sets {
        // The numbers, and so the order of equally rare shingles, may differ from run to run. That
        // changes the candidates and never the answer.
        set.sort_unstable_by_key(|&shingle| (counts[shingle as usize], shingle));
    }
    sets
}

fn jaccard(a: &[u32], b: &[u32]) -> f64 {
    let (small, large) = if a.len() < b.len() { (a, b) } else { (b, a) };
    let large: HashSet<u32> = large.iter().copied().collect();
    let shared = small.iter().filter(|s| large.contains(s)).count();
    shared as f64 / (small.len() + large.len() - shared).max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seeded_rng::SeededRng;

    #[test]
    fn the_index_finds_exactly_what_comparing_all_pairs_finds() {
        let mut draw = SeededRng::new(7);
        let vocabulary = ["the", "red", "fox", "has", "two", "eggs", "in", "a", "box"];
        let mut texts: Vec<String> = Vec::new();
        for _ in 0..150 {
            let mut text: Vec<&str> = match texts.len() {
                len if len > 0 && draw.below(2) == 0 => {
                    texts[draw.below(len as u64) as usize].split(' ').collect()
                }
                _ => (0..12).map(|_| *draw.pick(&vocabulary)).collect(),
            };
            let at = draw.below(text.len() as u64) as usize;
            text[at] = *draw.pick(&vocabulary);
            texts.push(text.join(" "));
        }
        for threshold in [0.3, 0.5, 0.8, 1.0] {
            let sets = shingle_sets(&texts);
            let mut expected: Vec<Option<usize>> = Vec::new();
            for at in 0..texts.len() {
                let found = (0..at).find(|&other| {
                    expected[other].is_none() && jaccard(&sets[other], &sets[at]) >= threshold
                });
                expected.push(found);
            }
            assert!(expected.iter().any(Option::is_some) && expected.iter().any(Option::is_none));
            assert_eq!(near_duplicates(&texts, threshold), expected);
        }
    }
}
