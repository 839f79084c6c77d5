//! Sets of real numbers: intervals, unions, inequalities, all compared by membership.
//!
//! The bounds of both sides cut the line into points and open pieces. Two sets are equal when each
//! of these lies in both or in neither, which one representative of each decides. This needs no
//! rules for how unions, complements and inequalities rewrite into each other.

use std::cmp::Ordering;

use super::{
    Comparer, Comparison,
    interval_bounds::{collect_bounds, member_of, sample_points, variable},
};
use crate::{
    exact::{self, ExactError},
    expr::{Const, Expr, Kind, Rel, SetOp, map},
    identity,
};

/// Bounds at most: sorting compares every one with every other, each time by evaluation.
const MAX_BOUNDS: usize = 40;

/// Whether a node denotes a set of numbers by its form.
pub(super) fn is_real_set(expr: &Expr) -> bool {
    match &expr.kind {
        Kind::Interval { .. } | Kind::Sets(..) | Kind::Builder { .. } => true,
        Kind::Const(Const::Reals | Const::Empty | Const::Integers | Const::Naturals) => true,
        Kind::Relation(_, rest) => rest.iter().any(|(rel, _)| {
            matches!(
                rel,
                Rel::Lt | Rel::Le | Rel::Gt | Rel::Ge | Rel::Ne | Rel::In | Rel::NotIn
            )
        }),
        _ => false,
    }
}

pub(super) fn is_relation(expr: &Expr) -> bool {
    match &expr.kind {
        Kind::Relation(_, rest) => !rest.iter().any(|(rel, _)| matches!(rel, Rel::In)),
        Kind::Sets(_, items) => items.iter().any(is_relation),
        _ => false,
    }
}

impl Comparer<'_> {
    /// Compares two sets; `None` when this is not the way to.
    pub(super) fn real_sets(&self, a: &Expr, b: &Expr) -> Option<Comparison> {
        if self.gold
            && !self.options.relation_as_set
            && !is_relation(a)
            && is_relation(b)
            && (is_real_set(a) || matches!(a.kind, Kind::Tuple(_) | Kind::Set(_)))
        {
            return Some(Comparison::no("a relation for a set"));
        }
        // `x \in A` is `A`.
        let (a, b) = (member_of(a), member_of(b));
        if a == b {
            return Some(Comparison::yes("the same set as written"));
        }
        let usable = |e: &Expr| {
            is_real_set(e)
                || matches!(e.kind, Kind::Set(_))
                || matches!(&e.kind, Kind::Tuple(items) if items.len() == 2 && self.options.point_or_interval)
        };
        if !usable(a) || !usable(b) {
            return None;
        }
        // `(1, \infty]` is a mistake that `(1, \infty)` is not, and no sample point would show it.
        if holds_infinity(a) != holds_infinity(b) {
            return Some(Comparison::no("an infinite end closed on one side"));
        }
        if let (Kind::Relation(..), Kind::Relation(..)) = (&a.kind, &b.kind)
            && let (Some(x), Some(y)) = (middle(a), middle(b))
            && x != y
        {
            return Some(Comparison::no("relations of different names"));
        }
        // Two single intervals by their ends, which may have names; sample points need numbers.
        if let (Some(x), Some(y)) = (interval(a), interval(b)) {
            if x.lo_open != y.lo_open || x.hi_open != y.hi_open {
                return Some(Comparison::no(
                    "ends open on one side and closed on the other",
                ));
            }
            for (p, q) in [(x.lo, y.lo), (x.hi, y.hi)] {
                let judged = self.compare(p, q);
                if !judged.equal {
                    return Some(Comparison::no(format!("an end differs: {}", judged.why)));
                }
            }
            return Some(Comparison::yes("the same interval"));
        }
        let (var_a, var_b) = (variable(a)?, variable(b)?);
        // The name in a set-builder is bound there.
        let builder = |e: &Expr| matches!(e.kind, Kind::Builder { .. });
        if let (Some(x), Some(y)) = (&var_a, &var_b)
            && x != y
            && !builder(a)
            && !builder(b)
        {
            return Some(Comparison::no("relations of different names"));
        }
        let mut bounds = Vec::new();
        collect_bounds(a, var_a.as_deref(), self, &mut bounds)?;
        collect_bounds(b, var_b.as_deref(), self, &mut bounds)?;
        let bounds = self.sorted(bounds)?;
        for cell in sample_points(&bounds) {
            let (x, y) = (self.contains(a, &cell)?, self.contains(b, &cell)?);
            if x != y {
                let at = identity::approximate(&cell, self.budget).unwrap_or_default();
                return Some(Comparison::no(format!(
                    "{at} lies in {} only",
                    if x { "the first" } else { "the second" }
                )));
            }
        }
        Some(Comparison::yes("the same set of numbers"))
    }

    /// `x < -2, x > 3` as a set: what holds at once, or, where nothing could, either. `None`: not a
    /// list of conditions.
    pub(super) fn conditions(&self, list: &Expr) -> Option<Expr> {
        let Kind::List(items) = &list.kind else {
            return None;
        };
        if items.len() < 2
            || !items
                .iter()
                .all(|item| is_relation(item) && is_real_set(item))
        {
            return None;
        }
        let as_set = |op| Kind::Sets(op, items.clone()).at(list.span.clone());
        let nothing = Kind::Const(Const::Empty).at(0..0);
        let both = as_set(SetOp::Intersection);
        match self.real_sets(&both, &nothing) {
            Some(judged) if judged.equal => Some(as_set(SetOp::Union)),
            Some(_) => Some(both),
            None => None,
        }
    }

    fn order(&self, a: &Expr, b: &Expr) -> Option<Ordering> {
        match (identity::infinity(a), identity::infinity(b)) {
            (Some(x), Some(y)) => return Some(x.cmp(&y)),
            (Some(x), None) => return Some(if x { Ordering::Greater } else { Ordering::Less }),
            (None, Some(y)) => return Some(if y { Ordering::Less } else { Ordering::Greater }),
            (None, None) => {}
        }
        let gap = Kind::Add(vec![a.clone(), Kind::Neg(Box::new(b.clone())).at(0..0)]).at(0..0);
        match identity::sign(&gap, self.budget) {
            Some(s) => Some(s.cmp(&0)),
            // No precision tells `\sqrt{8} - 2\sqrt{2}` from zero, but a normal form does.
            None => identity::compare(a, b, self.budget)
                .is_equal()
                .then_some(Ordering::Equal),
        }
    }

    /// Insertion sort with an order that may be unknown: one undecided pair ends it, where the sort
    /// of the standard library would need a total order.
    pub(super) fn sorted(&self, bounds: Vec<Expr>) -> Option<Vec<Expr>> {
        let mut out: Vec<Expr> = Vec::new();
        'next: for end in bounds {
            let mut at = out.len();
            for (i, other) in out.iter().enumerate() {
                match self.order(&end, other)? {
                    Ordering::Equal => continue 'next,
                    Ordering::Less => {
                        at = i;
                        break;
                    }
                    Ordering::Greater => {}
                }
            }
            out.insert(at, end);
            if out.len() > MAX_BOUNDS {
                return None;
            }
        }
        Some(out)
    }

    pub(super) fn contains(&self, set: &Expr, point: &Expr) -> Option<bool> {
        match &set.kind {
            Kind::Interval {
                lo,
                hi,
                lo_open,
                hi_open,
            } => self.between(lo, hi, *lo_open, *hi_open, point),
            // `(1, 2)` is an open interval here.
            Kind::Tuple(items) if items.len() == 2 => {
                self.between(&items[0], &items[1], true, true, point)
            }
            Kind::Set(items) => {
                let mut any = false;
                for item in items {
                    any |= self.order(item, point)? == Ordering::Equal;
                }
                Some(any)
            }
            Kind::Const(Const::Reals) => Some(true),
            Kind::Const(Const::Empty) => Some(false),
            Kind::Sets(op, items) => {
                let mut parts = items
                    .iter()
                    .map(|item| self.contains(member_of(item), point));
                let first = parts.next()??;
                parts.try_fold(first, |sofar, part| {
                    let part = part?;
                    Some(match op {
                        SetOp::Union => sofar || part,
                        SetOp::Intersection => sofar && part,
                        SetOp::Difference => sofar && !part,
                    })
                })
            }
            Kind::Builder { var, condition } => {
                let domain = match &var.kind {
                    Kind::Relation(_, rest) => match rest.as_slice() {
                        [(Rel::In, domain)] => self.contains(domain, point)?,
                        _ => return None,
                    },
                    _ => true,
                };
                Some(domain && self.contains(condition, point)?)
            }
            Kind::List(items) => items.iter().try_fold(true, |sofar, item| {
                Some(sofar && self.contains(item, point)?)
            }),
            Kind::Relation(first, rest) => self.relation_holds(set, first, rest, point),
            _ => None,
        }
    }

    /// Whether a chain of relations in one name holds with `point` for the name.
    fn relation_holds(
        &self,
        set: &Expr,
        first: &Expr,
        rest: &[(Rel, Expr)],
        point: &Expr,
    ) -> Option<bool> {
        let name = variable(set)??;
        let put = |e: &Expr| {
            map(e, &|node| {
                matches!(&node.kind, Kind::Sym(n) if *n == name).then(|| point.clone())
            })
        };
        let mut left = put(first);
        for (rel, side) in rest {
            if *rel == Rel::In {
                if !self.contains(side, &left)? {
                    return Some(false);
                }
                continue;
            }
            let right = put(side);
            // `\frac{1}{x} > 0` does not hold where there is no value.
            let undefined = |e: &Expr| {
                matches!(
                    exact::rational(e, &mut Vec::new(), self.budget),
                    Err(ExactError::Undefined)
                )
            };
            if undefined(&left) || undefined(&right) {
                return Some(false);
            }
            let order = self.order(&left, &right)?;
            let holds = match rel {
                Rel::Lt => order.is_lt(),
                Rel::Le => order.is_le(),
                Rel::Gt => order.is_gt(),
                Rel::Ge => order.is_ge(),
                Rel::Eq => order.is_eq(),
                Rel::Ne => order.is_ne(),
                _ => return None,
            };
            if !holds {
                return Some(false);
            }
            left = right;
        }
        Some(true)
    }

    fn between(
        &self,
        lo: &Expr,
        hi: &Expr,
        lo_open: bool,
        hi_open: bool,
        point: &Expr,
    ) -> Option<bool> {
        let low = self.order(point, lo)?;
        let high = self.order(point, hi)?;
        let above = if lo_open { low.is_gt() } else { low.is_ge() };
        let below = if hi_open { high.is_lt() } else { high.is_le() };
        Some(above && below)
    }
}

/// The bounds of a single interval.
struct IntervalBounds<'a> {
    lo: &'a Expr,
    hi: &'a Expr,
    lo_open: bool,
    hi_open: bool,
}

/// The bounds of a single interval; of a chain `a < x < b` too.
fn interval(expr: &Expr) -> Option<IntervalBounds<'_>> {
    match &expr.kind {
        Kind::Interval {
            lo,
            hi,
            lo_open,
            hi_open,
        } => Some(IntervalBounds {
            lo,
            hi,
            lo_open: *lo_open,
            hi_open: *hi_open,
        }),
        Kind::Tuple(items) if items.len() == 2 => Some(IntervalBounds {
            lo: &items[0],
            hi: &items[1],
            lo_open: true,
            hi_open: true,
        }),
        Kind::Relation(first, rest) => match rest.as_slice() {
            [(r1, middle), (r2, last)] if matches!(middle.kind, Kind::Sym(_)) => match (r1, r2) {
                (Rel::Lt | Rel::Le, Rel::Lt | Rel::Le) => Some(IntervalBounds {
                    lo: first,
                    hi: last,
                    lo_open: *r1 == Rel::Lt,
                    hi_open: *r2 == Rel::Lt,
                }),
                (Rel::Gt | Rel::Ge, Rel::Gt | Rel::Ge) => Some(IntervalBounds {
                    lo: last,
                    hi: first,
                    lo_open: *r2 == Rel::Gt,
                    hi_open: *r1 == Rel::Gt,
                }),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

/// `x` of `a < x < b`.
fn middle(expr: &Expr) -> Option<&Expr> {
    match &expr.kind {
        Kind::Relation(_, rest) if rest.len() == 2 => Some(&rest[0].1),
        _ => None,
    }
}

/// Whether an interval claims to hold its infinite end.
fn holds_infinity(expr: &Expr) -> bool {
    expr.any(&|k| match k {
        Kind::Interval {
            lo,
            hi,
            lo_open,
            hi_open,
        } => {
            let infinite = |e: &Expr| identity::infinity(e).is_some();
            !lo_open && infinite(lo) || !hi_open && infinite(hi)
        }
        _ => false,
    })
}
