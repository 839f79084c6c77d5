//! Trees as LaTeX that parses back to the same tree.

mod names;

use std::fmt::{self, Display, Formatter};

use dashu_ratio::RBig;

use super::{
    exact::ten_to,
    expr::{BigOp, Expr, Func, Kind, SetOp},
};
use names::{constant, function, relation, symbol};

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Num { value, decimals } => number(value, *decimals, f),
            Kind::Const(c) => f.write_str(constant(*c)),
            Kind::Sym(name) => symbol(name, f),
            Kind::Neg(a) => write!(f, "-{}", Parenthesized(a)),
            Kind::Add(items) => sum(items, f),
            Kind::Mul(items) => joined(items.iter().map(Parenthesized), r" \cdot ", f),
            Kind::Div(a, b) => write!(f, r"\frac{{{a}}}{{{b}}}"),
            Kind::Pow(a, b) => write!(f, "{}^{{{b}}}", Parenthesized(a)),
            Kind::Root(n, a) if n.kind == Kind::int(2) => write!(f, r"\sqrt{{{a}}}"),
            Kind::Root(n, a) => write!(f, r"\sqrt[{n}]{{{a}}}"),
            Kind::PlusMinus(a, b, mp) => {
                if let Some(a) = a {
                    write!(f, "{a}")?;
                }
                write!(
                    f,
                    "{}{}",
                    if *mp { r"\mp " } else { r"\pm " },
                    Parenthesized(b)
                )
            }
            Kind::Call(func, args) => call(*func, args, f),
            Kind::Apply(name, args) => application(name, args, f),
            Kind::Big {
                op,
                var,
                lo,
                hi,
                body,
            } => big_operator(*op, var, [lo.as_deref(), hi.as_deref()], body, f),
            Kind::Based { digits, base } => write!(f, "{digits}_{{{base}}}"),
            Kind::Percent(a) => write!(f, r"{}\%", Parenthesized(a)),
            Kind::Degree(a) => write!(f, r"{}^\circ ", Parenthesized(a)),
            Kind::Quantity(a, unit) => write!(f, r"{}\text{{ {unit}}}", Parenthesized(a)),
            Kind::List(items) => write!(f, "{}", List(items)),
            Kind::Tuple(items) => write!(f, "({})", List(items)),
            Kind::Set(items) => write!(f, r"\{{{}\}}", List(items)),
            Kind::Interval {
                lo,
                hi,
                lo_open,
                hi_open,
            } => interval([&**lo, &**hi], *lo_open, *hi_open, f),
            Kind::Sets(op, items) => {
                let sign = match op {
                    SetOp::Union => r" \cup ",
                    SetOp::Intersection => r" \cap ",
                    SetOp::Difference => r" \setminus ",
                };
                joined(items.iter().map(Parenthesized), sign, f)
            }
            Kind::Builder { var, condition } => write!(f, r"\{{{var} \mid {condition}\}}"),
            Kind::Relation(first, rest) => {
                write!(f, "{first}")?;
                rest.iter()
                    .try_for_each(|(rel, side)| write!(f, "{}{side}", relation(*rel)))
            }
            Kind::Matrix(rows) => {
                f.write_str(r"\begin{pmatrix}")?;
                for row in rows {
                    joined(row.iter(), " & ", f)?;
                    f.write_str(r" \\ ")?;
                }
                f.write_str(r"\end{pmatrix}")
            }
            Kind::Text(text) => write!(f, r"\text{{{text}}}"),
        }
    }
}

fn sum(items: &[Expr], f: &mut Formatter<'_>) -> fmt::Result {
    for (i, item) in items.iter().enumerate() {
        match &item.kind {
            Kind::Neg(inner) => write!(f, "-{}", Parenthesized(inner))?,
            _ if i == 0 => write!(f, "{}", Parenthesized(item))?,
            _ => write!(f, "+{}", Parenthesized(item))?,
        }
    }
    Ok(())
}

/// A function or an operation that is only a name, at its arguments.
fn application(name: &str, args: &[Expr], f: &mut Formatter<'_>) -> fmt::Result {
    match name.strip_suffix('_') {
        Some(name) => write!(f, "{name}_{{{}}}", List(args)),
        None if name == "E" => write!(f, "E[{}]", List(args)),
        None if joins(name) => {
            for (i, part) in args.iter().enumerate() {
                match (i, name) {
                    (0, _) => {}
                    (_, ":") => f.write_str(" : ")?,
                    _ => write!(f, r" \{name} ")?,
                }
                write!(f, "{}", Parenthesized(part))?;
            }
            Ok(())
        }
        None if args.len() == 2 && is_operation(name) => {
            write!(
                f,
                r"{} \{name} {}",
                Parenthesized(&args[0]),
                Parenthesized(&args[1])
            )
        }
        None => write!(f, "{name}({})", List(args)),
    }
}

fn big_operator(
    op: BigOp,
    var: &str,
    [lo, hi]: [Option<&Expr>; 2],
    body: &Expr,
    f: &mut Formatter<'_>,
) -> fmt::Result {
    let name = match op {
        BigOp::Sum => r"\sum",
        BigOp::Product => r"\prod",
        BigOp::Integral => r"\int",
        BigOp::Limit => r"\lim",
    };
    let binder = match op {
        BigOp::Sum | BigOp::Product => format!("{var}="),
        BigOp::Limit => format!(r"{var}\to "),
        BigOp::Integral => String::new(),
    };
    f.write_str(name)?;
    if let Some(lo) = lo {
        write!(f, "_{{{binder}{lo}}}")?;
    }
    if let Some(hi) = hi {
        write!(f, "^{{{hi}}}")?;
    }
    write!(f, " {}", Parenthesized(body))?;
    if op == BigOp::Integral {
        write!(f, " d {var}")
    } else {
        Ok(())
    }
}

fn interval(
    [lo, hi]: [&Expr; 2],
    lo_open: bool,
    hi_open: bool,
    f: &mut Formatter<'_>,
) -> fmt::Result {
    let (open, close) = (
        if lo_open { '(' } else { '[' },
        if hi_open { ')' } else { ']' },
    );
    // Both ends open would be a point: the other way to write them.
    if lo_open && hi_open {
        write!(f, "]{lo}, {hi}[")
    } else {
        write!(f, "{open}{lo}, {hi}{close}")
    }
}

/// Signs that stand between any number of parts.
fn joins(name: &str) -> bool {
    matches!(name, ":" | "land" | "lor")
}

/// Signs between two values that say nothing of what they do.
fn is_operation(name: &str) -> bool {
    matches!(
        name,
        "circ" | "star" | "oplus" | "otimes" | "bullet" | "times"
    )
}

/// In brackets where it would fall apart otherwise.
struct Parenthesized<'a>(&'a Expr);

impl Display for Parenthesized<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let whole = match &self.0.kind {
            Kind::Num { decimals, .. } => decimals.is_none_or(|d| d > 0),
            Kind::Const(_)
            | Kind::Sym(_)
            | Kind::Root(..)
            | Kind::Div(..)
            | Kind::Tuple(_)
            | Kind::Set(_)
            | Kind::Interval { .. } => true,
            Kind::Apply(name, _) => !joins(name),
            Kind::Call(func, _) => {
                matches!(func, Func::Abs | Func::Floor | Func::Ceil | Func::Binomial)
            }
            _ => false,
        };
        if whole {
            write!(f, "{}", self.0)
        } else {
            write!(f, r"\left({}\right)", self.0)
        }
    }
}

struct List<'a>(&'a [Expr]);

impl Display for List<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        joined(self.0.iter(), ", ", f)
    }
}

fn joined<T: Display>(
    items: impl Iterator<Item = T>,
    sign: &str,
    f: &mut Formatter<'_>,
) -> fmt::Result {
    for (i, item) in items.enumerate() {
        if i > 0 {
            f.write_str(sign)?;
        }
        write!(f, "{item}")?;
    }
    Ok(())
}

fn number(value: &RBig, decimals: Option<i64>, f: &mut Formatter<'_>) -> fmt::Result {
    let Some(decimals) = decimals else {
        return if value.is_int() {
            write!(f, "{value}")
        } else {
            write!(
                f,
                r"\frac{{{}}}{{{}}}",
                value.numerator(),
                value.denominator()
            )
        };
    };
    let scale = ten_to(decimals.unsigned_abs().min(30_000));
    let scaled = if decimals >= 0 {
        value.clone() * scale
    } else {
        value.clone() / scale
    };
    let digits = format!("{:0>1}", scaled.trunc());
    if decimals > 0 {
        let places = usize::try_from(decimals).unwrap_or(0);
        let digits = format!("{digits:0>width$}", width = places + 1);
        let (whole, fraction) = digits.split_at(digits.len() - places);
        return write!(f, "{whole}.{fraction}");
    }
    // A point without decimals would not come back.
    let digits = format!("{digits:0>2}");
    let (whole, last) = digits.split_at(digits.len() - 1);
    write!(f, "{whole}.{last}e{}", 1 - decimals)
}

fn call(func: Func, args: &[Expr], f: &mut Formatter<'_>) -> fmt::Result {
    match (func, args) {
        (Func::Abs, [x]) => write!(f, r"\left|{x}\right|"),
        (Func::Floor, [x]) => write!(f, r"\lfloor {x}\rfloor "),
        (Func::Ceil, [x]) => write!(f, r"\lceil {x}\rceil "),
        (Func::Factorial, [x]) => write!(f, "{}!", Parenthesized(x)),
        (Func::DoubleFactorial, [x]) => write!(f, "{}!!", Parenthesized(x)),
        (Func::Binomial, [n, k]) => write!(f, r"\binom{{{n}}}{{{k}}}"),
        (Func::Log, [base, x]) => write!(f, r"\log_{{{base}}}({x})"),
        (Func::Residue, [x, m]) => write!(f, r"{} \pmod{{{m}}}", Parenthesized(x)),
        (Func::Mod, [x, m]) => write!(f, r"{} \bmod {}", Parenthesized(x), Parenthesized(m)),
        (func, args) => write!(f, r"\operatorname{{{}}}({})", function(func), List(args)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
