//! What belongs to a number on either side: signs, names, units, the words of a scale.

use super::{
    formula::{Grower, is_percent},
    tokens::Tok,
};
use crate::units;

impl Grower<'_> {
    /// Takes one more part to the left; false when none belongs to it.
    pub(super) fn left(&mut self) -> bool {
        if self.head.is_some() {
            return false;
        }
        let Some(before) = self.before(self.lo) else {
            return false;
        };
        let glued = self.touches(before, self.lo);
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
        let gap = !self.touches(sign, self.lo);
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
    pub(super) fn right(&mut self) -> bool {
        let Some(next) = self.after(self.hi) else {
            return false;
        };
        let glued = self.touches(self.hi, next);
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
}
