//! Two values at random points, as balls.
//!
//! Two different polynomials agree at a random point with negligible probability (Schwartz, 1980;
//! Zippel, 1979), and the same holds of analytic functions but for points on a set of measure zero.
//! The points come from a hash of the names, so that a verdict is the same everywhere.

use super::{
    equality::Equality,
    precision::{HIGH_PRECISION, LOW_PRECISION},
    tree_queries::{
        alternating_names, has_step_function, is_piecewise, is_rational_function, names_of,
    },
};
use crate::{
    budget::Budget,
    complex::Complex,
    eval::{Eval, Point, PointError, Signs},
    exact::{self, ExactError},
    expr::{Const, Expr, Func, Kind},
};

/// Two values count as equal when they agree to this many bits at the second evaluation: 72 decimal
/// digits. The 160 bits above it absorb what the evaluation itself loses.
const AGREE_BITS: i64 = 240;
/// Bits of the last evaluation, where numbers of very different sizes meet. The cached
/// constants of `ball` reach a little further.
const MAX_PRECISION: usize = 4096;
/// Points at which two expressions have to agree, and points tried. One would do for polynomials;
/// three cover the signs of the names. Most tries are for domains that leave few points.
const POINTS: usize = 3;
const TRIES: u64 = 18;
/// The same for piecewise functions: `|x - 1|` is `1 - x` on one side of its kink.
const PIECEWISE_POINTS: usize = 12;
const PIECEWISE_TRIES: u64 = 36;
/// The same for names that stand for integers: a remainder or a whole part takes few values.
const INTEGER_POINTS: usize = 32;
const INTEGER_TRIES: u64 = 48;
/// The same for names of which those in exponents do.
const ALTERNATING_POINTS: usize = 10;
const ALTERNATING_TRIES: u64 = 24;

/// The same for sums and products up to a name, each of whose terms costs.
const SUM_POINTS: usize = 12;
const SUM_TRIES: u64 = 18;

/// What names stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NameRange {
    Reals,
    /// Integers.
    Integers,
    /// Integers below sixty or so, most of them small.
    SmallIntegers,
    /// Integers in the exponents of negative numbers, reals elsewhere.
    Alternating,
}

impl NameRange {
    /// The point of this number, with integers for these names.
    fn point<'a>(self, names: &[String], index: u64, prec: usize, budget: &'a Budget) -> Eval<'a> {
        match self {
            Self::Integers => Eval::at_integer_point(names, index, prec, budget),
            Self::Alternating => {
                let mut eval = Eval::at_integer_point(names, index, prec, budget);
                eval.point.signs = Signs::at(index);
                eval
            }
            // Terms cost, so most points are small; some lie below sixty, because a formula
            // that is wrong may be right for the first few.
            Self::SmallIntegers if index % 3 == 2 || names.len() > 2 => {
                Eval::at_integer_point(names, 4 * index + 1, prec, budget)
            }
            Self::SmallIntegers => {
                Eval::at_integer_point(names, 2 * (index - index / 3), prec, budget)
            }
            Self::Reals => {
                let signs = Signs::at(index);
                Eval::new(Point { index, signs }, prec, budget)
            }
        }
    }
}

/// Which evaluation of the two values it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    /// The first of two, at few bits and all points: it finds most differences.
    Screen,
    /// The second, after the first agreed everywhere. What 96 bits cannot tell apart at one point of
    /// an analytic function, 400 bits tell apart at nearly all of them, so one point is enough.
    Confirm,
    /// The only one.
    Only,
}

impl Pass {
    fn precision(self) -> usize {
        match self {
            Self::Screen => LOW_PRECISION,
            Self::Confirm | Self::Only => HIGH_PRECISION,
        }
    }
}

/// Why nothing was found where one side or the other is never defined.
pub(super) const NO_COMMON_POINT: &str = "no point at which both have a value";

pub(super) fn compare_at_points(
    a: &Expr,
    b: &Expr,
    stand_for: NameRange,
    budget: &Budget,
    pass: Pass,
) -> Equality {
    let prec = pass.precision();
    let over_integers = stand_for != NameRange::Reals;
    let sides = Sides::new(a, b);
    let names = sides.names;
    let piecewise = names && (is_piecewise(a) || is_piecewise(b));
    let (needed, tries) = match (names, stand_for) {
        (false, _) => (1, 1),
        // The first evaluation is there to find a difference, and finds it where the pieces differ;
        // the second checks what the first could not tell apart.
        (true, NameRange::Reals) if piecewise && pass == Pass::Screen => {
            (PIECEWISE_POINTS, PIECEWISE_TRIES)
        }
        // One point tells quotients of polynomials apart (Schwartz and Zippel); a normal form or
        // the second evaluation, at all points, confirms what it cannot.
        (true, NameRange::Reals)
            if pass == Pass::Screen && is_rational_function(a) && is_rational_function(b) =>
        {
            (1, TRIES)
        }
        (true, NameRange::Reals) if pass == Pass::Confirm && !piecewise => (1, TRIES),
        (true, NameRange::Reals) => (POINTS, TRIES),
        (true, NameRange::Integers) => (INTEGER_POINTS, INTEGER_TRIES),
        (true, NameRange::SmallIntegers) => (SUM_POINTS, SUM_TRIES),
        (true, NameRange::Alternating) => (ALTERNATING_POINTS, ALTERNATING_TRIES),
    };
    let mut all = Vec::new();
    for e in [a, b] {
        match stand_for {
            NameRange::Reals => {}
            NameRange::Alternating => alternating_names(e, &mut all),
            _ => names_of(e, &mut all),
        }
    }
    let (mut agreed, mut complex, mut outside_domain) = (0, 0, 0);
    let mut reason = NO_COMMON_POINT;
    for index in 0..tries {
        let eval = |prec| stand_for.point(&all, index, prec, budget);
        // The later ones look for a difference, which a low precision shows.
        let prec = match stand_for {
            NameRange::Integers if agreed >= INTEGER_POINTS / 2 => LOW_PRECISION,
            _ => prec,
        };
        match compare_at_point(&sides, &eval, prec) {
            Ok(PointResult::Agree) => {
                agreed += 1;
                if agreed >= needed {
                    return Equality::EqualAtPoints;
                }
            }
            Ok(PointResult::Differ) => return Equality::Different,
            Ok(PointResult::AgreeOutsideDomain) => complex += 1,
            Ok(PointResult::OutsideDomain) => outside_domain += 1,
            Err(PointError::OutOfBudget) => return Equality::Unknown("the work budget is spent"),
            Err(PointError::Undefined) => reason = "a value is undefined",
            Err(PointError::Undecided) => {
                reason = "values too large, too close to a cut or too far apart in size to tell";
                // A floor that cannot be decided at this point is where two of them may differ: the
                // other points would agree and hide it.
                if over_integers && (has_step_function(a) || has_step_function(b)) {
                    return Equality::Unknown(reason);
                }
            }
        }
    }
    // The domain left few points, but some.
    let some = match stand_for {
        NameRange::Reals => POINTS,
        NameRange::Integers => INTEGER_POINTS / 4,
        NameRange::SmallIntegers => SUM_POINTS,
        NameRange::Alternating => ALTERNATING_POINTS / 2,
    };
    if agreed >= some.min(needed) {
        return Equality::EqualAtPoints;
    }
    // Nowhere real, and the same complex value everywhere: `\sqrt{-x^2-1}` on both sides.
    if !over_integers && agreed == 0 && outside_domain == 0 && complex >= POINTS {
        return Equality::EqualAtPoints;
    }
    Equality::Unknown(reason)
}

/// Two values that are compared at one point or more, and what is known of both.
pub(super) struct Sides<'e> {
    a: &'e Expr,
    b: &'e Expr,
    /// Whether a name occurs in one of them.
    names: bool,
    /// Whether names occur, and the imaginary unit does not.
    real: bool,
}

impl<'e> Sides<'e> {
    pub(super) fn new(a: &'e Expr, b: &'e Expr) -> Self {
        let names = a.has_names() || b.has_names();
        Self {
            a,
            b,
            names,
            real: names && !has_imaginary_unit(a) && !has_imaginary_unit(b),
        }
    }
}

/// How two values meet at a point.
pub(super) enum PointResult {
    Agree,
    Differ,
    /// A root or a logarithm of a negative number on the way: outside the domain, with the same
    /// complex value.
    AgreeOutsideDomain,
    /// Outside the domain of one of them.
    OutsideDomain,
}

/// Compares at one point. What the low precision cannot tell apart agrees for now; the high one
/// continues to the bits at which the smallest number on the way would show, since `10^{200} + 1`
/// and `10^{200} + 2` agree to any fixed number of leading bits.
pub(super) fn compare_at_point<'a>(
    sides: &Sides<'_>,
    eval: &dyn Fn(usize) -> Eval<'a>,
    prec: usize,
) -> Result<PointResult, PointError> {
    // Exact values first: a ball cannot tell a floor at an integer, an exact value can.
    let first = eval(prec);
    if !first.integers.is_empty() {
        let exact = |e: &Expr| exact::rational(e, &mut first.integers.clone(), first.budget);
        match (exact(sides.a), exact(sides.b)) {
            (Ok(x), Ok(y)) if x == y => return Ok(PointResult::Agree),
            (Ok(_), Ok(_)) => return Ok(PointResult::Differ),
            (Err(ExactError::Undefined), _) | (_, Err(ExactError::Undefined)) => {
                return Err(PointError::Undefined);
            }
            (Err(ExactError::OutOfBudget), _) | (_, Err(ExactError::OutOfBudget)) => {
                return Err(PointError::OutOfBudget);
            }
            _ => {}
        }
    }
    let mut prec = prec;
    loop {
        let mut eval = eval(prec);
        let (result, needed) = compare_at_precision(sides, &mut eval)?;
        if prec <= LOW_PRECISION
            || needed <= prec
            || matches!(result, PointResult::Differ | PointResult::OutsideDomain)
        {
            return Ok(result);
        }
        if needed > MAX_PRECISION {
            return Err(PointError::Undecided);
        }
        prec = needed;
    }
}

/// How they meet at this precision, and the precision that it takes to be sure.
fn compare_at_precision(
    sides: &Sides<'_>,
    eval: &mut Eval<'_>,
) -> Result<(PointResult, usize), PointError> {
    let &Sides { a, b, names, real } = sides;
    let prec = eval.prec;
    let x = eval.value(a)?;
    let left = std::mem::take(&mut eval.left_reals);
    let y = eval.value(b)?;
    let also_left = eval.left_reals;
    let outside = real && (left || also_left);
    // `\ln|x|` is written for the sake of the points where `\ln x` has no value: there the two
    // differ, whatever the complex logarithm says.
    if real
        && (left && !also_left && has_abs(b) && !has_abs(a)
            || also_left && !left && has_abs(a) && !has_abs(b))
    {
        return Ok((PointResult::Differ, prec));
    }
    let gap = x.sub(&y, prec);
    let result = if !gap.may_be_zero() {
        let real = x.may_be_real() == y.may_be_real();
        if names && !real || outside {
            PointResult::OutsideDomain
        } else {
            PointResult::Differ
        }
    } else if prec > LOW_PRECISION && !close(&gap, &x, eval.magnitude_spread) {
        return Err(PointError::Undecided);
    } else if outside {
        PointResult::AgreeOutsideDomain
    } else {
        PointResult::Agree
    };
    Ok((result, precision_needed(eval.magnitude_spread)))
}

/// The precision at which what lies this many bits below the rest shows, in its square too.
fn precision_needed(depth: i64) -> usize {
    let bits = depth.saturating_mul(2).saturating_add(AGREE_BITS);
    usize::try_from(bits).unwrap_or(usize::MAX)
}

fn has_abs(e: &Expr) -> bool {
    e.any(&|k| matches!(k, Kind::Call(Func::Abs, args) if args.iter().any(Expr::has_names)))
}

fn has_imaginary_unit(e: &Expr) -> bool {
    e.any(&|k| matches!(k, Kind::Const(Const::I)))
}

/// Whether a ball around zero is small beside the value: a wide ball holds zero and shows nothing.
/// Where sums lost `depth` bits the ball cannot be that small, so half of the bits may be lost.
fn close(gap: &Complex, value: &Complex, depth: i64) -> bool {
    let size = value
        .re
        .magnitude_exponent()
        .max(value.imag().magnitude_exponent())
        .max(-64);
    gap.re.radius_exponent().max(gap.imag().radius_exponent())
        < size - AGREE_BITS + depth.clamp(0, AGREE_BITS / 2)
}

/// Whether `a = k b` for one constant `k` at every point, and the sign of `k`.
///
/// It makes two equations the same; an inequality turns when `k` is negative, hence the sign.
pub(crate) fn proportional(a: &Expr, b: &Expr, budget: &Budget) -> Option<i32> {
    let mut ratio: Option<Complex> = None;
    let mut sign = 0;
    let mut agreed = 0;
    for index in 0..TRIES {
        let point = Point {
            index,
            signs: Signs::at(index),
        };
        let mut eval = Eval::new(point, HIGH_PRECISION, budget);
        let (Ok(x), Ok(y)) = (eval.value(a), eval.value(b)) else {
            continue;
        };
        match &ratio {
            None => {
                if x.may_be_zero() || y.may_be_zero() {
                    continue;
                }
                let first = x.div(&y, HIGH_PRECISION)?;
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
                let gap = x.sub(&y.mul(ratio, HIGH_PRECISION), HIGH_PRECISION);
                if !gap.may_be_zero()
                    || !close(&gap, &x, 0)
                    || precision_needed(eval.magnitude_spread) > HIGH_PRECISION + 160
                {
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
