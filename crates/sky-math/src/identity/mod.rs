//! Whether two values are the same.
//!
//! The order of the methods is the order of what they are worth. Exact rational arithmetic decides
//! for good and is cheapest. Balls at low precision come next, because a difference that they show
//! is proved (the balls do not meet) and most wrong answers differ at the first point. A normal
//! form or residues modulo primes may then prove equality without rounding. Only what is left is
//! evaluated at high precision and at more points, where agreement is evidence and not a proof.

mod constants;
mod critical_points;
mod equality;
mod nested_power;
mod points;
mod precision;
mod tree_queries;

use super::{
    budget::Budget,
    exact::{self, ExactError},
    expr::{Const, Expr, Kind, map},
    modular::{self, Residues},
    normal_form,
};
pub(super) use constants::{approximate, floor, infinity, rounds_to, sign};
pub(super) use equality::Equality;
pub(super) use points::proportional;
use points::{NameRange, Pass, compare_at_points};
use tree_queries::{
    alternating_names, has_alternating_power, has_big_operator, has_integer_function,
    has_step_function, has_symbolic_sum, is_piecewise, names_are_indices, names_of,
};

/// Compares two values.
pub(super) fn compare(a: &Expr, b: &Expr, budget: &Budget) -> Equality {
    const OUT_OF_BUDGET: Equality = Equality::Unknown("the work budget is spent");
    match (infinity(a), infinity(b)) {
        (Some(x), Some(y)) => {
            return if x == y {
                Equality::EqualAsWritten
            } else {
                Equality::Different
            };
        }
        (Some(_), None) | (None, Some(_)) => return Equality::Different,
        (None, None) => {}
    }
    let defined = |e: &Expr| {
        !e.any(&|k| matches!(k, Kind::Const(Const::Infinity)) || matches!(k, Kind::Text(_)))
    };
    let exact = |e: &Expr| exact::rational(e, &mut Vec::new(), budget);
    // Names that sums bind do not matter here: a sum with known bounds has an exact value.
    match (exact(a), exact(b)) {
        (Ok(x), Ok(y)) => {
            return if x == y {
                Equality::EqualExactly
            } else {
                Equality::Different
            };
        }
        (Err(ExactError::Undefined), _) | (_, Err(ExactError::Undefined)) => {
            return Equality::Unknown("a value is undefined");
        }
        _ => {}
    }
    if a == b
        || has_big_operator(a)
            && has_big_operator(b)
            && with_bound_names_by_depth(a, 0) == with_bound_names_by_depth(b, 0)
    {
        return Equality::EqualAsWritten;
    }
    if budget.is_spent() {
        return OUT_OF_BUDGET;
    }
    if !defined(a) && !has_big_operator(a) || !defined(b) && !has_big_operator(b) {
        return Equality::Unknown("an infinity inside an expression");
    }
    if has_symbolic_sum(a) || has_symbolic_sum(b) {
        // As generic functions of their bounds first, which is quick and answers most; then at
        // small integers, where each sum has a value that can be added up.
        return match compare_over_reals(a, b, budget) {
            found if found.is_equal() => found,
            _ => compare_at_points(a, b, NameRange::SmallIntegers, budget, Pass::Only),
        };
    }
    // `(-1)^n` has a real value for integer n only: at random reals two such answers would agree or
    // differ by the branch of a complex power.
    let names = a.has_names() || b.has_names();
    let either = |test: fn(&Expr) -> bool| names && (test(a) || test(b));
    if either(has_integer_function) {
        return compare_over_integers(a, b, budget);
    }
    if either(has_alternating_power) {
        return compare_alternating(a, b, budget);
    }
    let found = compare_over_reals(a, b, budget);
    if !names || !(has_step_function(a) || has_step_function(b)) {
        return found;
    }
    match found {
        // Floors that agree between the integers may differ at them, and random points never hit
        // one.
        found if found.is_equal() => match compare_over_integers(a, b, budget) {
            Equality::Different => Equality::Different,
            _ => found,
        },
        // `\lceil n/2 \rceil` is `\lfloor (n+1)/2 \rfloor` for integer n, which is what `n` says.
        Equality::Different if names_are_indices(a) && names_are_indices(b) => {
            compare_over_integers(a, b, budget)
        }
        found => found,
    }
}

/// Names stand for any numbers.
fn compare_over_reals(a: &Expr, b: &Expr, budget: &Budget) -> Equality {
    let first = compare_at_points(a, b, NameRange::Reals, budget, Pass::Screen);
    match first {
        Equality::EqualAtPoints => {}
        Equality::Unknown(why) if why != points::NO_COMMON_POINT => {}
        found => return found,
    }
    if (is_piecewise(a) || is_piecewise(b)) && critical_points::differ_between_kinks(a, b, budget) {
        return Equality::Different;
    }
    if (nested_power::occurs(a) || nested_power::occurs(b)) && nested_power::differ(a, b, budget) {
        return Equality::Different;
    }
    // A proof, if there is one, costs less than the second evaluation. After a first evaluation
    // that told nothing it would cost more than it finds.
    if first == Equality::EqualAtPoints && normal_form::equal(a, b, budget) {
        return Equality::EqualInNormalForm;
    }
    match modular::compare(a, b, budget) {
        Residues::Same => Equality::EqualModuloPrimes,
        Residues::Different => Equality::Different,
        Residues::Unknown => {
            let pass = match first {
                Equality::EqualAtPoints => Pass::Confirm,
                _ => Pass::Only,
            };
            compare_at_points(a, b, NameRange::Reals, budget, pass)
        }
    }
}

/// Names stand for integers.
fn compare_over_integers(a: &Expr, b: &Expr, budget: &Budget) -> Equality {
    if critical_points::differ_near_literals(a, b, budget) {
        return Equality::Different;
    }
    compare_at_points(a, b, NameRange::Integers, budget, Pass::Only)
}

/// Names stand for integers in the exponents of negative numbers, for any numbers elsewhere.
fn compare_alternating(a: &Expr, b: &Expr, budget: &Budget) -> Equality {
    let (mut exponents, mut all) = (Vec::new(), Vec::new());
    for e in [a, b] {
        alternating_names(e, &mut exponents);
        names_of(e, &mut all);
    }
    if exponents == all {
        return compare_over_integers(a, b, budget);
    }
    compare_at_points(a, b, NameRange::Alternating, budget, Pass::Only)
}

/// The tree with the names that sums and integrals bind replaced by their depth, so that
/// `\sum_k a_k` equals `\sum_j a_j`.
fn with_bound_names_by_depth(expr: &Expr, depth: usize) -> Expr {
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
            let end = |e: &Option<Box<Expr>>| {
                e.as_ref()
                    .map(|e| Box::new(with_bound_names_by_depth(e, depth + 1)))
            };
            let kind = Kind::Big {
                op: *op,
                var: name.clone(),
                lo: end(lo),
                hi: end(hi),
                body: Box::new(with_bound_names_by_depth(&map(body, &put), depth + 1)),
            };
            Some(kind.at(e.span.clone()))
        }
        _ => None,
    })
}
