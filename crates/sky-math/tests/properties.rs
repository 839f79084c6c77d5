//! Properties: a rewritten expression is equal, a perturbed one is not, equality is symmetric.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use sky_math::{MathChecker, Options};

/// An expression with its value at `x = 3, y = 5`, so that a perturbation is known to be one.
#[derive(Clone, Debug)]
enum Tree {
    Number(i64),
    Name(&'static str),
    Sum(Box<Tree>, Box<Tree>),
    Difference(Box<Tree>, Box<Tree>),
    Product(Box<Tree>, Box<Tree>),
    Quotient(Box<Tree>, i64),
    Square(Box<Tree>),
}

impl Tree {
    fn latex(&self) -> String {
        match self {
            Self::Number(n) => n.to_string(),
            Self::Name(name) => (*name).to_owned(),
            Self::Sum(a, b) => format!("{} + {}", a.latex(), b.grouped()),
            Self::Difference(a, b) => format!("{} - {}", a.latex(), b.grouped()),
            Self::Product(a, b) => format!("{} \\cdot {}", a.grouped(), b.grouped()),
            Self::Quotient(a, n) => format!("\\frac{{{}}}{{{n}}}", a.latex()),
            Self::Square(a) => format!("{}^2", a.grouped()),
        }
    }

    fn grouped(&self) -> String {
        match self {
            Self::Name(_) => self.latex(),
            _ => format!("\\left({}\\right)", self.latex()),
        }
    }

    /// The same value, written otherwise: operands exchanged, plain text, products and squares
    /// spelled out.
    fn rewritten(&self) -> String {
        match self {
            Self::Number(n) => format!("({} + {})", n - 7, 7),
            Self::Name(name) => format!("({name})"),
            Self::Sum(a, b) => format!("({} + {})", b.rewritten(), a.rewritten()),
            Self::Difference(a, b) => format!("(-({}) + {})", b.rewritten(), a.rewritten()),
            Self::Product(a, b) => format!("({})({})", b.rewritten(), a.rewritten()),
            Self::Quotient(a, n) => format!("({})/({n})", a.rewritten()),
            Self::Square(a) => format!("(({0})*({0}))", a.rewritten()),
        }
    }
}

fn tree() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        (-20..50_i64).prop_map(Tree::Number),
        Just(Tree::Name("x")),
        Just(Tree::Name("y"))
    ];
    leaf.prop_recursive(4, 24, 2, |inner| {
        let pair = (inner.clone(), inner.clone());
        prop_oneof![
            pair.clone()
                .prop_map(|(a, b)| Tree::Sum(a.into(), b.into())),
            pair.clone()
                .prop_map(|(a, b)| Tree::Difference(a.into(), b.into())),
            pair.prop_map(|(a, b)| Tree::Product(a.into(), b.into())),
            (inner.clone(), 1..9_i64).prop_map(|(a, n)| Tree::Quotient(a.into(), n)),
            inner.prop_map(|a| Tree::Square(a.into())),
        ]
    })
}

/// An expression with functions, and its value at `x = 0.7, y = 1.9` by the hardware.
#[derive(Clone, Debug)]
struct Rich {
    written: String,
    rewritten: String,
    value: f64,
}

fn rich() -> impl Strategy<Value = Rich> {
    let make = |written: &str, rewritten: &str, value| Rich {
        written: written.to_owned(),
        rewritten: rewritten.to_owned(),
        value,
    };
    let leaf = prop_oneof![
        (1..9_i32).prop_map(move |n| make(
            &n.to_string(),
            &format!("\\frac{{{}}}{{3}}", 3 * n),
            f64::from(n)
        )),
        Just(make("x", "x", 0.7)),
        Just(make("y", "y", 1.9)),
        Just(make("\\pi", "\\frac{2\\pi}{2}", std::f64::consts::PI)),
    ];
    leaf.prop_recursive(3, 12, 2, |inner| {
        let binary =
            (inner.clone(), inner.clone(), 0..4).prop_map(|(a, b, which)| binary(a, b, which));
        let unary = (inner, 0..8).prop_map(|(a, which)| unary(&a, which));
        prop_oneof![binary, unary]
    })
}

/// Two expressions joined by an operation.
fn binary(a: Rich, b: Rich, which: i32) -> Rich {
    let some = |v: f64| if v.abs() < 1e-9 { f64::NAN } else { v };
    let (a, b) = (
        Rich {
            value: some(a.value),
            ..a
        },
        Rich {
            value: some(b.value),
            ..b
        },
    );
    let (aw, bw, ar, br) = (&a.written, &b.written, &a.rewritten, &b.rewritten);
    match which {
        0 => Rich {
            written: format!("\\left({aw} + {bw}\\right)"),
            rewritten: format!("({br}+{ar})"),
            value: a.value + b.value,
        },
        1 => Rich {
            written: format!("{{{aw}}} \\cdot {{{bw}}}"),
            rewritten: format!("({br})({ar})"),
            value: a.value * b.value,
        },
        2 => Rich {
            written: format!("\\frac{{{aw}}}{{{bw}}}"),
            rewritten: format!("({ar})({br})^{{-1}}"),
            value: a.value / b.value,
        },
        _ => Rich {
            written: format!("\\left({aw} - {bw}\\right)"),
            rewritten: format!("(-({br}) + {ar})"),
            value: a.value - b.value,
        },
    }
}

/// A function of an expression.
fn unary(a: &Rich, which: i32) -> Rich {
    // What is nothing has no inverse, nor a sign to take the root of its square: such a tree is
    // left out.
    let (w, r) = (&a.written, &a.rewritten);
    let v = if a.value.abs() < 1e-9 {
        f64::NAN
    } else {
        a.value
    };
    let (written, rewritten, value) = match which {
        0 => (
            format!("\\sqrt{{\\left({w}\\right)^2+1}}"),
            format!("(1+({r})*({r}))^{{1/2}}"),
            v.hypot(1.0),
        ),
        1 => (
            format!("\\sin\\left({w}\\right)"),
            format!("\\cos(\\frac{{\\pi}}{{2}} - ({r}))"),
            v.sin(),
        ),
        2 => (
            format!("\\cos^2\\left({w}\\right)"),
            format!("(1 - \\sin({r})\\sin({r}))"),
            v.cos().powi(2),
        ),
        3 => (
            format!("\\left({w}\\right)^3"),
            format!("(({r})({r})^2)"),
            v.powi(3),
        ),
        4 => (
            format!("\\left|{w}\\right|"),
            format!("\\sqrt{{({r})^2}}"),
            v.abs(),
        ),
        5 => (
            format!("\\arctan\\left({w}\\right)"),
            format!("-\\arctan(-({r}))"),
            v.atan(),
        ),
        6 => (
            format!("\\ln\\left(2+\\left({w}\\right)^2\\right)"),
            format!("(-\\ln\\frac{{1}}{{({r})^2+2}})"),
            (2.0 + v * v).ln(),
        ),
        _ => (
            format!("e^{{-\\left({w}\\right)^2}}"),
            format!("\\frac{{1}}{{\\exp(({r})^2)}}"),
            // Too small for the hardware, too small to be looked at.
            if v * v < 700.0 {
                (-v * v).exp()
            } else {
                f64::NAN
            },
        ),
    };
    Rich {
        written,
        rewritten,
        value,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_rewritten_expression_is_equal(t in tree()) {
        let checker = MathChecker::new(Options::default());
        prop_assert!(checker.equal(&t.latex(), &t.rewritten()), "{} and {}", t.latex(), t.rewritten());
    }

    #[test]
    fn a_perturbed_expression_is_not(t in tree(), by in 1..1000_i64) {
        let checker = MathChecker::new(Options::default());
        let other = format!("{} + \\frac{{{by}}}{{1001}}", t.rewritten());
        prop_assert!(!checker.equal(&t.latex(), &other), "{} and {other}", t.latex());
    }

    #[test]
    fn equality_is_symmetric(a in tree(), b in tree()) {
        let checker = MathChecker::new(Options::default());
        prop_assert_eq!(checker.equal(&a.latex(), &b.latex()), checker.equal(&b.latex(), &a.latex()));
    }

    #[test]
    fn functions_rewritten_are_equal(t in rich()) {
        prop_assume!(t.value.is_finite() && t.value.abs() < 1e9);
        let checker = MathChecker::new(Options::default());
        let verdict = checker.check(&t.written, &format!("\\boxed{{{}}}", t.rewritten));
        // Terms that differ by thousands of bits are not decided.
        prop_assume!(!verdict.reason.contains("budget is spent"));
        prop_assert!(verdict.is_correct(), "{} and {}: {}", t.written, t.rewritten, verdict.reason);
    }

    /// What the hardware tells apart at one point is never called equal.
    #[test]
    fn different_values_are_not_equal(a in rich(), b in rich()) {
        prop_assume!(a.value.is_finite() && b.value.is_finite());
        prop_assume!((a.value - b.value).abs() > 1e-6 * (1.0 + a.value.abs()));
        let checker = MathChecker::new(Options::default());
        prop_assert!(!checker.equal(&a.written, &b.rewritten), "{} and {}", a.written, b.rewritten);
        prop_assert!(!checker.equal(&b.rewritten, &a.written), "{} and {}", b.rewritten, a.written);
    }

    #[test]
    fn a_fraction_equals_its_multiples_and_no_neighbour(n in -500..500_i64, d in 1..500_i64, k in 2..50_i64) {
        let checker = MathChecker::new(Options::default());
        let gold = format!("\\frac{{{n}}}{{{d}}}");
        let multiple = format!("{}/{}", n * k, d * k);
        let neighbour = format!("\\frac{{{}}}{{{}}}", n * k + 1, d * k);
        let judge = |answer: &str| checker.check(&gold, &format!("So it is $\\boxed{{{answer}}}$.")).is_correct();
        prop_assert!(judge(&multiple));
        prop_assert!(!judge(&neighbour));
    }

    #[test]
    fn a_root_equals_its_simplified_form(a in 2..60_i64, b in 2..60_i64) {
        let checker = MathChecker::new(Options::default());
        let square = format!("\\sqrt{{{}}}", a * a * b);
        let simplified = format!("{a}\\sqrt{{{b}}}");
        let power = format!("{a} \\cdot {b}^{{1/2}}");
        let other = format!("{a}\\sqrt{{{}}}", b + 1);
        prop_assert!(checker.equal(&square, &simplified));
        prop_assert!(checker.equal(&square, &power));
        prop_assert!(!checker.equal(&square, &other));
    }

    #[test]
    fn sets_have_no_order_and_tuples_have(mut items in prop::collection::vec(-99..99_i64, 2..7), swap in any::<prop::sample::Index>()) {
        items.sort_unstable();
        items.dedup();
        prop_assume!(items.len() >= 2);
        let checker = MathChecker::new(Options::default());
        let mut turned = items.clone();
        turned.rotate_left(1 + swap.index(items.len() - 1));
        let join = |items: &[i64]| items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let set = |items: &[i64]| format!("\\{{{}\\}}", join(items));
        let tuple = |items: &[i64]| format!("({})", join(items));
        prop_assert!(checker.equal(&set(&items), &set(&turned)));
        prop_assert!(!checker.equal(&tuple(&items), &tuple(&turned)));
        prop_assert!(!checker.equal(&set(&items), &set(&items[1..])));
    }

    #[test]
    fn any_text_gets_a_verdict(gold in ".{0,60}", answer in ".{0,200}") {
        let checker = MathChecker::new(Options::default());
        let verdict = checker.check(&gold, &answer);
        prop_assert!(verdict.steps <= checker.options().budget);
    }
}
