//! Names as LaTeX: symbols, functions, constants, relations.

use std::fmt::{self, Formatter};

use crate::expr::{Const, Func, Rel};

pub(super) fn symbol(name: &str, f: &mut Formatter<'_>) -> fmt::Result {
    let command = |name: &str| {
        if name.len() > 1 && name.bytes().all(|b| b.is_ascii_alphabetic()) {
            format!(r"\{name} ")
        } else {
            name.to_owned()
        }
    };
    if let Some((figure @ ("angle" | "triangle"), letters)) = name.split_once(':') {
        return write!(f, r"\{figure} {letters}");
    }
    if let Some((accent, inner)) = name.split_once(':') {
        return write!(f, r"\{accent}{{{inner}}}");
    }
    match name.split_once('_') {
        Some((base, index)) => write!(f, "{}_{{{index}}}", command(base).trim_end()),
        None => f.write_str(&command(name)),
    }
}

pub(super) fn function(func: Func) -> &'static str {
    match func {
        Func::Sin => "sin",
        Func::Cos => "cos",
        Func::Tan => "tan",
        Func::Cot => "cot",
        Func::Sec => "sec",
        Func::Csc => "csc",
        Func::Asin => "arcsin",
        Func::Acos => "arccos",
        Func::Atan => "arctan",
        Func::Acot => "arccot",
        Func::Sinh => "sinh",
        Func::Cosh => "cosh",
        Func::Tanh => "tanh",
        Func::Asinh => "arcsinh",
        Func::Acosh => "arccosh",
        Func::Atanh => "arctanh",
        Func::Exp => "exp",
        Func::Ln | Func::Log => "ln",
        Func::Abs => "abs",
        Func::Floor => "floor",
        Func::Ceil => "ceil",
        Func::Factorial | Func::DoubleFactorial => "factorial",
        Func::Binomial => "binomial",
        Func::Mod | Func::Residue => "mod",
        Func::Gcd => "gcd",
        Func::Lcm => "lcm",
        Func::Max => "max",
        Func::Min => "min",
        Func::Re => "Re",
        Func::Im => "Im",
        Func::Conjugate => "conjugate",
        Func::Arg => "arg",
        Func::Sign => "sgn",
        Func::Det => "det",
    }
}

pub(super) fn constant(c: Const) -> &'static str {
    match c {
        Const::Pi => r"\pi ",
        Const::E => "e",
        Const::I => "i",
        Const::Infinity => r"\infty ",
        Const::Reals => r"\mathbb{R}",
        Const::Integers => r"\mathbb{Z}",
        Const::Naturals => r"\mathbb{N}",
        Const::Rationals => r"\mathbb{Q}",
        Const::Complexes => r"\mathbb{C}",
        Const::Empty => r"\emptyset ",
    }
}

pub(super) fn relation(rel: Rel) -> &'static str {
    match rel {
        Rel::Eq => " = ",
        Rel::Approx => r" \approx ",
        Rel::Ne => r" \ne ",
        Rel::Lt => " < ",
        Rel::Le => r" \le ",
        Rel::Gt => " > ",
        Rel::Ge => r" \ge ",
        Rel::In => r" \in ",
        Rel::NotIn => r" \notin ",
        Rel::Subset => r" \subset ",
        Rel::Arrow => r" \to ",
        Rel::Named(name) => match name {
            "sim" => r" \sim ",
            "propto" => r" \propto ",
            "iff" => r" \iff ",
            "perp" => r" \perp ",
            "parallel" => r" \parallel ",
            _ => r" \equiv ",
        },
    }
}
