//! Points that the trees themselves suggest: between the kinks of absolute values and roots, beyond
//! every constant, near every integer that is written there.
//!
//! Random points miss a short interval between two kinks, and `|x - 1000|` equals `1000 - x` at
//! every small one. A difference found here is proved; nothing found here proves nothing.

use dashu_int::IBig;
use dashu_ratio::RBig;

use super::{
    points::{PointResult, Sides, compare_at_point},
    precision::LOW_PRECISION,
    tree_queries::names_of,
};
use crate::{
    budget::Budget,
    eval::{Eval, Point, Signs, hash},
    exact,
    expr::{Expr, Func, Kind},
};

/// Names that are moved, one after the other.
const MAX_NAMES: usize = 3;
/// Kinks that are looked for.
const MAX_PIECES: usize = 8;
/// Literals near which integers are tried.
const MAX_LITERALS: usize = 6;
/// The part of the remaining budget (one in this many) that these points may take: they look for
/// differences and must leave enough to show equality.
const BUDGET_SHARE: u64 = 3;

type Values = Vec<(String, RBig)>;

/// Whether the two differ at a point between or beyond kinks.
pub(super) fn differ_between_kinks(a: &Expr, b: &Expr, budget: &Budget) -> bool {
    let names = names(a, b);
    let mut pieces = Vec::new();
    for e in [a, b] {
        kinks(e, &mut pieces);
    }
    pieces.truncate(MAX_PIECES);
    let far = magnitude_of_constants(a, budget)
        .max(magnitude_of_constants(b, budget))
        .clamp(0, 200) as usize;
    let mut points: Vec<Values> = Vec::new();
    for moved in names.iter().take(MAX_NAMES) {
        let others: Values = names
            .iter()
            .filter(|name| *name != moved)
            .map(|name| (name.clone(), fraction(name, 3)))
            .collect();
        let mut roots: Vec<f64> = pieces
            .iter()
            .flat_map(|piece| roots(piece, moved, &others, budget))
            .filter(|root| root.is_finite() && root.abs() < 1e300)
            .collect();
        roots.sort_unstable_by(f64::total_cmp);
        roots.dedup();
        let mut at: Vec<RBig> = roots
            .windows(2)
            .filter_map(|pair| rational(pair[0] / 2.0 + pair[1] / 2.0))
            .collect();
        // Beyond the outermost kinks, by a share of their size: a fixed step would be rounded away
        // at a large one.
        for (end, side) in [(roots.first(), -1.0), (roots.last(), 1.0)] {
            at.extend(end.and_then(|end| rational(end + side * (0.75 + end.abs() / 3.0))));
        }
        // Beyond every constant, on both sides, and some turns away from zero.
        for bits in [2, 4, far + 1, far + 3] {
            let value = fraction(moved, bits as u64) * RBig::from(IBig::ONE << bits);
            at.extend([value.clone(), -value]);
        }
        for value in at {
            let mut point = others.clone();
            point.push((moved.clone(), value));
            points.push(point);
        }
    }
    differ_at(a, b, &points, false, budget)
}

/// Whether the two differ at an integer near one of those that are written in them, or near a
/// multiple.
pub(super) fn differ_near_literals(a: &Expr, b: &Expr, budget: &Budget) -> bool {
    let names = names(a, b);
    let mut literals = Vec::new();
    for e in [a, b] {
        integer_literals(e, budget, &mut literals);
    }
    literals.sort_unstable();
    literals.dedup();
    // Smaller ones lie among the integer points that are tried anyway.
    literals.retain(|n| *n > RBig::from(40));
    literals.reverse();
    literals.truncate(MAX_LITERALS);
    let mut points: Vec<Values> = Vec::new();
    for literal in &literals {
        // Beside the literal and beside its multiples, where a remainder or a floor jumps.
        for (times, more) in [(1_i64, -1_i64), (1, 0), (1, 1), (2, 1), (3, -1), (7, 3)] {
            let near = literal.clone() * RBig::from(times) + RBig::from(more);
            for moved in 0..names.len().min(MAX_NAMES) {
                let value = |(k, name): (usize, &String)| {
                    let small = i64::try_from(hash(name, times.unsigned_abs()) % 29).unwrap_or(0);
                    let value = if k == moved {
                        near.clone()
                    } else {
                        RBig::from(small + 2)
                    };
                    (name.clone(), value)
                };
                points.push(names.iter().enumerate().map(value).collect());
            }
        }
    }
    differ_at(a, b, &points, true, budget)
}

fn names(a: &Expr, b: &Expr) -> Vec<String> {
    let mut names = Vec::new();
    names_of(a, &mut names);
    names_of(b, &mut names);
    names
}

fn differ_at(a: &Expr, b: &Expr, points: &[Values], are_integers: bool, budget: &Budget) -> bool {
    let limit = budget.used() + budget.left() / BUDGET_SHARE;
    let sides = Sides::new(a, b);
    points.iter().any(|values| {
        let eval = |prec| Eval::at_values(values, are_integers, prec, budget);
        budget.used() < limit
            && matches!(
                compare_at_point(&sides, &eval, LOW_PRECISION),
                Ok(PointResult::Differ)
            )
    })
}

/// What changes the shape of a value where it is zero.
fn kinks(expr: &Expr, pieces: &mut Vec<Expr>) {
    match &expr.kind {
        Kind::Call(Func::Abs | Func::Sign, args) => pieces.extend(args.first().cloned()),
        Kind::Call(Func::Max | Func::Min, args) => {
            for pair in args.windows(2) {
                let minus = Kind::Neg(Box::new(pair[1].clone())).at(0..0);
                pieces.push(Kind::Add(vec![pair[0].clone(), minus]).at(0..0));
            }
        }
        Kind::Root(_, inner) => pieces.push((**inner).clone()),
        Kind::Pow(base, exponent) if matches!(exponent.kind, Kind::Div(..)) => {
            pieces.push((**base).clone());
        }
        _ => {}
    }
    expr.children(&mut |child| kinks(child, pieces));
}

/// About where a piece is zero as a function of one name: for a polynomial of degree two at most,
/// or one that looks like it.
fn roots(piece: &Expr, moved: &str, others: &Values, budget: &Budget) -> Vec<f64> {
    let at = |x: i64| {
        let mut values = others.clone();
        values.push((moved.to_owned(), RBig::from(x)));
        let value = Eval::at_values(&values, false, LOW_PRECISION, budget).value(piece);
        value.ok().filter(|v| v.im.is_none()).map(|v| v.re.to_f64())
    };
    let (Some(minus), Some(zero), Some(plus)) = (at(-1), at(0), at(1)) else {
        return Vec::new();
    };
    let square = (plus + minus) / 2.0 - zero;
    let linear = (plus - minus) / 2.0;
    if square.abs() < 1e-12 * (linear.abs() + zero.abs()) {
        return if linear == 0.0 {
            Vec::new()
        } else {
            vec![-zero / linear]
        };
    }
    let inside = linear * linear - 4.0 * square * zero;
    if inside < 0.0 {
        return Vec::new();
    }
    let root = inside.sqrt();
    vec![
        (-linear - root) / (2.0 * square),
        (-linear + root) / (2.0 * square),
    ]
}

/// `k` such that every constant part of the tree is below `2^k`.
fn magnitude_of_constants(expr: &Expr, budget: &Budget) -> i64 {
    if !expr.has_names() {
        let here = Point {
            index: 0,
            signs: Signs::Positive,
        };
        let value = Eval::new(here, LOW_PRECISION, budget).value(expr);
        return value.map_or(0, |v| {
            v.re.magnitude_exponent().max(v.imag().magnitude_exponent())
        });
    }
    let mut most = 0;
    expr.children(&mut |child| most = most.max(magnitude_of_constants(child, budget)));
    most
}

/// The integers among the constant parts of a tree.
fn integer_literals(expr: &Expr, budget: &Budget, found: &mut Vec<RBig>) {
    if !expr.has_names() {
        if let Ok(value) = exact::rational(expr, &mut Vec::new(), budget)
            && exact::bit_size(&value) < 4096
        {
            found.push(RBig::from(value.clone().numerator().clone()));
            found.push(RBig::from(value.denominator().clone()));
            let negative = found.len() - 2;
            if found[negative] < RBig::ZERO {
                found[negative] = -found[negative].clone();
            }
        }
        return;
    }
    expr.children(&mut |child| integer_literals(child, budget, found));
}

/// A fraction between a half and one, from the name.
fn fraction(name: &str, salt: u64) -> RBig {
    let odd = i64::try_from(hash(name, salt ^ 0xf00d) % (1 << 16)).unwrap_or(0) * 2 + 1;
    RBig::from_parts(IBig::from(odd + (1 << 17)), (1_u32 << 18).into())
}

/// The rational that a double is.
fn rational(value: f64) -> Option<RBig> {
    RBig::try_from(value).ok()
}
