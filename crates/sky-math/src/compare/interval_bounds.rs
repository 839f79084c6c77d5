//! The bounds of a set of real numbers, and a sample point of each piece between them.

use dashu_ratio::RBig;

use super::{Comparer, polynomial};
use crate::{
    exact,
    expr::{Const, Expr, Func, Kind, Rel},
};

/// The one name that relations of this set speak of: `Some(None)` when there is none, `None` when
/// there are several.
pub(super) fn variable(expr: &Expr) -> Option<Option<String>> {
    let mut names = Vec::new();
    collect_names(expr, &mut names);
    names.sort_unstable();
    names.dedup();
    match names.len() {
        0 => Some(None),
        1 => Some(names.pop()),
        _ => None,
    }
}

fn collect_names(expr: &Expr, names: &mut Vec<String>) {
    if let Kind::Sym(name) = &expr.kind {
        names.push(name.clone());
    }
    if matches!(expr.kind, Kind::Apply(..) | Kind::Big { .. }) {
        // Two names, so that the set counts as one of several: its bounds cannot be told.
        names.push("a function".to_owned());
        names.push("and its argument".to_owned());
    }
    expr.children(&mut |child| collect_names(child, names));
}

/// Collects every bound of the pieces of a set; `None` where one cannot be told.
pub(super) fn collect_bounds(
    expr: &Expr,
    var: Option<&str>,
    compare: &Comparer<'_>,
    bounds: &mut Vec<Expr>,
) -> Option<()> {
    let finite = |e: &Expr| !e.any(&|k| matches!(k, Kind::Const(Const::Infinity)));
    let mut push = |e: &Expr| {
        if finite(e) {
            bounds.push(e.clone());
        }
    };
    match &expr.kind {
        Kind::Interval { lo, hi, .. } => {
            push(lo);
            push(hi);
        }
        Kind::Tuple(items) | Kind::Set(items) => items.iter().for_each(push),
        Kind::Const(Const::Reals | Const::Empty) => {}
        Kind::Sets(_, items) | Kind::List(items) => {
            for item in items {
                collect_bounds(member_of(item), var, compare, bounds)?;
            }
        }
        Kind::Builder {
            var: name,
            condition,
        } => {
            if let Kind::Relation(_, rest) = &name.kind {
                for (_, domain) in rest {
                    collect_bounds(domain, var, compare, bounds)?;
                }
            }
            collect_bounds(condition, var, compare, bounds)?;
        }
        Kind::Relation(first, rest) => {
            let var = var?;
            let mut left: &Expr = first;
            for (rel, right) in rest {
                if *rel == Rel::In {
                    collect_bounds(right, Some(var), compare, bounds)?;
                } else {
                    bounds.extend(roots(left, right, var, compare)?);
                }
                left = right;
            }
        }
        _ => return None,
    }
    Some(())
}

/// Where `left - right` changes its sign: for a bare name, its absolute value, polynomials whose
/// roots can be written down, and products and quotients of these.
pub(super) fn roots(
    left: &Expr,
    right: &Expr,
    var: &str,
    compare: &Comparer<'_>,
) -> Option<Vec<Expr>> {
    let is_var = |e: &Expr| matches!(&e.kind, Kind::Sym(name) if name == var);
    let free = |e: &Expr| !e.has_names();
    let infinite = |e: &Expr| e.any(&|k| matches!(k, Kind::Const(Const::Infinity)));
    let neg = |e: &Expr| Kind::Neg(Box::new(e.clone())).at(e.span.clone());
    for (a, b) in [(left, right), (right, left)] {
        if is_var(a) && free(b) {
            // `x < \infty` cuts the line nowhere.
            return Some(if infinite(b) {
                Vec::new()
            } else {
                vec![b.clone()]
            });
        }
        if let Kind::Call(Func::Abs, args) = &a.kind
            && free(b)
        {
            let inside = roots(&args[0], b, var, compare)?;
            let outside = roots(&args[0], &neg(b), var, compare)?;
            return Some(inside.into_iter().chain(outside).collect());
        }
    }
    if free(left) && free(right) {
        return Some(Vec::new());
    }
    // A side need not be expanded: its values at integers say what polynomial it is.
    let at = |x: i64| -> Option<RBig> {
        let mut names = vec![(var.to_owned(), RBig::from(x))];
        let l = exact::rational(left, &mut names, compare.budget).ok()?;
        let r = exact::rational(right, &mut names, compare.budget).ok()?;
        Some(l - r)
    };
    if let Some(coefficients) = polynomial::interpolated(&at)
        && let Some(roots) = polynomial::roots(&coefficients, compare.budget)
    {
        return Some(roots);
    }
    for (a, b) in [(left, right), (right, left)] {
        // Over the denominator, which changes its sign too.
        if let Kind::Div(above, below) = &a.kind
            && b.kind != Kind::int(0)
        {
            compare.budget.take(40).ok()?;
            let product = Kind::Mul(vec![b.clone(), (**below).clone()]).at(b.span.clone());
            let zero = Kind::int(0).at(0..0);
            let crossings = roots(above, &product, var, compare)?;
            return Some([crossings, roots(below, &zero, var, compare)?].concat());
        }
    }
    let zero = |e: &Expr| e.kind == Kind::int(0);
    match (zero(left), zero(right)) {
        (_, true) => factor_roots(left, var, compare),
        (true, _) => factor_roots(right, var, compare),
        _ => None,
    }
}

/// Where a product or a quotient changes its sign: where one of its factors does.
fn factor_roots(expr: &Expr, var: &str, compare: &Comparer<'_>) -> Option<Vec<Expr>> {
    compare.budget.take(20).ok()?;
    let zero = Kind::int(0).at(0..0);
    match &expr.kind {
        Kind::Neg(inner) => roots(inner, &zero, var, compare),
        Kind::Mul(items) => {
            let each = items.iter().map(|item| roots(item, &zero, var, compare));
            Some(each.collect::<Option<Vec<_>>>()?.concat())
        }
        Kind::Div(above, below) => {
            let above = roots(above, &zero, var, compare)?;
            let below = roots(below, &zero, var, compare)?;
            Some([above, below].concat())
        }
        Kind::Pow(base, exponent) if matches!(&exponent.kind, Kind::Num { value, .. } if value.is_int()) => {
            roots(base, &zero, var, compare)
        }
        _ => None,
    }
}

/// A sample of every point and every open piece that the bounds make.
pub(super) fn sample_points(bounds: &[Expr]) -> Vec<Expr> {
    let one = Kind::int(1).at(0..0);
    let (Some(first), Some(last)) = (bounds.first(), bounds.last()) else {
        return vec![Kind::int(0).at(0..0)];
    };
    let mut out = vec![
        Kind::Add(vec![
            first.clone(),
            Kind::Neg(Box::new(one.clone())).at(0..0),
        ])
        .at(0..0),
    ];
    for (i, end) in bounds.iter().enumerate() {
        out.push(end.clone());
        if let Some(next) = bounds.get(i + 1) {
            let sum = Kind::Add(vec![end.clone(), next.clone()]).at(0..0);
            out.push(Kind::Div(Box::new(sum), Box::new(Kind::int(2).at(0..0))).at(0..0));
        }
    }
    out.push(Kind::Add(vec![last.clone(), one]).at(0..0));
    out
}

/// `A` of `x \in A`.
pub(super) fn member_of(expr: &Expr) -> &Expr {
    match &expr.kind {
        Kind::Relation(first, rest) => match rest.as_slice() {
            // `(x, y) \in A` names the set, `(1, 2) \in A` is a statement about a point.
            [(Rel::In, set)]
                if matches!(first.kind, Kind::Sym(_) | Kind::Apply(..))
                    || matches!(first.kind, Kind::Tuple(_))
                        && !first.any(&|k| matches!(k, Kind::Num { .. })) =>
            {
                set
            }
            _ => expr,
        },
        _ => expr,
    }
}
