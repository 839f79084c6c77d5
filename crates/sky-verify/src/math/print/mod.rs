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
            Kind::Neg(a) => write!(f, "-{}", Tight(a)),
            Kind::Add(items) => {
                for (i, item) in items.iter().enumerate() {
                    match &item.kind {
                        Kind::Neg(inner) => write!(f, "-{}", Tight(inner))?,
                        _ if i == 0 => write!(f, "{}", Tight(item))?,
                        _ => write!(f, "+{}", Tight(item))?,
                    }
                }
                Ok(())
            }
            Kind::Mul(items) => joined(items.iter().map(Tight), r" \cdot ", f),
            Kind::Div(a, b) => write!(f, r"\frac{{{a}}}{{{b}}}"),
            Kind::Pow(a, b) => write!(f, "{}^{{{b}}}", Tight(a)),
            Kind::Root(n, a) if n.kind == Kind::int(2) => write!(f, r"\sqrt{{{a}}}"),
            Kind::Root(n, a) => write!(f, r"\sqrt[{n}]{{{a}}}"),
            Kind::PlusMinus(a, b, mp) => {
                if let Some(a) = a {
                    write!(f, "{a}")?;
                }
                write!(f, "{}{}", if *mp { r"\mp " } else { r"\pm " }, Tight(b))
            }
            Kind::Call(func, args) => call(*func, args, f),
            Kind::Apply(name, args) => match name.strip_suffix('_') {
                Some(name) => write!(f, "{name}_{{{}}}", List(args)),
                None if name == "E" => write!(f, "E[{}]", List(args)),
                None if joins(name) => {
                    for (i, part) in args.iter().enumerate() {
                        match (i, name.as_str()) {
                            (0, _) => {}
                            (_, ":") => f.write_str(" : ")?,
                            _ => write!(f, r" \{name} ")?,
                        }
                        write!(f, "{}", Tight(part))?;
                    }
                    Ok(())
                }
                None if args.len() == 2 && is_operation(name) => {
                    write!(f, r"{} \{name} {}", Tight(&args[0]), Tight(&args[1]))
                }
                None => write!(f, "{name}({})", List(args)),
            },
            Kind::Big {
                op,
                var,
                lo,
                hi,
                body,
            } => {
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
                write!(f, " {}", Tight(body))?;
                if *op == BigOp::Integral {
                    write!(f, " d {var}")
                } else {
                    Ok(())
                }
            }
            Kind::Based { digits, base } => write!(f, "{digits}_{{{base}}}"),
            Kind::Percent(a) => write!(f, r"{}\%", Tight(a)),
            Kind::Degree(a) => write!(f, r"{}^\circ ", Tight(a)),
            Kind::Quantity(a, unit) => write!(f, r"{}\text{{ {unit}}}", Tight(a)),
            Kind::List(items) => write!(f, "{}", List(items)),
            Kind::Tuple(items) => write!(f, "({})", List(items)),
            Kind::Set(items) => write!(f, r"\{{{}\}}", List(items)),
            Kind::Interval {
                lo,
                hi,
                lo_open,
                hi_open,
            } => {
                let (open, close) = (
                    if *lo_open { '(' } else { '[' },
                    if *hi_open { ')' } else { ']' },
                );
                // Both ends open would be a point: the other way to write them.
                if *lo_open && *hi_open {
                    write!(f, "]{lo}, {hi}[")
                } else {
                    write!(f, "{open}{lo}, {hi}{close}")
                }
            }
            Kind::Sets(op, items) => {
                let sign = match op {
                    SetOp::Union => r" \cup ",
                    SetOp::Intersection => r" \cap ",
                    SetOp::Difference => r" \setminus ",
                };
                joined(items.iter().map(Tight), sign, f)
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
struct Tight<'a>(&'a Expr);

impl Display for Tight<'_> {
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
        (Func::Factorial, [x]) => write!(f, "{}!", Tight(x)),
        (Func::DoubleFactorial, [x]) => write!(f, "{}!!", Tight(x)),
        (Func::Binomial, [n, k]) => write!(f, r"\binom{{{n}}}{{{k}}}"),
        (Func::Log, [base, x]) => write!(f, r"\log_{{{base}}}({x})"),
        (Func::Residue, [x, m]) => write!(f, r"{} \pmod{{{m}}}", Tight(x)),
        (Func::Mod, [x, m]) => write!(f, r"{} \bmod {}", Tight(x), Tight(m)),
        (func, args) => write!(f, r"\operatorname{{{}}}({})", function(func), List(args)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::math::{
        budget::Budget,
        clean::clean,
        expr::Const,
        parse::{Reading, parse},
    };

    /// What has no spelling of its own: quotients that were a repeating decimal, derivatives, numerals out of a power of ten.
    fn printable(expr: &Expr) -> bool {
        !expr.any(&|kind| match kind {
            Kind::Num { value, decimals } => decimals.is_none() && !value.is_int(),
            Kind::Sym(name) => {
                name.starts_with("derivative:") || name == "..." || name.contains('\'')
            }
            Kind::Apply(name, _) => {
                name.starts_with("index")
                    || name.contains('\'')
                    || name.len() > 1 && !name.ends_with('_')
            }
            Kind::Sets(_, items) => items.iter().any(|i| matches!(i.kind, Kind::Relation(..))),
            Kind::Const(Const::I | Const::E) => false,
            _ => false,
        })
    }

    #[test]
    fn a_printed_tree_parses_to_itself() {
        let table = include_str!("../../../tests/data/math_pairs.txt");
        let (mut tried, mut all) = (0, 0);
        for line in table.lines().filter(|line| !line.starts_with('#')) {
            for text in line
                .split(" || ")
                .flat_map(|field| field.split(" ;; "))
                .map(str::trim)
            {
                let budget = Budget::new(1_000_000);
                let text = clean(text);
                let Ok(tree) = parse(&text, Reading::default(), &budget) else {
                    continue;
                };
                all += 1;
                if !printable(&tree.expr) {
                    continue;
                }
                tried += 1;
                let printed = tree.expr.to_string();
                let back = parse(&printed, Reading::default(), &budget);
                assert!(
                    back.as_ref().is_ok_and(|b| b.expr == tree.expr),
                    "{text} printed {printed} parsed {back:?}\nwas {:?}",
                    tree.expr
                );
            }
        }
        assert!(tried > 700, "{tried} of {all} trees were printed");
    }

    /// Text of every shape that the grammar knows, at most a few levels deep.
    fn text() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            (0..2000_i64).prop_map(|n| n.to_string()),
            (0..90_i64, 0..100_i64).prop_map(|(a, b)| format!("{a}.{b:02}")),
            (1..9_i64, -9..9_i64).prop_map(|(a, b)| format!("{a}.5e{b}")),
            prop::sample::select(vec![
                "x",
                "y",
                "n",
                "e",
                "i",
                r"\pi",
                r"\alpha",
                "x_1",
                r"\overline{AB}",
                "a_{n}",
            ])
            .prop_map(str::to_owned),
        ];
        let value = leaf.prop_recursive(4, 20, 3, |inner| {
            let two = (inner.clone(), inner.clone());
            let shapes = vec![
                r"\frac{@}{#}",
                "@ + #",
                "@ - #",
                r"@ \cdot #",
                "(@)(#)",
                "(@)^{#}",
                r"\sqrt[3]{@ + #}",
                r"\binom{@}{#}",
                r"(@) \bmod (#)",
                r"\log_{@} (#)",
                "(@)/(#)",
                r"\gcd(@, #)",
                "f(@, #)",
                r"\sum_{k=@}^{10} (#)k",
                r"\int_{@}^{#} x^2 \, dx",
            ];
            let single = vec![
                "-@",
                r"\sqrt{@}",
                r"\sin(@)",
                r"\ln(@)",
                r"\left|@\right|",
                r"\lfloor @ \rfloor",
                r"\lceil @ \rceil",
                "(@)!",
                "(@)^2",
                r"(@)^\circ",
                r"(@)\%",
                "2x(@)",
                r"\arctan(@)",
                r"\lim_{x \to 0} (@)",
                "f(@)",
                r"\operatorname{lcm}(@, 4)",
            ];
            prop_oneof![
                (two, prop::sample::select(shapes))
                    .prop_map(|((a, b), s)| s.replace('@', &a).replace('#', &b)),
                (inner, prop::sample::select(single)).prop_map(|(a, s)| s.replace('@', &a)),
            ]
        });
        let frames = vec![
            "@",
            "@",
            "@",
            r"\{@, #\}",
            "(@, #)",
            "(@, #, 1)",
            "[@, #)",
            r"(@, #] \cup [5, \infty)",
            "x = @",
            "x > @",
            r"@ \le x < #",
            r"@ \pm (#)",
            r"\pm (@)",
            "@, #",
            r"\begin{pmatrix} @ & # \\ 1 & 2 \end{pmatrix}",
            r"\{x \mid x > @\}",
            r"(@) \text{ cm}",
            r"x \in [@, #]",
            r"\{@\}",
            r"@ \ne #",
            "y = @ = #",
            r"\mathbb{R} \setminus \{@\}",
            r"\text{no solution}",
            "1011_2",
            r"@ \text{ or } #",
        ];
        (value.clone(), value, prop::sample::select(frames))
            .prop_map(|(a, b, frame)| frame.replace('@', &a).replace('#', &b))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, max_global_rejects: 20_000, ..ProptestConfig::default() })]

        #[test]
        fn any_printed_tree_parses_to_itself(text in text()) {
            let budget = Budget::new(10_000_000);
            let text = clean(&text);
            let tree = parse(&text, Reading::default(), &budget);
            prop_assert!(tree.is_ok(), "{text}: {tree:?}");
            let tree = tree.unwrap().expr;
            prop_assume!(printable(&tree));
            let printed = tree.to_string();
            let back = parse(&printed, Reading::default(), &budget);
            prop_assert!(
                back.as_ref().is_ok_and(|b| b.expr == tree),
                "{text} printed {printed} parsed {back:?}\nwas {tree:?}"
            );
        }
    }
}
