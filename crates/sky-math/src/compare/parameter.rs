//! Values with a parameter: `\frac{\pi}{4} + k\pi, k \in \mathbb{Z}` and `\{2k \mid k \in
//! \mathbb{Z}\}`.

use super::{Comparer, Comparison};
use crate::expr::{Const, Expr, Kind, Rel, map};

/// Largest shift of a parameter over all integers: `2k+1` and `2k-5` name the same numbers.
const MAX_SHIFT: i64 = 3;

impl Comparer<'_> {
    /// The name of a parameter says nothing, the set that it ranges over does. `None`: not both
    /// sides have one, or there is nothing to rename.
    pub(super) fn parametric(&self, a: &Expr, b: &Expr) -> Option<Comparison> {
        let ((x, domain), (y, other)) = (parameter(a)?, parameter(b)?);
        if domain != other {
            return Some(Comparison::no("the parameter ranges over another set"));
        }
        let builders =
            matches!(a.kind, Kind::Builder { .. }) && matches!(b.kind, Kind::Builder { .. });
        let renamed = map(b, &|e| match &e.kind {
            Kind::Sym(name) if *name == y => Some(Kind::Sym(x.clone()).at(e.span.clone())),
            // Not to be mixed up with one that is there already.
            Kind::Sym(name) if *name == x && x != y => {
                Some(Kind::Sym(name.clone() + "'").at(e.span.clone()))
            }
            _ => None,
        });
        let (value_a, value_b) = (valued(a), valued(&renamed));
        if !builders && (value_a.is_none() || value_b.is_none()) {
            return (x != y).then(|| self.compare(a, &renamed));
        }
        let (value_a, value_b) = (value_a?, value_b?);
        if let (
            Kind::Builder { condition, .. },
            Kind::Builder {
                condition: other, ..
            },
        ) = (&a.kind, &renamed.kind)
        {
            let judged = self.compare(condition, other);
            if !judged.equal {
                return Some(judged);
            }
        }
        let judged = self.compare(&value_a, &value_b);
        if judged.equal || domain != Const::Integers {
            return Some(judged);
        }
        for sign in [1, -1] {
            for shift in -MAX_SHIFT..=MAX_SHIFT {
                let moved = map(&value_b, &|e| {
                    let Kind::Sym(name) = &e.kind else {
                        return None;
                    };
                    let k = Kind::Mul(vec![Kind::int(sign).at(0..0), e.clone()]).at(0..0);
                    let moved = Kind::Add(vec![k, Kind::int(shift).at(0..0)]).at(e.span.clone());
                    (*name == x).then_some(moved)
                });
                if self.compare(&value_a, &moved).equal {
                    return Some(Comparison::yes("the same numbers, the parameter shifted"));
                }
            }
        }
        Some(judged)
    }
}

/// The name that ranges over a set of numbers, and the set: `k` in `k \in \mathbb{Z}`, behind a
/// value or in a set-builder.
fn parameter(expr: &Expr) -> Option<(String, Const)> {
    let comprehension = |e: &Expr| match &e.kind {
        Kind::Relation(first, rest) => match (&first.kind, rest.as_slice()) {
            (Kind::Sym(name), [(Rel::In, set)]) => match set.kind {
                Kind::Const(set) => Some((name.clone(), set)),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    };
    match &expr.kind {
        Kind::List(items) => {
            let mut names = items.iter().filter_map(comprehension);
            names.next().filter(|_| names.next().is_none())
        }
        Kind::Builder { var, condition } => comprehension(condition).or_else(|| comprehension(var)),
        _ => None,
    }
}

/// What the parameter makes the values of, when it is one value.
fn valued(expr: &Expr) -> Option<Expr> {
    match &expr.kind {
        Kind::Builder { var, .. } => Some((**var).clone()),
        Kind::List(items) => match items.as_slice() {
            [value, condition] if is_domain(condition) && !is_domain(value) => Some(value.clone()),
            [condition, value] if is_domain(condition) && !is_domain(value) => Some(value.clone()),
            _ => None,
        },
        _ => None,
    }
}

/// `k \in \mathbb{Z}`.
pub(super) fn is_domain(e: &Expr) -> bool {
    matches!(&e.kind, Kind::Relation(_, rest)
        if rest.iter().all(|(rel, side)| matches!(rel, Rel::In) && matches!(side.kind, Kind::Const(_))))
}
