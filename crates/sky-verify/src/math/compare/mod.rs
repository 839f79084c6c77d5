//! Whether two trees mean the same, kind by kind.

mod cleared;
mod collection;
mod ends;
mod matrix;
mod parameter;
mod point;
mod progression;
mod quantity;
mod ratio;
mod region;
mod relation;
mod scalar;
mod whole;
mod words;

pub(super) use words::{as_words, choice_letter, listed_alike, parts, truth};

use super::{
    budget::Budget,
    exact,
    expr::{Const, Expr, Func, Kind, Rel, SetOp},
    options::Options,
};

/// A judgement with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Judged {
    pub(super) equal: bool,
    pub(super) why: String,
}

impl Judged {
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
pub(super) struct Compare<'a> {
    pub(super) options: &'a Options,
    pub(super) budget: &'a Budget,
    /// The first side is a gold answer: its digits decide how closely a decimal has to be met, and a chain of equalities on
    /// the other side has to hold.
    pub(super) gold: bool,
    /// Inside a set, a tuple or a list, where `\{1\}` is not 1.
    pub(super) nested: bool,
}

impl Compare<'_> {
    /// Whether `b` says what `a` says.
    pub(super) fn same(&self, a: &Expr, b: &Expr) -> Judged {
        // Every look at the trees below goes over all of both a few times.
        if self
            .budget
            .take(40 + 4 * (a.size() + b.size()) as u64)
            .is_err()
        {
            return Judged::no("the work budget is spent");
        }
        if let Some(judged) = self.assignments(a, b) {
            return judged;
        }
        if let Some(judged) = self.quantities(a, b).or_else(|| self.signs(a, b)) {
            return judged;
        }
        if let Some((x, y)) = self.spread(a, b) {
            return self.same(&x, &y);
        }
        if a == b && !matches!(a.kind, Kind::Text(_)) && !has_undefined(a) {
            return Judged::yes("the same as written");
        }
        if let Some(judged) = words::compare(a, b, self.options) {
            return judged;
        }
        if let Some(judged) = self.ratios(a, b) {
            return judged;
        }
        let spelled = |e| self.filled(e).or_else(|| self.written_out(e));
        match (spelled(a), spelled(b)) {
            (None, None) => {}
            (x, y) => {
                return self.same(x.as_ref().unwrap_or(a), y.as_ref().unwrap_or(b));
            }
        }
        if region::is_region(a) || region::is_region(b) {
            match self.unitless(a, b) {
                Some(Ok((x, y))) => return self.same(&x, &y),
                Some(Err(judged)) => return judged,
                None => {}
            }
            if let Some(judged) = self.regions(a, b) {
                return judged;
            }
            for (one, other, first) in [(a, b, true), (b, a, false)] {
                if let Some(set) = self.conditions(one) {
                    return match first {
                        true => self.same(&set, other),
                        false => self.same(other, &set),
                    };
                }
            }
        }
        if let Some(judged) = self.relations(a, b) {
            return judged;
        }
        if let Some((x, y)) = matrix::calculated(a, b, self.budget) {
            return self.same(&x, &y);
        }
        if let Some(judged) = self.collections(a, b) {
            return judged;
        }
        if let Some(judged) = self.residues(a, b) {
            return judged;
        }
        for (one, other, first) in [(a, b, true), (b, a, false)] {
            if let Some(count) = point::falling(one).filter(|_| other.is_scalar()) {
                return match first {
                    true => self.scalars(&count, other),
                    false => self.scalars(other, &count),
                };
            }
        }
        if a.is_scalar() && b.is_scalar() {
            return self.scalars(a, b);
        }
        Judged::no(format!("{} against {}", kind_name(a), kind_name(b)))
    }

    /// Classes modulo a number: the same modulus, and values that differ by a multiple of it.
    fn residues(&self, a: &Expr, b: &Expr) -> Option<Judged> {
        // `100 \bmod 7` is a value, but not one of a class modulo 5.
        let ((x, m), (y, n)) = match (class(a), class(b)) {
            (Some(x), Some(y)) => (x, y),
            (Some(x), None) => (x, remainder(b)?),
            (None, Some(y)) => (remainder(a)?, y),
            (None, None) => return None,
        };
        if !self.same(&m, &n).equal {
            return Some(Judged::no("classes of different moduli"));
        }
        let minus = Kind::Neg(Box::new(y.clone())).at(y.span.clone());
        let gap = Kind::Add(vec![x.clone(), minus]).at(x.span.clone());
        let rest = Kind::Call(Func::Mod, vec![gap, m]).at(a.span.clone());
        Some(match exact::rational(&rest, &mut Vec::new(), self.budget) {
            Ok(rest) if rest.is_zero() => Judged::yes("the same class"),
            Ok(_) => Judged::no("different classes of one modulus"),
            Err(_) => self.same(&x, &y),
        })
    }

    /// `\pm` on either side becomes the list of its two values.
    fn spread(&self, a: &Expr, b: &Expr) -> Option<(Expr, Expr)> {
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

/// Value and modulus of a class; in `-4 \pmod 7` and `a + 4 \pmod 7` the modulus belongs to all of it.
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

/// A copy of the tree in which `f` replaces the nodes it wants to.
pub(super) fn map(expr: &Expr, f: &dyn Fn(&Expr) -> Option<Expr>) -> Expr {
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

/// A division by a literal zero is nothing that could be equal to itself.
fn has_undefined(expr: &Expr) -> bool {
    expr.any(&|k| matches!(k, Kind::Div(_, b) if b.kind == Kind::int(0)))
}

fn is_equation(rest: &[(Rel, Expr)]) -> bool {
    rest.iter()
        .all(|(rel, _)| matches!(rel, Rel::Eq | Rel::Approx))
}

/// What a node is, in words.
pub(super) fn kind_name(expr: &Expr) -> &'static str {
    match &expr.kind {
        Kind::List(_) => "a list",
        Kind::Tuple(_) => "a tuple",
        Kind::Set(_) => "a set",
        Kind::Interval { .. } => "an interval",
        Kind::Sets(..) | Kind::Builder { .. } => "a set",
        Kind::Const(
            Const::Reals
            | Const::Integers
            | Const::Naturals
            | Const::Rationals
            | Const::Complexes
            | Const::Empty,
        ) => "a set",
        Kind::Relation(_, rest) if is_equation(rest) => "an equation",
        Kind::Relation(..) => "a relation",
        Kind::Matrix(_) => "a matrix",
        Kind::Text(_) => "words",
        Kind::PlusMinus(..) => "two values",
        Kind::Quantity(..) => "a quantity",
        Kind::Percent(_) => "a percentage",
        _ if expr.has_names() => "an expression",
        _ => "a number",
    }
}
