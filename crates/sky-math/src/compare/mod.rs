//! Whether two trees mean the same, kind by kind.
//!
//! [`Comparer::compare`] asks each kind in turn whether the pair is its own. The order matters: a
//! unit or a percent sign belongs to the whole answer and is taken off first; conventions on
//! notation come next; values come last, because only a scalar may reach [`crate::identity`].

mod assignment;
mod clear_denominators;
mod collection;
mod condition;
mod ellipsis;
mod integer_set;
mod interval_bounds;
mod kind_name;
mod letters_as_units;
mod matrix;
mod parameter;
mod polynomial;
mod quantities;
mod quantity;
mod ratio;
mod real_set;
mod relation;
mod scalar;
mod statement;
mod vector;
mod words;

pub(super) use words::{
    choice_letter, list_items, listed_alike, normalized_words, plain_words, truth_value,
};

use super::{
    budget::Budget,
    exact,
    expr::{Expr, Func, Kind, Rel, SetOp, map},
    options::Options,
};

/// A judgement with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Comparison {
    pub(super) equal: bool,
    pub(super) why: String,
}

impl Comparison {
    fn yes(why: impl Into<String>) -> Self {
        Self {
            equal: true,
            why: why.into(),
        }
    }

    fn no(why: impl Into<String>) -> Self {
        Self {
            equal: false,
            why: why.into(),
        }
    }
}

/// What a comparison needs to know.
#[derive(Clone, Copy)]
pub(super) struct Comparer<'a> {
    pub(super) options: &'a Options,
    pub(super) budget: &'a Budget,
    /// The first side is a gold answer: its digits decide how closely a decimal has to be met, and
    /// a chain of equalities on the other side has to hold.
    pub(super) gold: bool,
    /// Inside a set, a tuple or a list, where `\{1\}` is not 1.
    pub(super) nested: bool,
}

impl Comparer<'_> {
    /// Whether `b` says what `a` says.
    pub(super) fn compare(&self, a: &Expr, b: &Expr) -> Comparison {
        // The checks below walk both trees some times before any number is touched: without this,
        // nested sets of a few thousand items would cost nothing and take minutes.
        if self
            .budget
            .take(40 + 4 * (a.size() + b.size()) as u64)
            .is_err()
        {
            return Comparison::no("the work budget is spent");
        }
        if let Some(judged) = self
            .statements(a, b)
            .or_else(|| self.equation_and_conditions(a, b))
            .or_else(|| self.assignments(a, b))
        {
            return judged;
        }
        if let Some(judged) = self
            .quantities(a, b)
            .or_else(|| self.percent_or_degrees(a, b))
        {
            return judged;
        }
        if let Some((x, y)) = self.expand_plus_minus(a, b) {
            return self.compare(&x, &y);
        }
        // A text without words and a division by zero are not even equal to themselves.
        if a == b && !matches!(a.kind, Kind::Text(_)) && !has_undefined(a) {
            return Comparison::yes("the same as written");
        }
        if let Some(judged) = words::compare(a, b, self.options) {
            return judged;
        }
        if let Some(judged) = self.ratios(a, b) {
            return judged;
        }
        let spelled = |e| self.with_ellipsis_filled(e).or_else(|| self.enumerated(e));
        match (spelled(a), spelled(b)) {
            (None, None) => {}
            (x, y) => {
                return self.compare(x.as_ref().unwrap_or(a), y.as_ref().unwrap_or(b));
            }
        }
        if let Some(judged) = self.sets_and_relations(a, b) {
            return judged;
        }
        if let Some((x, y)) = matrix::calculated(a, b, self.budget) {
            return self.compare(&x, &y);
        }
        if let Some(judged) = self.collections(a, b) {
            return judged;
        }
        if let Some(judged) = self.residues(a, b) {
            return judged;
        }
        // The gold stays on the left: its digits decide how closely a decimal has to be met.
        for (one, other, first) in [(a, b, true), (b, a, false)] {
            if let Some(count) = vector::falling_factorial(one).filter(|_| other.is_scalar()) {
                return match first {
                    true => self.scalars(&count, other),
                    false => self.scalars(other, &count),
                };
            }
        }
        if a.is_scalar() && b.is_scalar() {
            return self.scalars(a, b);
        }
        Comparison::no(kind_name::describe(a, b))
    }

    /// Sets of numbers, and relations, which may be such sets.
    fn sets_and_relations(&self, a: &Expr, b: &Expr) -> Option<Comparison> {
        if let Some((x, y)) = self.spelled_as_sets(a, b) {
            return Some(self.compare(&x, &y));
        }
        if real_set::is_real_set(a) || real_set::is_real_set(b) {
            match self.in_base_units(a, b) {
                Some(Ok((x, y))) => return Some(self.compare(&x, &y)),
                Some(Err(judged)) => return Some(judged),
                None => {}
            }
            if let Some(judged) = self.real_sets(a, b).or_else(|| self.conjunctions(a, b)) {
                return Some(judged);
            }
            for (one, other, first) in [(a, b, true), (b, a, false)] {
                if let Some(set) = self.conditions(one) {
                    return Some(match first {
                        true => self.compare(&set, other),
                        false => self.compare(other, &set),
                    });
                }
            }
        }
        self.relations(a, b)
            .or_else(|| self.equal_sizes_and_cases(a, b))
    }

    /// Classes modulo a number: the same modulus, and values that differ by a multiple of it.
    fn residues(&self, a: &Expr, b: &Expr) -> Option<Comparison> {
        // `100 \bmod 7` is a value, but not one of a class modulo 5.
        let ((x, m), (y, n)) = match (class(a), class(b)) {
            (Some(x), Some(y)) => (x, y),
            (Some(x), None) => (x, remainder(b)?),
            (None, Some(y)) => (remainder(a)?, y),
            (None, None) => return None,
        };
        if !self.compare(&m, &n).equal {
            return Some(Comparison::no("classes of different moduli"));
        }
        let minus = Kind::Neg(Box::new(y.clone())).at(y.span.clone());
        let gap = Kind::Add(vec![x.clone(), minus]).at(x.span.clone());
        let rest = Kind::Call(Func::Mod, vec![gap, m]).at(a.span.clone());
        Some(match exact::rational(&rest, &mut Vec::new(), self.budget) {
            Ok(rest) if rest.is_zero() => Comparison::yes("the same class"),
            Ok(_) => Comparison::no("different classes of one modulus"),
            Err(_) => self.compare(&x, &y),
        })
    }

    /// `\pm` on either side becomes the list of its two values.
    fn expand_plus_minus(&self, a: &Expr, b: &Expr) -> Option<(Expr, Expr)> {
        let pm = |e: &Expr| e.any(&|k| matches!(k, Kind::PlusMinus(..)));
        let (in_a, in_b) = (pm(a), pm(b));
        if !in_a && !in_b || a == b {
            return None;
        }
        let open = |e: &Expr, has: bool| if has { expand(e) } else { e.clone() };
        Some((open(a, in_a), open(b, in_b)))
    }
}

/// `x` and `m` of `x \bmod m`.
fn remainder(e: &Expr) -> Option<(Expr, Expr)> {
    match &e.kind {
        Kind::Call(Func::Mod, args) => Some((args.first()?.clone(), args.get(1)?.clone())),
        _ => None,
    }
}

/// Value and modulus of a class; in `-4 \pmod 7` and `a + 4 \pmod 7` the modulus belongs to all of
/// it.
fn class(e: &Expr) -> Option<(Expr, Expr)> {
    match &e.kind {
        Kind::Call(Func::Residue, args) => Some((args.first()?.clone(), args.get(1)?.clone())),
        Kind::Neg(inner) => {
            let (value, modulus) = class(inner)?;
            Some((Kind::Neg(Box::new(value)).at(e.span.clone()), modulus))
        }
        Kind::Add(items) => {
            let (last, before) = items.split_last()?;
            let (value, modulus) = class(last)?;
            let items = before.iter().cloned().chain([value]).collect();
            Some((Kind::Add(items).at(e.span.clone()), modulus))
        }
        _ => None,
    }
}

/// The list of values that `\pm` stands for. Every `\pm` takes the same sign, `\mp` the other.
fn expand(expr: &Expr) -> Expr {
    match &expr.kind {
        // Items of a list spread each by itself.
        Kind::List(items) | Kind::Set(items) => {
            let mut all = Vec::new();
            for item in items {
                match expand(item).kind {
                    Kind::List(more) if !matches!(item.kind, Kind::List(_)) => all.extend(more),
                    kind => all.push(kind.at(item.span.clone())),
                }
            }
            let kind = if matches!(expr.kind, Kind::Set(_)) {
                Kind::Set(all)
            } else {
                Kind::List(all)
            };
            kind.at(expr.span.clone())
        }
        _ if !expr.any(&|k| matches!(k, Kind::PlusMinus(..))) => expr.clone(),
        // `x \ne \pm 1` excludes both.
        Kind::Relation(_, rest) if rest.iter().any(|(rel, _)| *rel == Rel::Ne) => {
            let both = vec![signed(expr, true), signed(expr, false)];
            Kind::Sets(SetOp::Intersection, both).at(expr.span.clone())
        }
        _ => Kind::List(vec![signed(expr, true), signed(expr, false)]).at(expr.span.clone()),
    }
}

/// The tree with every `\pm` replaced by plus or minus.
fn signed(expr: &Expr, plus: bool) -> Expr {
    map(expr, &|e| match &e.kind {
        Kind::PlusMinus(base, term, mp) => {
            let term = signed(term, plus);
            let term = if plus == *mp {
                Kind::Neg(Box::new(term)).at(e.span.clone())
            } else {
                term
            };
            Some(match base {
                Some(base) => Kind::Add(vec![signed(base, plus), term]).at(e.span.clone()),
                None => term,
            })
        }
        _ => None,
    })
}

/// A division by a literal zero is nothing that could be equal to itself.
fn has_undefined(expr: &Expr) -> bool {
    expr.any(&|k| matches!(k, Kind::Div(_, b) if b.kind == Kind::int(0)))
}
