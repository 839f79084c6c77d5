//! A later answer that takes an earlier one back: `#### 3`, then "Wait, that is wrong. It is 4."

use super::{
    extraction::{Extraction, Rule},
    phrase,
};
use crate::wording;

/// What stands behind an announced answer.
pub(super) enum Later {
    /// Nothing that touches it.
    Stands,
    /// Another answer.
    Replaced(Extraction),
    /// It is taken back, and no other is given.
    TakenBack,
}

/// Words that take the answer before them back.
const RETRACTIONS: [&str; 33] = [
    "is wrong",
    "was wrong",
    "that's wrong",
    "is incorrect",
    "was incorrect",
    "that's incorrect",
    "not right",
    "not correct",
    "isn't right",
    "isn't correct",
    "wasn't right",
    "not quite",
    "is not it",
    "a mistake",
    "an error",
    "my mistake",
    "my bad",
    "miscalculated",
    "miscounted",
    "misread",
    "mistakenly",
    "correction",
    "scratch that",
    "ignore that",
    "disregard",
    "strike that",
    "should be",
    "should have been",
    "i meant",
    "make that",
    "不对",
    "错了",
    "更正",
];
/// Words that only begin a second thought; behind the first few a value is the new answer.
const DOUBTS: [&str; 12] = [
    "wait",
    "actually",
    "oops",
    "sorry",
    "no,",
    "on second thought",
    "hmm",
    "hold on",
    "recheck",
    "let me",
    "however",
    "but",
];
const SECOND_THOUGHTS: usize = 6;

/// How a sentence begins that speaks of the answer before it.
const OPENINGS: [&str; 24] = [
    "wait",
    "no",
    "actually",
    "sorry",
    "oops",
    "hmm",
    "that",
    "this",
    "it ",
    "it'",
    "i ",
    "scratch",
    "correction",
    "my ",
    "ignore",
    "disregard",
    "strike",
    "hold on",
    "make that",
    "should",
    "on second",
    "不",
    "错",
    "更正",
];

/// What the text behind an answer makes of it.
pub(super) fn later(behind: &str, rule: Rule) -> Later {
    let tail = behind.trim_start_matches(|c: char| !c.is_alphanumeric());
    if tail.is_empty() {
        return Later::Stands;
    }
    let lower = tail.to_lowercase().replace('’', "'");
    let retracts = |text: &str| RETRACTIONS.iter().any(|words| text.contains(words));
    let doubts = |text: &str, words: &[&str]| {
        words.iter().any(|word| {
            text.match_indices(word).any(|(at, _)| {
                let in_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
                let before = in_word(text[..at].chars().next_back());
                let behind = in_word(text[at + word.len()..].chars().next());
                !before && (!behind || word.ends_with(','))
            })
        })
    };
    // Two sentences: "Wait. That is wrong."
    let first = opening(&lower);
    let speaks = OPENINGS.iter().any(|word| lower.starts_with(word));
    let at_once =
        speaks && retracts(first) && !first.contains("would be") && !first.contains("common");
    let announced = phrase::after_phrase(tail).filter(|answer| is_value(answer));
    let loose = matches!(rule, Rule::HashMarks | Rule::AnswerTag);
    if let Some(answer) = announced
        && (loose || at_once || retracts(&lower) || doubts(&lower, &DOUBTS))
    {
        return Later::Replaced(Extraction {
            answer,
            rule: Rule::Phrase,
        });
    }
    let sentence = first.split('.').next().unwrap_or("");
    if at_once || loose && doubts(sentence, &DOUBTS[..SECOND_THOUGHTS]) {
        return match phrase::last_value(tail) {
            Some(found) => Later::Replaced(found),
            None if at_once => Later::TakenBack,
            None => Later::Stands,
        };
    }
    Later::Stands
}

/// The first two sentences of a text, at most.
fn opening(text: &str) -> &str {
    let ends = text
        .match_indices(['.', '!', '\n', '。'])
        .filter(|(at, mark)| {
            let next = text[at + mark.len()..].chars().next();
            next.is_none_or(char::is_whitespace) || *mark == "\n" || *mark == "。"
        })
        .map(|(at, _)| at);
    let end = ends.filter(|at| *at > 0).nth(1).unwrap_or(text.len());
    &text[..end]
}

/// Whether an announced text is an answer: a number, a formula, a choice.
fn is_value(answer: &str) -> bool {
    let bare = answer.trim_matches(['(', ')', '*', '.', ' ']);
    answer.contains(|c: char| c.is_ascii_digit() || c == '\\')
        || bare.chars().count() == 1
        || wording::number(bare).is_some()
}
