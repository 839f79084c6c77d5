//! The tokens of a text for finding leaks: words, numbers, symbols, LaTeX commands.

use crate::fold_layout;

/// A word or a symbol of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    /// Up to layout.
    pub(crate) text: String,
    /// Whether it belongs to a formula; a number between words does not.
    pub(crate) formula: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Word,
    Number,
    Letter,
    Symbol,
}

/// Splits a text into tokens. Sentence punctuation, dollar signs and LaTeX's marks of a formula are
/// left out; brackets, signs and commas between numbers or letters are kept.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = fold_layout(text).chars().collect();
    let mut found: Vec<(String, Kind)> = Vec::new();
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        let start = at;
        at += 1;
        let run = |from: usize, inside: fn(&char) -> bool| {
            from + chars[from..].iter().take_while(|c| inside(c)).count()
        };
        let kind = match c {
            '0'..='9' => {
                at = run(at, char::is_ascii_digit);
                // 1.5, 1,000.
                while let Some(mark @ ('.' | ',')) = chars.get(at) {
                    let end = run(at + 1, char::is_ascii_digit);
                    if end == at + 1 || *mark == ',' && end != at + 4 {
                        break;
                    }
                    at = end;
                }
                Kind::Number
            }
            '\\' if chars.get(at).is_some_and(char::is_ascii_alphabetic) => {
                at = run(at, char::is_ascii_alphabetic);
                Kind::Symbol
            }
            // The marks of a formula.
            '\\' if matches!(chars.get(at), Some('(' | ')' | '[' | ']')) => {
                at += 1;
                continue;
            }
            _ if c.is_alphabetic() => {
                at = run(at, |c| c.is_alphabetic());
                // Ana's.
                if chars.get(at) == Some(&'\'')
                    && chars.get(at + 1).is_some_and(|c| c.is_alphabetic())
                {
                    at = run(at + 1, |c| c.is_alphabetic());
                }
                if at - start > 1 {
                    Kind::Word
                } else {
                    Kind::Letter
                }
            }
            ' ' | '$' | '.' | '?' | ';' | ':' | '"' | '`' => continue,
            // After a word, an exclamation mark is punctuation.
            '!' if matches!(found.last(), Some((_, Kind::Word)) | None) => continue,
            ',' if matches!(found.last(), Some((_, Kind::Word)) | None)
                || run(at, |c| *c == ' ') < chars.len()
                    && word_at(&chars, run(at, |c| *c == ' ')) =>
            {
                continue;
            }
            _ => Kind::Symbol,
        };
        let mut token: String = chars[start..at].iter().collect();
        if kind == Kind::Number {
            token.retain(|c| c != ',');
        }
        found.push((token, kind));
    }
    without_single_braces(&mut found);
    let kinds: Vec<Kind> = found.iter().map(|(_, kind)| *kind).collect();
    let symbol = |at: Option<usize>| {
        at.and_then(|at| kinds.get(at))
            .is_some_and(|kind| *kind == Kind::Symbol)
    };
    let formula = |at: usize, text: &str| match kinds[at] {
        Kind::Word => false,
        Kind::Symbol => true,
        Kind::Number => symbol(at.checked_sub(1)) || symbol(Some(at + 1)),
        Kind::Letter => {
            !matches!(text, "a" | "i") || symbol(at.checked_sub(1)) || symbol(Some(at + 1))
        }
    };
    let found = found.into_iter().enumerate();
    found
        .map(|(at, (text, _))| Token {
            formula: formula(at, &text),
            text,
        })
        .collect()
}

/// Whether a word of two letters or more begins here.
fn word_at(chars: &[char], at: usize) -> bool {
    chars[at..]
        .iter()
        .take(2)
        .filter(|c| c.is_alphabetic())
        .count()
        == 2
}

/// `x^{2}` is `x^2`.
fn without_single_braces(found: &mut Vec<(String, Kind)>) {
    let mut at = 0;
    while at + 3 < found.len() {
        let text = |offset: usize| found[at + offset].0.as_str();
        let single = matches!(text(0), "^" | "_") && text(1) == "{" && text(3) == "}";
        // `x^{10}` and `x^10` are written for the same.
        if single && found[at + 2].1 != Kind::Symbol {
            found.remove(at + 3);
            found.remove(at + 1);
        }
        at += 1;
    }
}

/// Words that only ask.
const ASKING: [&str; 37] = [
    "please",
    "compute",
    "calculate",
    "evaluate",
    "determine",
    "find",
    "solve",
    "simplify",
    "give",
    "show",
    "work",
    "out",
    "what",
    "is",
    "are",
    "the",
    "value",
    "of",
    "result",
    "answer",
    "exactly",
    "exact",
    "following",
    "expression",
    "question",
    "problem",
    "task",
    "exercise",
    "easy",
    "for",
    "your",
    "me",
    "tell",
    "now",
    "step",
    "by",
    "your",
];

/// The tokens without the words at their ends that only ask; all of them when nothing else is left.
pub(crate) fn core(tokens: &[Token]) -> &[Token] {
    let asks = |token: &&Token| ASKING.contains(&token.text.as_str());
    let start = tokens.iter().take_while(asks).count();
    let end = tokens.len() - tokens.iter().rev().take_while(asks).count();
    if start < end {
        &tokens[start..end]
    } else {
        tokens
    }
}
