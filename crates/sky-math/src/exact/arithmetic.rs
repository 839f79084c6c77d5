//! Arithmetic of rationals of bounded size: every operation pays before it runs.

use dashu_base::{BitTest, Gcd, Signed, SquareRoot, UnsignedAbs};
use dashu_int::{IBig, UBig};
use dashu_ratio::RBig;

use super::{
    error::{ExactError, ExactResult},
    integer::{bit_size, integer, to_i64},
};
use crate::{budget::Budget, expr::Func};

/// Numbers with more bits than this are left to other means.
///
/// A bound on size as well as on steps: one product of two numbers that fit the step budget can
/// still be larger than anything that an answer compares.
const MAX_BITS: usize = 700_000;

/// Pays for an operation on two numbers (a quotient when `divides`), and refuses those that grow
/// too large.
pub(super) fn charge(a: &RBig, b: &RBig, divides: bool, budget: &Budget) -> ExactResult<()> {
    let words = |n: usize| n as u64 / 64 + 1;
    let (bits_a, bits_b) = (bit_size(a), bit_size(b));
    if bits_a + bits_b > MAX_BITS {
        return Err(ExactError::NotRational);
    }
    // A product takes some n^1.5 for two numbers of n words; a common divisor is quadratic in the
    // smaller of the two.
    let (above, below) = (
        |x: &RBig| words(x.numerator().bit_len()),
        |x: &RBig| words(x.denominator().bit_len()),
    );
    let reduce = if divides {
        above(a).min(above(b)) + below(a).min(below(b))
    } else {
        above(a).min(below(b)) + above(b).min(below(a)) + below(a).min(below(b))
    };
    let all = words(bits_a) + words(bits_b);
    let (short, long) = (
        words(bits_a).min(words(bits_b)),
        words(bits_a).max(words(bits_b)),
    );
    let product = if short < 4 { 0 } else { long * short.isqrt() };
    budget.take(16 + all * 2 + product + if reduce > 6 { reduce * all / 2 } else { 0 })?;
    Ok(())
}

/// `base^exponent` for a rational exponent, when the result is rational.
pub(super) fn power(base: &RBig, exponent: &RBig, budget: &Budget) -> ExactResult {
    let degree = exponent.denominator();
    if *degree != UBig::ONE {
        let degree = usize::try_from(degree.clone())
            .ok()
            .filter(|d| *d <= 64)
            .ok_or(ExactError::NotRational)?;
        if base.is_negative() && degree % 2 == 0 {
            return Err(ExactError::NotRational);
        }
        let above = exact_root(&base.numerator().clone().unsigned_abs(), degree, budget)?;
        let below = exact_root(base.denominator(), degree, budget)?;
        let mut above = IBig::from(above);
        if base.is_negative() {
            above = -above;
        }
        let root = RBig::from_parts(above, below);
        return power(&root, &RBig::from(exponent.numerator().clone()), budget);
    }
    let exponent = exponent.numerator();
    if base.is_zero() {
        return match exponent.is_positive() {
            true => Ok(RBig::ZERO),
            false if exponent.is_zero() => Ok(RBig::ONE),
            false => Err(ExactError::Undefined),
        };
    }
    if base.is_int() && base.numerator().clone().unsigned_abs() == UBig::ONE {
        let odd = exponent.clone().unsigned_abs().bit(0);
        return Ok(if base.is_negative() && odd {
            RBig::from(-1)
        } else {
            RBig::ONE
        });
    }
    let size =
        usize::try_from(exponent.clone().unsigned_abs()).map_err(|_| ExactError::NotRational)?;
    // An integer has a denominator of one bit, which does not grow.
    let below = base.denominator();
    let width = base.numerator().bit_len()
        + if *below == UBig::ONE {
            0
        } else {
            below.bit_len()
        };
    let result = width
        .checked_mul(size)
        .filter(|&b| b <= MAX_BITS)
        .ok_or(ExactError::NotRational)?;
    let words = result as u64 / 64;
    budget.take(words * words.isqrt() / 2 + words * 4 + 4)?;
    // Powers of numbers without a common divisor have none: this looks for none.
    let size = isize::try_from(size).map_err(|_| ExactError::NotRational)?;
    Ok(base.pow(if exponent.is_negative() { -size } else { size }))
}

/// The n-th root when it is whole.
fn exact_root(value: &UBig, n: usize, budget: &Budget) -> ExactResult<UBig> {
    let words = value.bit_len() as u64 / 64 + 1;
    budget.take(words * words.min(2000) * 2 + 8)?;
    let root = if n == 2 {
        value.sqrt()
    } else {
        nth_root(value, n)
    };
    if root.pow(n) == *value {
        Ok(root)
    } else {
        Err(ExactError::NotRational)
    }
}

/// The whole part of the n-th root, by Newton's method from above.
fn nth_root(value: &UBig, n: usize) -> UBig {
    if value.is_zero() || *value == UBig::ONE {
        return value.clone();
    }
    let mut x = UBig::ONE << (value.bit_len() / n + 1);
    loop {
        let next = (&x * (n - 1) + value / x.pow(n - 1)) / n;
        if next >= x {
            return x;
        }
        x = next;
    }
}

pub(super) fn factorial(n: i64, step: usize, budget: &Budget) -> ExactResult {
    if n < 0 {
        return Err(ExactError::Undefined);
    }
    // log2(n!) < n log2 n: refuse before the product is written out.
    let bits = n as u64 * u64::from(64 - n.leading_zeros());
    if bits as usize > MAX_BITS {
        return Err(ExactError::NotRational);
    }
    budget.take(bits * 2 + n as u64 * 4)?;
    let from = if step == 2 && n % 2 == 0 { 2 } else { 1 };
    Ok(RBig::from(range_product(from, n as u64, step as u64)))
}

/// The product of `from, from + step, ..., to`, halves multiplied last so that factors are of one
/// size.
fn range_product(from: u64, to: u64, step: u64) -> UBig {
    if from > to {
        return UBig::ONE;
    }
    let count = (to - from) / step + 1;
    if count <= 8 {
        return (0..count).fold(UBig::ONE, |p, i| p * (from + i * step));
    }
    let mid = from + count / 2 * step;
    range_product(from, mid - step, step) * range_product(mid, to, step)
}

pub(super) fn binomial(n: &RBig, k: i64, budget: &Budget) -> ExactResult {
    if k < 0 {
        return Ok(RBig::ZERO);
    }
    let mut k = k;
    if let Ok(whole) = to_i64(n)
        && whole >= 0
    {
        if k > whole {
            return Ok(RBig::ZERO);
        }
        k = k.min(whole - k);
    }
    if k > 3000 {
        return Err(ExactError::NotRational);
    }
    let mut total = RBig::ONE;
    for i in 0..k {
        budget.take(60)?;
        let factor = (n.clone() - RBig::from(i)) / RBig::from(i + 1);
        charge(&total, &factor, false, budget)?;
        total *= factor;
    }
    Ok(total)
}

pub(super) fn power_mod(
    base: &IBig,
    exponent: &UBig,
    modulus: &UBig,
    budget: &Budget,
) -> ExactResult<UBig> {
    if modulus.is_zero() {
        return Err(ExactError::Undefined);
    }
    let words = modulus.bit_len() as u64 / 64 + 1;
    budget.take((exponent.bit_len() as u64 + 1) * words * words * 4)?;
    let wide = IBig::from(modulus.clone());
    let mut base = ((base % &wide) + &wide) % &wide;
    let mut total = IBig::ONE % &wide;
    for i in 0..exponent.bit_len() {
        if exponent.bit(i) {
            total = total * &base % &wide;
        }
        base = &base * &base % &wide;
    }
    Ok(total.unsigned_abs())
}

/// The greatest common divisor or the least common multiple of integers.
pub(super) fn gcd_or_lcm(func: Func, all: &[RBig], budget: &Budget) -> ExactResult {
    let mut total: Option<UBig> = None;
    for value in all {
        let value = integer(value).ok_or(ExactError::Undefined)?.unsigned_abs();
        let words = |n: &UBig| n.bit_len() as u64 / 64 + 1;
        let short = total.as_ref().map_or(1, |t| words(t).min(words(&value)));
        budget.take(words(&value) * (short / 4 + 8))?;
        total = Some(match total {
            None => value,
            Some(t) if t.is_zero() && value.is_zero() => t,
            Some(t) => {
                let gcd = (&t).gcd(&value);
                if func == Func::Gcd {
                    gcd
                } else {
                    t / gcd * value
                }
            }
        });
    }
    total.map(RBig::from).ok_or(ExactError::NotRational)
}

/// A logarithm that is an integer.
pub(super) fn logarithm(base: &RBig, x: &RBig, budget: &Budget) -> ExactResult {
    let (Some(base), Some(x)) = (integer(base), integer(x)) else {
        return Err(ExactError::NotRational);
    };
    if base <= IBig::ONE || !x.is_positive() {
        return Err(ExactError::NotRational);
    }
    let mut power = IBig::ONE;
    let mut n = 0;
    while power < x {
        budget.take(8 + power.bit_len() as u64 / 64)?;
        power *= &base;
        n += 1;
    }
    if power == x {
        Ok(RBig::from(n))
    } else {
        Err(ExactError::NotRational)
    }
}
