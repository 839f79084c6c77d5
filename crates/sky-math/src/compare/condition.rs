//! Conditions in another dress: a chain for the conditions it joins, an equation for the one number
//! that conditions leave, a letter for a set of numbers.

use super::{
    Comparer, Comparison,
    assignment::assignment,
    interval_bounds::variable,
    real_set::{is_real_set, is_relation},
};
use crate::{
    expr::{Const, Expr, Func, Kind, Rel, SetOp},
    identity,
};

/// `x = 1`.
fn is_equation(e: &Expr) -> bool {
    matches!(&e.kind, Kind::Relation(_, rest) if matches!(rest.as_slice(), [(Rel::Eq, _)]))
}

impl Comparer<'_> {
    /// `x = 1` against `x \ge 1 \text{ and } x \le 1`: as sets of numbers, before the name is
    /// taken off the equation.
    pub(super) fn equation_and_conditions(&self, a: &Expr, b: &Expr) -> Option<Comparison> {
        let conditions = |e: &Expr| is_real_set(e) && is_relation(e);
        if !(is_equation(a) && conditions(b) || is_equation(b) && conditions(a)) {
            return None;
        }
        let set = |e: &Expr| match is_equation(e) {
            true => Kind::Sets(SetOp::Union, vec![e.clone()]).at(e.span.clone()),
            false => e.clone(),
        };
        self.real_sets(&set(a), &set(b))
    }

    /// Sets beside what is a set by its place: the letter of `\mathbb{R}`, and values for the set
    /// of them. `None` when there is nothing to be done.
    pub(super) fn spelled_as_sets(&self, a: &Expr, b: &Expr) -> Option<(Expr, Expr)> {
        let spelled = |e: &Expr, other: &Expr| -> Option<Expr> {
            let ray = matches!(&other.kind, Kind::Tuple(ends)
                if ends.len() == 2 && ends.iter().any(|end| identity::infinity(end).is_some()));
            let set = match &e.kind {
                Kind::Sym(name)
                    if !self.nested && (ray || is_set(other) && !is_relation(other)) =>
                {
                    Kind::Const(match name.as_str() {
                        "R" => Const::Reals,
                        "Z" => Const::Integers,
                        "N" => Const::Naturals,
                        "Q" => Const::Rationals,
                        "C" => Const::Complexes,
                        _ => return None,
                    })
                }
                Kind::Sets(SetOp::Union, items) => {
                    let elements = |item: &Expr| match &item.kind {
                        Kind::Set(elements) => Some(elements.clone()),
                        _ => None,
                    };
                    Kind::Set(
                        items
                            .iter()
                            .map(elements)
                            .collect::<Option<Vec<_>>>()?
                            .concat(),
                    )
                }
                Kind::Const(Const::Rationals | Const::Complexes) => return None,
                // `(-1, 1] \cap [1, 2)` is `\{1\}`, of which the braces may be lost.
                _ if self.nested || !self.options.bare_list || !of_numbers(other) => return None,
                Kind::List(items) if items.iter().all(is_number) => Kind::Set(items.clone()),
                _ if is_number(e) => Kind::Set(vec![e.clone()]),
                _ => return None,
            };
            Some(set.at(e.span.clone()))
        };
        match (spelled(a, b), spelled(b, a)) {
            (None, None) => None,
            (x, y) => Some((
                x.unwrap_or_else(|| a.clone()),
                y.unwrap_or_else(|| b.clone()),
            )),
        }
    }

    /// `a \le x \le b` against `a \le x` and `x \le b`: each condition of one side has to be
    /// among those of the other. `None` when that is not what they are.
    pub(super) fn conjunctions(&self, a: &Expr, b: &Expr) -> Option<Comparison> {
        if matches!((&a.kind, &b.kind), (Kind::Relation(..), Kind::Relation(..))) {
            return None;
        }
        let (x, y) = (conjuncts(a)?, conjuncts(b)?);
        (x.len() + y.len() > 2).then(|| self.unordered(&x, &y))
    }

    /// `|x| = |y|` against `x = y` or `x = -y`.
    pub(super) fn equal_sizes_and_cases(&self, a: &Expr, b: &Expr) -> Option<Comparison> {
        let (sizes, cases) = match (&a.kind, &b.kind) {
            (Kind::Relation(..), Kind::List(cases)) => (a, cases),
            (Kind::List(cases), Kind::Relation(..)) => (b, cases),
            _ => return None,
        };
        let squares = equal_squares(sizes)?;
        // Values of one name are cases, each of which may hold; other equations might hold at once.
        let name = assignment(cases.first()?)?.name;
        let gaps = cases.iter().map(|case| {
            let case = assignment(case)?;
            (case.name == name && case.value.has_names()).then(|| gap(name, case.value))
        });
        let gaps: Vec<Expr> = gaps.collect::<Option<_>>()?;
        let product = Kind::Mul(gaps).at(sizes.span.clone());
        let same = identity::proportional(&squares, &product, self.budget).is_some();
        Some(match same {
            true => Comparison::yes("the same two cases"),
            false => Comparison::no("other cases"),
        })
    }
}

fn is_set(e: &Expr) -> bool {
    is_real_set(e) || matches!(e.kind, Kind::Const(Const::Rationals | Const::Complexes))
}

/// An operation on sets of numbers.
fn of_numbers(e: &Expr) -> bool {
    matches!(e.kind, Kind::Sets(..)) && !is_relation(e) && matches!(variable(e), Some(None))
}

fn is_number(e: &Expr) -> bool {
    e.is_scalar() && !e.has_names()
}

fn gap(a: &Expr, b: &Expr) -> Expr {
    let minus = Kind::Neg(Box::new(b.clone())).at(b.span.clone());
    Kind::Add(vec![a.clone(), minus]).at(a.span.clone())
}

/// `u^2 - v^2` of `|u| = |v|`, which is zero where that holds.
pub(super) fn equal_squares(e: &Expr) -> Option<Expr> {
    let Kind::Relation(first, rest) = &e.kind else {
        return None;
    };
    let inside = |e: &Expr| match &e.kind {
        Kind::Call(Func::Abs, args) => args.first().filter(|x| x.is_scalar()).cloned(),
        _ => None,
    };
    let [(Rel::Eq | Rel::Ne, second)] = rest.as_slice() else {
        return None;
    };
    let square = |x: Expr| {
        let two = Box::new(Kind::int(2).at(x.span.clone()));
        let span = x.span.clone();
        Kind::Pow(Box::new(x), two).at(span)
    };
    Some(gap(&square(inside(first)?), &square(inside(second)?)))
}

/// The conditions that hold together, chains taken apart. A list counts when it speaks of several
/// names: of one name, its conditions may be alternatives.
fn conjuncts(e: &Expr) -> Option<Vec<Expr>> {
    match &e.kind {
        Kind::Relation(first, rest) => {
            let mut left: &Expr = first;
            let mut out = Vec::new();
            for (rel, right) in rest {
                if !matches!(
                    rel,
                    Rel::Lt | Rel::Le | Rel::Gt | Rel::Ge | Rel::Ne | Rel::Eq
                ) {
                    return None;
                }
                let pair = vec![(*rel, right.clone())];
                out.push(Kind::Relation(Box::new(left.clone()), pair).at(e.span.clone()));
                left = right;
            }
            Some(out)
        }
        Kind::Sets(SetOp::Intersection, items) => {
            let parts: Vec<Vec<Expr>> = items.iter().map(conjuncts).collect::<Option<_>>()?;
            Some(parts.concat())
        }
        Kind::List(items) if items.iter().all(is_relation) && variable(e).is_none() => {
            let parts: Vec<Vec<Expr>> = items.iter().map(conjuncts).collect::<Option<_>>()?;
            Some(parts.concat())
        }
        _ => None,
    }
}
