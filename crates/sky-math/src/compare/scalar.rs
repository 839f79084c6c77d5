//! Values: percent and degree signs, rounding to the gold's digits.

use dashu_base::BitTest;
use dashu_ratio::RBig;

use super::{Comparer, Comparison};
use crate::{
    exact,
    expr::{Expr, Kind, map},
    identity::{self, Equality},
    options::Percent,
};

impl Comparer<'_> {
    /// Percent and degree signs on either side; `None` when there are none.
    pub(super) fn percent_or_degrees(&self, a: &Expr, b: &Expr) -> Option<Comparison> {
        // A whole list or relation on the other side is not a value.
        if !a.is_scalar() || !b.is_scalar() {
            return None;
        }
        match (marked(a), marked(b)) {
            (None, None) => {}
            (x, y) => {
                return Some(self.compare(x.as_ref().unwrap_or(a), y.as_ref().unwrap_or(b)));
            }
        }
        match (&a.kind, &b.kind) {
            (Kind::Percent(x), Kind::Percent(y)) => Some(self.compare(x, y)),
            (Kind::Degree(x), Kind::Degree(y)) => Some(self.compare(x, y)),
            (Kind::Percent(x), _) => Some(self.percent(a, b, x, b)),
            (_, Kind::Percent(y)) => Some(self.percent(a, b, a, y)),
            (Kind::Degree(x), _) => Some(self.degrees(a, b, x, b)),
            (_, Kind::Degree(y)) => Some(self.degrees(a, b, a, y)),
            _ => None,
        }
    }

    /// `20%` against `0.2`, and by convention against `20`.
    fn percent(&self, a: &Expr, b: &Expr, bare_a: &Expr, bare_b: &Expr) -> Comparison {
        let exact = self.values(a, b);
        if exact.equal || self.options.percent == Percent::Hundredth {
            return exact;
        }
        let bare = self.values(bare_a, bare_b);
        if bare.equal {
            Comparison::yes(format!("{}, the percent sign left out", bare.why))
        } else {
            exact
        }
    }

    /// `36` for `36` degrees, or the same angle in radians.
    fn degrees(&self, a: &Expr, b: &Expr, bare_a: &Expr, bare_b: &Expr) -> Comparison {
        let bare = self.values(bare_a, bare_b);
        if bare.equal && self.options.degrees_optional {
            return Comparison::yes(format!("{}, the degree sign left out", bare.why));
        }
        let exact = self.values(a, b);
        match (exact.equal, self.options.degrees_optional) {
            (true, _) => Comparison::yes("the same angle in radians"),
            (false, true) => bare,
            (false, false) => exact,
        }
    }

    /// Two values.
    pub(super) fn scalars(&self, a: &Expr, b: &Expr) -> Comparison {
        // The constant of an integral is written large or small.
        let names = |e: &Expr, name: &str| e.any(&|k| matches!(k, Kind::Sym(n) if n == name));
        let large = |e: &Expr| names(e, "C") && !names(e, "c");
        let small = |e: &Expr| names(e, "c") && !names(e, "C");
        if self.options.ignore_case && (large(a) && small(b) || small(a) && large(b)) {
            let put = |e: &Expr| {
                map(e, &|node| {
                    matches!(&node.kind, Kind::Sym(n) if n == "c")
                        .then(|| Kind::Sym("C".to_owned()).at(node.span.clone()))
                })
            };
            return self.values(&put(a), &put(b));
        }
        if self.options.ignore_case
            && let Some((a, b)) = constants(a, b)
        {
            return self.values(&a, &b);
        }
        self.values(a, b)
    }

    fn values(&self, a: &Expr, b: &Expr) -> Comparison {
        let found = identity::compare(a, b, self.budget);
        let judged = match found {
            Equality::EqualExactly => Comparison::yes("the same rational number"),
            Equality::EqualInNormalForm => Comparison::yes("the same in normal form"),
            Equality::EqualAsWritten => Comparison::yes("the same as written"),
            Equality::EqualModuloPrimes => {
                Comparison::yes("the same modulo four primes of 61 bits")
            }
            Equality::EqualAtPoints if a.has_names() => Comparison::yes(
                "the same value wherever both have one, at random points to 72 digits",
            ),
            Equality::EqualAtPoints => Comparison::yes("the same value to 72 digits"),
            Equality::Different => Comparison::no(self.difference(a, b)),
            Equality::Unknown(why) => Comparison::no(format!("not shown to be equal: {why}")),
        };
        if found.is_equal() {
            return judged;
        }
        // Conventions last: a reason must not name one where the values are the same.
        if self.options.base_optional
            && let (
                Kind::Based { digits, .. },
                Kind::Num {
                    value,
                    decimals: None,
                },
            )
            | (
                Kind::Num {
                    value,
                    decimals: None,
                },
                Kind::Based { digits, .. },
            ) = (&a.kind, &b.kind)
            && value.to_string() == digits.trim_start_matches('0')
        {
            return Comparison::yes("the same digits, the base left out");
        }
        self.rounded(a, b).unwrap_or(judged)
    }

    fn difference(&self, a: &Expr, b: &Expr) -> String {
        // The reason is for people; it must not take the budget that other readings still need.
        if self.budget.used() > 200_000 {
            return "different values".to_owned();
        }
        match (
            identity::approximate(a, self.budget),
            identity::approximate(b, self.budget),
        ) {
            (Some(x), Some(y))
                if x != y
                    && ![&x, &y]
                        .iter()
                        .any(|t| t.contains("inf") || t.contains("NaN")) =>
            {
                format!("{x} is not {y}")
            }
            _ => "different values".to_owned(),
        }
    }

    /// A decimal gold is met by an exact value that rounds to it.
    fn rounded(&self, a: &Expr, b: &Expr) -> Option<Comparison> {
        if let Some(places) = self.options.round_decimals {
            let (x, y) = (self.round_to(a, places)?, self.round_to(b, places)?);
            return (x == y)
                .then(|| Comparison::yes(format!("the same after rounding to {places} decimals")));
        }
        if self.is_long_decimal_of(a, b) {
            return Some(Comparison::yes(
                "a fraction that rounds to the answer's digits",
            ));
        }
        let wanted = self.options.decimal_gold_digits.filter(|_| self.gold)?;
        let (value, decimals) = decimal(a)?;
        // Only an exact value may round. A decimal answer states its own digits: 927.51 is not
        // 927.5.
        if decimal(b).is_some() || is_literal(b) {
            return None;
        }
        // So does a fraction with finitely many decimals, 1855/2.
        if terminates(b, self) {
            return None;
        }
        if significant(&value, decimals) < i64::from(wanted) {
            return None;
        }
        identity::rounds_to(b, &value, decimals, self.budget)
            .then(|| Comparison::yes("rounds to the gold's digits"))
    }

    /// Whether `b` is a decimal of many digits that the gold, a fraction, rounds to.
    fn is_long_decimal_of(&self, a: &Expr, b: &Expr) -> bool {
        let Some(wanted) = self.options.decimal_answer_digits.filter(|_| self.gold) else {
            return false;
        };
        let fraction = exact::rational(a, &mut Vec::new(), self.budget).is_ok();
        let Some((value, decimals)) = decimal(b).filter(|_| fraction && decimal(a).is_none())
        else {
            return false;
        };
        // A fraction with finitely many decimals has to be written in full.
        significant(&value, decimals) >= i64::from(wanted)
            && !terminates(a, self)
            && identity::rounds_to(a, &value, decimals, self.budget)
    }

    /// `value` rounded to `places` decimals, as an integer of units of the last one.
    fn round_to(&self, value: &Expr, places: u32) -> Option<String> {
        let scale = exact::ten_to(u64::from(places));
        // The floor of the value plus a half rounds a half up.
        let half = RBig::ONE / RBig::from(2);
        let scaled = Kind::Add(vec![
            Kind::Mul(vec![
                value.clone(),
                Kind::Num {
                    value: scale,
                    decimals: None,
                }
                .at(0..0),
            ])
            .at(0..0),
            Kind::Num {
                value: half,
                decimals: None,
            }
            .at(0..0),
        ])
        .at(0..0);
        let rounded = identity::floor(&scaled, self.budget)?;
        self.budget.take(rounded.bit_len() as u64).ok()?;
        Some(rounded.to_string())
    }
}

/// `x^3 + K` with the letter that the other side has for a constant behind it, `C`.
fn constants(a: &Expr, b: &Expr) -> Option<(Expr, Expr)> {
    let added = |e: &Expr| match &e.kind {
        Kind::Add(items) => items.iter().find_map(|item| match &item.kind {
            Kind::Sym(name) if matches!(name.as_str(), "C" | "c" | "K" | "k") => Some(name.clone()),
            _ => None,
        }),
        _ => None,
    };
    let (x, y) = (added(a)?, added(b)?);
    let has = |e: &Expr, name: &str| e.any(&|k| matches!(k, Kind::Sym(n) if n == name));
    // One side has to have `C`: `x + k` alone may add a number that the problem names.
    if x == y
        || has(a, &y)
        || has(b, &x)
        || !x.eq_ignore_ascii_case("c") && !y.eq_ignore_ascii_case("c")
    {
        return None;
    }
    let put = |e: &Expr| {
        map(e, &|node| {
            matches!(&node.kind, Kind::Sym(n) if *n == y)
                .then(|| Kind::Sym(x.clone()).at(node.span.clone()))
        })
    };
    Some((a.clone(), put(b)))
}

/// `-(3\%)` as `(-3)\%`, and the same of degrees.
fn marked(expr: &Expr) -> Option<Expr> {
    let Kind::Neg(inner) = &expr.kind else {
        return None;
    };
    let less = |e: &Expr| Box::new(Kind::Neg(Box::new(e.clone())).at(e.span.clone()));
    let kind = match &inner.kind {
        Kind::Percent(x) => Kind::Percent(less(x)),
        Kind::Degree(x) => Kind::Degree(less(x)),
        _ => return None,
    };
    Some(kind.at(expr.span.clone()))
}

/// A number that was written with decimals, and how many; a power of ten shifts them.
fn decimal(expr: &Expr) -> Option<(RBig, i64)> {
    match &expr.kind {
        Kind::Num {
            value,
            decimals: Some(d),
        } => Some((value.clone(), *d)),
        Kind::Neg(inner) => decimal(inner).map(|(value, d)| (-value, d)),
        // Two decimals times a power of ten.
        Kind::Mul(items) => match items.as_slice() {
            [mantissa, power] => {
                let (value, decimals) = decimal(mantissa)?;
                let Kind::Pow(base, exponent) = &power.kind else {
                    return None;
                };
                let Kind::Num { value: ten, .. } = &base.kind else {
                    return None;
                };
                if *ten != RBig::from(10) {
                    return None;
                }
                let n = match &exponent.kind {
                    Kind::Num { value, .. } => exact::to_i64(value).ok()?,
                    Kind::Neg(inner) => match &inner.kind {
                        Kind::Num { value, .. } => -exact::to_i64(value).ok()?,
                        _ => return None,
                    },
                    _ => return None,
                };
                if n.unsigned_abs() > 400 {
                    return None;
                }
                let shift = exact::ten_to(n.unsigned_abs());
                let value = if n >= 0 { value * shift } else { value / shift };
                Some((value, decimals - n))
            }
            _ => None,
        },
        _ => None,
    }
}

fn is_literal(expr: &Expr) -> bool {
    match &expr.kind {
        Kind::Num { .. } | Kind::Based { .. } => true,
        Kind::Neg(inner) => is_literal(inner),
        _ => false,
    }
}

/// Whether the value is a fraction with finitely many decimals.
fn terminates(expr: &Expr, compare: &Comparer<'_>) -> bool {
    let Ok(value) = exact::rational(expr, &mut Vec::new(), compare.budget) else {
        return false;
    };
    let twos = value.denominator().trailing_zeros().unwrap_or(0);
    let below = value.denominator() >> twos;
    // A power of five, if anything: five to the k has 2.32 k bits.
    let k = below.bit_len() * 1000 / 2321;
    let words = below.bit_len() as u64 / 64 + 1;
    if compare.budget.take(words * words.isqrt() + 8).is_err() {
        return false;
    }
    let five = dashu_int::UBig::from(5_u8).pow(k);
    below == five || below == five * 5_u8
}

/// Significant digits of a decimal with `decimals` places.
fn significant(value: &RBig, decimals: i64) -> i64 {
    if value.is_zero() {
        return 0;
    }
    // Digits in plenty: nothing to count.
    if exact::bit_size(value) > 1 << 14 {
        return 1 << 12;
    }
    let text = {
        let scale = exact::ten_to(decimals.unsigned_abs().min(400));
        let scaled = if decimals >= 0 {
            value.clone() * scale
        } else {
            value.clone() / scale
        };
        scaled.trunc().to_string()
    };
    i64::try_from(text.trim_start_matches('-').len()).unwrap_or(0)
}
