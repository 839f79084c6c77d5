//! What is asked of one constant: its sign, its whole part, an infinity, a decimal approximation.

use dashu_ratio::RBig;

use super::precision::{HIGH_PRECISION, LOW_PRECISION};
use crate::{
    ball::Ball,
    budget::Budget,
    eval::{Eval, Point, Signs},
    exact,
    expr::{Const, Expr, Kind},
};

/// Constants have the same value at every point.
const CONSTANT_POINT: Point = Point {
    index: 0,
    signs: Signs::Positive,
};

/// The sign of an infinite value; `None` for anything else.
pub(crate) fn infinity(e: &Expr) -> Option<bool> {
    match &e.kind {
        Kind::Const(Const::Infinity) => Some(true),
        Kind::Neg(inner) => infinity(inner).map(|sign| !sign),
        Kind::Add(items) if items.len() == 1 => infinity(&items[0]),
        _ => None,
    }
}

/// Whether `value` rounds to the decimal `gold`, which has this many decimals.
pub(crate) fn rounds_to(value: &Expr, gold: &RBig, decimals: i64, budget: &Budget) -> bool {
    if value.has_names() {
        return false;
    }
    let Ok(places) = usize::try_from(decimals.unsigned_abs()) else {
        return false;
    };
    if places > 60 {
        return false;
    }
    let ten = exact::ten_to(places as u64);
    let unit = if decimals >= 0 { RBig::ONE / ten } else { ten };
    // Half a unit of the last digit, either way of rounding a half.
    let half = unit / RBig::from(2);
    if let Ok(exact) = exact::rational(value, &mut Vec::new(), budget) {
        let gap = exact - gold;
        return gap <= half && gap >= -half;
    }
    let mut eval = Eval::new(CONSTANT_POINT, HIGH_PRECISION, budget);
    let Ok(x) = eval.value(value) else {
        return false;
    };
    if !x.may_be_real() {
        return false;
    }
    let gold = Ball::from_rational(gold, HIGH_PRECISION);
    let half = Ball::from_rational(&half, HIGH_PRECISION);
    let gap = x.re.sub(&gold, HIGH_PRECISION).abs();
    // Only a ball that lies wholly within the half unit is proof.
    half.sub(&gap, HIGH_PRECISION).is_positive()
}

/// The sign of a real constant, when it can be told.
pub(crate) fn sign(value: &Expr, budget: &Budget) -> Option<i32> {
    if let Some(positive) = infinity(value) {
        return Some(if positive { 1 } else { -1 });
    }
    if value.has_names() {
        return None;
    }
    if let Ok(exact) = exact::rational(value, &mut Vec::new(), budget) {
        return Some(if exact.is_zero() {
            0
        } else if exact > RBig::ZERO {
            1
        } else {
            -1
        });
    }
    for prec in [LOW_PRECISION, HIGH_PRECISION] {
        let mut eval = Eval::new(CONSTANT_POINT, prec, budget);
        let Ok(x) = eval.value(value) else { continue };
        if x.im.is_some() {
            return None;
        }
        if x.re.is_positive() {
            return Some(1);
        }
        if x.re.is_negative() {
            return Some(-1);
        }
    }
    None
}

/// A decimal approximation for a person to read.
pub(crate) fn approximate(value: &Expr, budget: &Budget) -> Option<String> {
    if value.has_names() || !value.is_scalar() {
        return None;
    }
    let mut eval = Eval::new(CONSTANT_POINT, LOW_PRECISION, budget);
    let x = eval.value(value).ok()?;
    let re = x.re.to_f64();
    Some(match &x.im {
        None => format!("{re}"),
        Some(im) => format!("{re} + {}i", im.to_f64()),
    })
}

/// The whole part of a real constant.
pub(crate) fn floor(value: &Expr, budget: &Budget) -> Option<dashu_int::IBig> {
    if value.has_names() {
        return None;
    }
    if let Ok(exact) = exact::rational(value, &mut Vec::new(), budget) {
        return Some(exact.floor());
    }
    let mut eval = Eval::new(CONSTANT_POINT, HIGH_PRECISION, budget);
    let x = eval.value(value).ok()?;
    if x.im.is_some() {
        return None;
    }
    x.re.floor()
}
