//! Whether two values are the same: exactly when both are rational, in normal form, modulo primes, else by balls at
//! random points.

mod constants;
mod points;
mod special;

use super::{
    budget::Budget,
    compare::map,
    exact::{self, NoValue},
    expr::{BigOp, Const, Expr, Func, Kind},
    modular::{self, Residues},
    normal,
};
pub(super) use constants::{approximate, floor, infinity, rounds_to, sign};
pub(super) use points::proportional;
use points::{Names, at_points};

/// Bits of the first look. A difference seen here is proved: the balls do not meet.
const FIRST: usize = 96;
/// Bits of the second look, at what the first could not tell apart.
const SECOND: usize = 400;

/// What a comparison found, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The same rational number.
    EqualExactly,
    /// The same polynomial, quotient of polynomials or sum of radicals.
    EqualInNormalForm,
    /// The same tree.
    EqualAsWritten,
    /// The same residue modulo four primes.
    EqualModuloPrimes,
    /// The same value at every point tried.
    EqualAtPoints,
    /// Different values, which is proved.
    Different,
    /// Neither could be shown, so not the same.
    Unknown(&'static str),
}

impl Found {
    pub(super) fn is_equal(self) -> bool {
        matches!(
            self,
            Self::EqualExactly
                | Self::EqualInNormalForm
                | Self::EqualAsWritten
                | Self::EqualModuloPrimes
                | Self::EqualAtPoints
        )
    }
}

/// Compares two values.
pub(super) fn compare(a: &Expr, b: &Expr, budget: &Budget) -> Found {
    const SPENT: Found = Found::Unknown("the work budget is spent");
    match (infinity(a), infinity(b)) {
        (Some(x), Some(y)) => {
            return if x == y {
                Found::EqualAsWritten
            } else {
                Found::Different
            };
        }
        (Some(_), None) | (None, Some(_)) => return Found::Different,
        (None, None) => {}
    }
    let defined = |e: &Expr| {
        !e.any(&|k| matches!(k, Kind::Const(Const::Infinity)) || matches!(k, Kind::Text(_)))
    };
    let exact = |e: &Expr| exact::rational(e, &mut Vec::new(), budget);
    // Also with names that sums bind.
    match (exact(a), exact(b)) {
        (Ok(x), Ok(y)) => {
            return if x == y {
                Found::EqualExactly
            } else {
                Found::Different
            };
        }
        (Err(NoValue::Undefined), _) | (_, Err(NoValue::Undefined)) => {
            return Found::Unknown("a value is undefined");
        }
        _ => {}
    }
    if a == b || has_big(a) && has_big(b) && unbound(a, 0) == unbound(b, 0) {
        return Found::EqualAsWritten;
    }
    if budget.is_spent() {
        return SPENT;
    }
    if !defined(a) && !has_big(a) || !defined(b) && !has_big(b) {
        return Found::Unknown("an infinity inside an expression");
    }
    if sums_up(a) || sums_up(b) {
        // Term by term, then at whole numbers.
        return match anywhere(a, b, budget) {
            found if found.is_equal() => found,
            _ => at_points(a, b, Names::Small, budget, SECOND),
        };
    }
    // `(-1)^n` has a value for whole n only.
    let names = a.has_names() || b.has_names();
    let whole = names && [a, b].iter().any(|e| discrete(e) || alternates(e));
    if whole {
        return at_whole_numbers(a, b, budget);
    }
    let found = anywhere(a, b, budget);
    if !names || !(steps(a) || steps(b)) {
        return found;
    }
    match found {
        // Whole parts that agree between the whole numbers may differ there.
        found if found.is_equal() => match at_whole_numbers(a, b, budget) {
            Found::Different => Found::Different,
            _ => found,
        },
        // `\lceil n/2 \rceil` is spoken of for whole n.
        Found::Different if counts(a) && counts(b) => at_whole_numbers(a, b, budget),
        found => found,
    }
}

/// Names stand for any numbers.
fn anywhere(a: &Expr, b: &Expr, budget: &Budget) -> Found {
    let first = at_points(a, b, Names::Anything, budget, FIRST);
    match first {
        Found::EqualAtPoints => {}
        Found::Unknown(why) if why != points::NOWHERE => {}
        found => return found,
    }
    if (kinked(a) || kinked(b)) && special::differ_between_kinks(a, b, budget) {
        return Found::Different;
    }
    // A proof, if there is one, costs less than the second look.
    if first == Found::EqualAtPoints && normal::equal(a, b, budget) {
        return Found::EqualInNormalForm;
    }
    match modular::compare(a, b, budget) {
        Residues::Same => Found::EqualModuloPrimes,
        Residues::Different => Found::Different,
        Residues::Unknown => at_points(a, b, Names::Anything, budget, SECOND),
    }
}

/// Names stand for whole numbers.
fn at_whole_numbers(a: &Expr, b: &Expr, budget: &Budget) -> Found {
    if special::differ_near_literals(a, b, budget) {
        return Found::Different;
    }
    at_points(a, b, Names::Whole, budget, SECOND)
}

/// The tree with the names that sums and integrals bind called by their depth.
fn unbound(expr: &Expr, depth: usize) -> Expr {
    map(expr, &|e| match &e.kind {
        Kind::Big {
            op,
            var,
            lo,
            hi,
            body,
        } if !var.is_empty() && depth < 16 => {
            let name = format!("#{depth}");
            let put = |node: &Expr| {
                matches!(&node.kind, Kind::Sym(n) if n == var)
                    .then(|| Kind::Sym(name.clone()).at(node.span.clone()))
            };
            let end = |e: &Option<Box<Expr>>| e.as_ref().map(|e| Box::new(unbound(e, depth + 1)));
            let kind = Kind::Big {
                op: *op,
                var: name.clone(),
                lo: end(lo),
                hi: end(hi),
                body: Box::new(unbound(&map(body, &put), depth + 1)),
            };
            Some(kind.at(e.span.clone()))
        }
        _ => None,
    })
}

/// Functions of whole numbers, which take names for such.
fn discrete(e: &Expr) -> bool {
    e.any(&|k| matches!(k, Kind::Call(func, _) if func.of_whole_numbers()))
}

/// A sum or a product up to a name: `\sum_{k=1}^n k`.
fn sums_up(e: &Expr) -> bool {
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
fn alternates(e: &Expr) -> bool {
    e.any(&|k| match k {
        Kind::Pow(base, exponent) => matches!(base.kind, Kind::Neg(_)) && exponent.has_names(),
        _ => false,
    })
}

fn steps(e: &Expr) -> bool {
    e.any(&|k| matches!(k, Kind::Call(Func::Floor | Func::Ceil, _)))
}

/// Functions that are one expression here and another there; `\arcsin(\sin x)` is `x` near zero only.
fn kinked(e: &Expr) -> bool {
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
        Kind::Root(_, inner) => inner.has_names(),
        Kind::Pow(base, exponent) => matches!(exponent.kind, Kind::Div(..)) && base.has_names(),
        _ => false,
    })
}

/// Whether every name is one of those that stand for whole numbers by custom.
fn counts(e: &Expr) -> bool {
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
fn names_of(e: &Expr, names: &mut Vec<String>) {
    if let Kind::Sym(name) = &e.kind
        && let Err(at) = names.binary_search(name)
    {
        names.insert(at, name.clone());
    }
    e.children(&mut |child| names_of(child, names));
}

fn has_big(e: &Expr) -> bool {
    e.any(&|k| matches!(k, Kind::Big { .. }))
}
