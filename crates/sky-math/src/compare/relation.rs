//! Equations, inequalities and assignments.

use super::{
    Comparer, Comparison,
    assignment::{assignment, exact_sides, is_equation, is_name},
    clear_denominators::Gap,
    condition::equal_squares,
    interval_bounds::member_of,
    kind_name::describe,
    matrix,
};
use crate::{
    exact,
    expr::{BigOp, Expr, Func, Kind, Rel, map},
    identity,
};

/// What a chain of equalities comes to.
struct ChainValue {
    /// The side that it ends in.
    value: Expr,
    /// Whether its sides agree; true when they were not checked.
    holds: bool,
}

/// The class of `x \equiv 2 \pmod 5`.
fn congruent(expr: &Expr) -> Option<&Expr> {
    let Kind::Relation(first, rest) = &expr.kind else {
        return None;
    };
    match rest.as_slice() {
        [(Rel::Named("equiv"), class)] if is_name(first) => {
            matches!(class.kind, Kind::Call(Func::Residue, _)).then_some(class)
        }
        _ => None,
    }
}

/// `y` is written for `f(x)`.
fn is_value_of(a: &Expr, b: &Expr) -> bool {
    let y = |e: &Expr| matches!(&e.kind, Kind::Sym(name) if name == "y");
    let f = |e: &Expr| matches!(&e.kind, Kind::Apply(_, args) if args.len() == 1);
    y(a) && f(b) || f(a) && y(b)
}

impl Comparer<'_> {
    /// An assignment or a chain of equalities on one side, a value on the other.
    pub(super) fn assignments(&self, a: &Expr, b: &Expr) -> Option<Comparison> {
        // `x \in \{5\}` is `\{5\}` for a value.
        if self.options.assignment_is_value {
            let (x, y) = (member_of(a), member_of(b));
            let value = |e: &Expr| {
                e.is_scalar() || matches!(e.kind, Kind::List(_) | Kind::Tuple(_) | Kind::Set(_))
            };
            // `x \in (1, 2)` is an interval.
            let points = |e: &Expr| !matches!(e.kind, Kind::Tuple(_));
            if !std::ptr::eq(x, a) && points(x) && value(b)
                || !std::ptr::eq(y, b) && points(y) && value(a)
            {
                return Some(self.compare(x, y));
            }
        }
        // `x \equiv 2 \pmod 5` names a class.
        if self.options.assignment_is_value {
            let class = |e: &Expr| matches!(e.kind, Kind::Call(Func::Residue, _));
            match (congruent(a), congruent(b)) {
                (Some(x), None) if class(b) => return Some(self.compare(x, b)),
                (None, Some(y)) if class(a) => return Some(self.compare(a, y)),
                _ => {}
            }
        }
        let chain = |e: &Expr| matches!(&e.kind, Kind::Relation(_, rest) if is_equation(rest));
        match (chain(a), chain(b)) {
            (true, true) => {
                if let (Some(x), Some(y)) = (assignment(a), assignment(b))
                    && (x.name == y.name || is_value_of(x.name, y.name))
                {
                    if self.gold && self.chain_value(b, true).is_some_and(|chain| !chain.holds) {
                        return Some(Comparison::no("the answer equates different values"));
                    }
                    return Some(self.compare(x.value, y.value));
                }
                None
            }
            (true, false) => self
                .chain_value(a, false)
                .map(|chain| self.compare(&chain.value, b)),
            (false, true) => {
                let chain = self.chain_value(b, true)?;
                if !chain.holds {
                    return Some(Comparison::no("the answer equates different values"));
                }
                Some(self.compare(a, &chain.value))
            }
            (false, false) => None,
        }
    }

    /// The value that a chain of equalities stands for; `None` when it is an equation to be kept.
    fn chain_value(&self, expr: &Expr, check: bool) -> Option<ChainValue> {
        let Kind::Relation(first, rest) = &expr.kind else {
            return None;
        };
        let sides = exact_sides(first, rest);
        // `\frac{1}{3} \approx 0.333`: what is approximated.
        if sides.len() == 1 {
            return Some(ChainValue {
                value: sides[0].clone(),
                holds: true,
            });
        }
        let value = match assignment(expr) {
            Some(found) if self.options.assignment_is_value => found.value.clone(),
            Some(_) => return None,
            // `\frac{6}{2} = 3`, without a name.
            None if sides.iter().all(|s| !s.has_names() && s.is_scalar()) => {
                (*sides.last()?).clone()
            }
            // `2n + 2 = 2(n + 1)`: an identity is its value.
            None if sides.len() >= 2
                && sides.iter().all(|s| s.is_scalar())
                && self.scalars(sides[0], sides[1]).equal =>
            {
                (*sides.last()?).clone()
            }
            // The gold's chain ends in its answer, whatever came before.
            None if sides.len() >= 3 && !check => (*sides.last()?).clone(),
            None => return None,
        };
        let determinant = matches!(&first.kind, Kind::Call(Func::Det, _))
            && matrix::calculated(first, sides[1], self.budget).is_some();
        let holds = !check
            || (!determinant || self.compare(first, sides[1]).equal)
                && sides[1..].windows(2).all(|pair| {
                    let scalar = pair[0].is_scalar() && pair[1].is_scalar();
                    !scalar
                        || is_name(pair[0])
                        || is_name(pair[1])
                        || self.scalars(pair[0], pair[1]).equal
                });
        Some(ChainValue { value, holds })
    }

    /// Relations on both sides: the same up to a factor, sides exchanged, or side by side.
    pub(super) fn relations(&self, a: &Expr, b: &Expr) -> Option<Comparison> {
        let (Kind::Relation(a1, ar), Kind::Relation(b1, br)) = (&a.kind, &b.kind) else {
            if matches!(a.kind, Kind::Relation(..)) != matches!(b.kind, Kind::Relation(..))
                && (a.is_scalar() || b.is_scalar())
            {
                return Some(Comparison::no(describe(a, b)));
            }
            return None;
        };
        let (Some(chain_a), Some(chain_b)) = (sides(a1, ar), sides(b1, br)) else {
            return None;
        };
        let turns = !br.iter().any(|(rel, _)| rel.is_one_way());
        if self.side_by_side(&chain_a, &chain_b)
            || turns && self.side_by_side(&chain_a, &reversed(&chain_b))
        {
            return Some(Comparison::yes("the same relation side by side"));
        }
        if let ([(rel_a, side_a)], [(rel_b, side_b)]) = (ar.as_slice(), br.as_slice())
            && a1.is_scalar()
            && b1.is_scalar()
            && side_a.is_scalar()
            && side_b.is_scalar()
            && ![&**a1, side_a, &**b1, side_b].into_iter().any(is_opaque)
        {
            let difference = |e: &Expr, x: &Expr, y: &Expr| {
                let plain = || {
                    let minus = Kind::Neg(Box::new(y.clone())).at(y.span.clone());
                    Kind::Add(vec![x.clone(), minus]).at(x.span.clone())
                };
                self.constants_as_names(&equal_squares(e).unwrap_or_else(plain))
            };
            let (gap_a, gap_b) = (difference(a, a1, side_a), difference(b, b1, side_b));
            // Without a name there are two numbers, and one is always a multiple of the other.
            if !gap_a.has_free_names() || !gap_b.has_free_names() {
                return Some(Comparison::no("different relations between numbers"));
            }
            let factor = identity::proportional(&gap_a, &gap_b, self.budget);
            let fits = match factor {
                None => false,
                Some(sign) => match (rel_a, rel_b) {
                    (Rel::Eq, Rel::Eq) | (Rel::Ne, Rel::Ne) => true,
                    (x, y) if sign > 0 => x == y && !matches!(x, Rel::Named(_)) && !x.is_one_way(),
                    (x, y) if sign < 0 => *x == y.flipped() && x != y,
                    _ => false,
                },
            };
            if fits {
                return Some(Comparison::yes("the same relation up to a constant factor"));
            }
            if let (Rel::Eq, Rel::Eq) = (rel_a, rel_b)
                && self.clear_denominators(
                    Gap {
                        zero: &gap_a,
                        is_solved: is_solved(a),
                    },
                    Gap {
                        zero: &gap_b,
                        is_solved: is_solved(b),
                    },
                )
            {
                return Some(Comparison::yes("the same equation multiplied out"));
            }
        }
        Some(Comparison::no("different relations"))
    }

    /// The tree with each value of an unknown function at a number for a name: `f(2)` and `f(3)` are
    /// two unknowns.
    fn constants_as_names(&self, e: &Expr) -> Expr {
        map(e, &|node| {
            let Kind::Apply(name, args) = &node.kind else {
                return None;
            };
            if node.has_free_names() {
                return None;
            }
            let known = |arg: &Expr| match exact::rational(arg, &mut Vec::new(), self.budget) {
                Ok(value) => value.to_string(),
                Err(_) => arg.to_string(),
            };
            let args: Vec<String> = args.iter().map(known).collect();
            let name = format!("{name}({})", args.join(","));
            Some(Kind::Sym(name).at(node.span.clone()))
        })
    }

    fn side_by_side(&self, a: &[(Rel, &Expr)], b: &[(Rel, &Expr)]) -> bool {
        a.len() == b.len()
            && a.iter().zip(b).all(|((ra, _), (rb, _))| ra == rb)
            && a.iter()
                .zip(b)
                .all(|((_, x), (_, y))| self.compare(x, y).equal)
    }
}

/// An integral or a limit is evaluated as a generic function, a number that is not its value: a
/// constant factor between two of them would be an accident.
fn is_opaque(expr: &Expr) -> bool {
    matches!(&expr.kind, Kind::Big { op, .. } if matches!(op, BigOp::Integral | BigOp::Limit))
}

/// `y = \frac{x}{x - 1}`: a name, and an expression without it that has others.
fn is_solved(e: &Expr) -> bool {
    assignment(e).is_some_and(|found| {
        matches!(found.name.kind, Kind::Sym(_))
            && found.value.is_scalar()
            && found.value.has_free_names()
    })
}

/// Sides with the relation to the one before; the first has none, written as `Eq`.
fn sides<'a>(first: &'a Expr, rest: &'a [(Rel, Expr)]) -> Option<Vec<(Rel, &'a Expr)>> {
    let all = std::iter::once((Rel::Eq, first))
        .chain(rest.iter().map(|(r, e)| (*r, e)))
        .collect::<Vec<_>>();
    (all.len() <= 16).then_some(all)
}

/// The chain read from right to left.
fn reversed<'a>(chain: &[(Rel, &'a Expr)]) -> Vec<(Rel, &'a Expr)> {
    let n = chain.len();
    (0..n)
        .map(|i| {
            let rel = if i == 0 {
                Rel::Eq
            } else {
                chain[n - i].0.flipped()
            };
            (rel, chain[n - 1 - i].1)
        })
        .collect()
}
