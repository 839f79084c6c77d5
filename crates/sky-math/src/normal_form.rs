//! A normal form of polynomials, of their quotients and of radicals of positive rationals.
//!
//! Two expressions that agree in it are equal, and no number was rounded to find out. Two that do
//! not agree may still be equal: the form is canonical for polynomials and square-free radicals
//! only, so a difference here decides nothing.

use std::collections::BTreeMap;

use dashu_base::UnsignedAbs;
use dashu_ratio::RBig;

use super::{
    budget::Budget,
    exact,
    expr::{Const, Expr, Kind},
};

/// Terms of a polynomial at most.
const MAX_TERMS: usize = 300;
/// Exponents beyond this are left to other means.
const MAX_POWER: i64 = 64;
/// Primes up to this are taken out of radicands; what is left is one factor.
const MAX_PRIME: u64 = 1000;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Atom {
    /// A prime, or what no small prime divides, under a root.
    Radicand(u64),
    I,
    Pi,
    E,
    Name(String),
}

/// A product of powers; exponents of radicands lie between zero and one, that of `i` is one.
type Monomial = BTreeMap<Atom, RBig>;
/// Terms with their coefficients, none of them zero.
type Poly = BTreeMap<Monomial, RBig>;

/// A quotient of polynomials.
#[derive(Clone, Debug)]
struct RationalFunction {
    above: Poly,
    below: Poly,
}

/// Steps that one proof may take, so that the evaluation at high precision keeps its own.
const STEPS: u64 = 100_000;

/// Whether both have a normal form and it is the same.
pub(super) fn equal(a: &Expr, b: &Expr, budget: &Budget) -> bool {
    let own = Budget::new(STEPS);
    let same = prove(a, b, &own);
    budget.take(own.used()).is_ok() && same
}

fn prove(a: &Expr, b: &Expr, budget: &Budget) -> bool {
    let same = || -> Option<bool> {
        let (a, b) = (quotient(a, budget)?, quotient(b, budget)?);
        Some(product(&a.above, &b.below, budget)? == product(&b.above, &a.below, budget)?)
    };
    same().unwrap_or(false)
}

fn constant(value: RBig) -> Poly {
    let mut poly = Poly::new();
    add_term(&mut poly, Monomial::new(), value);
    poly
}

fn atom(atom: Atom) -> RationalFunction {
    let mono = Monomial::from([(atom, RBig::ONE)]);
    over_one(Poly::from([(mono, RBig::ONE)]))
}

/// The polynomial as a quotient.
fn over_one(above: Poly) -> RationalFunction {
    RationalFunction {
        above,
        below: constant(RBig::ONE),
    }
}

fn add_term(poly: &mut Poly, mono: Monomial, value: RBig) {
    if value.is_zero() {
        return;
    }
    let sum = poly.remove(&mono).map_or(value.clone(), |old| old + value);
    if !sum.is_zero() {
        poly.insert(mono, sum);
    }
}

fn quotient(expr: &Expr, budget: &Budget) -> Option<RationalFunction> {
    budget.take(16).ok()?;
    match &expr.kind {
        Kind::Num { value, .. } => {
            (exact::bit_size(value) < 4096).then(|| over_one(constant(value.clone())))
        }
        Kind::Const(Const::Pi) => Some(atom(Atom::Pi)),
        Kind::Const(Const::E) => Some(atom(Atom::E)),
        Kind::Const(Const::I) => Some(atom(Atom::I)),
        Kind::Sym(name) => Some(atom(Atom::Name(name.clone()))),
        Kind::Neg(a) => {
            let a = quotient(a, budget)?;
            Some(RationalFunction {
                above: product(&a.above, &constant(RBig::from(-1)), budget)?,
                ..a
            })
        }
        Kind::Add(items) => {
            let mut total = over_one(Poly::new());
            for item in items {
                let item = quotient(item, budget)?;
                total = if total.below == item.below {
                    RationalFunction {
                        above: sum(total.above, &item.above, budget)?,
                        ..total
                    }
                } else {
                    let left = product(&total.above, &item.below, budget)?;
                    let right = product(&item.above, &total.below, budget)?;
                    RationalFunction {
                        above: sum(left, &right, budget)?,
                        below: product(&total.below, &item.below, budget)?,
                    }
                };
            }
            Some(total)
        }
        Kind::Mul(items) => {
            let mut total = over_one(constant(RBig::ONE));
            for item in items {
                total = times(&total, &quotient(item, budget)?, budget)?;
            }
            Some(total)
        }
        Kind::Div(a, b) => {
            let (a, b) = (quotient(a, budget)?, quotient(b, budget)?);
            times(&a, &inverse(b)?, budget)
        }
        Kind::Pow(a, n) => power_of(a, n, false, budget).or_else(|| opaque(expr, budget)),
        Kind::Root(n, a) => power_of(a, n, true, budget).or_else(|| opaque(expr, budget)),
        Kind::Call(..) | Kind::Apply(..) | Kind::Big { .. } => opaque(expr, budget),
        _ => None,
    }
}

/// A subexpression without a normal form becomes a name, spelled as it is written: `\sin x + 1` is
/// a polynomial in `\sin x`.
fn opaque(expr: &Expr, budget: &Budget) -> Option<RationalFunction> {
    budget.take(40 * expr.size() as u64).ok()?;
    Some(atom(Atom::Name(expr.to_string())))
}

fn power_of(base: &Expr, exponent: &Expr, root: bool, budget: &Budget) -> Option<RationalFunction> {
    let mut exponent = rational(exponent, budget)?;
    if root {
        if exponent.is_zero() {
            return None;
        }
        exponent = RBig::ONE / exponent;
    }
    power(quotient(base, budget)?, &exponent, budget)
}

fn rational(expr: &Expr, budget: &Budget) -> Option<RBig> {
    exact::rational(expr, &mut Vec::new(), budget).ok()
}

fn sum(mut a: Poly, b: &Poly, budget: &Budget) -> Option<Poly> {
    budget.take(b.len() as u64 * 60).ok()?;
    for (mono, value) in b {
        add_term(&mut a, mono.clone(), value.clone());
    }
    (a.len() <= MAX_TERMS).then_some(a)
}

fn times(a: &RationalFunction, b: &RationalFunction, budget: &Budget) -> Option<RationalFunction> {
    Some(RationalFunction {
        above: product(&a.above, &b.above, budget)?,
        below: product(&a.below, &b.below, budget)?,
    })
}

fn inverse(a: RationalFunction) -> Option<RationalFunction> {
    (!a.above.is_empty()).then_some(RationalFunction {
        above: a.below,
        below: a.above,
    })
}

fn product(a: &Poly, b: &Poly, budget: &Budget) -> Option<Poly> {
    let mut out = Poly::new();
    for (x, p) in a {
        for (y, q) in b {
            budget.take(100).ok()?;
            let value = p * q;
            if exact::bit_size(&value) > 8192 {
                return None;
            }
            let (mono, factor) = multiply_monomials(x, y)?;
            add_term(&mut out, mono, value * factor);
            if out.len() > MAX_TERMS {
                return None;
            }
        }
    }
    Some(out)
}

/// The product of two monomials, whole powers of radicands and of `i` taken out as a factor.
fn multiply_monomials(x: &Monomial, y: &Monomial) -> Option<(Monomial, RBig)> {
    let mut out = x.clone();
    let mut factor = RBig::ONE;
    for (atom, exponent) in y {
        let total = out.remove(atom).unwrap_or(RBig::ZERO) + exponent;
        let rest = match atom {
            Atom::Radicand(n) if total >= RBig::ONE => {
                factor *= RBig::from(*n);
                total - RBig::ONE
            }
            Atom::I if total == RBig::from(2) => {
                factor = -factor;
                RBig::ZERO
            }
            _ => total,
        };
        if !rest.is_zero() {
            out.insert(atom.clone(), rest);
        }
    }
    Some((out, factor))
}

fn power(base: RationalFunction, exponent: &RBig, budget: &Budget) -> Option<RationalFunction> {
    if let Some(n) = exact::integer(exponent) {
        let n = i64::try_from(n).ok().filter(|n| n.abs() <= MAX_POWER)?;
        let base = if n < 0 { inverse(base)? } else { base };
        let mut total = over_one(constant(RBig::ONE));
        for _ in 0..n.unsigned_abs() {
            total = times(&total, &base, budget)?;
        }
        return Some(total);
    }
    // A root of a positive rational only: `\sqrt{x^2}` is `x` or `-x` by the sign of `x`.
    let value = number(&base)?;
    if value <= RBig::ZERO {
        return None;
    }
    budget.take(2 * MAX_PRIME).ok()?;
    let mut total = over_one(constant(RBig::ONE));
    for (part, sign) in [
        (value.numerator().clone().unsigned_abs(), 1),
        (value.denominator().clone(), -1),
    ] {
        let mut left = u64::try_from(part).ok()?;
        let mut factors = Vec::new();
        for prime in 2..=MAX_PRIME {
            let mut count = 0;
            while left > 1 && left % prime == 0 {
                left /= prime;
                count += 1;
            }
            if count > 0 {
                factors.push((prime, count));
            }
        }
        if left > 1 {
            factors.push((left, 1));
        }
        for (prime, count) in factors {
            let e = exponent.clone() * RBig::from(count * sign);
            let floor = RBig::from(e.floor());
            let rest = e - floor.clone();
            let n = exact::to_i64(&floor)
                .ok()
                .filter(|n| n.abs() <= MAX_POWER)?;
            let mut factor = power(
                over_one(constant(RBig::from(prime))),
                &RBig::from(n),
                budget,
            )?;
            if !rest.is_zero() {
                let mono = Monomial::from([(Atom::Radicand(prime), rest)]);
                factor = times(&factor, &over_one(Poly::from([(mono, RBig::ONE)])), budget)?;
            }
            total = times(&total, &factor, budget)?;
        }
    }
    Some(total)
}

/// The value when there is nothing but a number.
fn number(q: &RationalFunction) -> Option<RBig> {
    let single = |poly: &Poly| match poly.iter().next() {
        Some((mono, value)) if poly.len() == 1 && mono.is_empty() => Some(value.clone()),
        _ => None,
    };
    Some(single(&q.above)? / single(&q.below)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::parse::{Reading, parse};

    fn same(a: &str, b: &str) -> bool {
        let budget = Budget::new(1_000_000);
        let read = |text| parse(text, Reading::default(), &budget).unwrap().expr;
        equal(&read(a), &read(b), &budget)
    }

    #[test]
    fn proves_identities() {
        assert!(same("(x+y)^3", "x^3+3x^2y+3xy^2+y^3"));
        assert!(same(r"\frac{1}{x}+\frac{1}{y}", r"\frac{x+y}{xy}"));
        assert!(same(r"\sqrt{8}", r"2\sqrt{2}"));
        assert!(same(r"\frac{2}{\sqrt{5}-1}", r"\frac{1+\sqrt{5}}{2}"));
        assert!(same(r"5\sqrt[3]{4}", r"\sqrt[3]{500}"));
        assert!(same(r"(1+2i)^2", "-3+4i"));
        assert!(same(r"\sqrt{6}", r"\sqrt2\sqrt3"));
        assert!(same(r"\frac{\sqrt{3}}{3}", r"3^{-1/2}"));
    }

    #[test]
    fn proves_nothing_else() {
        assert!(!same(r"\sqrt{x^2}", "x"));
        assert!(!same("x+1", "x+2"));
        assert!(!same(r"\sqrt{2}", r"\sqrt{3}"));
        assert!(!same("x", "x/0"));
        assert!(!same("i", "-i"));
        assert!(!same(r"\sqrt{-1}", "1"));
    }
}
