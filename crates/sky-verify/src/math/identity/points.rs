//! Two values at random points, as balls.

use super::{FIRST, Found, SECOND, kinked, names_of, steps};
use crate::math::{
    budget::Budget,
    complex::Complex,
    eval::{Eval, Point, Signs, Stop},
    exact::{self, NoValue},
    expr::{Const, Expr, Func, Kind},
};

/// Two values count as equal when they agree to this many bits at the second look.
const AGREE: i64 = 240;
/// Bits of the last look, where numbers of very different sizes meet.
const MOST: usize = 4096;
/// Points at which two expressions have to agree, and points tried.
const POINTS: usize = 3;
const TRIES: u64 = 18;
/// The same where a value has kinks: `|x - 1|` is `1 - x` on one side of it.
const KINKED_POINTS: usize = 12;
const KINKED_TRIES: u64 = 36;
/// The same for names that stand for whole numbers: a remainder or a whole part takes few values.
const WHOLE_POINTS: usize = 32;
const WHOLE_TRIES: u64 = 48;

/// The same for sums and products up to a name, each of whose terms costs.
const SUM_POINTS: usize = 12;
const SUM_TRIES: u64 = 18;

/// What names stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Names {
    Anything,
    /// Whole numbers.
    Whole,
    /// Whole numbers below sixty or so, most of them small.
    Small,
}

/// Why nothing was found where one side or the other is never defined.
pub(super) const NOWHERE: &str = "no point at which both have a value";

pub(super) fn at_points(
    a: &Expr,
    b: &Expr,
    stand_for: Names,
    budget: &Budget,
    prec: usize,
) -> Found {
    let whole = stand_for != Names::Anything;
    let names = a.has_names() || b.has_names();
    let (needed, tries) = match (names, stand_for) {
        (false, _) => (1, 1),
        // The first look is there to find a difference; the second one checks what it could not.
        (true, Names::Anything) if prec == FIRST && (kinked(a) || kinked(b)) => {
            (KINKED_POINTS, KINKED_TRIES)
        }
        (true, Names::Anything) => (POINTS, TRIES),
        (true, Names::Whole) => (WHOLE_POINTS, WHOLE_TRIES),
        (true, Names::Small) => (SUM_POINTS, SUM_TRIES),
    };
    let mut all = Vec::new();
    if whole {
        names_of(a, &mut all);
        names_of(b, &mut all);
    }
    let (mut agreed, mut complex, mut elsewhere) = (0, 0, 0);
    let mut reason = NOWHERE;
    for index in 0..tries {
        let eval = |prec| {
            match stand_for {
                Names::Whole => Eval::at_whole_point(&all, index, prec, budget),
                // Every other point has one to five or so, every fourth numbers below sixty.
                Names::Small if index % 3 == 2 || all.len() > 2 => {
                    Eval::at_whole_point(&all, 4 * index + 1, prec, budget)
                }
                Names::Small => Eval::at_whole_point(&all, 2 * (index - index / 3), prec, budget),
                Names::Anything => {
                    let signs = Signs::at(index);
                    Eval::new(Point { index, signs }, prec, budget)
                }
            }
        };
        match at_point(a, b, &eval, prec) {
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
                reason = "values too large, too close to a cut or too far apart in size to tell";
                // Where a step may lie is where two of them differ.
                if whole && (steps(a) || steps(b)) {
                    return Found::Unknown(reason);
                }
            }
        }
    }
    // The domain left few points, but some.
    let some = match stand_for {
        Names::Anything => POINTS,
        Names::Whole => WHOLE_POINTS / 4,
        Names::Small => SUM_POINTS,
    };
    if agreed >= some.min(needed) {
        return Found::EqualAtPoints;
    }
    // Nowhere real, and the same complex value everywhere.
    if !whole && agreed == 0 && elsewhere == 0 && complex >= POINTS {
        return Found::EqualAtPoints;
    }
    Found::Unknown(reason)
}

/// How two values meet at a point.
pub(super) enum Meeting {
    Agree,
    Apart,
    /// A root or a logarithm of a negative number on the way: outside the domain, with the same complex value.
    AgreeElsewhere,
    /// Outside the domain of one of them.
    Elsewhere,
}

/// One look, at this precision. What the first look cannot tell apart agrees for now; the second goes on to the bits at
/// which the smallest number on the way would show.
pub(super) fn at_point<'a>(
    a: &Expr,
    b: &Expr,
    eval: &dyn Fn(usize) -> Eval<'a>,
    prec: usize,
) -> Result<Meeting, Stop> {
    // Whole numbers often have exact values to compare.
    let first = eval(prec);
    if !first.wholes.is_empty() {
        let exact = |e: &Expr| exact::rational(e, &mut first.wholes.clone(), first.budget);
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
    let mut prec = prec;
    loop {
        let mut eval = eval(prec);
        let (meeting, needed) = look(a, b, &mut eval)?;
        if prec <= FIRST || needed <= prec || matches!(meeting, Meeting::Apart | Meeting::Elsewhere)
        {
            return Ok(meeting);
        }
        if needed > MOST {
            return Err(Stop::Undecided);
        }
        prec = needed;
    }
}

/// How they meet at this precision, and the precision that it takes to be sure.
fn look(a: &Expr, b: &Expr, eval: &mut Eval<'_>) -> Result<(Meeting, usize), Stop> {
    let prec = eval.prec;
    let x = eval.value(a)?;
    let left = std::mem::take(&mut eval.left_reals);
    let y = eval.value(b)?;
    let also_left = eval.left_reals;
    let names = a.has_names() || b.has_names();
    let real = names && !speaks_of_i(a) && !speaks_of_i(b);
    let outside = real && (left || also_left);
    // An absolute value is written for the sake of where the other side has no value.
    if real
        && (left && !also_left && has_abs(b) && !has_abs(a)
            || also_left && !left && has_abs(a) && !has_abs(b))
    {
        return Ok((Meeting::Apart, prec));
    }
    let gap = x.sub(&y, prec);
    let meeting = if !gap.may_be_zero() {
        let real = x.may_be_real() == y.may_be_real();
        if names && !real || outside {
            Meeting::Elsewhere
        } else {
            Meeting::Apart
        }
    } else if prec > FIRST && !close(&gap, &x, eval.depth) {
        return Err(Stop::Undecided);
    } else if outside {
        Meeting::AgreeElsewhere
    } else {
        Meeting::Agree
    };
    Ok((meeting, bits_to_see(eval.depth)))
}

/// The precision at which what lies so many bits below the rest shows, in its square too.
fn bits_to_see(depth: i64) -> usize {
    let bits = depth.saturating_mul(2).saturating_add(AGREE);
    usize::try_from(bits).unwrap_or(usize::MAX)
}

fn has_abs(e: &Expr) -> bool {
    e.any(&|k| matches!(k, Kind::Call(Func::Abs, args) if args.iter().any(Expr::has_names)))
}

fn speaks_of_i(e: &Expr) -> bool {
    e.any(&|k| matches!(k, Kind::Const(Const::I)))
}

/// Whether a ball around zero is small beside the value. Where sums lost `depth` bits, it cannot be that small.
fn close(gap: &Complex, value: &Complex, depth: i64) -> bool {
    let size = value.re.top().max(value.imag().top()).max(-64);
    gap.re.rad_top().max(gap.imag().rad_top()) < size - AGREE + depth.clamp(0, AGREE / 2)
}

/// Whether `a = k b` for one constant `k` at every point, and the sign of `k`. What makes two equations the same.
pub(in crate::math) fn proportional(a: &Expr, b: &Expr, budget: &Budget) -> Option<i32> {
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
                if !gap.may_be_zero()
                    || !close(&gap, &x, 0)
                    || bits_to_see(eval.depth) > SECOND + 160
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
