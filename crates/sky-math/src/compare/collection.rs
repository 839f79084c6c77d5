//! Lists, sets, tuples, matrices.

use super::{
    Comparer, Comparison,
    assignment::assignment,
    integer_set,
    parameter::is_domain,
    vector::{components, is_point},
};
use crate::{
    exact,
    expr::{Const, Expr, Kind, SetOp},
};

/// Items of one collection at most: matching is quadratic.
const MAX_ITEMS: usize = 256;
/// With this many items or more, numbers are sorted: matching is quadratic.
const MANY: usize = 24;

impl Comparer<'_> {
    pub(super) fn collections(&self, a: &Expr, b: &Expr) -> Option<Comparison> {
        if let (Some(x), Some(y)) = (named(a), named(b))
            && let Some(judged) = self.named_lists(&x, &y)
        {
            return Some(judged);
        }
        if let Some(judged) = self.parametric(a, b) {
            return Some(judged);
        }
        self.without_domains(a, b)
            .or_else(|| self.collections_by_kind(a, b))
    }

    /// Lists with conditions such as `k \in \mathbb{Z}` left out; `None` when neither side has any.
    fn without_domains(&self, a: &Expr, b: &Expr) -> Option<Comparison> {
        let plain = |e: &Expr| match &e.kind {
            Kind::List(items) => drop_conditions(items).map(|items| {
                let mut items: Vec<Expr> = items.into_iter().map(value).collect();
                match items.len() {
                    1 => items.remove(0),
                    _ => Kind::List(items).at(e.span.clone()),
                }
            }),
            _ => None,
        };
        if let (Kind::List(_), _) | (_, Kind::List(_)) = (&a.kind, &b.kind) {
            let (x, y) = (plain(a), plain(b));
            if x.is_some() || y.is_some() {
                let (x, y) = (
                    x.unwrap_or_else(|| a.clone()),
                    y.unwrap_or_else(|| b.clone()),
                );
                if x != *a || y != *b {
                    let judged = self.compare(&x, &y);
                    if judged.equal || !x.is_scalar() || !y.is_scalar() {
                        return Some(judged);
                    }
                    // `\sin n\pi, n \in \mathbb{Z}` is 0 only for the integers that are named.
                    return Some(match integer_set::with_integer_names(&x, &y, &[a, b]) {
                        Some((x, y)) => self.scalars(&x, &y),
                        None => judged,
                    });
                }
            }
        }
        None
    }

    /// Two collections, by what each of them is.
    fn collections_by_kind(&self, a: &Expr, b: &Expr) -> Option<Comparison> {
        match (&a.kind, &b.kind) {
            (Kind::Set(x), Kind::Set(y)) => Some(self.unordered(x, y)),
            // Roots listed with multiplicity: `1, 1, 2` is not `1, 2, 2`. Lists of different
            // lengths are compared as sets, since one of them may repeat itself.
            (Kind::List(x), Kind::List(y)) if x.len() == y.len() => Some(self.matched(x, y)),
            (Kind::List(x), Kind::List(y)) => Some(self.unordered(x, y)),
            (Kind::Set(x), Kind::List(y)) | (Kind::List(x), Kind::Set(y))
                if self.options.bare_list =>
            {
                Some(self.unordered(x, y))
            }
            (Kind::Tuple(x), Kind::Tuple(y)) => Some(self.ordered(x, y)),
            (Kind::Tuple(x), Kind::List(y)) | (Kind::List(x), Kind::Tuple(y))
                if self.options.bare_list =>
            {
                Some(self.ordered(x, y))
            }
            (Kind::Matrix(x), Kind::Matrix(y)) => Some(self.matrices(x, y)),
            (Kind::Matrix(rows), Kind::Tuple(items)) => Some(self.ordered(&vector(rows)?, items)),
            (Kind::Tuple(items), Kind::Matrix(rows)) => Some(self.ordered(items, &vector(rows)?)),
            (Kind::Matrix(rows), Kind::List(items)) if self.options.bare_list => {
                Some(self.ordered(&vector(rows)?, items))
            }
            (Kind::Matrix(rows), _) if rows.len() == 1 && rows[0].len() == 1 => {
                Some(self.compare(&rows[0][0], b))
            }
            (_, Kind::Matrix(rows)) if rows.len() == 1 && rows[0].len() == 1 => {
                Some(self.compare(a, &rows[0][0]))
            }
            _ => self.collection_and_other(a, b),
        }
    }

    /// A collection against something that may be written for it: an element, a vector, an
    /// operation.
    fn collection_and_other(&self, a: &Expr, b: &Expr) -> Option<Comparison> {
        match (&a.kind, &b.kind) {
            // A set of one element for the element.
            (Kind::Set(x), _) if x.len() == 1 && self.unwraps() && is_point(b) => {
                Some(self.compare(&x[0], b))
            }
            (_, Kind::Set(y)) if y.len() == 1 && self.unwraps() && is_point(a) => {
                Some(self.compare(a, &y[0]))
            }
            // `P(2, -1)` and `2\mathbf{i} - \mathbf{j}` for `(2, -1)`.
            (Kind::Tuple(x), _) if components(b, x.len()).is_some() => {
                Some(self.ordered(x, &components(b, x.len())?))
            }
            (_, Kind::Tuple(y)) if components(a, y.len()).is_some() => {
                Some(self.ordered(&components(a, y.len())?, y))
            }
            (Kind::Matrix(rows), _) if axes(rows, b).is_some() => {
                let (x, y) = axes(rows, b)?;
                Some(self.ordered(&x, &y))
            }
            (_, Kind::Matrix(rows)) if axes(rows, a).is_some() => {
                let (y, x) = axes(rows, a)?;
                Some(self.ordered(&x, &y))
            }
            // `A \cup B` of sets that are only names, `p \land q`.
            (Kind::Sets(op, x), Kind::Sets(other, y)) if op == other => Some(match op {
                SetOp::Difference => self.ordered(x, y),
                _ => self.unordered(x, y),
            }),
            (Kind::Apply(op, x), Kind::Apply(other, y))
                if op == other && matches!(op.as_str(), "land" | "lor") =>
            {
                Some(self.unordered(x, y))
            }
            (Kind::Tuple(x), _) if x.len() == 1 => Some(self.compare(&x[0], b)),
            (_, Kind::Tuple(y)) if y.len() == 1 => Some(self.compare(a, &y[0])),
            (Kind::Set(x), Kind::Const(Const::Empty))
            | (Kind::Const(Const::Empty), Kind::Set(x)) => Some(if x.is_empty() {
                Comparison::yes("both empty")
            } else {
                Comparison::no("one side is the empty set")
            }),
            _ => None,
        }
    }

    /// Whether a set of one element may stand for the element.
    fn unwraps(&self) -> bool {
        self.options.bare_list && !self.nested
    }

    fn inside(&self) -> Self {
        Self {
            nested: true,
            ..*self
        }
    }

    /// Many numbers on both sides, sorted by value, without repetitions when these count once;
    /// `None` when that is not what they are.
    fn by_value(&self, a: &[Expr], b: &[Expr], once: bool) -> Option<Comparison> {
        let sorted = |items: &[Expr]| {
            let value = |e: &Expr| {
                // A unit, a percent sign and a base count; the bare number would lose them.
                let marked = e.any(&|k| {
                    matches!(
                        k,
                        Kind::Quantity(..) | Kind::Percent(_) | Kind::Based { .. }
                    )
                });
                let value = exact::rational(e, &mut Vec::new(), self.budget).ok();
                // Short ones only: sorting pays for comparisons of a few words.
                value.filter(|v| !marked && exact::bit_size(v) < 256)
            };
            let mut values = items.iter().map(value).collect::<Option<Vec<_>>>()?;
            self.budget.take(30 * values.len() as u64).ok()?;
            values.sort_unstable();
            if once {
                values.dedup();
            }
            Some(values)
        };
        if a.len().max(b.len()) < MANY {
            return None;
        }
        let (x, y) = (sorted(a)?, sorted(b)?);
        Some(if x == y {
            Comparison::yes("the same numbers in any order")
        } else {
            let gap = x.iter().zip(&y).find(|(p, q)| p != q);
            Comparison::no(match gap {
                Some((p, q)) => format!("in order, {p} against {q}"),
                None => "a number more on one side".to_owned(),
            })
        })
    }

    pub(super) fn unordered(&self, a: &[Expr], b: &[Expr]) -> Comparison {
        let inside = self.inside();
        if let Some(judged) = self.by_value(a, b, true) {
            return judged;
        }
        if a.len() > MAX_ITEMS || b.len() > MAX_ITEMS {
            return Comparison::no("too many items to compare");
        }
        // Each item has to be found on the other side; repetitions count once.
        let mut seen = vec![false; b.len()];
        for (i, x) in a.iter().enumerate() {
            let mut hit = false;
            // The place it would have in the same order comes first.
            let order = (0..b.len()).map(|k| (k + i) % b.len().max(1));
            for k in order {
                if inside.compare(x, &b[k]).equal {
                    seen[k] = true;
                    hit = true;
                    break;
                }
            }
            if !hit {
                return Comparison::no(format!(
                    "item {} of {} has no counterpart among {}",
                    i + 1,
                    a.len(),
                    b.len()
                ));
            }
        }
        // What no item of `a` met first may repeat one that was met.
        for (k, y) in b.iter().enumerate() {
            if !seen[k] && !a.iter().any(|x| inside.compare(x, y).equal) {
                return Comparison::no(format!(
                    "item {} of {} has no counterpart among {}",
                    k + 1,
                    b.len(),
                    a.len()
                ));
            }
        }
        Comparison::yes(format!("the same {} items in any order", a.len()))
    }

    /// Each item has a counterpart on the other side, and no counterpart is used twice.
    fn matched(&self, a: &[Expr], b: &[Expr]) -> Comparison {
        let inside = self.inside();
        if let Some(judged) = self.by_value(a, b, false) {
            return judged;
        }
        if a.len() > MAX_ITEMS {
            return Comparison::no("too many items to compare");
        }
        let n = b.len();
        let mut taken = vec![false; n];
        for (i, x) in a.iter().enumerate() {
            // The place it would have in the same order comes first.
            let mut order = (0..n).map(|k| (k + i) % n);
            let Some(k) = order.find(|&k| !taken[k] && inside.compare(x, &b[k]).equal) else {
                return Comparison::no(format!(
                    "item {} of {n} has no counterpart of its own",
                    i + 1
                ));
            };
            taken[k] = true;
        }
        Comparison::yes(format!("the same {n} items in any order"))
    }

    fn ordered(&self, a: &[Expr], b: &[Expr]) -> Comparison {
        let inside = self.inside();
        if a.len() != b.len() {
            return Comparison::no(format!("{} entries against {}", a.len(), b.len()));
        }
        for (i, (x, y)) in a.iter().zip(b).enumerate() {
            let judged = inside.compare(x, y);
            if !judged.equal {
                return Comparison::no(format!("entry {}: {}", i + 1, judged.why));
            }
        }
        Comparison::yes(format!("the same {} entries in order", a.len()))
    }

    fn matrices(&self, a: &[Vec<Expr>], b: &[Vec<Expr>]) -> Comparison {
        let shape = |m: &[Vec<Expr>]| (m.len(), m.first().map_or(0, Vec::len));
        if shape(a) != shape(b) {
            return Comparison::no(format!(
                "a {:?} matrix against a {:?} matrix",
                shape(a),
                shape(b)
            ));
        }
        let flat = |m: &[Vec<Expr>]| m.iter().flatten().cloned().collect::<Vec<_>>();
        self.ordered(&flat(a), &flat(b))
    }

    /// `x = 1, y = 2` on both sides: by name. `None`: not so.
    fn named_lists(&self, a: &[(Expr, Expr)], b: &[(Expr, Expr)]) -> Option<Comparison> {
        let distinct = |list: &[(Expr, Expr)]| {
            (1..list.len()).all(|i| list[..i].iter().all(|(name, _)| *name != list[i].0))
        };
        // A name that is given twice has two values: that is a list of values.
        if !distinct(a) || !distinct(b) || a.len() < 2 {
            return None;
        }
        if a.len() != b.len() {
            return Some(Comparison::no(format!(
                "{} named values against {}",
                a.len(),
                b.len()
            )));
        }
        for (name, x) in a {
            let Some((_, y)) = b.iter().find(|(other, _)| other == name) else {
                return Some(Comparison::no("different names"));
            };
            let judged = self.compare(x, y);
            if !judged.equal {
                return Some(judged);
            }
        }
        Some(Comparison::yes(format!(
            "the same {} named values",
            a.len()
        )))
    }
}

/// Names and values of a list of assignments; of `(x, y) = (1, 2)` too.
fn named(expr: &Expr) -> Option<Vec<(Expr, Expr)>> {
    match &expr.kind {
        Kind::List(items) => items
            .iter()
            .map(|item| assignment(item).map(|it| (it.name.clone(), it.value.clone())))
            .collect(),
        Kind::Relation(..) => {
            let found = assignment(expr)?;
            match (&found.name.kind, &found.value.kind) {
                (Kind::Tuple(names), Kind::Tuple(values)) if names.len() == values.len() => {
                    Some(names.iter().cloned().zip(values.iter().cloned()).collect())
                }
                _ => None,
            }
        }
        _ => None,
    }
}

/// The items without conditions such as `k \in \mathbb{Z}`, when there are some and something else
/// remains.
fn drop_conditions(items: &[Expr]) -> Option<Vec<Expr>> {
    let rest: Vec<Expr> = items.iter().filter(|e| !is_domain(e)).cloned().collect();
    (!rest.is_empty()).then_some(rest)
}

/// The value of an assignment; anything else is itself.
fn value(expr: Expr) -> Expr {
    match assignment(&expr) {
        Some(found) => found.value.clone(),
        None => expr,
    }
}

/// The entries of a column and those of a sum of multiples of `i`, `j` and `k`.
fn axes(rows: &[Vec<Expr>], sum: &Expr) -> Option<(Vec<Expr>, Vec<Expr>)> {
    let entries = vector(rows).filter(|_| rows.len() > 1)?;
    let others = components(sum, entries.len())?;
    Some((entries, others))
}

/// The entries of a row or a column.
fn vector(rows: &[Vec<Expr>]) -> Option<Vec<Expr>> {
    if rows.len() == 1 || rows.iter().all(|r| r.len() == 1) {
        return Some(rows.iter().flatten().cloned().collect());
    }
    None
}
