//! What a node is called in a reason.

use super::assignment::is_equation;
use crate::expr::{Const, Expr, Kind};

/// What a node is, in words.
fn kind_name(expr: &Expr) -> &'static str {
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

/// For messages: what stands there.
pub(super) fn describe(a: &Expr, b: &Expr) -> String {
    format!("{} against {}", kind_name(a), kind_name(b))
}
