//! Names of several letters in a sum, as programs write them: `3*longName**2 + 5`.

use crate::latex_names;

/// A sum with names of several letters.
pub(crate) struct NamedSum<'a> {
    /// Each long name in brackets, so that it reads as one factor.
    pub(crate) text: String,
    /// The long names, sorted.
    pub(crate) names: Vec<&'a str>,
}

/// A sum in which there are long names; `None` for any other text.
pub(crate) fn named(text: &str) -> Option<NamedSum<'_>> {
    const MAX_TEXT: usize = 400;
    let signs = |c: char| "+-*/^".contains(c);
    if text.len() > MAX_TEXT || text.contains(['\\', '$', '_']) || !text.contains(signs) {
        return None;
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut names = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_ascii_alphabetic()) {
        out.push_str(&rest[..at]);
        let len = rest[at..]
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(rest.len() - at);
        let word = &rest[at..at + len];
        if is_name(word) {
            out.push('(');
            out.push_str(word);
            out.push(')');
            names.push(word);
        } else {
            out.push_str(word);
        }
        rest = &rest[at + len..];
    }
    out.push_str(rest);
    names.sort_unstable();
    names.dedup();
    (!names.is_empty()).then_some(NamedSum { text: out, names })
}

/// A word, not a product of letters: `longName`, `income`.
fn is_name(word: &str) -> bool {
    let vowels = word
        .bytes()
        .filter(|b| b"aeiouy".contains(&b.to_ascii_lowercase()))
        .count();
    word.len() >= 4
        && vowels > 0
        && vowels < word.len()
        && latex_names::function(word).is_none()
        && latex_names::constant(word).is_none()
        && !latex_names::is_greek(word)
        && word.bytes().skip(1).any(|b| b.is_ascii_lowercase())
        && (word.len() >= 5 || word.bytes().skip(1).any(|b| b.is_ascii_uppercase()))
}
