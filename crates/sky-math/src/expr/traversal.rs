//! Walks over a tree: its children, questions about every node, and copies with nodes replaced.

use super::{Const, Expr, Kind};

impl Expr {
    /// Calls `f` with each direct child.
    pub(crate) fn children<'a>(&'a self, f: &mut dyn FnMut(&'a Self)) {
        match &self.kind {
            Kind::Num { .. }
            | Kind::Const(_)
            | Kind::Sym(_)
            | Kind::Based { .. }
            | Kind::Text(_) => {}
            Kind::Neg(a) | Kind::Percent(a) | Kind::Degree(a) | Kind::Quantity(a, _) => f(a),
            Kind::Add(items)
            | Kind::Mul(items)
            | Kind::Call(_, items)
            | Kind::Apply(_, items)
            | Kind::List(items)
            | Kind::Tuple(items)
            | Kind::Set(items)
            | Kind::Sets(_, items) => items.iter().for_each(f),
            Kind::Div(a, b)
            | Kind::Pow(a, b)
            | Kind::Root(a, b)
            | Kind::Interval { lo: a, hi: b, .. }
            | Kind::Builder {
                var: a,
                condition: b,
            } => {
                f(a);
                f(b);
            }
            Kind::PlusMinus(a, b, _) => {
                if let Some(a) = a {
                    f(a);
                }
                f(b);
            }
            Kind::Big { lo, hi, body, .. } => {
                if let Some(lo) = lo {
                    f(lo);
                }
                if let Some(hi) = hi {
                    f(hi);
                }
                f(body);
            }
            Kind::Relation(first, rest) => {
                f(first);
                rest.iter().for_each(|(_, side)| f(side));
            }
            Kind::Matrix(rows) => rows.iter().flatten().for_each(f),
        }
    }

    /// Nodes of the tree.
    pub(crate) fn size(&self) -> usize {
        // Words are read again and again.
        let mut total = match &self.kind {
            Kind::Quantity(_, words) | Kind::Text(words) => 1 + words.len(),
            _ => 1,
        };
        self.children(&mut |child| total += child.size());
        total
    }

    /// Whether `test` holds for this node or any below it.
    pub(crate) fn any(&self, test: &dyn Fn(&Kind) -> bool) -> bool {
        if test(&self.kind) {
            return true;
        }
        let mut found = false;
        self.children(&mut |child| found = found || child.any(test));
        found
    }

    /// Whether a name occurs, so that the value depends on something unknown.
    pub(crate) fn has_names(&self) -> bool {
        self.any(&|kind| matches!(kind, Kind::Sym(_) | Kind::Apply(..) | Kind::Big { .. }))
    }

    /// Whether a name occurs that no operator around it binds.
    pub(crate) fn has_free_names(&self) -> bool {
        self.has_names_but(&mut Vec::new())
    }

    fn has_names_but<'a>(&'a self, bound: &mut Vec<&'a str>) -> bool {
        match &self.kind {
            Kind::Sym(name) => !bound.contains(&name.as_str()),
            Kind::Big {
                var, lo, hi, body, ..
            } => {
                let ends = [lo, hi]
                    .into_iter()
                    .flatten()
                    .any(|end| end.has_names_but(bound));
                bound.push(var);
                let inside = body.has_names_but(bound);
                bound.pop();
                ends || inside
            }
            _ => {
                let mut found = false;
                self.children(&mut |child| found = found || child.has_names_but(bound));
                found
            }
        }
    }

    /// Whether the node is a value one can calculate with, rather than a set, a relation or words.
    pub(crate) fn is_scalar(&self) -> bool {
        !self.any(&|kind| {
            matches!(
                kind,
                Kind::List(_)
                    | Kind::Tuple(_)
                    | Kind::Set(_)
                    | Kind::Interval { .. }
                    | Kind::Sets(..)
                    | Kind::Builder { .. }
                    | Kind::Relation(..)
                    | Kind::Matrix(_)
                    | Kind::Text(_)
                    | Kind::PlusMinus(..)
                    | Kind::Const(
                        Const::Reals
                            | Const::Integers
                            | Const::Naturals
                            | Const::Rationals
                            | Const::Complexes
                            | Const::Empty
                    )
            )
        })
    }
}

/// A copy of the tree with each node replaced for which `f` gives another.
pub(crate) fn map(expr: &Expr, f: &dyn Fn(&Expr) -> Option<Expr>) -> Expr {
    if let Some(new) = f(expr) {
        return new;
    }
    let one = |e: &Expr| Box::new(map(e, f));
    let many = |items: &[Expr]| items.iter().map(|e| map(e, f)).collect::<Vec<_>>();
    let kind = match &expr.kind {
        Kind::Neg(a) => Kind::Neg(one(a)),
        Kind::Percent(a) => Kind::Percent(one(a)),
        Kind::Degree(a) => Kind::Degree(one(a)),
        Kind::Quantity(a, unit) => Kind::Quantity(one(a), unit.clone()),
        Kind::Add(items) => Kind::Add(many(items)),
        Kind::Mul(items) => Kind::Mul(many(items)),
        Kind::Div(a, b) => Kind::Div(one(a), one(b)),
        Kind::Pow(a, b) => Kind::Pow(one(a), one(b)),
        Kind::Root(a, b) => Kind::Root(one(a), one(b)),
        Kind::PlusMinus(a, b, mp) => Kind::PlusMinus(a.as_ref().map(|a| one(a)), one(b), *mp),
        Kind::Call(func, items) => Kind::Call(*func, many(items)),
        Kind::Apply(name, items) => Kind::Apply(name.clone(), many(items)),
        Kind::List(items) => Kind::List(many(items)),
        Kind::Tuple(items) => Kind::Tuple(many(items)),
        Kind::Set(items) => Kind::Set(many(items)),
        Kind::Sets(op, items) => Kind::Sets(*op, many(items)),
        Kind::Interval {
            lo,
            hi,
            lo_open,
            hi_open,
        } => Kind::Interval {
            lo: one(lo),
            hi: one(hi),
            lo_open: *lo_open,
            hi_open: *hi_open,
        },
        Kind::Relation(first, rest) => Kind::Relation(
            one(first),
            rest.iter().map(|(rel, e)| (*rel, map(e, f))).collect(),
        ),
        Kind::Matrix(rows) => Kind::Matrix(rows.iter().map(|row| many(row)).collect()),
        Kind::Builder { var, condition } => Kind::Builder {
            var: one(var),
            condition: one(condition),
        },
        Kind::Big {
            op,
            var,
            lo,
            hi,
            body,
        } => Kind::Big {
            op: *op,
            var: var.clone(),
            lo: lo.as_ref().map(|e| one(e)),
            hi: hi.as_ref().map(|e| one(e)),
            body: one(body),
        },
        Kind::Num { .. } | Kind::Const(_) | Kind::Sym(_) | Kind::Based { .. } | Kind::Text(_) => {
            expr.kind.clone()
        }
    };
    kind.at(expr.span.clone())
}
