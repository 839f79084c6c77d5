//! Equations with a name in a denominator, multiplied out: `y = \frac{1}{x}` says what `xy = 1`
//! says.
//!
//! Multiplying by a denominator may add solutions at which it is zero: `\frac{x^2}{x} = 0` has
//! none, `x^2 = 0` has one. The two are one equation only where no such solution exists.

use super::{Comparer, interval_bounds};
use crate::{
    expr::{Expr, Kind, map},
    identity,
};

impl Comparer<'_> {
    /// Whether `a = 0` and `b = 0` are one equation, where the one has fractions and the other,
    /// multiplied out, has no solution at which a denominator is zero.
    pub(super) fn clear_denominators(&self, a: &Expr, b: &Expr) -> bool {
        let (mut below_a, mut below_b) = (Vec::new(), Vec::new());
        denominators(a, &mut below_a);
        denominators(b, &mut below_b);
        let (fraction, below, plain) = match (below_a.is_empty(), below_b.is_empty()) {
            (false, true) => (a, below_a, b),
            (true, false) => (b, below_b, a),
            _ => return false,
        };
        let factors = std::iter::once(fraction).chain(below.iter()).cloned();
        let product = Kind::Mul(factors.collect()).at(fraction.span.clone());
        identity::proportional(&product, plain, self.budget).is_some()
            && below
                .iter()
                .all(|d| self.never_vanish_together(d, plain) == Some(true))
    }

    /// Whether a denominator in one name and what is to be zero are never zero together.
    fn never_vanish_together(&self, below: &Expr, plain: &Expr) -> Option<bool> {
        let name = interval_bounds::variable(below)??;
        let zero = Kind::int(0).at(0..0);
        for root in interval_bounds::roots(below, &zero, &name, self)? {
            let put = |others: Option<&Expr>| {
                map(plain, &|e| match &e.kind {
                    Kind::Sym(n) if *n == name => Some(root.clone()),
                    Kind::Sym(_) => others.cloned(),
                    _ => None,
                })
            };
            // There it has to be a number, whatever the other names stand for.
            let (left, constant) = (put(None), put(Some(&zero)));
            if !identity::compare(&left, &constant, self.budget).is_equal()
                || identity::sign(&constant, self.budget)? == 0
            {
                return Some(false);
            }
        }
        Some(true)
    }
}

/// What stands under the fraction bars of a sum of products, each once.
fn denominators(expr: &Expr, found: &mut Vec<Expr>) {
    match &expr.kind {
        Kind::Neg(inner) => denominators(inner, found),
        Kind::Add(items) | Kind::Mul(items) => {
            items.iter().for_each(|item| denominators(item, found));
        }
        Kind::Div(above, below) => {
            denominators(above, found);
            if below.has_names() && !found.contains(below) {
                found.push((**below).clone());
            }
        }
        _ => {}
    }
}
