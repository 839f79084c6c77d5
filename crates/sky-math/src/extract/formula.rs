//! What a number in prose is part of: `5 cm^2`, `\frac{2}{5}`, `3:7`, `3*units + 5`.

use std::ops::Range;

use super::{
    glyphs::{is_numeral, is_scale},
    tokens::{Tok, Token, tokens},
};
use crate::{latex_names, units};

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

struct Grower<'a> {
    text: &'a str,
    tokens: &'a [Token],
    lo: usize,
    hi: usize,
    /// Token at which the left side of an equality begins.
    head: Option<usize>,
}

impl<'a> Grower<'a> {
    fn slice(&self, i: usize) -> &'a str {
        let t = &self.tokens[i];
        &self.text[t.start..t.end]
    }

    fn tok(&self, i: usize) -> Tok {
        self.tokens.get(i).map_or(Tok::Break, |t| t.tok)
    }

    fn spaced(&self, i: usize) -> bool {
        self.tokens.get(i).is_none_or(|t| t.spaced)
    }

    /// Whether no space stands between two tokens.
    fn tied(&self, before: usize, at: usize) -> bool {
        (before + 1..=at).all(|i| !self.spaced(i))
    }

    /// The token before, but for marks.
    fn before(&self, i: usize) -> Option<usize> {
        (0..i).rev().find(|&i| self.tokens[i].tok != Tok::Mark)
    }

    fn after(&self, i: usize) -> Option<usize> {
        (i + 1..self.tokens.len()).find(|&i| self.tokens[i].tok != Tok::Mark)
    }

    /// `3D` and `5-year` are words: the first is no number, the second ends behind its digit.
    fn is_value(&self) -> bool {
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
    fn inside(&mut self) -> bool {
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
    fn enclosing(&self, at: usize) -> Option<usize> {
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

    fn closing(&self, open: usize) -> Option<usize> {
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

    fn opening(&self, close: usize) -> Option<usize> {
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
    fn is_math(&self, from: usize, to: usize) -> bool {
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
    fn named_group(&mut self) {
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
    fn operand_before(&self, at: usize) -> Option<usize> {
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

    /// Takes one more part to the left; false when none belongs to it.
    fn left(&mut self) -> bool {
        if self.head.is_some() {
            return false;
        }
        let Some(before) = self.before(self.lo) else {
            return false;
        };
        let glued = self.tied(before, self.lo);
        match self.tok(before) {
            Tok::Sign => self.left_of_sign(before),
            Tok::Lead => {
                let left = self.before(before).and_then(|at| self.operand_before(at));
                self.head = Some(left.unwrap_or(before));
                if let Some(start) = self.equation(before) {
                    self.lo = start;
                    self.head = Some(start);
                }
                false
            }
            Tok::Colon => self.ratio(before),
            Tok::Postfix if self.slice(before) == "!" => false,
            Tok::Close if glued => match self.operand_before(before) {
                Some(at) => {
                    self.lo = at;
                    true
                }
                None => false,
            },
            Tok::Command => {
                let text = matches!(
                    self.slice(before),
                    "\\text" | "\\item" | "\\boxed" | "\\therefore"
                );
                if !text {
                    self.lo = before;
                }
                !text
            }
            Tok::Word if glued => {
                self.lo = before;
                true
            }
            Tok::Word | Tok::Number | Tok::Close => self.side_by_side(before),
            _ => false,
        }
    }

    /// A sign to the left: between two operands, or the sign of this one.
    fn left_of_sign(&mut self, sign: usize) -> bool {
        let mark = self.slice(sign);
        let minus = matches!(mark, "-" | "−" | "–" | "△" | "▲");
        let left = self.before(sign);
        let operand = left.and_then(|at| self.operand_before(at));
        let first = left.is_none();
        let gap = !self.tied(sign, self.lo);
        let unary = minus || matches!(mark, "±" | "\\pm" | "+");
        // ` -3`: a sign stands at its number.
        let own = unary && !gap && (self.spaced(sign) || operand.is_none());
        if own {
            if mark != "+" {
                self.lo = sign;
            }
            return mark != "+";
        }
        // A bullet.
        if first && gap && matches!(mark, "-" | "–" | "*" | "+") {
            return false;
        }
        let compares = mark.starts_with(['<', '>', '≤', '≥', '≠', '!']);
        // `a change of - $40`.
        const LEADS: [&str; 9] = ["is", "of", "to", "by", "was", "are", "be", "at", "equals"];
        match operand {
            Some(at) if minus && left == Some(at) && LEADS.contains(&self.slice(at)) => {
                self.lo = sign;
                false
            }
            Some(at) => {
                self.lo = at;
                true
            }
            // `> 5` alone is a condition.
            None if compares && !(first && mark == ">") => {
                self.lo = sign;
                false
            }
            None if unary && mark != "+" && !gap => {
                self.lo = sign;
                false
            }
            None => false,
        }
    }

    /// Where `x^2 + y^2 = 9` begins: its left side is no name for the value.
    fn equation(&self, lead: usize) -> Option<usize> {
        if self.slice(lead) != "=" {
            return None;
        }
        let part = |i: usize| match self.tok(i) {
            Tok::Number | Tok::Sign | Tok::Open | Tok::Close => true,
            Tok::Word => self.slice(i).chars().count() == 1,
            _ => false,
        };
        let start = (0..lead).rev().take_while(|&i| part(i)).last()?;
        let power = (start..lead).any(|i| self.slice(i) == "^");
        let name = (start..lead).any(|i| self.tok(i) == Tok::Word && self.slice(i) != "a");
        let chain = start
            .checked_sub(1)
            .is_some_and(|i| self.tok(i) == Tok::Lead);
        let operand = matches!(self.tok(start), Tok::Word | Tok::Number | Tok::Open);
        (power && name && !chain && operand).then_some(start)
    }

    /// `3:7`, `3 : 7`; not `Total: 7`.
    fn ratio(&mut self, colon: usize) -> bool {
        let even = self.spaced(colon) == self.spaced(self.lo);
        let left = self.before(colon).filter(|&at| self.tok(at) == Tok::Number);
        // `Week 3:210`.
        const NUMBERED: [&str; 12] = [
            "week", "day", "step", "part", "case", "question", "problem", "year", "month", "round",
            "stage", "item",
        ];
        let numbered = left
            .and_then(|at| self.before(at))
            .is_some_and(|at| NUMBERED.contains(&self.slice(at).to_ascii_lowercase().as_str()));
        let left = left.filter(|_| !numbered);
        match left {
            Some(at) if even => {
                self.lo = self.operand_before(at).unwrap_or(at);
                true
            }
            _ => false,
        }
    }

    /// `4 \sqrt{3}`, `5 cm^2`, `3 1/2`, `5 kg m s^{-2}`.
    fn side_by_side(&mut self, before: usize) -> bool {
        let word = self.slice(before);
        let number = self.tok(before) == Tok::Number;
        let first = self.slice(self.lo);
        let powered = self.tok(self.lo) == Tok::Word
            && (self.lo + 1..=self.hi).any(|i| self.tok(i) == Tok::Sign);
        let command = self.tok(self.lo) == Tok::Command || first == "π";
        // `3 (mod 7)`.
        let modulus = number && self.tok(self.lo) == Tok::Open && self.slice(self.lo + 1) == "mod";
        let plain = |i: usize| {
            self.tok(i) == Tok::Number && self.slice(i).bytes().all(|b| b.is_ascii_digit())
        };
        let mixed = plain(before)
            && plain(self.lo)
            && self.lo + 2 == self.hi
            && self.slice(self.lo + 1) == "/"
            && !self.spaced(self.lo + 1)
            && plain(self.hi);
        // `$400 000`.
        let money = word.strip_prefix("\\$").or(word.strip_prefix('$'));
        let thousands = plain(self.lo)
            && first.len() == 3
            && (money.is_some_and(|digits| digits.len() <= 3) || first == "000" && plain(before));
        let unit = powered
            && self.tok(before) == Tok::Word
            && (units::read(word).is_known() || word == "π")
            && (before.saturating_sub(2)..before).any(|i| self.tok(i) == Tok::Number);
        let belongs =
            mixed || thousands || modulus || number && (powered || command) || unit || word == "π";
        if belongs {
            self.lo = before;
        }
        belongs
    }

    /// Takes one more part to the right; false when none belongs to it.
    fn right(&mut self) -> bool {
        let Some(next) = self.after(self.hi) else {
            return false;
        };
        let glued = self.tied(self.hi, next);
        match self.tok(next) {
            Tok::Postfix => self.postfix(next, glued),
            Tok::Command => {
                let mut end = next;
                while !self.spaced(end + 1) && self.tok(end + 1) == Tok::Open {
                    match self.closing(end + 1) {
                        Some(close) => end = close,
                        None => break,
                    }
                }
                self.hi = end;
                true
            }
            Tok::Open if glued => match self.closing(next) {
                Some(close) if self.is_math(next, close) => {
                    self.hi = close;
                    true
                }
                _ => false,
            },
            Tok::Word => self.right_word(next, glued),
            Tok::Sign => self.right_of_sign(next),
            _ => false,
        }
    }

    fn postfix(&mut self, next: usize, glued: bool) -> bool {
        // An exclamation ends a sentence; a factorial is in the middle of one.
        let factorial = || {
            let then = self.after(next);
            then.is_some_and(|i| {
                matches!(self.tok(i), Tok::Sign | Tok::Close)
                    || self.tok(i) == Tok::Word && self.slice(i).starts_with(char::is_lowercase)
            })
        };
        let takes = glued && (self.slice(next) != "!" || factorial());
        if takes {
            self.hi = next;
        }
        takes
    }

    fn right_word(&mut self, next: usize, glued: bool) -> bool {
        const SCALES: [&str; 7] = [
            "hundred", "thousand", "million", "billion", "trillion", "squared", "cubed",
        ];
        let word = self.slice(next);
        let names = matches!(word, "x" | "y" | "z" | "n" | "k" | "π");
        let takes = glued && self.tok(self.hi) == Tok::Number
            || names
            || SCALES.contains(&word)
            || is_percent(word)
            || word == "per" && self.tok(next + 1) == Tok::Word && self.slice(next + 1) == "cent";
        if takes {
            self.hi = if word == "per" { next + 1 } else { next };
        }
        takes
    }

    fn right_of_sign(&mut self, sign: usize) -> bool {
        let mark = self.slice(sign);
        let Some(next) = self.after(sign) else {
            return false;
        };
        let operand = matches!(
            self.tok(next),
            Tok::Word | Tok::Number | Tok::Command | Tok::Open
        );
        let minus = matches!(mark, "-" | "−" | "–");
        let glued = !self.spaced(sign);
        let word = self.tok(next) == Tok::Word && self.slice(next).chars().count() >= 2;
        let clause = self.after(next).is_some_and(|i| self.tok(i) == Tok::Word);
        // `5 - which is odd`, `5-year`, `5/hour`.
        let prose = word && (minus && (clause || glued) || mark == "/" && glued || mark == "|");
        let uneven = self.spaced(next) != self.spaced(sign) && !minus && mark != "^" && glued;
        if !operand || prose || uneven || mark == "_" || mark == "|" {
            return false;
        }
        let mut hi = next;
        loop {
            let group = hi + usize::from(self.tok(hi) != Tok::Open);
            if self.tok(group) != Tok::Open || group != hi && self.spaced(group) {
                break;
            }
            match self.closing(group) {
                Some(close) => hi = close,
                None => return false,
            }
            if self.tok(hi + 1) != Tok::Open {
                break;
            }
        }
        self.hi = hi;
        true
    }

    /// The formula, without brackets around a number alone and without marks.
    fn finish(self, number: usize) -> Formula {
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

fn is_percent(word: &str) -> bool {
    matches!(word, "percent" | "pct" | "pc" | "percentage")
}
