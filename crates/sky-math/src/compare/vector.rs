//! Points and vectors in other dress: `P(2, -1)`, `2\mathbf{i} - \mathbf{j}`.

use crate::expr::{Const, Expr, Func, Kind, map};

/// `P(5, 2)`, which beside a number is no point but a falling product, 5 times 4.
pub(super) fn falling_factorial(expr: &Expr) -> Option<Expr> {
    let Kind::Mul(parts) = &expr.kind else {
        return None;
    };
    let [label, point] = parts.as_slice() else {
        return None;
    };
    let (Kind::Sym(name), Kind::Tuple(items)) = (&label.kind, &point.kind) else {
        return None;
    };
    let [n, k] = items.as_slice() else {
        return None;
    };
    match (&n.kind, &k.kind) {
        (Kind::Num { value: x, .. }, Kind::Num { value: y, .. })
            if name == "P" && x.is_int() && y.is_int() && y <= x => {}
        _ => return None,
    }
    let at = || expr.span.clone();
    let chosen = Kind::Call(Func::Binomial, vec![n.clone(), k.clone()]).at(at());
    let orders = Kind::Call(Func::Factorial, vec![k.clone()]).at(at());
    Some(Kind::Mul(vec![chosen, orders]).at(at()))
}

/// One value or one point.
pub(super) fn is_point(expr: &Expr) -> bool {
    expr.is_scalar() || matches!(expr.kind, Kind::Tuple(_))
}

/// The coordinates of a point with its letter in front, or of a sum of multiples of `i`, `j` and
/// `k`.
pub(super) fn components(expr: &Expr, count: usize) -> Option<Vec<Expr>> {
    match &expr.kind {
        Kind::Mul(parts) => {
            if let [
                label,
                Expr {
                    kind: Kind::Tuple(items),
                    ..
                },
            ] = parts.as_slice()
            {
                return matches!(label.kind, Kind::Sym(_)).then(|| items.clone());
            }
        }
        Kind::Apply(name, args) if args.len() == count && count > 1 => {
            return name
                .starts_with(|c: char| c.is_ascii_uppercase())
                .then(|| args.clone());
        }
        _ => {}
    }
    let axis = |k: &Kind| match k {
        Kind::Const(Const::I) => Some(0),
        Kind::Sym(name) => match name.rsplit(':').next()? {
            "i" | "\\imath" => Some(0),
            "j" | "\\jmath" => Some(1),
            "k" if count == 3 => Some(2),
            _ => None,
        },
        _ => None,
    };
    if !(2..=3).contains(&count) || !expr.is_scalar() || !expr.any(&|k| axis(k) > Some(0)) {
        return None;
    }
    // Each term is a multiple of one axis.
    let one = std::slice::from_ref(expr);
    let terms = match &expr.kind {
        Kind::Add(terms) => terms.as_slice(),
        _ => one,
    };
    let mut out: Vec<Vec<Expr>> = vec![Vec::new(); count];
    for term in terms {
        let mut axes = Vec::new();
        let scale = map(term, &|e| {
            axis(&e.kind).map(|_| Kind::int(1).at(e.span.clone()))
        });
        collect_axes(term, &axis, &mut axes);
        match axes.as_slice() {
            [axis] => out[*axis].push(scale),
            _ => return None,
        }
    }
    let sum = |mut terms: Vec<Expr>| match terms.len() {
        0 => Kind::int(0).at(0..0),
        1 => terms.remove(0),
        _ => Kind::Add(terms).at(0..0),
    };
    Some(out.into_iter().map(sum).collect())
}

fn collect_axes(expr: &Expr, axis: &dyn Fn(&Kind) -> Option<usize>, found: &mut Vec<usize>) {
    found.extend(axis(&expr.kind));
    expr.children(&mut |child| collect_axes(child, axis, found));
}
