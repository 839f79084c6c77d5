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
                "to" | "rightarrow" | "Rightarrow" | "implies" | "longrightarrow"
                | "Longrightarrow" | "mapsto" => (Rel::Arrow, 1),
                "equiv" | "cong" => (Rel::Named("equiv"), 1),
                "sim" => (Rel::Named("sim"), 1),
                "propto" => (Rel::Named("propto"), 1),
                "iff" | "Leftrightarrow" | "leftrightarrow" | "Longleftrightarrow" => {
                    (Rel::Named("iff"), 1)
                }
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
        let equation = matches!(&inner.kind, Kind::Relation(_, rest) if matches!(rest.as_slice(), [(Rel::Eq, _)]));
        if equation || is_condition(&inner) || matches!(inner.kind, Kind::Sets(..)) {
            let all = Kind::Const(Const::Reals).at(span.clone());
            return Ok(Kind::Sets(SetOp::Difference, vec![all, inner]).at(span));
        }
        Ok(Kind::Apply("neg".to_owned(), vec![inner]).at(span))
    }

    /// Unions, intersections and differences of sets, from left to right.
    pub(super) fn union(&mut self) -> Parsed {
        let start = self.start();
        let sum = self.sum()?;
        let mut left = self.set_difference(sum);
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
            let right = self.braced_set(right);
            let braced = match &left.kind {
                // `R \setminus \{0\}`.
                Kind::Sym(name) if name == "R" && matches!(right.kind, Kind::Set(_)) => {
                    Kind::Const(Const::Reals).at(left.span.clone())
                }
                _ => self.braced_set(left),
            };
            let span = self.since(start);
            left = match braced.kind {
                Kind::Sets(o, mut items) if o == op && op != SetOp::Difference => {
                    items.push(right);
                    Kind::Sets(op, items).at(span)
                }
                kind => {
                    marks += 1;
                    if marks > MAX_POSTFIXES {
                        return self.fail("too many set operations");
                    }
                    Kind::Sets(op, vec![kind.at(braced.span), right]).at(span)
                }
            };
        }
    }
}

impl Parser<'_> {
    /// `{1, 2}` beside a sign of sets, its braces not escaped.
    fn braced_set(&self, e: Expr) -> Expr {
        let text = &self.text[e.span.clone()];
        let values = match &e.kind {
            Kind::List(items) => items
                .iter()
                .all(|item| !matches!(item.kind, Kind::Relation(..))),
            _ => e.is_scalar(),
        };
        if !text.starts_with('{') || !text.ends_with('}') || !values {
            return e;
        }
        let items = match e.kind {
            Kind::List(items) => items,
            kind => vec![kind.at(e.span.clone())],
        };
        Kind::Set(items).at(e.span)
    }

    /// `\mathbb{R} - \{0\}`, `(0, 6] - (1, 2]`: a difference of what is a set by its form is one of
    /// sets. `(3, 4) - (1, 2)` is one of points.
    fn set_difference(&self, sum: Expr) -> Expr {
        let Kind::Add(terms) = &sum.kind else {
            return sum;
        };
        let taken = |e: &Expr| match &e.kind {
            Kind::Neg(set) => Some(self.braced_set((**set).clone())),
            _ => None,
        };
        let [first, rest @ ..] = terms.as_slice() else {
            return sum;
        };
        // Most sums are of numbers.
        let letter = matches!(&first.kind, Kind::Sym(name) if name == "R");
        if first.is_scalar() && !letter {
            return sum;
        }
        let Some(rest) = rest.iter().map(taken).collect::<Option<Vec<_>>>() else {
            return sum;
        };
        let is_interval = |e: &Expr| matches!(e.kind, Kind::Interval { .. } | Kind::Sets(..));
        let is_set = |e: &Expr| match e.kind {
            Kind::Const(
                Const::Reals
                | Const::Integers
                | Const::Naturals
                | Const::Rationals
                | Const::Complexes,
            )
            | Kind::Set(_) => true,
            Kind::Tuple(_) => true,
            _ => is_interval(e),
        };
        let braces = rest.iter().all(|e| matches!(e.kind, Kind::Set(_)));
        let intervals = rest.iter().all(is_set)
            && (letter || is_interval(first) || rest.iter().any(is_interval) && is_set(first));
        if !(braces && (is_set(first) || letter) || intervals) {
            return sum;
        }
        let first = match letter {
            true => Kind::Const(Const::Reals).at(first.span.clone()),
            false => first.clone(),
        };
        rest.into_iter().fold(first, |left, right| {
            let span = left.span.start..right.span.end;
            Kind::Sets(SetOp::Difference, vec![left, right]).at(span)
        })
    }
}

/// `p \land q`, `p \lor q \land r`: statements joined, "and" before "or", and both before an arrow
/// between them. `None` for values and relations alone, which are a list.
pub(super) fn statement(items: &[Expr], separators: &[Separator]) -> Option<Kind> {
    let letters = |e: &Expr| e.is_scalar() && e.has_names();
    let arrow = |e: &Expr| match &e.kind {
        Kind::Relation(_, rest) => matches!(rest.as_slice(), [(Rel::Arrow | Rel::Named("iff"), _)]),
        _ => false,
    };
    // Brackets around it are part of its place.
    let open = |e: &Expr| match &e.kind {
        Kind::Relation(first, _) => first.span.start == e.span.start,
        _ => false,
    };
    let relation = |e: &Expr| match &e.kind {
        Kind::Relation(first, rest) => {
            first.is_scalar() && rest.iter().all(|(_, side)| side.is_scalar())
        }
        // `\\neg (x < 2)`.
        Kind::Sets(..) => {
            is_condition(e)
                || matches!(&e.kind, Kind::Sets(SetOp::Difference, parts) if matches!(parts.as_slice(), [all, Expr { kind: Kind::Relation(..), .. }] if all.kind == Kind::Const(Const::Reals)))
        }
        _ => false,
    };
    if items.len() < 2
        || !items.iter().all(|e| letters(e) || relation(e))
        || !items.iter().any(|e| letters(e) || arrow(e))
    {
        return None;
    }
    // `p \lor q \to r`: what stands on either side of an arrow is joined first.
    let split = items.iter().position(|e| arrow(e) && open(e));
    if let Some(at) = split
        && let Kind::Relation(first, rest) = &items[at].kind
        && let [(rel, then)] = rest.as_slice()
    {
        let join = |items: Vec<Expr>, separators: &[Separator]| match items.len() {
            1 => items.into_iter().next(),
            _ => {
                let span = items[0].span.clone();
                statement(&items, separators).map(|kind| kind.at(span))
            }
        };
        let before = items[..at].iter().chain([&**first]).cloned().collect();
        let behind = [then]
            .into_iter()
            .chain(&items[at + 1..])
            .cloned()
            .collect();
        let (before, behind) = (
            join(before, &separators[..at])?,
            join(behind, &separators[at..])?,
        );
        return Some(Kind::Relation(Box::new(before), vec![(*rel, behind)]));
    }
    let joined = |name: &str, mut items: Vec<Expr>| match items.len() {
        1 => items.remove(0).kind,
        _ => Kind::Apply(name.to_owned(), items),
    };
    Some(by_precedence(
        items,
        separators,
        &|items| joined("land", items),
        &|items| joined("lor", items),
    ))
}

/// Items joined by "and" first and by "or" then.
fn by_precedence(
    items: &[Expr],
    separators: &[Separator],
    and: &dyn Fn(Vec<Expr>) -> Kind,
    or: &dyn Fn(Vec<Expr>) -> Kind,
) -> Kind {
    let mut parts = Vec::new();
    let mut part: Vec<Expr> = Vec::new();
    let close = |part: &mut Vec<Expr>, parts: &mut Vec<Expr>| {
        if let (Some(first), Some(last)) = (part.first(), part.last()) {
            let span = first.span.start..last.span.end;
            parts.push(and(std::mem::take(part)).at(span));
        }
    };
    for (k, item) in items.iter().enumerate() {
        if k > 0 && separators.get(k - 1) == Some(&Separator::Or) {
            close(&mut part, &mut parts);
        }
        part.push(item.clone());
    }
    close(&mut part, &mut parts);
    or(parts)
}

/// Conditions on one name: `x < 1 or x > 3` is a union, `x > 1 and x < 3` an intersection, and so
/// is `x > 1, x \ne 2`. On several names they are so when words join them.
pub(super) fn conditions(items: &[Expr], separators: &[Separator]) -> Option<Kind> {
    if items.len() < 2 || !items.iter().any(is_condition) {
        return None;
    }
    let same_name = |e: &Expr| {
        let (Kind::Relation(first, _), Kind::Relation(other, _)) = (&items[0].kind, &e.kind) else {
            return true;
        };
        let simple = |e: &Expr| matches!(e.kind, Kind::Sym(_));
        !simple(first) || !simple(other) || first == other
    };
    let one_name = items.iter().all(same_name);
    // `x = 0 or x > 2`.
    let equation = |e: &Expr| matches!(&e.kind, Kind::Relation(_, rest) if matches!(rest.as_slice(), [(Rel::Eq, side)] if side.is_scalar()));
    let plain = items.iter().all(is_condition);
    let worded = !separators.contains(&Separator::Comma);
    if worded && (plain || one_name && items.iter().all(|e| is_condition(e) || equation(e))) {
        let joined = |op: SetOp, mut items: Vec<Expr>| match items.len() {
            1 => items.remove(0).kind,
            _ => Kind::Sets(op, items),
        };
        return Some(by_precedence(
            items,
            separators,
            &|items| joined(SetOp::Intersection, items),
            &|items| joined(SetOp::Union, items),
        ));
    }
    let excludes = |e: &Expr| matches!(&e.kind, Kind::Relation(_, rest) if matches!(rest.as_slice(), [(Rel::Ne, _)]));
    (plain && one_name && items.iter().any(excludes) && !separators.contains(&Separator::Or))
        .then(|| Kind::Sets(SetOp::Intersection, items.to_vec()))
}

fn is_condition(expr: &Expr) -> bool {
    match &expr.kind {
        Kind::Relation(_, rest) => rest.iter().all(|(rel, side)| match rel {
            Rel::Lt | Rel::Le | Rel::Gt | Rel::Ge | Rel::Ne => true,
            Rel::In => matches!(
                side.kind,
                Kind::Interval { .. } | Kind::Tuple(_) | Kind::Sets(..) | Kind::Const(Const::Reals)
            ),
            _ => false,
        }),
        // `(x < 0 or x >= 1)`, `not (x < 2)`.
        Kind::Sets(_, items) => {
            items.iter().any(is_condition)
                && items.iter().all(|e| {
                    is_condition(e)
                        || matches!(e.kind, Kind::Const(Const::Reals) | Kind::Relation(..))
                })
        }
        _ => false,
    }
}
