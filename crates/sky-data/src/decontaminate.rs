use std::collections::HashSet;

use crate::text::words;

/// Finds texts that share consecutive words with an evaluation set.
///
/// Brown et al. (2020), appendix C, use 13 words. A shorter text counts only when it has the same
/// words as a whole text of the set.
///
/// ```
/// let heldout = ["A farmer walks 7 miles to the market and then 5 miles more to the mill before noon."];
/// let index = sky_data::ContaminationIndex::new(13, heldout);
/// assert!(index.find("Easy: a farmer walks 7 miles to the market, and then 5 miles more to the mill!").is_some());
/// assert!(index.find("A farmer walks 8 miles to the market and then 5 miles more to the mill.").is_none());
/// ```
#[derive(Clone, Debug)]
pub struct ContaminationIndex {
    size: usize,
    ngrams: HashSet<String>,
    short: HashSet<String>,
}

impl ContaminationIndex {
    /// Indexes an evaluation set's texts by `size` consecutive words; 0 counts as 1.
    pub fn new<T: AsRef<str>>(size: usize, texts: impl IntoIterator<Item = T>) -> Self {
        let size = size.max(1);
        let (mut ngrams, mut short) = (HashSet::new(), HashSet::new());
        for text in texts {
            let words = words(text.as_ref());
            if words.len() < size {
                short.insert(words.join(" "));
            }
            ngrams.extend(words.windows(size).map(|run| run.join(" ")));
        }
        Self {
            size,
            ngrams,
            short,
        }
    }

    /// The first consecutive words that a text shares with the evaluation set, joined by spaces.
    pub fn find(&self, text: &str) -> Option<String> {
        let words = words(text);
        if words.len() < self.size {
            let whole = words.join(" ");
            return self.short.contains(&whole).then_some(whole);
        }
        words
            .windows(self.size)
            .map(|run| run.join(" "))
            .find(|run| self.ngrams.contains(run))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_text_must_match_whole() {
        let index = ContaminationIndex::new(13, ["What is 3 + 5?"]);
        assert!(index.find("what is 3+5").is_some());
        assert!(index.find("What is 3 + 5 + 1?").is_none());
        assert!(index.find("").is_none());
    }
}
