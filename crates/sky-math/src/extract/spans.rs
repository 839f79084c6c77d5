//! Formulas and numbers in prose.

use crate::glyphs::is_cjk;

/// A formula between delimiters.
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
    /// Length of a delimiter.
    pub(super) mark: usize,
}

impl Span {
    pub(super) fn inner<'a>(&self, text: &'a str) -> &'a str {
        text[self.start + self.mark..self.end - self.mark].trim()
    }
}

/// Formulas of a text, in order: `$...$`, `$$...$$`, `\(...\)`, `\[...\]`.
pub(super) fn math_spans(text: &str) -> Vec<Span> {
    let bytes = text.as_bytes();
    let mut spans = Vec::new();
    let mut at = 0;
    // Where a search for a closing delimiter found none, so that it is not repeated.
    let mut none = [false; 4];
    while at < bytes.len() {
        let (kind, mark, close) = match bytes[at] {
            b'\\' => match bytes.get(at + 1) {
                Some(b'(') => (0, 2, "\\)"),
                Some(b'[') => (1, 2, "\\]"),
                _ => {
                    at += 2;
                    continue;
                }
            },
            b'$' if bytes.get(at + 1) == Some(&b'$') => (2, 2, "$$"),
            b'$' => (3, 1, "$"),
            _ => {
                at += 1;
                continue;
            }
        };
        let found = if none[kind] {
            None
        } else {
            find_close(text, at + mark, close)
        };
        match found {
            Some(end) if end > at + mark => {
                // "$10 and then 5 cost $": money, not a formula.
                let inside = &text[at + mark..end];
                let words = || {
                    let word = |w: &&str| w.len() >= 3 && w.bytes().all(|b| b.is_ascii_lowercase());
                    inside.split([' ', '\n', '.', ',']).filter(word).count()
                };
                // Such a sign stands in front of its number.
                // `$10 + $5 = $15` and `$7.\nHe paid $3`: the next sign stands at a number too.
                let next = bytes.get(end + 1).is_some_and(u8::is_ascii_digit);
                let operator = inside.ends_with(['+', '-', '*', '/', '=']);
                let sum = next && (inside.contains(' ') || operator);
                let money = kind == 3
                    && inside.starts_with(|c: char| c.is_ascii_digit())
                    && !inside.contains('\\')
                    && (sum || words() >= 2 && (inside.ends_with(' ') || inside.contains('\n')));
                if money {
                    at += 1;
                    continue;
                }
                spans.push(Span {
                    start: at,
                    end: end + mark,
                    mark,
                });
                at = end + mark;
            }
            Some(_) => at += mark,
            None => {
                none[kind] = true;
                at += mark;
            }
        }
    }
    spans
}

fn find_close(text: &str, from: usize, close: &str) -> Option<usize> {
    let mut at = from;
    loop {
        let hit = at + text.get(at..)?.find(close)?;
        // `\$` inside a formula is money.
        if close.starts_with('$') && text[..hit].ends_with('\\') && !text[..hit].ends_with("\\\\") {
            at = hit + close.len();
            continue;
        }
        return Some(hit);
    }
}

/// Numbers that are separate words, with sign, separators, decimals, a fraction and a percent
/// sign.
pub(super) fn numbers(text: &str) -> Vec<std::ops::Range<usize>> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let before = text[..at].chars().next_back();
        let mut start = at;
        let mut end = at;
        loop {
            while bytes.get(end).is_some_and(u8::is_ascii_digit) {
                end += 1;
            }
            let more = matches!(bytes.get(end), Some(b',' | b'.' | b'/'))
                && bytes.get(end + 1).is_some_and(u8::is_ascii_digit);
            if !more {
                break;
            }
            end += 1;
        }
        at = end;
        // `H2O`; a text of Chinese has no spaces.
        if before.is_some_and(|c| c.is_alphabetic() && !is_cjk(c)) {
            continue;
        }
        if before == Some('.') {
            start -= 1;
        }
        // `-$40`.
        if let Some(sign) = text[..start].strip_suffix('$')
            && sign.trim_end_matches('\\').ends_with(['-', '−'])
        {
            start = sign.trim_end_matches('\\').len();
        }
        if text[..start].ends_with('-') || text[..start].ends_with('−') {
            let minus = if text[..start].ends_with('-') {
                1
            } else {
                '−'.len_utf8()
            };
            let ahead = text[..start - minus].chars().next_back();
            if ahead.is_none_or(|c| !c.is_alphanumeric() && c != ')') {
                start -= minus;
            }
        }
        if bytes.get(end) == Some(&b'%') {
            end += 1;
        } else if text[end..].starts_with("\\%") {
            end += 2;
        }
        at = at.max(end);
        found.push(start..end);
    }
    found
}
