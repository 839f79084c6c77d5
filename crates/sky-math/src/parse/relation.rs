//! Relations and chains of them, ratios, operations on sets.

use super::{MAX_POSTFIXES, Parsed, Parser, Separator};
use crate::{
    expr::{Const, Expr, Kind, Rel, SetOp},
    lex::Tok,
};

impl<'a> Parser<'a> {
    /// A chain of relations, or one side alone.
    pub(super) fn relation(&mut self) -> Parsed {
        let start = self.start();
        // `= 5`, `\approx 5`: what stands before was left out.
        while matches!(
            self.peek(),
            Tok::Ch('=') | Tok::Cmd("Rightarrow" | "implies" | "therefore" | "approx")
        ) && !matches!(self.ahead(1), Tok::End)
        {
            self.at += 1;
        }
        let first = self.ratio()?;
        let mut rest = Vec::new();
        while let Some(rel) = self.relation_sign()? {
            if self.budget.take(4).is_err() {
                return self.fail("the work budget is spent");
            }
            let side = self.ratio()?;
            rest.push((rel, side));
        }
        if rest.is_empty() {
            return Ok(first);
        }
        Ok(Kind::Relation(Box::new(first), rest).at(self.since(start)))
    }

    /// `1 : 4`, the quotient of two; of more parts, a tuple.
    pub(super) fn ratio(&mut self) -> Parsed {
        let start = self.start();
        let first = self.union()?;
        if self.bars
            || !self.is(':')
            || !matches!(
                self.ahead(1),
                Tok::Num(_) | Tok::Letter(..) | Tok::Ch('(') | Tok::Cmd("sqrt" | "frac" | "pi")
            )
        {
            return Ok(first);
        }
        let mut parts = vec![first];
        // `5:00` is a time of day, not a quotient.
        let mut clock = false;
        while parts.len() < 16 && self.eat(':') {
            clock |= matches!(self.peek(), Tok::Num(d) if d.whole.len() == 2 && d.whole.starts_with('0'));
            parts.push(self.sum()?);
        }
        let span = self.since(start);
        if clock {
            return Ok(Kind::Tuple(parts).at(span));
        }
        match <[Expr; 2]>::try_from(parts) {
            Ok([above, below]) => Ok(Kind::Div(Box::new(above), Box::new(below)).at(span)),
            Err(parts) => Ok(Kind::Apply(":".to_owned(), parts).at(span)),
        }
    }

    fn relation_sign(&mut self) -> Parsed<Option<Rel>> {
        let (rel, len) = match (self.peek(), self.ahead(1)) {
            (Tok::Ch('='), Tok::Ch('=')) => (Rel::Eq, 2),
            (Tok::Ch('='), _) => (Rel::Eq, 1),
            (Tok::Ch(':'), Tok::Ch('=')) => (Rel::Eq, 2),
            (Tok::Ch('<'), Tok::Ch('=')) => (Rel::Le, 2),
            (Tok::Ch('<'), _) => (Rel::Lt, 1),
            (Tok::Ch('>'), Tok::Ch('=')) => (Rel::Ge, 2),
            (Tok::Ch('>'), _) => (Rel::Gt, 1),
            (Tok::Ch('!'), Tok::Ch('=')) => (Rel::Ne, 2),
            (Tok::Cmd("not"), Tok::Ch('=')) => (Rel::Ne, 2),
            (Tok::Cmd("not"), Tok::Cmd("in")) => (Rel::NotIn, 2),
            (Tok::Cmd(name), _) => match *name {
                "le" | "leq" | "leqslant" | "leqq" => (Rel::Le, 1),
                "ge" | "geq" | "geqslant" | "geqq" => (Rel::Ge, 1),
                "lt" => (Rel::Lt, 1),
                "gt" => (Rel::Gt, 1),
                "ne" | "neq" => (Rel::Ne, 1),
                "in" => (Rel::In, 1),
                "notin" => (Rel::NotIn, 1),
                "approx" | "simeq" | "doteq" => (Rel::Approx, 1),
                "subset" | "subseteq" => (Rel::Subset, 1),
                "to" | "rightarrow" | "Rightarrow" | "implies" | "longrightarrow" | "mapsto" => {
                    (Rel::Arrow, 1)
                }
                "equiv" | "cong" => (Rel::Named("equiv"), 1),
                "sim" => (Rel::Named("sim"), 1),
                "propto" => (Rel::Named("propto"), 1),
                "iff" | "Leftrightarrow" => (Rel::Named("iff"), 1),
                "perp" => (Rel::Named("perp"), 1),
                "parallel" => (Rel::Named("parallel"), 1),
                _ => return Ok(None),
            },
            _ => return Ok(None),
        };
        self.at += len;
        Ok(Some(rel))
    }

    /// What a sign or a word denies: the numbers that a condition leaves out, or a statement.
    pub(super) fn negation(&mut self, start: usize) -> Parsed {
        let inner = self.factor()?;
        let span = self.since(start);
        if is_condition(&inner) || matches!(inner.kind, Kind::Sets(..)) {
            let all = Kind::Const(Const::Reals).at(span.clone());
            return Ok(Kind::Sets(SetOp::Difference, vec![all, inner]).at(span));
        }
        Ok(Kind::Apply("neg".to_owned(), vec![inner]).at(span))
    }

    /// Unions, intersections and differences of sets, from left to right.
    pub(super) fn union(&mut self) -> Parsed {
        let start = self.start();
        let mut left = set_difference(self.sum()?);
        let mut marks = 0;
        loop {
            let op = match self.peek() {
                Tok::Cmd("cup" | "bigcup") | Tok::Word("union") => SetOp::Union,
                Tok::Cmd("cap" | "bigcap") => SetOp::Intersection,
                Tok::Cmd("setminus" | "backslash") => SetOp::Difference,
                // `(-\infty, 1) U (2, 3)`.
                Tok::Letter('U', _)
                    if matches!(
                        left.kind,
                        Kind::Tuple(_) | Kind::Interval { .. } | Kind::Set(_) | Kind::Sets(..)
                    ) =>
                {
                    SetOp::Union
                }
                _ => return Ok(left),
            };
            self.at += 1;
            let right = self.sum()?;
            let span = self.since(start);
            left = match left.kind {
                Kind::Sets(o, mut items) if o == op && op != SetOp::Difference => {
                    items.push(right);
                    Kind::Sets(op, items).at(span)
                }
                kind => {
                    marks += 1;
                    if marks > MAX_POSTFIXES {
                        return self.fail("too many set operations");
                    }
                    Kind::Sets(op, vec![kind.at(left.span), right]).at(span)
                }
            };
        }
    }
}

/// `\mathbb{R} - \{0\}`: a difference with braces behind the sign is one of sets.
fn set_difference(sum: Expr) -> Expr {
    let set = |e: &Expr| {
        matches!(
            e.kind,
            Kind::Const(
                Const::Reals
                    | Const::Integers
                    | Const::Naturals
                    | Const::Rationals
                    | Const::Complexes
            ) | Kind::Interval { .. }
                | Kind::Tuple(_)
                | Kind::Set(_)
        )
    };
    let taken = |e: &Expr| matches!(&e.kind, Kind::Neg(set) if matches!(set.kind, Kind::Set(_)));
    match sum.kind {
        Kind::Add(terms)
            if terms.first().is_some_and(set)
                && terms.len() > 1
                && terms[1..].iter().all(taken) =>
        {
            let parts = terms.into_iter().map(|term| match term.kind {
                Kind::Neg(set) => *set,
                kind => kind.at(term.span),
            });
            let joined = parts.reduce(|left, right| {
                let span = left.span.start..right.span.end;
                Kind::Sets(SetOp::Difference, vec![left, right]).at(span)
            });
            joined.unwrap_or_else(|| Kind::Const(Const::Empty).at(sum.span))
        }
        kind => kind.at(sum.span),
    }
}

/// `p \land q`, `p \lor q \land r`: statements joined, "and" before "or". `None` for values and
/// relations, which are a list.
pub(super) fn statement(items: &[Expr], separators: &[Separator]) -> Option<Kind> {
    let letters = |e: &Expr| e.is_scalar() && e.has_names();
    if items.len() < 2 || !items.iter().all(letters) {
        return None;
    }
    let joined = |name: &str, mut items: Vec<Expr>| match items.len() {
        1 => items.remove(0).kind,
        _ => Kind::Apply(name.to_owned(), items),
    };
    let mut parts = Vec::new();
    let mut part = vec![items[0].clone()];
    for (item, separator) in items[1..].iter().zip(separators) {
        if *separator == Separator::Or {
            let span = part[0].span.start..part[part.len() - 1].span.end;
            parts.push(joined("land", std::mem::take(&mut part)).at(span));
        }
        part.push(item.clone());
    }
    let span = part[0].span.start..part[part.len() - 1].span.end;
    parts.push(joined("land", part).at(span));
    Some(joined("lor", parts))
}

/// Conditions on one name: `x < 1 or x > 3` is a union, `x > 1 and x < 3` an intersection, and so
/// is `x > 1, x \ne 2`.
pub(super) fn conditions(items: &[Expr], separators: &[Separator]) -> Option<SetOp> {
    // `x = 0 or x > 2`.
    let equation = |e: &Expr| matches!(&e.kind, Kind::Relation(_, rest) if matches!(rest.as_slice(), [(Rel::Eq, side)] if side.is_scalar()));
    let either = separators.iter().all(|&p| p == Separator::Or) && items.iter().any(is_condition);
    let all = items.len() > 1
        && items
            .iter()
            .all(|e| is_condition(e) || either && equation(e));
    let same_name = |e: &Expr| {
        let (Kind::Relation(first, _), Kind::Relation(other, _)) = (&items[0].kind, &e.kind) else {
            return false;
        };
        let simple = |e: &Expr| matches!(e.kind, Kind::Sym(_));
        !simple(first) || !simple(other) || first == other
    };
    if !all || !items.iter().all(same_name) {
        return None;
    }
    let excludes = |e: &Expr| matches!(&e.kind, Kind::Relation(_, rest) if matches!(rest.as_slice(), [(Rel::Ne, _)]));
    if separators.iter().all(|&p| p == Separator::Or) {
        Some(SetOp::Union)
    } else if separators.iter().all(|&p| p == Separator::And)
        || items.iter().any(excludes) && !separators.contains(&Separator::Or)
    {
        Some(SetOp::Intersection)
    } else {
        None
    }
}

fn is_condition(expr: &Expr) -> bool {
    matches!(&expr.kind, Kind::Relation(_, rest) if rest.iter().all(|(rel, side)| match rel {
        Rel::Lt | Rel::Le | Rel::Gt | Rel::Ge | Rel::Ne => true,
        Rel::In => matches!(
            side.kind,
            Kind::Interval { .. } | Kind::Tuple(_) | Kind::Sets(..) | Kind::Const(Const::Reals)
        ),
        _ => false,
    }))
}
