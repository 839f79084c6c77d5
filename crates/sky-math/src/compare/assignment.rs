//! Assignments: a name, a sign of equality and a value.

use crate::expr::{BigOp, Const, Expr, Func, Kind, Rel};

/// A name and the value that an equation gives it.
#[derive(Clone, Copy)]
pub(super) struct Assignment<'a> {
    pub(super) name: &'a Expr,
    pub(super) value: &'a Expr,
}

/// Name and value of `x = 5`, `5 = x`, `x = 2 + 3 = 5` (the last side) and `x = 1/3 \approx 0.33`
/// (what stands before).
pub(super) fn assignment(expr: &Expr) -> Option<Assignment<'_>> {
    let Kind::Relation(first, rest) = &expr.kind else {
        return None;
    };
    if !is_equation(rest) {
        return None;
    }
    let sides = exact_sides(first, rest);
    let free = |name: &Expr, value: &Expr| match &name.kind {
        Kind::Sym(name) => !value.any(&|k| matches!(k, Kind::Sym(n) if n == name)),
        _ => true,
    };
    let last = *sides.last()?;
    if is_name(first) && sides.len() >= 2 && free(first, last) {
        return Some(Assignment {
            name: first,
            value: last,
        });
    }
    // `5 = x`.
    if sides.len() == 2 && is_name(last) && free(last, first) {
        return Some(Assignment {
            name: last,
            value: first,
        });
    }
    // `A : B = 2`, `\frac{AB}{CD} = \frac12`.
    if sides.len() >= 2 && is_ratio_of_names(first) && !last.has_names() && last.is_scalar() {
        return Some(Assignment {
            name: first,
            value: last,
        });
    }
    None
}

/// `A : B`: two names, one over the other.
fn is_ratio_of_names(e: &Expr) -> bool {
    match &e.kind {
        Kind::Div(above, below) => {
            let name = |e: &Expr| matches!(e.kind, Kind::Sym(_) | Kind::Mul(_)) && is_name(e);
            name(above) && name(below) && above != below
        }
        _ => false,
    }
}

/// The sides up to the first approximation; at least two when the first relation is one.
pub(super) fn exact_sides<'a>(first: &'a Expr, rest: &'a [(Rel, Expr)]) -> Vec<&'a Expr> {
    let mut sides = vec![first];
    for (i, (rel, side)) in rest.iter().enumerate() {
        if *rel == Rel::Approx && (i > 0 || !is_name(first)) {
            break;
        }
        sides.push(side);
    }
    sides
}

/// Whether a node may be the name in an assignment: `x`, `f(x)`, `AB`, `(x, y)`, `|AB|`.
pub(super) fn is_name(expr: &Expr) -> bool {
    match &expr.kind {
        Kind::Sym(_) | Kind::Apply(..) => true,
        Kind::Mul(items) => {
            items.len() <= 6
                && items.iter().all(|e| {
                    matches!(
                        e.kind,
                        Kind::Sym(_) | Kind::Const(Const::E | Const::I) | Kind::Apply(..)
                    )
                })
        }
        Kind::Tuple(items) => items.iter().all(|e| matches!(e.kind, Kind::Sym(_))),
        // `|AB|` and `|z|` are a length; `|x| = 5` is an equation.
        Kind::Call(Func::Abs, args) => args.iter().all(|e| is_name(e) && !is_unknown(e)),
        // `\det A = 3`.
        Kind::Call(Func::Det, _) | Kind::Text(_) => true,
        // `\int_0^1 x\,dx = \frac12` says what it is.
        Kind::Big { op, .. } => matches!(op, BigOp::Integral | BigOp::Limit),
        _ => false,
    }
}

/// A small letter, but for those that complex numbers have.
fn is_unknown(expr: &Expr) -> bool {
    matches!(&expr.kind, Kind::Sym(name)
        if name.len() == 1 && name.bytes().all(|b| b.is_ascii_lowercase() && !matches!(b, b'z' | b'w')))
}

/// Whether a chain of relations is one of equalities.
pub(super) fn is_equation(rest: &[(Rel, Expr)]) -> bool {
    rest.iter()
        .all(|(rel, _)| matches!(rel, Rel::Eq | Rel::Approx))
}
