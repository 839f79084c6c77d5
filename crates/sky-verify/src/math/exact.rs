//! Exact values: rationals of bounded size.

use dashu_base::{BitTest, Gcd, Signed, SquareRoot, UnsignedAbs};
use dashu_int::{IBig, UBig};
use dashu_ratio::RBig;

use super::{
    budget::{Budget, Spent},
    expr::{BigOp, Expr, Func, Kind},
};

/// Numbers with more bits than this are left to other means.
const MAX_BITS: usize = 700_000;
/// Terms of a sum or product that are added up one by one.
const MAX_TERMS: i64 = 2_000;

/// Why there is no exact value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoValue {
    /// A division by zero, a logarithm of zero.
    Undefined,
    /// Not a rational, or too large to write down.
    Unknown,
    Spent,
}

impl From<Spent> for NoValue {
    fn from(_: Spent) -> Self {
        Self::Spent
    }
}

pub(super) type Exact<T = RBig> = Result<T, NoValue>;

/// Values of names.
pub(super) type Names = Vec<(String, RBig)>;

/// The exact value of `expr`, names taken from `names`.
pub(super) fn rational(expr: &Expr, names: &mut Names, budget: &Budget) -> Exact {
    budget.take(12)?;
    match &expr.kind {
        Kind::Num { value, .. } => Ok(value.clone()),
        Kind::Sym(name) => names
            .iter()
            .rev()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.clone())
            .ok_or(NoValue::Unknown),
        Kind::Neg(a) => Ok(-rational(a, names, budget)?),
        Kind::Percent(a) => Ok(rational(a, names, budget)? / RBig::from(100)),
        Kind::Quantity(a, _) => rational(a, names, budget),
        Kind::Add(items) => {
            let mut total = RBig::ZERO;
            for item in items {
                let value = rational(item, names, budget)?;
                charge(&total, &value, false, budget)?;
                total += value;
            }
            Ok(total)
        }
        Kind::Mul(items) => {
            let mut total = RBig::ONE;
            for item in items {
                let value = rational(item, names, budget)?;
                charge(&total, &value, false, budget)?;
                total *= value;
            }
            Ok(total)
        }
        Kind::Div(a, b) => {
            let below = rational(b, names, budget)?;
            if below.is_zero() {
                return Err(NoValue::Undefined);
            }
            let above = rational(a, names, budget)?;
            charge(&above, &below, true, budget)?;
            Ok(above / below)
        }
        Kind::Pow(a, b) => {
            let exponent = rational(b, names, budget)?;
            let base = rational(a, names, budget)?;
            power(&base, &exponent, budget)
        }
        Kind::Root(n, a) => {
            let degree = rational(n, names, budget)?;
            let value = rational(a, names, budget)?;
            if degree.is_zero() {
                return Err(NoValue::Undefined);
            }
            power(&value, &(RBig::ONE / degree), budget)
        }
        Kind::Based { digits, base } => {
            budget.take(digits.len() as u64 * 4)?;
            UBig::from_str_radix(digits, *base)
                .map(RBig::from)
                .map_err(|_| NoValue::Unknown)
        }
        Kind::Call(func, args) => call(*func, args, names, budget),
        Kind::Big {
            op: op @ (BigOp::Sum | BigOp::Product),
            var,
            lo: Some(lo),
            hi: Some(hi),
            body,
        } if !var.is_empty() => {
            let lo = small(&rational(lo, names, budget)?)?;
            let hi = small(&rational(hi, names, budget)?)?;
            if hi.saturating_sub(lo) > MAX_TERMS {
                return Err(NoValue::Unknown);
            }
            let mut total = if *op == BigOp::Sum {
                RBig::ZERO
            } else {
                RBig::ONE
            };
            for k in lo..=hi {
                names.push((var.clone(), RBig::from(k)));
                let value = rational(body, names, budget);
                names.pop();
                let value = value?;
                charge(&total, &value, false, budget)?;
                if *op == BigOp::Sum {
                    total += value;
                } else {
                    total *= value;
                }
            }
            Ok(total)
        }
        _ => Err(NoValue::Unknown),
    }
}

fn call(func: Func, args: &[Expr], names: &mut Names, budget: &Budget) -> Exact {
    // A power modulo a number never needs the power itself.
    if let (Func::Mod | Func::Residue, [value, modulus]) = (func, args) {
        let modulus = rational(modulus, names, budget)?;
        if modulus.is_zero() {
            return Err(NoValue::Undefined);
        }
        if let (Kind::Pow(base, exponent), Some(m)) = (&value.kind, integer(&modulus)) {
            let base = rational(base, names, budget)?;
            let exponent = rational(exponent, names, budget)?;
            if let (Some(base), Some(exponent)) = (integer(&base), integer(&exponent))
                && (exponent.is_positive() || exponent.is_zero())
            {
                return power_mod(&base, &exponent.unsigned_abs(), &m.unsigned_abs(), budget)
                    .map(RBig::from);
            }
        }
        let value = rational(value, names, budget)?;
        charge(&value, &modulus, true, budget)?;
        let quotient = (value.clone() / modulus.clone()).floor();
        return Ok(value - RBig::from(quotient) * modulus);
    }
    let mut values = Vec::with_capacity(args.len());
    for arg in args {
        values.push(rational(arg, names, budget)?);
    }
    match (func, values.as_slice()) {
        (Func::Abs, [x]) => Ok(if x.is_negative() {
            -x.clone()
        } else {
            x.clone()
        }),
        (Func::Floor, [x]) => Ok(x.floor().into()),
        (Func::Ceil, [x]) => Ok(x.ceil().into()),
        (Func::Re | Func::Conjugate, [x]) => Ok(x.clone()),
        (Func::Im, [_]) => Ok(RBig::ZERO),
        (Func::Sign, [x]) => Ok(if x.is_zero() {
            RBig::ZERO
        } else if x.is_negative() {
            RBig::from(-1)
        } else {
            RBig::ONE
        }),
        (Func::Factorial, [n]) => factorial(small(n)?, 1, budget),
        (Func::DoubleFactorial, [n]) => factorial(small(n)?, 2, budget),
        (Func::Binomial, [n, k]) => binomial(n, small(k)?, budget),
        (Func::Gcd | Func::Lcm, all) => {
            let mut total: Option<UBig> = None;
            for value in all {
                let value = integer(value).ok_or(NoValue::Undefined)?.unsigned_abs();
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
            total.map(RBig::from).ok_or(NoValue::Unknown)
        }
        (Func::Max, all) => all.iter().max().cloned().ok_or(NoValue::Unknown),
        (Func::Min, all) => all.iter().min().cloned().ok_or(NoValue::Unknown),
        (Func::Log, [base, x]) => {
            // An exact logarithm, when it is a whole number.
            let (Some(base), Some(x)) = (integer(base), integer(x)) else {
                return Err(NoValue::Unknown);
            };
            if base <= IBig::ONE || !x.is_positive() {
                return Err(NoValue::Unknown);
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
                Err(NoValue::Unknown)
            }
        }
        _ => Err(NoValue::Unknown),
    }
}

pub(super) fn integer(value: &RBig) -> Option<IBig> {
    value.is_int().then(|| value.numerator().clone())
}

/// A whole number that fits a machine word.
pub(super) fn small(value: &RBig) -> Exact<i64> {
    integer(value)
        .and_then(|n| i64::try_from(n).ok())
        .ok_or(NoValue::Unknown)
}

pub(super) fn bits(value: &RBig) -> usize {
    value.numerator().bit_len() + value.denominator().bit_len()
}

/// Pays for an operation on two numbers (a quotient when `divides`), and refuses those that grow too large.
fn charge(a: &RBig, b: &RBig, divides: bool, budget: &Budget) -> Exact<()> {
    let words = |n: usize| n as u64 / 64 + 1;
    let (bits_a, bits_b) = (bits(a), bits(b));
    if bits_a + bits_b > MAX_BITS {
        return Err(NoValue::Unknown);
    }
    // A product takes some n^1.5 for two numbers of n words; a common divisor is quadratic in the smaller of the two.
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
fn power(base: &RBig, exponent: &RBig, budget: &Budget) -> Exact {
    let degree = exponent.denominator();
    if *degree != UBig::ONE {
        let degree = usize::try_from(degree.clone())
            .ok()
            .filter(|d| *d <= 64)
            .ok_or(NoValue::Unknown)?;
        if base.is_negative() && degree % 2 == 0 {
            return Err(NoValue::Unknown);
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
            false => Err(NoValue::Undefined),
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
    let size = usize::try_from(exponent.clone().unsigned_abs()).map_err(|_| NoValue::Unknown)?;
    // A whole number has a denominator of one bit, which does not grow.
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
        .ok_or(NoValue::Unknown)?;
    let words = result as u64 / 64;
    budget.take(words * words.isqrt() / 2 + words * 4 + 4)?;
    let value = RBig::from_parts(base.numerator().pow(size), base.denominator().pow(size));
    Ok(if exponent.is_negative() {
        RBig::ONE / value
    } else {
        value
    })
}

/// The n-th root when it is whole.
fn exact_root(value: &UBig, n: usize, budget: &Budget) -> Exact<UBig> {
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
        Err(NoValue::Unknown)
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

fn factorial(n: i64, step: usize, budget: &Budget) -> Exact {
    if n < 0 {
        return Err(NoValue::Undefined);
    }
    // log2(n!) < n log2 n.
    let bits = n as u64 * u64::from(64 - n.leading_zeros());
    if bits as usize > MAX_BITS {
        return Err(NoValue::Unknown);
    }
    budget.take(bits * 2 + n as u64 * 4)?;
    let from = if step == 2 && n % 2 == 0 { 2 } else { 1 };
    Ok(RBig::from(range_product(from, n as u64, step as u64)))
}

/// The product of `from, from + step, ..., to`, halves multiplied last so that factors are of one size.
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

fn binomial(n: &RBig, k: i64, budget: &Budget) -> Exact {
    if k < 0 {
        return Ok(RBig::ZERO);
    }
    let mut k = k;
    if let Ok(whole) = small(n)
        && whole >= 0
    {
        if k > whole {
            return Ok(RBig::ZERO);
        }
        k = k.min(whole - k);
    }
    if k > 3000 {
        return Err(NoValue::Unknown);
    }
    let mut total = RBig::ONE;
    for i in 0..k {
        let factor = (n.clone() - RBig::from(i)) / RBig::from(i + 1);
        charge(&total, &factor, false, budget)?;
        total *= factor;
    }
    Ok(total)
}

fn power_mod(base: &IBig, exponent: &UBig, modulus: &UBig, budget: &Budget) -> Exact<UBig> {
    if modulus.is_zero() {
        return Err(NoValue::Undefined);
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

/// A power of ten.
pub(super) fn ten_to(n: u64) -> RBig {
    RBig::from(UBig::from(10_u8).pow(usize::try_from(n).unwrap_or(0)))
}
