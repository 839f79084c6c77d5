//! Words, names and the letters of choices.

use super::Comparison;
use crate::{
    expr::{Const, Expr, Kind},
    latex_names, negation,
    options::Options,
    wording,
};

/// Longer texts are no list of names, in bytes.
const MAX_LIST: usize = 400;

/// Compares when at least one side is words; `None` when neither is.
pub(super) fn compare(a: &Expr, b: &Expr, options: &Options) -> Option<Comparison> {
    let text = |e: &Expr| matches!(e.kind, Kind::Text(_));
    if !text(a) && !text(b) {
        return None;
    }
    let (Some(x), Some(y)) = (letters(a), letters(b)) else {
        return Some(Comparison::no("words against a value"));
    };
    if let (Some(p), Some(q)) = (list_items(&x, options), list_items(&y, options)) {
        return Some(if p == q {
            Comparison::yes("the same words in any order")
        } else {
            Comparison::no(format!("{p:?} against {q:?}"))
        });
    }
    // "B and D" is "BD".
    for (one, other) in [(&x, &y), (&y, &x)] {
        if let Some(listed) = list_items(one, options)
            && listed.iter().all(|part| part.chars().count() == 1)
            && other.trim().bytes().all(|b| b.is_ascii_uppercase())
        {
            let mut letters: Vec<char> = normalized_words(other, options).chars().collect();
            letters.sort_unstable();
            let equal = listed.concat().chars().eq(letters);
            return Some(Comparison {
                equal,
                why: format!("the letters {} against {other}", listed.join(", ")),
            });
        }
    }
    if !listed_alike(&x, &y, options) {
        return Some(Comparison::no("a list of words against one"));
    }
    let (x, y) = (normalized_words(&x, options), normalized_words(&y, options));
    // Two texts of signs alone have no words that could be the same.
    Some(if !x.is_empty() && x == y {
        Comparison::yes("the same words")
    } else {
        Comparison::no(format!("\"{x}\" is not \"{y}\""))
    })
}

/// Whether the same letters may be the same words: "I, II" is not "III", but "AC" is "A, C".
pub(crate) fn listed_alike(a: &str, b: &str, options: &Options) -> bool {
    let ((Some(listed), None) | (None, Some(listed))) =
        (list_items(a, options), list_items(b, options))
    else {
        return true;
    };
    let words = |text: &str| {
        let flat = wording::flat(text).to_lowercase();
        let words: Vec<String> = flat
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect();
        words
    };
    listed.iter().all(|part| part.chars().count() == 1) || words(a) == words(b)
}

/// The parts of `Alice, Bob and Carol`, sorted; `None` when there is one only.
pub(crate) fn list_items(text: &str, options: &Options) -> Option<Vec<String>> {
    if text.len() > MAX_LIST || !(text.contains(',') || text.contains("and") || text.contains('&'))
    {
        return None;
    }
    let plain = wording::flat(text)
        .replace(" and ", ",")
        .replace(" & ", ",");
    let mut parts: Vec<String> = plain
        .split(',')
        .map(|part| normalized_words(part, options))
        .filter(|part| !part.is_empty())
        .collect();
    parts.sort_unstable();
    (parts.len() > 1).then_some(parts)
}

/// The text of a node that is words, or that reads as a word because its letters stand side by
/// side.
fn letters(expr: &Expr) -> Option<String> {
    match &expr.kind {
        Kind::Text(text) => Some(text.clone()),
        Kind::Sym(name) => Some(name.clone()),
        Kind::Const(Const::E) => Some("e".to_owned()),
        Kind::Const(Const::I) => Some("i".to_owned()),
        Kind::Mul(items) => items.iter().map(letters).collect(),
        _ => None,
    }
}

/// Words without markup, punctuation and the space between them.
pub(crate) fn normalized_words(text: &str, options: &Options) -> String {
    let mut out = String::new();
    // Beside digits every sign counts.
    let numeric = text.contains(|c: char| c.is_ascii_digit());
    let mut chars = text.trim_end_matches(['.', ' ']).chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\\' {
            let mut name = String::new();
            while let Some(letter) = chars.peek().filter(|c| c.is_ascii_alphabetic()) {
                name.push(*letter);
                chars.next();
            }
            let silent = name.starts_with("text")
                || name.starts_with("math")
                || matches!(
                    name.as_str(),
                    "" | "mbox"
                        | "hbox"
                        | "left"
                        | "right"
                        | "quad"
                        | "qquad"
                        | "displaystyle"
                        | "operatorname"
                        | "boxed"
                        | "rm"
                        | "bf"
                );
            if !silent {
                out.push('\\');
                out.push_str(&name);
            }
        } else if c.is_alphanumeric()
            || "+-/=<>^_*|".contains(c)
            || numeric && !c.is_whitespace() && !"{}$~".contains(c)
        {
            if options.ignore_case {
                out.extend(c.to_lowercase());
            } else {
                out.push(c);
            }
        }
    }
    // A hyphen joins as a space does.
    if numeric { out } else { out.replace('-', "") }
}

/// The words of a text that is nothing but words, in lower case and without punctuation; `None`
/// for anything that may be mathematics, such as `AB` or `Beta`.
pub(crate) fn plain_words(text: &str, options: &Options) -> Option<Vec<String>> {
    let flat = wording::flat(text);
    if !options.ignore_case || flat.len() > MAX_LIST || flat.is_empty() {
        return None;
    }
    let silent = ",.!?;:'\"()-".chars();
    let other = flat
        .chars()
        .any(|c| !c.is_alphanumeric() && c != ' ' && !silent.clone().any(|s| s == c));
    let digit = |c: char| c.is_ascii_digit();
    // "3, 4" and "3-4" are not "34".
    let marked = flat.char_indices().any(|(at, c)| {
        "-(:.,".contains(c) && flat[at + c.len_utf8()..].trim_start().starts_with(digit)
    });
    if other || marked {
        return None;
    }
    let words: Vec<String> = flat
        .split(|c: char| !c.is_alphanumeric() && c != '\'')
        .map(|word| word.replace('\'', "").to_lowercase())
        .filter(|word| !word.is_empty())
        .collect();
    let vowel = |word: &str| word.contains(['a', 'e', 'i', 'o', 'u', 'y']);
    // A word of four letters, with a vowel, that is no name in mathematics.
    let wordy = words.iter().any(|word| {
        word.chars().take_while(|c| c.is_alphabetic()).count() >= 4
            && vowel(word)
            && !is_math_name(word)
    });
    // Letters and numbers beside words may be mathematics in prose: `n`, `2`.
    let names = words.iter().any(|word| is_math_name(word));
    (wordy && !names).then_some(words)
}

/// `beta` and `Beta` are two letters.
fn is_math_name(word: &str) -> bool {
    latex_names::is_greek(word)
        || latex_names::constant(word).is_some()
        || latex_names::function(word).is_some()
}

/// A truth value as it was written.
#[derive(Clone, Copy)]
pub(crate) struct TruthValue {
    pub(crate) is_true: bool,
    /// `True`, which can be nothing else; `T` may be a name.
    pub(crate) is_spelled_out: bool,
}

/// The truth value of `True`, `F`, `yes`.
pub(crate) fn truth_value(text: &str) -> Option<TruthValue> {
    if text.len() > MAX_LIST {
        return None;
    }
    let (is_true, is_spelled_out) = match wording::flat(text).trim_end_matches('.') {
        "T" | "Y" | "y" | "\u{221a}" | "\u{2713}" => (true, false),
        "F" | "N" | "n" | "\u{2717}" => (false, false),
        "对" | "正确" | "是" | "是的" => (true, true),
        "错" | "错误" | "否" | "不是" | "不对" | "不正确" => (false, true),
        word if ["true", "yes"].iter().any(|w| word.eq_ignore_ascii_case(w)) => (true, true),
        word if ["false", "no"].iter().any(|w| word.eq_ignore_ascii_case(w)) => (false, true),
        _ => return None,
    };
    Some(TruthValue {
        is_true,
        is_spelled_out,
    })
}

/// The letter when a text is one choice: `B`, `(B)`, `\textbf{(B)}`, `B.`, `(B) 12`.
pub(crate) fn choice_letter(text: &str) -> Option<char> {
    let mut rest = text.trim();
    loop {
        let before = rest;
        for open in [
            "\\text", "\\textbf", "\\mathrm", "\\mathbf", "\\textit", "\\mbox", "\\boxed",
        ] {
            if let Some(inner) = rest.strip_prefix(open)
                && inner.trim_start().starts_with('{')
            {
                rest = inner.trim_start();
            }
        }
        rest = rest.trim_start_matches(['{', '(', '[', '*', '$', ' ']);
        // `Option B`, `choice (B)`.
        for word in ["option", "choice", "answer", "statement"] {
            let behind = rest
                .get(..word.len())
                .filter(|head| head.eq_ignore_ascii_case(word))
                .map(|_| rest[word.len()..].trim_start_matches([' ', ':']));
            if let Some(behind) = behind.filter(|b| b.len() < rest.len() - word.len()) {
                rest = behind;
            }
        }
        if rest == before {
            break;
        }
    }
    let mut chars = rest.chars();
    let letter = chars.next().filter(char::is_ascii_uppercase)?;
    let bracketed = text.contains('(') || text.contains('[');
    let behind = chars.as_str();
    match behind.chars().next() {
        None => Some(letter),
        Some(')' | ']' | '.' | ':') => {
            let denied = negation::after(&behind[1..]);
            (!denied && !another_choice(behind)).then_some(letter)
        }
        Some('}') => {
            let rest = behind.trim_start_matches(['}', ')', ']', '.', ' ', '$', '*']);
            (rest.is_empty() || bracketed && !another_choice(rest)).then_some(letter)
        }
        Some(_) => None,
    }
}

/// Whether a text behind a choice names another: `) and (B)`, `), B`.
fn another_choice(text: &str) -> bool {
    // `A:B = 2` is a ratio.
    if text.starts_with(':') && text[1..].starts_with(|c: char| c.is_ascii_alphabetic()) {
        return true;
    }
    let bytes = text.as_bytes();
    let letter = |i: usize| {
        let alone = |j: Option<&u8>| j.is_none_or(|b| !b.is_ascii_alphanumeric());
        bytes[i].is_ascii_uppercase()
            && alone(i.checked_sub(1).and_then(|j| bytes.get(j)))
            && alone(bytes.get(i + 1))
    };
    let joins = |i: usize| {
        let before = text[..i].trim_end_matches([' ', '(', '[', '{', '$']);
        let bracketed = text[..i].ends_with('(') && text[i + 1..].starts_with(')');
        bracketed
            || before.ends_with([',', '&', '/'])
            || before.ends_with("and")
            || before.ends_with("or")
    };
    (0..bytes.len()).any(|i| letter(i) && joins(i))
}
