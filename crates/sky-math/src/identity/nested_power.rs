//! Powers of powers: `(a^b)^c` is `a^{bc}` for positive `a`, and `(x^2)^{1/2}` is not `x`.
//!
//! At random points a negative number to a power has no real value, so that such a point says
//! nothing. These points are chosen to have one, and are compared exactly.

use super::{
    points::{PointResult, Sides, compare_at_point},
    precision::LOW_PRECISION,
    tree_queries::names_of,
};
use crate::{
    budget::Budget,
    eval::Eval,
    exact::{self, ExactError},
    expr::{Expr, Kind},
};

use dashu_ratio::RBig;

/// Names that take more than one value; the others are positive.
const MAX_NAMES: usize = 3;
/// Points at which a value is evaluated that is not exact.
const MAX_EVALUATIONS: usize = 24;
/// Numerators over two of the values that names take: even, odd and broken, of both signs.
const VALUES: [i64; 5] = [-4, 4, 1, -3, -1];
/// Of names that stand for integers.
const INTEGER_VALUES: [i64; 3] = [4, 6, -2];

/// Whether a power with a name below it is raised to a power, and an exponent is no integer.
pub(super) fn occurs(e: &Expr) -> bool {
    e.any(&|k| match k {
        Kind::Pow(base, outer) | Kind::Root(outer, base) => match &base.kind {
            Kind::Pow(inner, power) | Kind::Root(power, inner) => {
                let root = matches!(k, Kind::Root(..)) || matches!(base.kind, Kind::Root(..));
                inner.has_names() && (root || !is_integer(outer) || !is_integer(power))
            }
            _ => false,
        },
        _ => false,
    })
}

fn is_integer(e: &Expr) -> bool {
    match &e.kind {
        Kind::Num { value, .. } => value.is_int(),
        Kind::Neg(inner) => is_integer(inner),
        _ => false,
    }
}

/// Whether the two have different exact values somewhere.
pub(super) fn differ(a: &Expr, b: &Expr, budget: &Budget) -> bool {
    let (mut exponents, mut divided, mut all) = (Vec::new(), Vec::new(), Vec::new());
    for e in [a, b] {
        exponent_names(e, &mut exponents);
        names_below(e, false, &mut divided);
        names_of(e, &mut all);
    }
    // Exponents first: they decide whether a negative number has a power.
    let rest = all.into_iter().filter(|name| !exponents.contains(name));
    let names: Vec<String> = exponents.iter().cloned().chain(rest).collect();
    let choices: Vec<&[i64]> = names
        .iter()
        .enumerate()
        .map(|(k, name)| match name.as_str() {
            _ if k >= MAX_NAMES => &VALUES[2..3],
            "j" | "k" | "l" | "m" | "n" if !divided.contains(name) => &INTEGER_VALUES[..],
            _ => &VALUES[..],
        })
        .collect();
    let total: usize = choices.iter().map(|c| c.len()).product();
    let mut evaluations = 0;
    (0..total).any(|mut point| {
        let mut values: exact::Names = Vec::with_capacity(names.len());
        for (name, choice) in names.iter().zip(&choices) {
            let half = choice[point % choice.len()];
            point /= choice.len();
            values.push((name.clone(), RBig::from_parts(half.into(), 2_u8.into())));
        }
        let mut value = |e: &Expr| exact::rational(e, &mut values, budget);
        let differ = match (value(a), value(b)) {
            (Ok(x), Ok(y)) => x != y,
            // One of them is a root that is no fraction here.
            (Ok(_), Err(ExactError::NotRational)) | (Err(ExactError::NotRational), Ok(_)) => {
                evaluations += 1;
                let eval = |prec| Eval::at_values(&values, false, prec, budget);
                evaluations <= MAX_EVALUATIONS
                    && matches!(
                        compare_at_point(&Sides::new(a, b), &eval, LOW_PRECISION),
                        Ok(PointResult::Differ)
                    )
            }
            _ => false,
        };
        differ && !is_even_root(a, &mut values, budget) && !is_even_root(b, &mut values, budget)
    })
}

/// Whether `x^{m/n}` is an even root of a negative number here, which `(-2)^{2/2}` would hide.
fn is_even_root(e: &Expr, values: &mut exact::Names, budget: &Budget) -> bool {
    let mut found = false;
    if let Kind::Pow(base, power) = &e.kind
        && let Kind::Div(_, below) = &power.kind
        && below.has_names()
        && let (Ok(base), Ok(below)) = (
            exact::rational(base, values, budget),
            exact::rational(below, values, budget),
        )
    {
        let even = exact::integer(&below).is_some_and(|n| n % 2_u8 == 0);
        found = even && base < RBig::ZERO;
    }
    e.children(&mut |child| found = found || is_even_root(child, values, budget));
    found
}

/// The names in exponents and in the degrees of roots.
fn exponent_names(e: &Expr, names: &mut Vec<String>) {
    if let Kind::Pow(_, power) | Kind::Root(power, _) = &e.kind {
        names_of(power, names);
    }
    e.children(&mut |child| exponent_names(child, names));
}

/// The names under the fraction bars of exponents, which make an exponent that is no integer.
fn names_below(e: &Expr, exponent: bool, names: &mut Vec<String>) {
    match &e.kind {
        Kind::Pow(base, power) | Kind::Root(power, base) => {
            names_below(base, exponent, names);
            names_below(power, true, names);
        }
        // `m/n`: both stand for integers, as they do in `\sqrt[n]{x^m}`.
        Kind::Div(above, below) if exponent && !matches!(below.kind, Kind::Sym(_)) => {
            names_below(above, true, names);
            names_of(below, names);
        }
        _ => e.children(&mut |child| names_below(child, exponent, names)),
    }
}
