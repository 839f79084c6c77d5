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

/// Names of a denominator that are tried for the one it is linear in.
const MAX_NAMES: usize = 4;

/// One side of an equation less the other.
#[derive(Clone, Copy)]
pub(super) struct Gap<'a> {
    /// What is zero where the equation holds.
    pub(super) zero: &'a Expr,
    /// Whether the equation has a name alone on one side.
    pub(super) is_solved: bool,
}

impl Comparer<'_> {
    /// Whether `a = 0` and `b = 0` are one equation where one has fractions, or both: multiplied
    /// out they are the same, and no solution was gained at which a denominator is zero.
    ///
    /// An equation that is solved for a name may gain single points: `y = \frac{x}{2x-1}` has
    /// (0, 0), which `\frac1x + \frac1y = 2` leaves out, as functions that cancel are equal though
    /// one has a gap.
    pub(super) fn clear_denominators(
        &self,
        Gap {
            zero: a,
            is_solved: solved_a,
        }: Gap<'_>,
        Gap {
            zero: b,
            is_solved: solved_b,
        }: Gap<'_>,
    ) -> bool {
        let (mut below_a, mut below_b) = (Vec::new(), Vec::new());
        denominators(a, &mut below_a);
        denominators(b, &mut below_b);
        if below_a.is_empty() && below_b.is_empty() {
            return false;
        }
        let multiplied_out = |e: &Expr, below: &[Expr]| match below {
            [] => e.clone(),
            _ => {
                let factors = std::iter::once(e).chain(below).cloned().collect();
                Kind::Mul(factors).at(e.span.clone())
            }
        };
        let (plain_a, plain_b) = (multiplied_out(a, &below_a), multiplied_out(b, &below_b));
        let both = !below_a.is_empty() && !below_b.is_empty();
        let fits = |below: &[Expr], plain: &Expr, gaps: bool| {
            below.iter().all(|d| {
                self.never_vanish_together(d, plain) == Some(true)
                    || gaps && self.vanish_at_points_only(d, plain) == Some(true)
            })
        };
        identity::proportional(&plain_a, &plain_b, self.budget).is_some()
            && fits(&below_a, &plain_b, both && solved_a != solved_b)
            && fits(&below_b, &plain_a, both && solved_a != solved_b)
    }

    /// Whether what is to be zero is not so all along where a denominator is.
    fn vanish_at_points_only(&self, below: &Expr, plain: &Expr) -> Option<bool> {
        let zero = Kind::int(0).at(0..0);
        let (name, roots) = match interval_bounds::variable(below) {
            Some(name) => {
                let name = name?;
                let roots = interval_bounds::roots(below, &zero, &name, self)?;
                (name, roots)
            }
            None => self.linear_root(below)?,
        };
        for root in roots {
            let left = put(plain, &name, &root);
            // Only a proved difference counts: what is unknown may be zero all along.
            if identity::compare(&left, &zero, self.budget) != identity::Equality::Different {
                return Some(false);
            }
        }
        Some(true)
    }

    /// A name in which an expression with several is linear, and where it is zero: `u + v` at `u =
    /// -v`.
    fn linear_root(&self, e: &Expr) -> Option<(String, Vec<Expr>)> {
        let mut names = Vec::new();
        collect_names(e, &mut names);
        let at = |name: &str, n: i64| put(e, name, &Kind::int(n).at(0..0));
        let minus = |e: Expr| Kind::Neg(Box::new(e)).at(0..0);
        let add = |items: Vec<Expr>| Kind::Add(items).at(0..0);
        names.into_iter().take(MAX_NAMES).find_map(|name| {
            let (constant, one) = (at(&name, 0), at(&name, 1));
            let slope = add(vec![one.clone(), minus(constant.clone())]);
            // The line through the values at 0 and 1 has to meet the one at 2.
            let predicted = add(vec![one, slope.clone()]);
            let linear = identity::compare(&at(&name, 2), &predicted, self.budget).is_equal();
            let root = Kind::Div(Box::new(minus(constant)), Box::new(slope)).at(0..0);
            linear.then(|| (name, vec![root]))
        })
    }

    /// Whether a denominator in one name and what is to be zero are never zero together.
    fn never_vanish_together(&self, below: &Expr, plain: &Expr) -> Option<bool> {
        let name = interval_bounds::variable(below)??;
        let zero = Kind::int(0).at(0..0);
        // Where the others are, the fractions have values.
        let elsewhere = Kind::int(3).at(0..0);
        for root in interval_bounds::roots(below, &zero, &name, self)? {
            let put = |others: Option<&Expr>| {
                map(plain, &|e| match &e.kind {
                    Kind::Sym(n) if *n == name => Some(root.clone()),
                    Kind::Sym(_) => others.cloned(),
                    _ => None,
                })
            };
            // There it has to be a number, whatever the other names stand for.
            let (left, constant) = (put(None), put(Some(&elsewhere)));
            if !identity::compare(&left, &constant, self.budget).is_equal()
                || identity::sign(&constant, self.budget)? == 0
            {
                return Some(false);
            }
        }
        Some(true)
    }
}

/// The tree with a value for a name.
fn put(e: &Expr, name: &str, value: &Expr) -> Expr {
    map(e, &|node| {
        matches!(&node.kind, Kind::Sym(n) if n == name).then(|| value.clone())
    })
}

fn collect_names(e: &Expr, names: &mut Vec<String>) {
    if let Kind::Sym(name) = &e.kind
        && !names.contains(name)
    {
        names.push(name.clone());
    }
    e.children(&mut |child| collect_names(child, names));
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
