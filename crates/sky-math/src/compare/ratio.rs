//! Ratios of three parts and more: `1 : 2 : 3` is `2 : 4 : 6`.

use super::{Comparer, Comparison};
use crate::expr::{Expr, Kind};

/// The parts of a ratio.
fn parts(expr: &Expr) -> Option<&[Expr]> {
    match &expr.kind {
        Kind::Apply(name, parts) if name == ":" => Some(parts),
        _ => None,
    }
}

impl Comparer<'_> {
    /// A ratio on either side: up to a factor against another, by its parts against a tuple or a
    /// list.
    pub(super) fn ratios(&self, a: &Expr, b: &Expr) -> Option<Comparison> {
        let tuple = |parts: &[Expr], e: &Expr| Kind::Tuple(parts.to_vec()).at(e.span.clone());
        match (parts(a), parts(b)) {
            (None, None) => None,
            (Some(x), None) => Some(self.compare(&tuple(x, a), b)),
            (None, Some(y)) => Some(self.compare(a, &tuple(y, b))),
            (Some(x), Some(y)) if x.len() != y.len() => Some(Comparison::no(format!(
                "{} parts against {}",
                x.len(),
                y.len()
            ))),
            (Some(x), Some(y)) => {
                let product = |p: &Expr, q: &Expr| Kind::Mul(vec![p.clone(), q.clone()]).at(0..0);
                for (i, (p, q)) in x.iter().zip(y).enumerate() {
                    // p : first of x = q : first of y.
                    if !self.scalars(&product(p, &y[0]), &product(q, &x[0])).equal {
                        return Some(Comparison::no(format!("part {} differs", i + 1)));
                    }
                }
                Some(Comparison::yes("the same ratio"))
            }
        }
    }
}
