use std::collections::HashSet;

use crate::tokens::{Token, core, tokens};

/// What one word of prose counts in a run; a symbol of a formula counts one.
const PROSE: usize = 3;

/// Finds texts that share consecutive words with an evaluation set.
///
/// Brown et al. (2020), appendix C, use 13 words. Symbols of a formula count a third of a word:
/// unlike problems share whole formulas. A text that is shorter than that counts only when it is
/// the whole of a text of the set, up to layout and to words of instruction at its ends: "Compute:
/// what is 17*23 ?" is "What is 17*23?".
///
/// ```
/// let heldout = ["A farmer walks 7 miles to the market and then 5 miles more to the mill before noon."];
/// let index = sky_data::ContaminationIndex::new(13, heldout);
/// assert!(index.find("Easy: a farmer walks 7 miles to the market, and then 5 miles more to the mill!").is_some());
/// assert!(index.find("A farmer walks 8 miles to the market and then 5 miles more to the mill.").is_none());
/// ```
#[derive(Clone, Debug)]
pub struct ContaminationIndex {
    weight: usize,
    runs: HashSet<String>,
    whole: HashSet<String>,
}

impl ContaminationIndex {
    /// Indexes an evaluation set's texts by `size` consecutive words; 0 counts as 1.
    pub fn new<T: AsRef<str>>(size: usize, texts: impl IntoIterator<Item = T>) -> Self {
        let weight = size.max(1).saturating_mul(PROSE);
        let (mut runs, mut whole) = (HashSet::new(), HashSet::new());
        for text in texts {
            let tokens = tokens(text.as_ref());
            whole.extend(joined(core(&tokens)));
            runs.extend(heavy_runs(&tokens, weight));
        }
        Self {
            weight,
            runs,
            whole,
        }
    }

    /// The first consecutive words that a text shares with the evaluation set, joined by spaces.
    pub fn find(&self, text: &str) -> Option<String> {
        let tokens = tokens(text);
        let whole = joined(core(&tokens)).filter(|whole| self.whole.contains(whole));
        whole.or_else(|| heavy_runs(&tokens, self.weight).find(|run| self.runs.contains(run)))
    }
}

fn joined(tokens: &[Token]) -> Option<String> {
    let texts: Vec<&str> = tokens.iter().map(|token| token.text.as_str()).collect();
    (!texts.is_empty()).then(|| texts.join(" "))
}

/// From each token, the shortest run that weighs enough.
fn heavy_runs(tokens: &[Token], weight: usize) -> impl Iterator<Item = String> {
    let of = |token: &Token| if token.formula { 1 } else { PROSE };
    let (mut end, mut sum) = (0, 0);
    (0..tokens.len()).map_while(move |start| {
        while sum < weight && end < tokens.len() {
            sum += of(&tokens[end]);
            end += 1;
        }
        if sum < weight {
            return None;
        }
        sum -= of(&tokens[start]);
        joined(&tokens[start..end])
    })
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

    #[test]
    fn reformatted_leaks_are_found() {
        let heldout = [
            "What is 17*23?",
            r"Find $\frac{1}{2} + \left(x+1\right)^2$.",
            "How many primes are below 100?",
        ];
        let index = ContaminationIndex::new(13, heldout);
        for text in [
            "Compute: what is 17*23 ?",
            "WHAT IS $17 * 23$",
            r"Evaluate \(17*23\).",
            "Please find the value of 17*23.",
            r"Simplify \[\dfrac{1}{2}\,+\,(x + 1)^{2}\]",
            "how many primes are  below 100",
        ] {
            assert!(index.find(text).is_some(), "{text}");
        }
        for text in [
            "What is 17*24?",
            "What is 17+23?",
            "What is 17*23*2?",
            "What is (17*23)!?",
            r"Find $\frac{1}{2 + x+1}^2$.",
            "How many primes are below 1000?",
            "How many primes are below 100 and odd?",
            "What is",
            "Find",
        ] {
            assert!(index.find(text).is_none(), "{text}");
        }
    }

    #[test]
    fn signs_and_brackets_count() {
        for (one, other) in [
            ("Evaluate (8-3)*2.", "Evaluate 8-(3*2)."),
            (r"\frac{1}{2+3}", r"\frac{1}{2}+3"),
            ("f(1,2)", "f(12)"),
            ("f(1,2)", "f(1 2)"),
            (r"A \cup B", r"A \cap B"),
            ("A ∪ B", "A ∩ B"),
            ("⌊2.5⌋", "⌈2.5⌉"),
            ("[1, 2]", "(1, 2)"),
        ] {
            assert!(
                ContaminationIndex::new(13, [one]).find(other).is_none(),
                "{one}, {other}"
            );
            assert!(
                ContaminationIndex::new(13, [one]).find(one).is_some(),
                "{one}"
            );
        }
    }

    #[test]
    fn a_formula_in_common_is_no_leak() {
        let formula = "$a^2 + b^2 + c^2 = ab + bc + ca$";
        let index = ContaminationIndex::new(
            13,
            [format!(
                "Let {formula}. Prove that the triangle is equilateral."
            )],
        );
        let other = format!("A cube has edges with {formula}; find its volume.");
        assert!(index.find(&other).is_none());
        let leak =
            format!("Task 4. Let {formula}. Prove that the triangle is equilateral. Hint: add.");
        assert!(index.find(&leak).is_some());
    }
}
