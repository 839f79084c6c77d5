//! Sets of integers by a condition, written out: `\{x \in \mathbb{Z} \mid 1 < x < 4\}` is `\{2,
//! 3\}`.

use dashu_int::IBig;
use dashu_ratio::RBig;

use super::{Comparer, interval_bounds};
use crate::{
    expr::{Const, Expr, Func, Kind, Rel, SetOp, map},
    identity,
};

/// Longer sets are not enumerated: matching is quadratic, and a longer one is written by a rule.
const MAX_NUMBERS: i64 = 200;

/// The values that a name gives while it ranges over integers under conditions.
struct Comprehension {
    name: String,
    /// Whether zero and the negative numbers are out.
    natural: bool,
    conditions: Vec<Expr>,
    value: Expr,
}

impl Comparer<'_> {
    /// The set with its numbers written out; `None` where there is no such condition or it bounds
    /// too few of them.
    pub(super) fn enumerated(&self, expr: &Expr) -> Option<Expr> {
        let comprehension = comprehension(expr)?;
        let holds = |n: &IBig| {
            let point = number(RBig::from(n.clone()));
            comprehension
                .conditions
                .iter()
                .try_fold(true, |sofar, condition| {
                    Some(sofar && self.contains(condition, &point)?)
                })
        };
        let mut cuts = Vec::new();
        for condition in &comprehension.conditions {
            interval_bounds::collect_bounds(condition, Some(&comprehension.name), self, &mut cuts)?;
        }
        let cuts = self.sorted(cuts)?;
        let lowest = identity::floor(cuts.first()?, self.budget)? - IBig::ONE;
        let highest = identity::floor(cuts.last()?, self.budget)? + IBig::from(2);
        // Whether zero is natural is not agreed on, so a condition that admits it decides nothing.
        let from = if comprehension.natural && lowest < IBig::ONE {
            if holds(&IBig::ZERO)? {
                return None;
            }
            IBig::ONE
        } else if holds(&lowest)? {
            return None;
        } else {
            lowest
        };
        if holds(&highest)? || i64::try_from(&highest - &from).ok()? > MAX_NUMBERS {
            return None;
        }
        let mut items = Vec::new();
        let mut n = from;
        while n < highest {
            if holds(&n)? {
                let point = number(RBig::from(n.clone()));
                items.push(map(&comprehension.value, &|e| {
                    matches!(&e.kind, Kind::Sym(name) if *name == comprehension.name)
                        .then(|| point.clone())
                }));
            }
            n += IBig::ONE;
        }
        Some(Kind::Set(items).at(expr.span.clone()))
    }
}

/// Both values with the names that the lists say are whole standing for integers only: `\sin n\pi,
/// n \in \mathbb{Z}` is 0.
pub(super) fn with_integer_names(a: &Expr, b: &Expr, said: &[&Expr]) -> Option<(Expr, Expr)> {
    let mut names = Vec::new();
    for list in said {
        if let Kind::List(items) = &list.kind {
            names.extend(items.iter().filter_map(integer_name).map(|it| it.name));
        }
    }
    let put = |e: &Expr| {
        map(e, &|node| match &node.kind {
            Kind::Sym(name) if names.contains(&name.as_str()) => {
                Some(Kind::Call(Func::Floor, vec![node.clone()]).at(node.span.clone()))
            }
            _ => None,
        })
    };
    (!names.is_empty()).then(|| (put(a), put(b)))
}

fn number(value: RBig) -> Expr {
    Kind::Num {
        value,
        decimals: None,
    }
    .at(0..0)
}

/// A name that stands for integers.
#[derive(Clone, Copy)]
struct IntegerName<'a> {
    name: &'a str,
    /// Whether zero and the negative numbers are out.
    natural: bool,
}

/// The name of `x \in \mathbb{Z}` and `x \in \mathbb{N}`.
fn integer_name(e: &Expr) -> Option<IntegerName<'_>> {
    let Kind::Relation(first, rest) = &e.kind else {
        return None;
    };
    match (&first.kind, rest.as_slice()) {
        (Kind::Sym(name), [(Rel::In, set)]) => match set.kind {
            Kind::Const(Const::Integers) => Some(IntegerName {
                name,
                natural: false,
            }),
            Kind::Const(Const::Naturals) => Some(IntegerName {
                name,
                natural: true,
            }),
            _ => None,
        },
        _ => None,
    }
}

fn comprehension(expr: &Expr) -> Option<Comprehension> {
    let parts = |e: &Expr| match &e.kind {
        Kind::List(items) | Kind::Sets(SetOp::Intersection, items) => items.clone(),
        _ => vec![e.clone()],
    };
    let (value, mut conditions) = match &expr.kind {
        Kind::Builder { var, condition } => match integer_name(var) {
            Some(found) => {
                let value = Kind::Sym(found.name.to_owned()).at(var.span.clone());
                let all = [vec![(**var).clone()], parts(condition)].concat();
                (Some(value), all)
            }
            None => (Some((**var).clone()), parts(condition)),
        },
        Kind::List(_) | Kind::Sets(SetOp::Intersection, _) => (None, parts(expr)),
        _ => return None,
    };
    // `(1, 4) \cap \mathbb{Z}`.
    let plain = |e: &Expr| matches!(e.kind, Kind::Const(Const::Integers));
    if let (None, Some(at)) = (&value, conditions.iter().position(plain)) {
        conditions.remove(at);
        let intervals = conditions
            .iter()
            .all(|e| matches!(e.kind, Kind::Interval { .. } | Kind::Tuple(_)));
        return (intervals && !conditions.is_empty()).then(|| Comprehension {
            name: "x".to_owned(),
            natural: false,
            conditions,
            value: Kind::Sym("x".to_owned()).at(0..0),
        });
    }
    let at = conditions.iter().position(|e| integer_name(e).is_some())?;
    let domain = conditions.remove(at);
    let IntegerName { name, natural } = integer_name(&domain)?;
    let about = |e: &Expr| match &e.kind {
        Kind::Relation(_, rest) => {
            e.any(&|k| matches!(k, Kind::Sym(n) if n == name))
                && rest.iter().all(|(rel, _)| {
                    matches!(
                        rel,
                        Rel::Lt | Rel::Le | Rel::Gt | Rel::Ge | Rel::Ne | Rel::In
                    )
                })
        }
        _ => false,
    };
    let fits = !conditions.is_empty() && conditions.iter().all(about);
    fits.then(|| Comprehension {
        name: name.to_owned(),
        natural,
        value: value.unwrap_or_else(|| Kind::Sym(name.to_owned()).at(0..0)),
        conditions,
    })
}
