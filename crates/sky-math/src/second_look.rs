//! What two answers may mean beside what they say: the choice with its letter, a time of day, the
//! same value given twice, the same words in another case.

use super::{
    budget::Budget,
    checker::MathChecker,
    compare::{choice_letter, plain_words},
    extract, unicode_to_latex, wording,
};

impl MathChecker {
    /// Why the answer is right although it was not found equal; `None` when it is not.
    pub(super) fn second_look(&self, gold: &str, answer: &str, budget: &Budget) -> Option<String> {
        let options = self.options();
        let (gold_text, answer_text) = (
            unicode_to_latex::unicode_to_latex(gold),
            unicode_to_latex::unicode_to_latex(answer),
        );
        if let (Some(x), Some(y)) = (wording::time(&gold_text), wording::time(&answer_text))
            && (x.certain || y.certain)
        {
            return (x.seconds == y.seconds).then(|| "the same time of day".to_owned());
        }
        if options.ignore_case
            && let (Some(x), Some(y)) = (
                wording::lone_letter(&gold_text),
                wording::lone_letter(&answer_text),
            )
            && x.eq_ignore_ascii_case(&y)
            // The number e is no choice.
            && (x != 'e' && y != 'e' || answer_text.contains(')'))
        {
            return Some(format!("choice {x} against choice {y}"));
        }
        if self.same_words(&gold_text, &answer_text) {
            return Some("the same words".to_owned());
        }
        self.choices(&gold_text, &answer_text, budget)
            .or_else(|| self.alternatives(gold, answer, budget))
            .or_else(|| self.names(&gold_text, &answer_text, budget))
    }

    /// Whether both are words and nothing else, the same but for case and punctuation.
    pub(super) fn same_words(&self, gold: &str, answer: &str) -> bool {
        let words = |text: &str| plain_words(text, self.options());
        words(gold).is_some_and(|x| Some(x) == words(answer))
    }

    /// A choice for its text and its text for a choice: `c. 3` for `3`, `A` for `A: 18`.
    fn choices(&self, gold: &str, answer: &str, budget: &Budget) -> Option<String> {
        let equal = |a: &str, b: &str| self.means(a, b, budget);
        let letter = |text: &str| {
            choice_letter(text).or_else(|| wording::lone_letter(text).filter(|c| *c != 'e'))
        };
        match (wording::labelled(gold), wording::labelled(answer)) {
            (Some(x), Some(y)) => (x.letter == y.letter
                && equal(
                    extract::extract_gold(x.text).as_ref(),
                    extract::extract_gold(y.text).as_ref(),
                ))
            .then(|| format!("choice {} with the same text", x.letter)),
            (Some(x), None) => match letter(answer) {
                Some(y) => {
                    (x.letter == y.to_ascii_uppercase()).then(|| format!("choice {}", x.letter))
                }
                None => equal(extract::extract_gold(x.text).as_ref(), answer)
                    .then(|| format!("the text of choice {}", x.letter)),
            },
            (None, Some(y)) => match letter(gold) {
                Some(x) => (x.to_ascii_uppercase() == y.letter)
                    .then(|| format!("choice {}, with its text", y.letter)),
                None => equal(gold, extract::extract_gold(y.text).as_ref())
                    .then(|| format!("the text of choice {}", y.letter)),
            },
            (None, None) => None,
        }
    }

    /// `7/2 or 3.5`: each of the values that are offered is the gold answer.
    fn alternatives(&self, gold: &str, answer: &str, budget: &Budget) -> Option<String> {
        const MAX_PARTS: usize = 4;
        let flat = answer
            .replace(r"\text{ or }", " or ")
            .replace(r"\text{or}", " or ");
        let parts: Vec<&str> = flat
            .split(" or ")
            .map(|part| part.trim().trim_end_matches(','))
            .collect();
        let bounded = parts
            .iter()
            .any(|part| !part.contains(|c: char| c.is_ascii_digit()));
        ((2..=MAX_PARTS).contains(&parts.len())
            && !bounded
            && parts.iter().all(|part| self.means(gold, part, budget)))
        .then(|| "every value that is offered".to_owned())
    }

    /// `3 longName^2`: a name of several letters to a power is not its last letter to the power.
    fn names(&self, gold: &str, answer: &str, budget: &Budget) -> Option<String> {
        let (x, y) = (wording::named(gold)?, wording::named(answer)?);
        (x.names == y.names && self.means(&x.text, &y.text, budget))
            .then(|| "equal, with names of several letters".to_owned())
    }
}
