//! Powers of powers: `(a^b)^c` is `a^{bc}` for positive `a`, and `(x^2)^{1/2}` is not `x`.
//!
//! At random points a negative number to a power has no real value, so that such a point says
//! nothing. These points are chosen to have one, and are compared exactly.

use super::names_of;
use crate::{
    budget::Budget,
    exact,
    expr::{Expr, Kind},
};

use dashu_ratio::RBig;

/// Names that take more than one value; the others are positive.
const MAX_NAMES: usize = 3;
/// Numerators over two of the values that names take: even, odd and broken, of both signs.
const VALUES: [i64; 5] = [-4, 4, 1, -3, -1];
/// Of names that stand for integers.
const WHOLE_VALUES: [i64; 3] = [4, 6, -2];

/// Whether a power with a name below it is raised to a power, and not all of it is whole.
pub(super) fn occurs(e: &Expr) -> bool {
    e.any(&|k| match k {
        Kind::Pow(base, outer) | Kind::Root(outer, base) => match &base.kind {
            Kind::Pow(inner, power) | Kind::Root(power, inner) => {
                let root = matches!(k, Kind::Root(..)) || matches!(base.kind, Kind::Root(..));
                inner.has_names() && (root || !is_whole(outer) || !is_whole(power))
            }
            _ => false,
        },
        _ => false,
    })
}

fn is_whole(e: &Expr) -> bool {
    match &e.kind {
        Kind::Num { value, .. } => value.is_int(),
        Kind::Neg(inner) => is_whole(inner),
        _ => false,
    }
}

/// Whether the two have different exact values somewhere.
pub(super) fn differ(a: &Expr, b: &Expr, budget: &Budget) -> bool {
    let mut names = Vec::new();
    for e in [a, b] {
        names_of(e, &mut names);
    }
    let mut divided = Vec::new();
    for e in [a, b] {
        names_below(e, false, &mut divided);
    }
    let choices: Vec<&[i64]> = names
        .iter()
        .enumerate()
        .map(|(k, name)| match name.as_str() {
            _ if k >= MAX_NAMES => &VALUES[1..2],
            "j" | "k" | "l" | "m" | "n" if !divided.contains(name) => &WHOLE_VALUES[..],
            _ => &VALUES[..],
        })
        .collect();
    let total: usize = choices.iter().map(|c| c.len()).product();
    (0..total).any(|mut point| {
        let mut values: exact::Names = Vec::with_capacity(names.len());
        for (name, choice) in names.iter().zip(&choices) {
            let half = choice[point % choice.len()];
            point /= choice.len();
            values.push((name.clone(), RBig::from_parts(half.into(), 2_u8.into())));
        }
        let mut value = |e: &Expr| exact::rational(e, &mut values, budget);
        matches!((value(a), value(b)), (Ok(x), Ok(y)) if x != y)
    })
}

/// The names under the fraction bars of exponents and in the degrees of roots, which make an
/// exponent that is not whole.
fn names_below(e: &Expr, exponent: bool, names: &mut Vec<String>) {
    match &e.kind {
        Kind::Pow(base, power) => {
            names_below(base, exponent, names);
            names_below(power, true, names);
        }
        Kind::Root(degree, inner) => {
            names_of(degree, names);
            names_below(inner, exponent, names);
        }
        Kind::Div(above, below) if exponent => {
            names_below(above, true, names);
            names_of(below, names);
        }
        _ => e.children(&mut |child| names_below(child, exponent, names)),
    }
}
