//! Whether a text is an answer by itself, or a value with words that bound or deny it.

use crate::latex_names;

/// Whether a sentence begins with words that bound or deny the value behind them.
pub(super) fn qualifies(sentence: &str) -> bool {
    const WORDS: [&str; 25] = [
        "not ",
        "no more ",
        "no less ",
        "no fewer ",
        "at least ",
        "at most ",
        "less ",
        "more ",
        "greater ",
        "fewer ",
        "larger ",
        "smaller ",
        "negative ",
        "minus ",
        "anything but ",
        "neither ",
        "either ",
        "between ",
        "over ",
        "under ",
        "above ",
        "below ",
        "up to ",
        "never ",
        "unlikely ",
    ];
    let lower = sentence.to_ascii_lowercase();
    WORDS.iter().any(|word| lower.starts_with(word))
}

/// A short text that is an answer by itself: a number with its unit, an expression, a letter.
pub(super) fn is_answer_like(text: &str) -> bool {
    if text.is_empty() || text.len() > 400 {
        return false;
    }
    let words = text
        .split(|c: char| !c.is_alphabetic() && c != '\\')
        .filter(|w| w.chars().count() >= 3 && !w.contains('\\') && !is_math_word(w))
        .count();
    let starts = text.starts_with(|c: char| c.is_ascii_digit() || "\\-+([{$.√π½¼¾−".contains(c));
    words == 0 || (starts && words <= 3 && !text.contains('$'))
}

pub(super) fn is_math_word(word: &str) -> bool {
    matches!(
        word,
        "and"
            | "sqrt"
            | "sin"
            | "cos"
            | "tan"
            | "log"
            | "exp"
            | "infinity"
            | "pi"
            | "alpha"
            | "beta"
            | "theta"
            | "lambda"
            | "inf"
            | "Matrix"
            | "FiniteSet"
            | "Interval"
            | "Union"
            | "Rational"
            | "Fraction"
    ) || is_formula_word(word)
}

/// Functions and Greek letters that no sentence has, and functions with a name glued to them.
fn is_formula_word(word: &str) -> bool {
    let function = |w: &str| {
        latex_names::function(w).is_some()
            && !matches!(
                w,
                "floor" | "ceiling" | "sign" | "min" | "max" | "arg" | "det" | "factorial"
            )
    };
    function(word)
        || latex_names::is_greek(word)
        || (1..=2).any(|n| word.is_char_boundary(n) && word.len() > n + 2 && function(&word[n..]))
}
