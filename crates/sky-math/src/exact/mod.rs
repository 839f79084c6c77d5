//! Exact values: rationals of bounded size.
//!
//! This comes first in every comparison: two rationals are equal or they are not, with nothing left
//! to probability, and most answers of problem sets are rationals.

mod arithmetic;
mod error;
mod integer;

use dashu_base::{Signed, UnsignedAbs};
use dashu_int::UBig;
use dashu_ratio::RBig;

use arithmetic::{binomial, charge, factorial, gcd_or_lcm, logarithm, power, power_mod};
pub(super) use error::{ExactError, ExactResult};
pub(super) use integer::{bit_size, integer, ten_to, to_i64};

use super::{
    budget::Budget,
    expr::{BigOp, Expr, Func, Kind},
};

/// Terms of a sum or product that are added up one by one.
const MAX_TERMS: i64 = 2_000;

/// Values of names.
pub(super) type Names = Vec<(String, RBig)>;

/// The exact value of `expr`, names taken from `names`.
pub(super) fn rational(expr: &Expr, names: &mut Names, budget: &Budget) -> ExactResult {
    budget.take(12)?;
    match &expr.kind {
        Kind::Num { value, .. } => Ok(value.clone()),
        Kind::Sym(name) => names
            .iter()
            .rev()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.clone())
            .ok_or(ExactError::NotRational),
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
                return Err(ExactError::Undefined);
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
                return Err(ExactError::Undefined);
            }
            power(&value, &(RBig::ONE / degree), budget)
        }
        Kind::Based { digits, base } => {
            budget.take(digits.len() as u64 * 4)?;
            UBig::from_str_radix(digits, *base)
                .map(RBig::from)
                .map_err(|_| ExactError::NotRational)
        }
        Kind::Call(func, args) => call(*func, args, names, budget),
        Kind::Big {
            op: op @ (BigOp::Sum | BigOp::Product),
            var,
            lo: Some(lo),
            hi: Some(hi),
            body,
        } if !var.is_empty() => series(*op, var, [&**lo, &**hi], body, names, budget),
        _ => Err(ExactError::NotRational),
    }
}

/// A sum or a product over an index with bounds that are known.
fn series(
    op: BigOp,
    var: &str,
    [lo, hi]: [&Expr; 2],
    body: &Expr,
    names: &mut Names,
    budget: &Budget,
) -> ExactResult {
    let lo = to_i64(&rational(lo, names, budget)?)?;
    let hi = to_i64(&rational(hi, names, budget)?)?;
    if hi.saturating_sub(lo) > MAX_TERMS {
        return Err(ExactError::NotRational);
    }
    let mut total = if op == BigOp::Sum {
        RBig::ZERO
    } else {
        RBig::ONE
    };
    for k in lo..=hi {
        names.push((var.to_owned(), RBig::from(k)));
        let value = rational(body, names, budget);
        names.pop();
        let value = value?;
        charge(&total, &value, false, budget)?;
        if op == BigOp::Sum {
            total += value;
        } else {
            total *= value;
        }
    }
    Ok(total)
}

fn call(func: Func, args: &[Expr], names: &mut Names, budget: &Budget) -> ExactResult {
    if let (Func::Mod | Func::Residue, [value, modulus]) = (func, args) {
        return remainder(value, modulus, names, budget);
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
        (Func::Factorial, [n]) => factorial(to_i64(n)?, 1, budget),
        (Func::DoubleFactorial, [n]) => factorial(to_i64(n)?, 2, budget),
        (Func::Binomial, [n, k]) => binomial(n, to_i64(k)?, budget),
        (Func::Gcd | Func::Lcm, all) => gcd_or_lcm(func, all, budget),
        (Func::Max, all) => all.iter().max().cloned().ok_or(ExactError::NotRational),
        (Func::Min, all) => all.iter().min().cloned().ok_or(ExactError::NotRational),
        (Func::Log, [base, x]) => logarithm(base, x, budget),
        _ => Err(ExactError::NotRational),
    }
}

/// The remainder of a division, with the sign of the modulus.
fn remainder(value: &Expr, modulus: &Expr, names: &mut Names, budget: &Budget) -> ExactResult {
    let modulus = rational(modulus, names, budget)?;
    if modulus.is_zero() {
        return Err(ExactError::Undefined);
    }
    // A power modulo a number never needs the power itself, which may have a million digits.
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
    Ok(value - RBig::from(quotient) * modulus)
}
