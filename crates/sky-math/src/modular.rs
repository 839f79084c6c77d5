//! Rational expressions modulo primes: what tells two powers of a million digits apart without
//! writing either out.
//!
//! Names stand for residues from a hash. Different residues modulo one prime prove a difference.
//! The same residues modulo all of [`PRIMES`] prove nothing by themselves; but a numerator of at
//! most 2^40 bits has fewer than 2^35 prime factors of 60 bits, of which there are more than 2^54,
//! so that numbers not chosen against these four primes agree at one of them by chance with
//! probability below 2^-19, at all with its fourth power (and likewise for polynomials, by
//! Schwartz, 1980).

use dashu_base::{BitTest, Sign};
use dashu_int::{IBig, UBig};
use dashu_ratio::RBig;

use super::{
    budget::Budget,
    eval::hash,
    exact,
    expr::{Expr, Kind},
};

/// Primes `p` below 2^61 with `(p - 1) / 2` prime too, so that no power has a short period modulo
/// them.
const PRIMES: [u64; 4] = [
    2_122_899_988_847_983_259,
    1_442_876_668_496_124_959,
    2_163_539_219_048_199_467,
    2_016_308_964_121_122_779,
];
/// Bits of a numerator for which agreement counts.
const MAX_HEIGHT: f64 = (1_u64 << 40) as f64;

/// What the residues say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Residues {
    Same,
    Different,
    /// Not a rational expression, or too large for agreement to count.
    Unknown,
}

/// Compares two expressions by their residues.
pub(super) fn compare(a: &Expr, b: &Expr, budget: &Budget) -> Residues {
    let mut small = true;
    for prime in PRIMES {
        let mut field = Field { prime, budget };
        let (Some(x), Some(y)) = (field.value(a), field.value(b)) else {
            return Residues::Unknown;
        };
        if x.residue != y.residue {
            return Residues::Different;
        }
        small &= x.height + y.height <= MAX_HEIGHT;
    }
    if small {
        Residues::Same
    } else {
        Residues::Unknown
    }
}

struct Field<'a> {
    prime: u64,
    budget: &'a Budget,
}

/// A residue, and a bound on the bits of numerator and denominator (or on the degree) of what it
/// stands for.
#[derive(Clone, Copy)]
struct Value {
    residue: u64,
    /// A double, since a power may exceed any integer; only its size matters.
    height: f64,
}

impl Field<'_> {
    fn times(&self, a: u64, b: u64) -> u64 {
        let product = u128::from(a) * u128::from(b) % u128::from(self.prime);
        u64::try_from(product).unwrap_or(0)
    }

    /// The residue of an integer.
    fn integer(&self, n: &IBig) -> u64 {
        let wide = IBig::from(self.prime);
        u64::try_from(((n % &wide) + &wide) % &wide).unwrap_or(0)
    }

    fn power(&self, base: u64, exponent: &UBig) -> Option<u64> {
        if exponent.is_zero() {
            return Some(1);
        }
        if base == 0 {
            return Some(0);
        }
        // Fermat: exponents count modulo p - 1.
        let mut left = u64::try_from(exponent % UBig::from(self.prime - 1)).ok()?;
        let (mut base, mut total) = (base, 1);
        while left > 0 {
            if left & 1 == 1 {
                total = self.times(total, base);
            }
            base = self.times(base, base);
            left >>= 1;
        }
        Some(total)
    }

    /// `None` for zero: the number may be zero or a multiple of the prime.
    fn inverse(&self, a: u64) -> Option<u64> {
        // Fermat: a^(p - 2) is the inverse of a.
        (a != 0)
            .then(|| self.power(a, &UBig::from(self.prime - 2)))
            .flatten()
    }

    fn rational(&self, value: &RBig) -> Option<Value> {
        let bits = exact::bit_size(value);
        self.budget.take(20 + bits as u64 / 16).ok()?;
        let below = self.integer(&IBig::from(value.denominator().clone()));
        Some(Value {
            residue: self.times(self.integer(value.numerator()), self.inverse(below)?),
            height: bits as f64 + 1.0,
        })
    }

    fn value(&mut self, expr: &Expr) -> Option<Value> {
        self.budget.take(40).ok()?;
        match &expr.kind {
            Kind::Num { value, .. } => self.rational(value),
            Kind::Sym(name) => Some(Value {
                residue: hash(name, self.prime) % self.prime,
                height: 1.0,
            }),
            Kind::Neg(a) => {
                let a = self.value(a)?;
                Some(Value {
                    residue: (self.prime - a.residue) % self.prime,
                    ..a
                })
            }
            Kind::Add(items) => items.iter().try_fold(
                Value {
                    residue: 0,
                    height: 0.0,
                },
                |sum, item| {
                    let item = self.value(item)?;
                    Some(Value {
                        // Two residues below 2^61 do not overflow.
                        residue: (sum.residue + item.residue) % self.prime,
                        height: sum.height + item.height + 1.0,
                    })
                },
            ),
            Kind::Mul(items) => items.iter().try_fold(
                Value {
                    residue: 1,
                    height: 0.0,
                },
                |product, item| {
                    let item = self.value(item)?;
                    Some(Value {
                        residue: self.times(product.residue, item.residue),
                        height: product.height + item.height,
                    })
                },
            ),
            Kind::Div(a, b) => {
                let (a, b) = (self.value(a)?, self.value(b)?);
                self.budget.take(200).ok()?;
                Some(Value {
                    residue: self.times(a.residue, self.inverse(b.residue)?),
                    height: a.height + b.height,
                })
            }
            Kind::Pow(base, exponent) => {
                let exponent = exact::rational(exponent, &mut Vec::new(), self.budget).ok()?;
                let n = exact::integer(&exponent)?;
                let (sign, n) = n.into_parts();
                let base = self.value(base)?;
                self.budget.take(300 + n.bit_len() as u64 / 16).ok()?;
                let size = n.to_f64().value();
                let residue = self.power(base.residue, &n)?;
                Some(Value {
                    residue: match sign {
                        Sign::Negative => self.inverse(residue)?,
                        Sign::Positive => residue,
                    },
                    height: base.height * size,
                })
            }
            _ => {
                let value = exact::rational(expr, &mut Vec::new(), self.budget).ok()?;
                self.rational(&value)
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::parse::{Reading, parse};

    fn residues(a: &str, b: &str) -> Residues {
        let budget = Budget::new(10_000_000);
        let read = |text| parse(text, Reading::default(), &budget).unwrap().expr;
        compare(&read(a), &read(b), &budget)
    }

    #[test]
    fn powers_too_large_to_write() {
        assert_eq!(
            residues("9^{1000000}-1", "(3^{1000000}-1)(3^{1000000}+1)"),
            Residues::Same
        );
        assert_eq!(
            residues("3^{1000000}", "3^{1000000}-1"),
            Residues::Different
        );
        assert_eq!(
            residues("2^{10^{100}}", "2^{10^{100}}-1"),
            Residues::Different
        );
        assert_eq!(
            residues("2^{10^{100}}", "4^{10^{100}/2}"),
            Residues::Unknown
        );
        assert_eq!(
            residues(r"\frac{3^{900000}+1}{2}", r"\frac{3^{900000}-1}{2}"),
            Residues::Different
        );
    }

    #[test]
    fn polynomials_of_high_degree() {
        assert_eq!(residues("(x+1)^{999}(x+1)", "(1+x)^{1000}"), Residues::Same);
        assert_eq!(residues("(x+1)^{1000}", "x^{1000}+1"), Residues::Different);
        assert_eq!(residues(r"\sqrt{x}", "x"), Residues::Unknown);
        assert_eq!(residues("x/0", "x/0"), Residues::Unknown);
    }
}
