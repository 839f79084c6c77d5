//! Numbers: from the digits of a literal to an exact rational, and numerals in other bases.

use dashu_int::{IBig, UBig};
use dashu_ratio::RBig;

use super::{Parsed, Parser};
use crate::{
    expr::{Expr, Kind},
    latex_names::number_word,
    lex::{Digits, Tok},
};

/// Digits beyond this are refused (a decimal's zeros at the end do not count).
const MAX_DIGITS: usize = 20_000;
/// Powers of ten beyond this are kept as a power, not multiplied out.
const MAX_EXPONENT: i64 = 20_000;

impl Parser<'_> {
    /// The literal `digits`, which was just taken.
    pub(super) fn literal(&mut self, digits: &Digits, start: usize) -> Parsed {
        let mut digits = digits.clone();
        self.dotted(&mut digits);
        // `0.1\overline{6}`.
        if digits.fraction.is_some()
            && digits.repeating.is_none()
            && !self.token().space
            && matches!(self.peek(), Tok::Cmd("overline" | "bar" | "dot"))
            && let (Tok::Ch('{'), Tok::Num(group), Tok::Ch('}')) =
                (self.ahead(1), self.ahead(2), self.ahead(3))
            && group.fraction.is_none()
            && !group.whole.is_empty()
        {
            digits.repeating = Some(group.whole.clone());
            self.at += 4;
        }
        if let Some(based) = self.based(&digits, start) {
            return Ok(based);
        }
        let length = digits.whole.len() + digits.fraction.as_ref().map_or(0, String::len);
        let power = digits
            .exponent
            .unsigned_abs()
            .min(MAX_EXPONENT.unsigned_abs());
        if self
            .budget
            .take(20 + 8 * length as u64 + 2 * power)
            .is_err()
        {
            return self.fail("the work budget is spent");
        }
        let Some((value, decimals)) = value(&digits) else {
            return self.fail("a number too long");
        };
        let mantissa = Kind::Num {
            value,
            decimals: decimals.map(|d| d.saturating_sub(digits.exponent)),
        };
        if digits.exponent == 0 {
            return Ok(mantissa.at(self.since(start)));
        }
        if digits.exponent.abs() > MAX_EXPONENT {
            let span = self.since(start);
            let power = Kind::Pow(
                Box::new(Kind::int(10).at(span.clone())),
                Box::new(Kind::int(digits.exponent).at(span.clone())),
            );
            return Ok(Kind::Mul(vec![mantissa.at(span.clone()), power.at(span.clone())]).at(span));
        }
        let Kind::Num { value, decimals } = mantissa else {
            return self.fail("a number too long");
        };
        let ten =
            UBig::from(10_u8).pow(usize::try_from(digits.exponent.unsigned_abs()).unwrap_or(0));
        let value = if digits.exponent > 0 {
            value * RBig::from(ten)
        } else {
            value / RBig::from(ten)
        };
        Ok(Kind::Num { value, decimals }.at(self.since(start)))
    }

    /// `0.\dot{1}4285\dot{7}`: dots over the first and the last of the digits that repeat;
    /// `0.1\overline6`: over one alone.
    fn dotted(&mut self, digits: &mut Digits) {
        let bare = |tok: &Tok<'_>| match tok {
            Tok::Num(d) if d.fraction.is_none() && d.exponent == 0 => Some(d.whole.clone()),
            _ => None,
        };
        if digits.fraction.is_none() || digits.repeating.is_some() || self.token().space {
            return;
        }
        if matches!(self.peek(), Tok::Cmd("overline" | "bar"))
            && let Some(one) = bare(self.ahead(1)).filter(|d| d.len() == 1)
        {
            digits.repeating = Some(one);
            self.at += 2;
            return;
        }
        let dot = |p: &Self, n: usize| {
            let open = matches!(p.ahead(n), Tok::Cmd("dot")) && *p.ahead(n + 1) == Tok::Ch('{');
            let close = *p.ahead(n + 3) == Tok::Ch('}');
            bare(p.ahead(n + 2)).filter(|d| open && close && d.len() == 1)
        };
        let Some(first) = dot(self, 0) else {
            return;
        };
        let (between, len) = match bare(self.ahead(4)) {
            Some(between) => (between, 5),
            None => (String::new(), 4),
        };
        if let Some(last) = dot(self, len) {
            digits.repeating = Some(first + &between + &last);
            self.at += len + 4;
        }
    }

    /// `FF_{16}`: a numeral that begins with a letter.
    pub(super) fn hexadecimal(&mut self, start: usize) -> Option<Expr> {
        if !matches!(self.peek(), Tok::Letter('A'..='F', run) if run.len() >= 2)
            && !matches!(
                (self.peek(), self.ahead(1)),
                (Tok::Letter('A'..='F', _), Tok::Num(_))
            )
        {
            return None;
        }
        let none = Digits {
            whole: String::new(),
            fraction: None,
            repeating: None,
            exponent: 0,
        };
        let at = self.at;
        let based = self.based(&none, start);
        let sixteen = matches!(&based, Some(e) if matches!(e.kind, Kind::Based { base: 16, .. }));
        if !sixteen {
            self.at = at;
            return None;
        }
        based
    }

    /// `(204)_5`: a numeral of two digits at least in brackets.
    pub(super) fn bracketed_numeral(&mut self, start: usize) -> Option<Expr> {
        let closes = (2..40).find(|&n| !matches!(self.ahead(n), Tok::Num(_) | Tok::Letter(..)))?;
        if *self.ahead(closes) != Tok::Ch(')') || *self.ahead(closes + 1) != Tok::Ch('_') {
            return None;
        }
        let at = self.at;
        self.at += 1;
        let none = Digits {
            whole: String::new(),
            fraction: None,
            repeating: None,
            exponent: 0,
        };
        let based = self
            .based(&none, start)
            .filter(|e| matches!(&e.kind, Kind::Based { digits, .. } if digits.len() > 1));
        if based.is_none() {
            self.at = at;
        }
        based
    }

    /// `204_5`, `1A3_{16}`, `4210_{\text{five}}`.
    fn based(&mut self, digits: &Digits, start: usize) -> Option<Expr> {
        if digits.fraction.is_some() || digits.exponent != 0 {
            return None;
        }
        let mut ahead = 0;
        let open = self.at.checked_sub(1).map(|i| &self.tokens[i].tok);
        let bracketed = digits.whole.is_empty() && open == Some(&Tok::Ch('('));
        let mut numeral = digits.whole.clone();
        loop {
            let token = &self.tokens.get(self.at + ahead)?;
            match &token.tok {
                Tok::Letter(c, _) if !token.space && c.is_ascii_uppercase() => numeral.push(*c),
                Tok::Num(more)
                    if !token.space
                        && (ahead > 0 || digits.whole.is_empty())
                        && more.fraction.is_none()
                        && more.exponent == 0 =>
                {
                    numeral.push_str(&more.whole);
                }
                Tok::Ch('_') => break,
                Tok::Ch(')') if *self.ahead(ahead + 1) == Tok::Ch('_') && bracketed => {}
                _ => return None,
            }
            ahead += 1;
            if ahead > 64 {
                return None;
            }
        }
        let (base, len) = match (
            self.ahead(ahead + 1),
            self.ahead(ahead + 2),
            self.ahead(ahead + 3),
        ) {
            (Tok::Num(base), _, _) => (small(base)?, 1),
            (Tok::Ch('{'), Tok::Num(base), Tok::Ch('}')) => (small(base)?, 3),
            (Tok::Ch('{'), Tok::Text(text), Tok::Ch('}')) => (word(text)?, 3),
            (Tok::Text(text), _, _) => (word(text)?, 1),
            _ => return None,
        };
        let base = u32::try_from(base).ok().filter(|b| (2..=36).contains(b))?;
        if numeral.len() > MAX_DIGITS || !numeral.chars().all(|c| c.is_digit(base)) {
            return None;
        }
        self.at += ahead + 1 + len;
        Some(
            Kind::Based {
                digits: numeral,
                base,
            }
            .at(self.since(start)),
        )
    }
}

fn small(digits: &Digits) -> Option<i64> {
    (digits.fraction.is_none() && digits.exponent == 0)
        .then(|| digits.whole.parse().ok())
        .flatten()
}

fn word(text: &str) -> Option<i64> {
    let text = text.trim();
    text.parse().ok().or_else(|| number_word(text))
}

/// The exact value, and the number of decimals when there is a point.
fn value(digits: &Digits) -> Option<(RBig, Option<i64>)> {
    let whole = digits.whole.trim_start_matches('0');
    let fraction = digits.fraction.as_deref().unwrap_or("");
    let significant = fraction.trim_end_matches('0');
    let repeating = digits.repeating.as_deref().unwrap_or("");
    if whole.len() + significant.len() + repeating.len() > MAX_DIGITS {
        return None;
    }
    let read = |text: &str| {
        if text.is_empty() {
            Some(IBig::ZERO)
        } else {
            IBig::from_str_radix(text, 10).ok()
        }
    };
    let ten = UBig::from(10_u8);
    if repeating.is_empty() {
        let numerator = read(&format!("{whole}{significant}"))?;
        let value = RBig::from_parts(numerator, ten.pow(significant.len()));
        let decimals = digits
            .fraction
            .as_ref()
            .map(|f| i64::try_from(f.len()).unwrap_or(i64::MAX));
        return Some((value, decimals));
    }
    // 0.a(b): (ab - a) / (10^|a| (10^|b| - 1)).
    let long = read(&format!("{whole}{fraction}{repeating}"))?;
    let short = read(&format!("{whole}{fraction}"))?;
    let nines = ten.pow(repeating.len()) - UBig::ONE;
    let value = RBig::from_parts(long - short, nines * ten.pow(fraction.len()));
    Some((value, None))
}
