//! Which functions and names a tree has: that decides at which points it is evaluated.

use crate::expr::{BigOp, Const, Expr, Func, Kind};

/// The names in the exponents of negative numbers, sorted.
pub(super) fn alternating_names(e: &Expr, names: &mut Vec<String>) {
    if let Kind::Pow(base, exponent) = &e.kind
        && matches!(base.kind, Kind::Neg(_))
    {
        names_of(exponent, names);
    }
    e.children(&mut |child| alternating_names(child, names));
}

/// Functions of integers, which take names for such.
pub(super) fn has_integer_function(e: &Expr) -> bool {
    e.any(&|k| matches!(k, Kind::Call(func, _) if func.takes_integers()))
}

/// A sum or a product up to a name: `\sum_{k=1}^n k`.
pub(super) fn has_symbolic_sum(e: &Expr) -> bool {
    e.any(&|k| match k {
        Kind::Big {
            op: BigOp::Sum | BigOp::Product,
            lo: Some(_),
            hi: Some(hi),
            ..
        } => hi.any(&|k| matches!(k, Kind::Sym(_))),
        _ => false,
    })
}

/// A negative number to a power with a name.
pub(super) fn has_alternating_power(e: &Expr) -> bool {
    e.any(&|k| match k {
        Kind::Pow(base, exponent) => matches!(base.kind, Kind::Neg(_)) && exponent.has_names(),
        _ => false,
    })
}

/// A floor or a ceiling.
pub(super) fn has_step_function(e: &Expr) -> bool {
    e.any(&|k| matches!(k, Kind::Call(Func::Floor | Func::Ceil, _)))
}

/// Functions that are one expression here and another there: `\arcsin(\sin x)` is `x` near zero
/// only. A few points may all lie on one piece, so these get more.
pub(super) fn is_piecewise(e: &Expr) -> bool {
    e.any(&|k| match k {
        Kind::Call(func, args) => {
            let bent = matches!(
                func,
                Func::Abs
                    | Func::Max
                    | Func::Min
                    | Func::Sign
                    | Func::Floor
                    | Func::Ceil
                    | Func::Asin
                    | Func::Acos
                    | Func::Atan
                    | Func::Acot
                    | Func::Acosh
                    | Func::Arg
            );
            bent && args.iter().any(Expr::has_names)
        }
        Kind::Root(degree, inner) => !degree.has_names() && inner.has_names(),
        Kind::Pow(base, exponent) => matches!(exponent.kind, Kind::Div(..)) && base.has_names(),
        _ => false,
    })
}

/// A quotient of polynomials in the names, as it is written: no root, no function, no name in an
/// exponent.
pub(super) fn is_rational_function(e: &Expr) -> bool {
    !e.any(&|k| match k {
        Kind::Num { .. }
        | Kind::Sym(_)
        | Kind::Const(Const::Pi | Const::E | Const::I)
        | Kind::Neg(_)
        | Kind::Percent(_)
        | Kind::Add(_)
        | Kind::Mul(_)
        | Kind::Div(..) => false,
        Kind::Pow(_, exponent) => !is_integer(exponent),
        _ => true,
    })
}

fn is_integer(e: &Expr) -> bool {
    match &e.kind {
        Kind::Num { value, .. } => value.denominator().is_one(),
        Kind::Neg(inner) => is_integer(inner),
        _ => false,
    }
}

/// Whether every name is one of those that stand for integers by custom.
pub(super) fn names_are_indices(e: &Expr) -> bool {
    !e.any(&|k| match k {
        Kind::Sym(name) => !matches!(
            name.as_str(),
            "i" | "j" | "k" | "l" | "m" | "n" | "K" | "M" | "N"
        ),
        Kind::Apply(..) | Kind::Big { .. } => true,
        _ => false,
    })
}

/// The names in a tree, sorted.
pub(super) fn names_of(e: &Expr, names: &mut Vec<String>) {
    if let Kind::Sym(name) = &e.kind
        && let Err(at) = names.binary_search(name)
    {
        names.insert(at, name.clone());
    }
    e.children(&mut |child| names_of(child, names));
}

/// A sum, a product, an integral or a limit.
pub(super) fn has_big_operator(e: &Expr) -> bool {
    e.any(&|k| matches!(k, Kind::Big { .. }))
}
