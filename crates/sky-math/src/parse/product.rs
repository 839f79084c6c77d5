//! Sums and products: terms with signs between them, factors with or without.

use std::mem;

use super::{Parsed, Parser, factor};
use crate::{
    expr::{Expr, Func, Kind, Span},
    lex::Tok,
};

impl<'a> Parser<'a> {
    /// Terms with signs between them.
    pub(super) fn sum(&mut self) -> Parsed {
        let start = self.start();
        let mut terms: Vec<Expr> = Vec::new();
        let mut spread: Option<(Expr, bool)> = None;
        loop {
            if self.budget.take(4).is_err() {
                return self.fail("the work budget is spent");
            }
            let at = self.start();
            let mut negative = false;
            let mut signed = false;
            loop {
                if self.eat('-') {
                    negative = !negative;
                } else if !self.eat('+') {
                    break;
                }
                signed = true;
            }
            let pm = match self.peek() {
                Tok::Cmd("pm") => Some(false),
                Tok::Cmd("mp") => Some(true),
                _ => None,
            };
            if let Some(mp) = pm {
                self.at += 1;
                let term = self.product()?;
                if spread.is_some() || (negative && !terms.is_empty()) {
                    return self.fail("more than one plus-minus");
                }
                spread = Some((term, mp));
            } else if !terms.is_empty() && !signed {
                break;
            } else {
                // `-7 \bmod 3` is that of -7, `2 - 7 \bmod 3` is 2 less that of 7.
                let mut minus = negative;
                let term = if terms.is_empty() {
                    self.product_with(&mut minus)?
                } else {
                    self.product()?
                };
                terms.push(if minus {
                    Kind::Neg(Box::new(term)).at(self.since(at))
                } else {
                    term
                });
            }
            if !(matches!(self.peek(), Tok::Ch('+' | '-'))
                || self.is_cmd("pm")
                || self.is_cmd("mp"))
            {
                break;
            }
        }
        let span = self.since(start);
        let base = match terms.len() {
            0 => None,
            1 => Some(terms.remove(0)),
            _ => Some(Kind::Add(terms).at(span.clone())),
        };
        match (base, spread) {
            (base, Some((term, mp))) => {
                Ok(Kind::PlusMinus(base.map(Box::new), Box::new(term), mp).at(span))
            }
            (Some(base), None) => Ok(base),
            (None, None) => self.fail("a value is missing here"),
        }
    }

    /// Factors, with or without a sign between them, and divisions.
    pub(super) fn product(&mut self) -> Parsed {
        self.product_with(&mut false)
    }

    /// A product behind a minus sign, if there is one, which is taken where it belongs to what is
    /// divided with a remainder.
    fn product_with(&mut self, minus: &mut bool) -> Parsed {
        let start = self.start();
        let mut above = vec![self.factor()?];
        let mut below: Vec<Expr> = Vec::new();
        let mut divided = false;
        loop {
            if self.budget.take(4).is_err() {
                return self.fail("the work budget is spent");
            }
            match self.peek() {
                // Operations that do not commute, as far as is known: `f \circ g`, `\vec{a} \times
                // \vec{b}`.
                Tok::Cmd(op @ ("circ" | "star" | "oplus" | "otimes" | "bullet" | "times"))
                    if *op != "times" || above.last().is_some_and(is_vector) =>
                {
                    let op = (*op).to_owned();
                    self.at += 1;
                    let right = self.signed_factor()?;
                    let span = self.since(start);
                    let args = above.pop().into_iter().chain([right]).collect();
                    above.push(Kind::Apply(op, args).at(span));
                }
                Tok::Ch('*') | Tok::Cmd("cdot" | "times" | "ast") => {
                    // `5 \times` at the end of a text.
                    self.at += 1;
                    above.push(self.signed_factor()?);
                    divided = false;
                }
                Tok::Ch('/') | Tok::Cmd("div") => {
                    self.at += 1;
                    below.push(self.signed_factor()?);
                    divided = true;
                }
                Tok::Cmd("bmod" | "mod") | Tok::Word("mod") => {
                    self.at += 1;
                    let modulus = self.signed_factor()?;
                    let left = quotient(above, mem::take(&mut below), self.since(start));
                    let rest = self.remainder(left, modulus, minus, start);
                    above = vec![rest];
                    divided = false;
                }
                Tok::Cmd("pmod" | "choose" | "over") => {
                    let left = quotient(above, below, self.since(start));
                    return self.with_right_side(left, start);
                }
                // `2.5 x 10^3`.
                Tok::Letter('x', "x")
                    if matches!(above.last().map(|e| &e.kind), Some(Kind::Num { .. }))
                        && matches!(self.ahead(1), Tok::Num(ten) if ten.whole == "10" && ten.fraction.is_none())
                        && matches!(self.ahead(2), Tok::Ch('^')) =>
                {
                    self.at += 1;
                    above.push(self.factor()?);
                }
                _ if self.starts_factor() => {
                    let quantity = self.juxtaposed(&mut above, &mut below, divided, start)?;
                    if let Some(quantity) = quantity {
                        return Ok(quantity);
                    }
                }
                Tok::Text(_) => {
                    let value = quotient(above, below, self.since(start));
                    return self.text_behind(value, start);
                }
                _ => return Ok(quotient(above, below, self.since(start))),
            }
        }
    }

    /// `a \pmod m`, `n \choose k`, `a \over b`: all that stands before is the left side.
    fn with_right_side(&mut self, left: Expr, start: usize) -> Parsed {
        let operator = self.peek().clone();
        self.at += 1;
        let kind = match operator {
            Tok::Cmd("pmod") => Kind::Call(Func::Residue, vec![left, self.brace_argument()?]),
            Tok::Cmd("choose") => Kind::Call(Func::Binomial, vec![left, self.product()?]),
            _ => Kind::Div(Box::new(left), Box::new(self.nested(Self::sum)?)),
        };
        Ok(kind.at(self.since(start)))
    }

    /// `a mod m`; a minus sign in front belongs to `a`.
    fn remainder(&self, left: Expr, modulus: Expr, minus: &mut bool, start: usize) -> Expr {
        let mut left = left;
        // `3 mod 7` has been reduced: it names a class.
        let func = if is_reduced(&left, &modulus) {
            Func::Residue
        } else {
            if mem::take(minus) {
                left = Kind::Neg(Box::new(left)).at(self.since(start));
            }
            Func::Mod
        };
        Kind::Call(func, vec![left, modulus]).at(self.since(start))
    }

    /// A factor that follows without a sign: a unit, the fraction of a mixed number, or one more
    /// factor. A unit ends the product, which is returned.
    fn juxtaposed(
        &mut self,
        above: &mut Vec<Expr>,
        below: &mut Vec<Expr>,
        divided: bool,
        start: usize,
    ) -> Parsed<Option<Expr>> {
        let unit = self
            .unit_fraction()
            .or_else(|| self.unit_behind(!below.is_empty()));
        if let Some(unit) = unit {
            let value = quotient(mem::take(above), mem::take(below), self.since(start));
            let quantity = Kind::Quantity(Box::new(value), unit);
            let quantity = quantity.at(self.since(start));
            return self.compound(quantity, start).map(Some);
        }
        if let Some(part) = self.plain_fraction(above.last(), below)? {
            let whole = above.pop();
            let span = self.since(start);
            above.push(Kind::Add(whole.into_iter().chain([part]).collect()).at(span));
            return Ok(None);
        }
        let mixed = self.mixed_ahead(above.last(), below);
        let factor = self.factor()?;
        if let Some(angle) = factor::minutes(above.last(), &factor) {
            above.pop();
            above.push(angle.at(self.since(start)));
            return Ok(None);
        }
        if mixed && let Some(part) = fraction_of(&factor) {
            let whole = above.pop();
            let span = self.since(start);
            let parts = whole.into_iter().chain([part]).collect();
            let mixed = Box::new(Kind::Add(parts).at(span.clone()));
            above.push(match factor.kind {
                Kind::Percent(_) => Kind::Percent(mixed).at(span),
                Kind::Degree(_) => Kind::Degree(mixed).at(span),
                _ => *mixed,
            });
        } else if divided {
            self.ambiguous_division = true;
            if self.reading.juxtaposition_first {
                below.push(factor);
            } else {
                above.push(factor);
            }
        } else {
            above.push(factor);
        }
        Ok(None)
    }

    /// A factor after an explicit sign, which may have its own signs: `2 \cdot -3`.
    pub(super) fn signed_factor(&mut self) -> Parsed {
        let start = self.start();
        let mut negative = false;
        loop {
            if self.eat('-') {
                negative = !negative;
            } else if !self.eat('+') {
                break;
            }
        }
        let factor = self.factor()?;
        Ok(if negative {
            Kind::Neg(Box::new(factor)).at(self.since(start))
        } else {
            factor
        })
    }
}

/// `\vec{a}`.
fn is_vector(e: &Expr) -> bool {
    matches!(&e.kind, Kind::Sym(name) if name.starts_with("vec:"))
}

/// Whether a literal is a remainder of division by another.
fn is_reduced(value: &Expr, modulus: &Expr) -> bool {
    match (&value.kind, &modulus.kind) {
        (Kind::Num { value, .. }, Kind::Num { value: modulus, .. }) => value < modulus,
        _ => false,
    }
}

/// The fraction of a mixed number without a percent or degree sign behind it: in `12\frac12\%` that
/// is the sign of the whole number too.
fn fraction_of(factor: &Expr) -> Option<Expr> {
    let inner = match &factor.kind {
        Kind::Percent(inner) | Kind::Degree(inner) => inner,
        _ => factor,
    };
    matches!(inner.kind, Kind::Div(..)).then(|| inner.clone())
}

/// The product of `above` over the product of `below`.
pub(super) fn quotient(mut above: Vec<Expr>, mut below: Vec<Expr>, span: Span) -> Expr {
    let product = |items: &mut Vec<Expr>| match items.len() {
        1 => items.remove(0),
        _ => Kind::Mul(mem::take(items)).at(span.clone()),
    };
    let top = product(&mut above);
    if below.is_empty() {
        return top;
    }
    let bottom = product(&mut below);
    Kind::Div(Box::new(top), Box::new(bottom)).at(span)
}
