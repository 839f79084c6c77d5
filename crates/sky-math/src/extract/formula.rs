//! What a number in prose is part of: `5 cm^2`, `\frac{2}{5}`, `3:7`, `3*units + 5`.

use std::ops::Range;

use super::tokens::{Tok, Token, tokens};
use crate::{
    glyphs::{is_numeral, is_scale},
    latex_names, units,
};

/// How far a formula may reach from its last number, in bytes.
const REACH: usize = 240;
/// Parts that are taken to one side.
const MAX_PARTS: usize = 24;

/// A formula in prose.
pub(super) struct Formula {
    /// Where it begins, with the left side of an equality.
    pub(super) head: usize,
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) text: String,
}

/// The formula around a number, not reaching in front of `floor`; `None` when the number is part
/// of a word.
pub(super) fn around(text: &str, number: &Range<usize>, floor: usize) -> Option<Formula> {
    let boundary = |mut at: usize| {
        while !text.is_char_boundary(at) {
            at += 1;
        }
        at
    };
    let line = text[..number.start].rfind('\n').map_or(0, |at| at + 1);
    let floor = floor
        .max(line)
        .max(boundary(number.start.saturating_sub(REACH)));
    let ceiling = text[number.end..]
        .find('\n')
        .map_or(text.len(), |at| number.end + at)
        .min(boundary((number.end + REACH).min(text.len())));
    if let Some(found) = chinese(text, number, floor) {
        return Some(found);
    }
    let tokens = tokens(&text[floor..ceiling], floor);
    let at = tokens
        .iter()
        .rposition(|t| t.start < number.end && number.start < t.end && t.tok == Tok::Number)?;
    let mut grower = Grower {
        text,
        tokens: &tokens,
        lo: at,
        hi: at,
        head: None,
    };
    if !grower.is_value() {
        return None;
    }
    for _ in 0..MAX_PARTS {
        if !grower.inside() && !grower.right() {
            break;
        }
    }
    for _ in 0..MAX_PARTS {
        if !grower.left() && !grower.inside() {
            break;
        }
    }
    for _ in 0..MAX_PARTS {
        if !grower.right() {
            break;
        }
    }
    Some(grower.finish(at))
}

/// `5万`, `3分之2`, `1又1/2`: a numeral of Chinese around the number.
fn chinese(text: &str, number: &Range<usize>, floor: usize) -> Option<Formula> {
    let part = |c: char| is_numeral(c) || c.is_ascii_digit() || ".,/".contains(c);
    let left = &text[floor..number.start];
    let mut start = number.start;
    if ["分之", "根号", "又", "负", "倍"]
        .iter()
        .any(|word| left.ends_with(word))
    {
        start = floor + left.trim_end_matches(part).len();
    }
    let right = &text[number.end..];
    let scales = right.len() - right.trim_start_matches(is_scale).len();
    // A kilogram, not a thousand.
    let unit = right[scales..].starts_with(['克', '米', '瓦', '卡', '帕', '伏', '赫', '焦']);
    let scales = scales
        - if unit && right[..scales].ends_with('千') {
            3
        } else {
            0
        };
    let end = number.end + scales;
    (start < number.start || end > number.end).then(|| Formula {
        head: start,
        start,
        end,
        text: text[start..end].to_owned(),
    })
}

/// A range of tokens that grows by what belongs to it.
pub(super) struct Grower<'a> {
    pub(super) text: &'a str,
    pub(super) tokens: &'a [Token],
    pub(super) lo: usize,
    pub(super) hi: usize,
    /// Token at which the left side of an equality begins.
    pub(super) head: Option<usize>,
}

impl<'a> Grower<'a> {
    pub(super) fn slice(&self, i: usize) -> &'a str {
        let t = &self.tokens[i];
        &self.text[t.start..t.end]
    }

    pub(super) fn tok(&self, i: usize) -> Tok {
        self.tokens.get(i).map_or(Tok::Break, |t| t.tok)
    }

    pub(super) fn spaced(&self, i: usize) -> bool {
        self.tokens.get(i).is_none_or(|t| t.spaced)
    }

    /// Whether no space stands between two tokens.
    pub(super) fn touches(&self, before: usize, at: usize) -> bool {
        (before + 1..=at).all(|i| !self.spaced(i))
    }

    /// The token before, but for marks.
    pub(super) fn before(&self, i: usize) -> Option<usize> {
        (0..i).rev().find(|&i| self.tokens[i].tok != Tok::Mark)
    }

    pub(super) fn after(&self, i: usize) -> Option<usize> {
        (i + 1..self.tokens.len()).find(|&i| self.tokens[i].tok != Tok::Mark)
    }

    /// `3D` and `5-year` are words: the first is no number, the second ends behind its digit.
    pub(super) fn is_value(&self) -> bool {
        let next = self.hi + 1;
        if self.tok(next) != Tok::Word || self.spaced(next) {
            return true;
        }
        let word = self.slice(next);
        // "the 3rd turn", "her 401k".
        if matches!(word, "st" | "nd" | "rd" | "th") {
            return self.tok(next + 1) != Tok::Word;
        }
        word.chars().count() == 1 && word.starts_with(char::is_lowercase) && word != "k"
            || matches!(word, "am" | "pm" | "x" | "s" | "times")
            || is_exponent(word)
            || units::read(word).is_known()
            || is_function(word)
            || is_percent(word)
    }

    /// Takes the brackets around what was taken, when only mathematics stands in them.
    pub(super) fn inside(&mut self) -> bool {
        let Some(open) = self.enclosing(self.lo) else {
            return false;
        };
        let Some(close) = self.closing(open).filter(|&close| close > self.hi) else {
            return false;
        };
        if !self.is_math(open + 1, close) {
            return false;
        }
        self.lo = open;
        self.hi = close;
        self.named_group();
        true
    }

    /// The bracket that is open here.
    pub(super) fn enclosing(&self, at: usize) -> Option<usize> {
        let mut depth = 0;
        for i in (0..at).rev() {
            match self.tok(i) {
                Tok::Close => depth += 1,
                Tok::Open if depth == 0 => return Some(i),
                Tok::Open => depth -= 1,
                Tok::Break => return None,
                _ => {}
            }
        }
        None
    }

    pub(super) fn closing(&self, open: usize) -> Option<usize> {
        let mut depth = 0;
        for i in open..self.tokens.len() {
            match self.tok(i) {
                Tok::Open => depth += 1,
                Tok::Close => {
                    depth -= 1;
                    if depth == 0 {
                        return Some(i);
                    }
                }
                _ => {}
            }
        }
        None
    }

    pub(super) fn opening(&self, close: usize) -> Option<usize> {
        let mut depth = 0;
        for i in (0..=close).rev() {
            match self.tok(i) {
                Tok::Close => depth += 1,
                Tok::Open => {
                    depth -= 1;
                    if depth == 0 {
                        return Some(i);
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// Whether tokens are a formula: no word but names and functions.
    pub(super) fn is_math(&self, from: usize, to: usize) -> bool {
        (from..to).all(|i| match self.tok(i) {
            Tok::Break => false,
            Tok::Word => {
                let word = self.slice(i);
                word.chars().count() == 1
                    || is_function(word)
                    || word == "mod"
                    || word.contains(char::is_numeric)
            }
            _ => true,
        })
    }

    /// `\frac{2}`, `f(`, `x_{`: what stands right before a group belongs to it.
    pub(super) fn named_group(&mut self) {
        while let Some(before) = self.lo.checked_sub(1) {
            let glued = !self.spaced(self.lo);
            match self.tok(before) {
                Tok::Close if glued => match self.opening(before) {
                    Some(open) => self.lo = open,
                    None => break,
                },
                Tok::Word | Tok::Number | Tok::Command if glued => self.lo = before,
                _ => break,
            }
        }
    }

    /// The first token of the operand that ends here.
    pub(super) fn operand_before(&self, at: usize) -> Option<usize> {
        let mut lo = match self.tok(at) {
            Tok::Number | Tok::Word | Tok::Command => at,
            Tok::Postfix => self.operand_before(self.before(at)?)?,
            Tok::Close => self.opening(at)?,
            _ => return None,
        };
        while let Some(before) = lo.checked_sub(1) {
            let glued = !self.spaced(lo);
            match self.tok(before) {
                Tok::Close if glued => lo = self.opening(before)?,
                Tok::Word | Tok::Number | Tok::Command if glued => lo = before,
                _ => break,
            }
        }
        Some(lo)
    }

    /// The formula, without brackets around a number alone and without marks.
    pub(super) fn finish(self, number: usize) -> Formula {
        let (mut lo, mut hi) = (self.lo, self.hi);
        // `[90]`, `(5)`.
        if hi == lo + 2
            && self.tok(lo) == Tok::Open
            && self.tok(hi) == Tok::Close
            && lo + 1 == number
        {
            lo = number;
            hi = number;
        }
        // `27 m^3` is no product with a name.
        let unit = lo + 1;
        let measured = self.tok(lo) == Tok::Number
            && unit <= hi
            && self.tok(unit) == Tok::Word
            && self.spaced(unit)
            && (unit..=hi).all(|i| {
                matches!(self.tok(i), Tok::Word | Tok::Number)
                    || matches!(self.slice(i), "^" | "/" | "*" | "-" | "·" | "{" | "}")
            })
            && (unit..=hi).any(|i| self.tok(i) == Tok::Sign)
            && units::read(&self.text[self.tokens[unit].start..self.tokens[hi].end]).is_known();
        let mut text = String::new();
        for i in lo..=hi {
            if measured && i == unit {
                text.push_str("\\text{");
            }
            if self.tok(i) == Tok::Mark && !self.slice(i).starts_with('\\') {
                continue;
            }
            if self.spaced(i) && i > lo {
                text.push(' ');
            }
            match self.slice(i).split_once('$') {
                Some((_, digits)) if self.tok(i) == Tok::Number => {
                    text.push_str("\\$");
                    text.push_str(digits);
                }
                _ => text.push_str(self.slice(i)),
            }
        }
        if measured {
            text.push('}');
        }
        let start = self.tokens[lo].start;
        Formula {
            head: self.head.map_or(start, |i| self.tokens[i].start.min(start)),
            start,
            end: self.tokens[hi].end,
            text,
        }
    }
}

fn is_exponent(word: &str) -> bool {
    word.strip_prefix(['e', 'E'])
        .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}

fn is_function(word: &str) -> bool {
    latex_names::function(word).is_some()
        || latex_names::is_greek(word)
        || matches!(word, "sqrt" | "pi" | "infinity" | "inf" | "oo")
}

pub(super) fn is_percent(word: &str) -> bool {
    matches!(word, "percent" | "pct" | "pc" | "percentage")
}
