//! Whether two values are the same: exactly when both are rational, else by balls at random points.

use dashu_ratio::RBig;

use super::{
    ball::Ball,
    budget::Budget,
    complex::Complex,
    eval::{Eval, Point, Signs, Stop},
    exact::{self, NoValue},
    expr::{Const, Expr, Func, Kind},
    normal,
};

/// Bits of the first look. A difference seen here is proved: the balls do not meet.
const FIRST: usize = 96;
/// Bits of the second look, at what the first could not tell apart.
const SECOND: usize = 400;
/// Two values count as equal when they agree to this many bits at the second look.
const AGREE: i64 = 240;
/// Points at which two expressions have to agree, and points tried.
const POINTS: usize = 3;
const TRIES: u64 = 18;
/// The same where a value has kinks: `|x - 1|` is `1 - x` on one side of it.
const KINKED_POINTS: usize = 12;
const KINKED_TRIES: u64 = 36;
/// The same for names that stand for whole numbers: a remainder or a whole part takes few values.
const WHOLE_POINTS: usize = 32;
const WHOLE_TRIES: u64 = 48;

/// Why nothing was found where one side or the other is never defined.
const NOWHERE: &str = "no point at which both have a value";

/// What a comparison found, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The same rational number.
    EqualExactly,
    /// The same polynomial, quotient of polynomials or sum of radicals.
    EqualInNormalForm,
    /// The same tree.
    EqualAsWritten,
    /// The same value at every point tried.
    EqualAtPoints,
    /// Different values, which is proved.
    Different,
    /// Neither could be shown, so not the same.
    Unknown(&'static str),
}

impl Found {
    pub(super) fn is_equal(self) -> bool {
        matches!(
            self,
            Self::EqualExactly
                | Self::EqualInNormalForm
                | Self::EqualAsWritten
                | Self::EqualAtPoints
        )
    }
}

/// Compares two values.
pub(super) fn compare(a: &Expr, b: &Expr, budget: &Budget) -> Found {
    const SPENT: Found = Found::Unknown("the work budget is spent");
    match (infinity(a), infinity(b)) {
        (Some(x), Some(y)) => {
            return if x == y {
                Found::EqualAsWritten
            } else {
                Found::Different
            };
        }
        (Some(_), None) | (None, Some(_)) => return Found::Different,
        (None, None) => {}
    }
    let defined = |e: &Expr| {
        !e.any(&|k| matches!(k, Kind::Const(Const::Infinity)) || matches!(k, Kind::Text(_)))
    };
    let exact = |e: &Expr| exact::rational(e, &mut Vec::new(), budget);
    // Also with names that sums bind.
    match (exact(a), exact(b)) {
        (Ok(x), Ok(y)) => {
            return if x == y {
                Found::EqualExactly
            } else {
                Found::Different
            };
        }
        (Err(NoValue::Undefined), _) | (_, Err(NoValue::Undefined)) => {
            return Found::Unknown("a value is undefined");
        }
        _ => {}
    }
    if a == b {
        return Found::EqualAsWritten;
    }
    if budget.is_spent() {
        return SPENT;
    }
    if !defined(a) && !has_big(a) || !defined(b) && !has_big(b) {
        return Found::Unknown("an infinity inside an expression");
    }
    // `(-1)^n` has a value for whole n only.
    let names = a.has_names() || b.has_names();
    let whole = names && [a, b].iter().any(|e| discrete(e) || alternates(e));
    if whole {
        return at_points(a, b, true, budget, SECOND);
    }
    let found = match at_points(a, b, false, budget, FIRST) {
        // Nothing tells them apart at once: a proof, if there is one, costs less than the second look.
        Found::EqualAtPoints if normal::equal(a, b, budget) => Found::EqualInNormalForm,
        Found::Unknown(why) if why == NOWHERE => return Found::Unknown(NOWHERE),
        Found::EqualAtPoints | Found::Unknown(_) => at_points(a, b, false, budget, SECOND),
        found => found,
    };
    if !names || !(steps(a) || steps(b)) {
        return found;
    }
    match found {
        // Whole parts that agree between the whole numbers may differ there.
        Found::EqualAtPoints | Found::EqualInNormalForm => {
            match at_points(a, b, true, budget, SECOND) {
                Found::Different => Found::Different,
                _ => found,
            }
        }
        // `\lceil n/2 \rceil` is spoken of for whole n.
        Found::Different if counts(a) && counts(b) => at_points(a, b, true, budget, SECOND),
        found => found,
    }
}

/// Functions of whole numbers, which take names for such.
fn discrete(e: &Expr) -> bool {
    e.any(&|k| {
        matches!(
            k,
            Kind::Call(
                Func::Factorial
                    | Func::DoubleFactorial
                    | Func::Binomial
                    | Func::Mod
                    | Func::Gcd
                    | Func::Lcm,
                _
            )
        )
    })
}

/// A negative number to a power with a name.
fn alternates(e: &Expr) -> bool {
    e.any(&|k| match k {
        Kind::Pow(base, exponent) => matches!(base.kind, Kind::Neg(_)) && exponent.has_names(),
        _ => false,
    })
}

fn steps(e: &Expr) -> bool {
    e.any(&|k| matches!(k, Kind::Call(Func::Floor | Func::Ceil, _)))
}

/// Functions that are one expression here and another there.
fn kinked(e: &Expr) -> bool {
    e.any(&|k| match k {
        Kind::Call(func, args) => {
            matches!(func, Func::Abs | Func::Max | Func::Min | Func::Sign)
                && args.iter().any(Expr::has_names)
        }
        Kind::Root(_, inner) => inner.has_names(),
        Kind::Pow(base, exponent) => matches!(exponent.kind, Kind::Div(..)) && base.has_names(),
        _ => false,
    })
}

/// Whether every name is one of those that stand for whole numbers by custom.
fn counts(e: &Expr) -> bool {
    !e.any(&|k| match k {
        Kind::Sym(name) => !matches!(
            name.as_str(),
            "i" | "j" | "k" | "l" | "m" | "n" | "K" | "M" | "N"
        ),
        Kind::Apply(..) | Kind::Big { .. } => true,
        _ => false,
    })
}

/// The names in a tree, sorted.
fn names_of(e: &Expr, names: &mut Vec<String>) {
    if let Kind::Sym(name) = &e.kind
        && let Err(at) = names.binary_search(name)
    {
        names.insert(at, name.clone());
    }
    e.children(&mut |child| names_of(child, names));
}

fn has_big(e: &Expr) -> bool {
    e.any(&|k| matches!(k, Kind::Big { .. }))
}

/// The sign of an infinite value; `None` for anything else.
pub(super) fn infinity(e: &Expr) -> Option<bool> {
    match &e.kind {
        Kind::Const(Const::Infinity) => Some(true),
        Kind::Neg(inner) => infinity(inner).map(|sign| !sign),
        Kind::Add(items) if items.len() == 1 => infinity(&items[0]),
        _ => None,
    }
}

fn at_points(a: &Expr, b: &Expr, whole: bool, budget: &Budget, prec: usize) -> Found {
    let names = a.has_names() || b.has_names();
    let (needed, tries) = match (names, whole) {
        (false, _) => (1, 1),
        // The first look is there to find a difference; the second one checks what it could not.
        (true, false) if prec == FIRST && (kinked(a) || kinked(b)) => (KINKED_POINTS, KINKED_TRIES),
        (true, false) => (POINTS, TRIES),
        (true, true) => (WHOLE_POINTS, WHOLE_TRIES),
    };
    let mut all = Vec::new();
    if whole {
        names_of(a, &mut all);
        names_of(b, &mut all);
    }
    let (mut agreed, mut complex, mut elsewhere) = (0, 0, 0);
    let mut reason = NOWHERE;
    for index in 0..tries {
        let mut eval = if whole {
            Eval::at_whole_point(&all, index, prec, budget)
        } else {
            let signs = Signs::at(index);
            Eval::new(Point { index, signs }, prec, budget)
        };
        match at_point(a, b, &mut eval) {
            Ok(Meeting::Agree) => {
                agreed += 1;
                if agreed >= needed {
                    return Found::EqualAtPoints;
                }
            }
            Ok(Meeting::Apart) => return Found::Different,
            Ok(Meeting::AgreeElsewhere) => complex += 1,
            Ok(Meeting::Elsewhere) => elsewhere += 1,
            Err(Stop::Spent) => return Found::Unknown("the work budget is spent"),
            Err(Stop::Undefined) => reason = "a value is undefined",
            Err(Stop::Undecided) => {
                reason = "a value is too large or too close to a cut to tell";
                // Where a step may lie is where two of them differ.
                if whole && (steps(a) || steps(b)) {
                    return Found::Unknown(reason);
                }
            }
        }
    }
    // The domain left few points, but some.
    let some = if whole { WHOLE_POINTS / 4 } else { POINTS };
    if agreed >= some.min(needed) {
        return Found::EqualAtPoints;
    }
    // Nowhere real, and the same complex value everywhere.
    if !whole && agreed == 0 && elsewhere == 0 && complex >= POINTS {
        return Found::EqualAtPoints;
    }
    Found::Unknown(reason)
}

enum Meeting {
    Agree,
    Apart,
    /// A root or a logarithm of a negative number on the way: outside the domain, with the same complex value.
    AgreeElsewhere,
    /// Outside the domain of one of them.
    Elsewhere,
}

/// One look, at this precision. What the first look cannot tell apart agrees for now.
fn at_point(a: &Expr, b: &Expr, eval: &mut Eval<'_>) -> Result<Meeting, Stop> {
    let prec = eval.prec;
    // Whole numbers often have exact values to compare.
    if !eval.wholes.is_empty() {
        let exact = |e: &Expr| exact::rational(e, &mut eval.wholes.clone(), eval.budget);
        match (exact(a), exact(b)) {
            (Ok(x), Ok(y)) if x == y => return Ok(Meeting::Agree),
            (Ok(_), Ok(_)) => return Ok(Meeting::Apart),
            (Err(NoValue::Undefined), _) | (_, Err(NoValue::Undefined)) => {
                return Err(Stop::Undefined);
            }
            (Err(NoValue::Spent), _) | (_, Err(NoValue::Spent)) => return Err(Stop::Spent),
            _ => {}
        }
    }
    let x = eval.value(a)?;
    let y = eval.value(b)?;
    let names = a.has_names() || b.has_names();
    let outside = names && eval.left_reals && !speaks_of_i(a) && !speaks_of_i(b);
    let gap = x.sub(&y, prec);
    let meeting = if !gap.may_be_zero() {
        let real = x.may_be_real() == y.may_be_real();
        if names && !real || outside {
            Meeting::Elsewhere
        } else {
            Meeting::Apart
        }
    } else if prec > FIRST && !close(&gap, &x) {
        return Err(Stop::Undecided);
    } else if outside {
        Meeting::AgreeElsewhere
    } else {
        Meeting::Agree
    };
    Ok(meeting)
}

fn speaks_of_i(e: &Expr) -> bool {
    e.any(&|k| matches!(k, Kind::Const(Const::I)))
}

fn close(gap: &Complex, value: &Complex) -> bool {
    let size = value.re.top().max(value.imag().top()).max(-64);
    gap.re.rad_top().max(gap.imag().rad_top()) < size - AGREE
}

/// How far `value` is from the decimal `gold`: whether it rounds to it.
pub(super) fn rounds_to(value: &Expr, gold: &RBig, decimals: i64, budget: &Budget) -> bool {
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
    let half = unit / RBig::from(2);
    if let Ok(exact) = exact::rational(value, &mut Vec::new(), budget) {
        let gap = exact - gold;
        return gap <= half && gap >= -half;
    }
    let point = Point {
        index: 0,
        signs: Signs::Positive,
    };
    let mut eval = Eval::new(point, SECOND, budget);
    let Ok(x) = eval.value(value) else {
        return false;
    };
    if !x.may_be_real() {
        return false;
    }
    let gold = Ball::from_rational(gold, SECOND);
    let half = Ball::from_rational(&half, SECOND);
    let gap = x.re.sub(&gold, SECOND).abs();
    half.sub(&gap, SECOND).is_positive()
}

/// The sign of a real constant, when it can be told.
pub(super) fn sign(value: &Expr, budget: &Budget) -> Option<i32> {
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
    let point = Point {
        index: 0,
        signs: Signs::Positive,
    };
    for prec in [FIRST, SECOND] {
        let mut eval = Eval::new(point, prec, budget);
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
pub(super) fn approximate(value: &Expr, budget: &Budget) -> Option<String> {
    if value.has_names() || !value.is_scalar() {
        return None;
    }
    let point = Point {
        index: 0,
        signs: Signs::Positive,
    };
    let mut eval = Eval::new(point, FIRST, budget);
    let x = eval.value(value).ok()?;
    let re = x.re.to_f64();
    Some(match &x.im {
        None => format!("{re}"),
        Some(im) => format!("{re} + {}i", im.to_f64()),
    })
}

/// The whole part of a real constant.
pub(super) fn floor(value: &Expr, budget: &Budget) -> Option<dashu_int::IBig> {
    if value.has_names() {
        return None;
    }
    if let Ok(exact) = exact::rational(value, &mut Vec::new(), budget) {
        return Some(exact.floor());
    }
    let point = Point {
        index: 0,
        signs: Signs::Positive,
    };
    let mut eval = Eval::new(point, SECOND, budget);
    let x = eval.value(value).ok()?;
    if x.im.is_some() {
        return None;
    }
    x.re.floor()
}

/// Whether `a = k b` for one constant `k` at every point, and the sign of `k`. What makes two equations the same.
pub(super) fn proportional(a: &Expr, b: &Expr, budget: &Budget) -> Option<i32> {
    let mut ratio: Option<Complex> = None;
    let mut sign = 0;
    let mut agreed = 0;
    for index in 0..TRIES {
        let point = Point {
            index,
            signs: Signs::at(index),
        };
        let mut eval = Eval::new(point, SECOND, budget);
        let (Ok(x), Ok(y)) = (eval.value(a), eval.value(b)) else {
            continue;
        };
        match &ratio {
            None => {
                if x.may_be_zero() || y.may_be_zero() {
                    continue;
                }
                let first = x.div(&y, SECOND)?;
                sign = if first.im.is_some() {
                    0
                } else if first.re.is_positive() {
                    1
                } else {
                    -1
                };
                ratio = Some(first);
            }
            Some(ratio) => {
                let gap = x.sub(&y.mul(ratio, SECOND), SECOND);
                if !gap.may_be_zero() || !close(&gap, &x) {
                    return None;
                }
                agreed += 1;
                if agreed >= POINTS {
                    return Some(sign);
                }
            }
        }
    }
    None
}
