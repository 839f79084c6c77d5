//! Ratios of three parts and more: `1 : 2 : 3` is `2 : 4 : 6`.

use super::{Compare, Judged};
use crate::math::expr::{Expr, Kind};

/// The parts of a ratio.
fn parts(expr: &Expr) -> Option<&[Expr]> {
    match &expr.kind {
        Kind::Apply(name, parts) if name == ":" => Some(parts),
        _ => None,
    }
}

impl Compare<'_> {
    /// A ratio on either side: up to a factor against another, by its parts against a tuple or a list.
    pub(super) fn ratios(&self, a: &Expr, b: &Expr) -> Option<Judged> {
        let tuple = |parts: &[Expr], e: &Expr| Kind::Tuple(parts.to_vec()).at(e.span.clone());
        match (parts(a), parts(b)) {
            (None, None) => None,
            (Some(x), None) => Some(self.same(&tuple(x, a), b)),
            (None, Some(y)) => Some(self.same(a, &tuple(y, b))),
            (Some(x), Some(y)) if x.len() != y.len() => {
                Some(Judged::no(format!("{} parts against {}", x.len(), y.len())))
            }
            (Some(x), Some(y)) => {
                let product = |p: &Expr, q: &Expr| Kind::Mul(vec![p.clone(), q.clone()]).at(0..0);
                for (i, (p, q)) in x.iter().zip(y).enumerate() {
                    // p : first of x = q : first of y.
                    if !self.scalars(&product(p, &y[0]), &product(q, &x[0])).equal {
                        return Some(Judged::no(format!("part {} differs", i + 1)));
                    }
                }
                Some(Judged::yes("the same ratio"))
            }
        }
    }
}
