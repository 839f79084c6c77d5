//! What dots leave out, where the terms before them say it: `\{1, 2, \ldots, 10\}`, `1 + 2 + \cdots
//! + n`.

use std::slice;

use dashu_ratio::RBig;

use super::Comparer;
use crate::{
    exact,
    expr::{Expr, Kind, map},
    identity,
};

/// Longer collections are not filled in.
const MAX_ITEMS: usize = 200;

/// How a term follows from the one before.
enum Step {
    Plus(RBig),
    Times(RBig),
}

impl Step {
    /// By two terms a difference, by three a quotient.
    fn of(terms: &[RBig]) -> Option<Self> {
        let (first, second) = (terms.first()?, terms.get(1)?);
        let gap = second.clone() - first.clone();
        if gap.is_zero() {
            return None;
        }
        if terms.windows(2).all(|w| w[1] == w[0].clone() + gap.clone()) {
            return Some(Self::Plus(gap));
        }
        if first.is_zero() || terms.len() < 3 {
            return None;
        }
        let times = second.clone() / first.clone();
        let fits = terms
            .windows(2)
            .all(|w| w[1] == w[0].clone() * times.clone());
        // By a factor of -1 every other term is the last one, so the number of terms is open.
        (fits && times != -RBig::ONE).then_some(Self::Times(times))
    }

    fn after(&self, term: &RBig) -> RBig {
        match self {
            Self::Plus(gap) => term.clone() + gap,
            Self::Times(times) => term.clone() * times,
        }
    }
}

fn is_dots(e: &Expr) -> bool {
    matches!(&e.kind, Kind::Sym(name) if name == "...")
}

/// The terms before the dots and those behind.
fn parted(items: &[Expr]) -> Option<(&[Expr], &[Expr])> {
    let at = items.iter().position(is_dots)?;
    let (before, behind) = (&items[..at], &items[at + 1..]);
    (!behind.is_empty() && !behind.iter().any(is_dots)).then_some((before, behind))
}

fn number(value: RBig) -> Expr {
    Kind::Num {
        value,
        decimals: None,
    }
    .at(0..0)
}

impl Comparer<'_> {
    /// The tree with its dots filled in; `None` where there are none that could be.
    pub(super) fn with_ellipsis_filled(&self, expr: &Expr) -> Option<Expr> {
        if !expr.any(&|k| matches!(k, Kind::Sym(name) if name == "...")) {
            return None;
        }
        let out = map(expr, &|e| {
            let kind = match &e.kind {
                Kind::Set(items) => Kind::Set(self.items(items)?),
                Kind::List(items) => Kind::List(self.items(items)?),
                Kind::Tuple(items) => Kind::Tuple(self.items(items)?),
                Kind::Add(items) => self.sum(items)?,
                _ => return None,
            };
            Some(kind.at(e.span.clone()))
        });
        (out != *expr).then_some(out)
    }

    fn exact_values(&self, items: &[Expr]) -> Option<Vec<RBig>> {
        let value = |e: &Expr| exact::rational(e, &mut Vec::new(), self.budget).ok();
        items.iter().map(value).collect()
    }

    fn items(&self, items: &[Expr]) -> Option<Vec<Expr>> {
        let (before, behind) = parted(items)?;
        let (mut terms, last) = (self.exact_values(before)?, self.exact_values(behind)?);
        let step = Step::of(&terms)?;
        while terms.len() < MAX_ITEMS {
            let next = step.after(terms.last()?);
            self.budget
                .take(20 + exact::bit_size(&next) as u64 / 8)
                .ok()?;
            if next == last[0] {
                terms.extend(last);
                return Some(terms.into_iter().map(number).collect());
            }
            terms.push(next);
        }
        None
    }

    /// Gauss's sum and the geometric one.
    fn sum(&self, items: &[Expr]) -> Option<Kind> {
        let (before, behind) = parted(items)?;
        let terms = self.exact_values(before)?;
        let (first, step) = (terms.first()?.clone(), Step::of(&terms)?);
        let last = behind.last()?;
        if let Some(numbers) = self.exact_values(slice::from_ref(last)) {
            return match &step {
                Step::Plus(gap) => {
                    let count = (numbers[0].clone() - first.clone()) / gap + RBig::ONE;
                    let fits = count.is_int() && count > RBig::from(terms.len());
                    let twice = (first + numbers[0].clone()) * count;
                    (fits && behind.len() == 1).then(|| number(twice / RBig::from(2)).kind)
                }
                Step::Times(_) => self.items(items).map(Kind::Add),
            };
        }
        // Two terms alone may begin powers as well.
        let powers = last.any(&|k| matches!(k, Kind::Pow(_, n) if n.has_names()));
        if powers && terms.len() < 3 {
            return None;
        }
        let add = |x: Expr, y: Expr| Kind::Add(vec![x, y]).at(0..0);
        let times = |x: Expr, y: RBig| Kind::Mul(vec![x, number(y)]).at(0..0);
        let from = |x: &Expr| add(x.clone(), number(-first.clone()));
        // `\cdots + (n - 1) + n`.
        if let [before_last, _] = behind {
            let next = match &step {
                Step::Plus(gap) => add(before_last.clone(), number(gap.clone())),
                Step::Times(r) => times(before_last.clone(), r.clone()),
            };
            if !identity::compare(&next, last, self.budget).is_equal() {
                return None;
            }
        } else if behind.len() > 2 {
            return None;
        }
        Some(match step {
            Step::Plus(gap) => {
                let count = add(times(from(last), RBig::ONE / gap), number(RBig::ONE));
                let both = add(last.clone(), number(first.clone()));
                Kind::Mul(vec![both, count, number(RBig::ONE / RBig::from(2))])
            }
            Step::Times(r) => {
                let gap = RBig::ONE / (r.clone() - RBig::ONE);
                times(from(&times(last.clone(), r)), gap).kind
            }
        })
    }
}
