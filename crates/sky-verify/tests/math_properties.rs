//! Properties: a rewritten expression is equal, a perturbed one is not, equality is symmetric.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use sky_verify::math::{MathChecker, Options};

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

    /// The same value, written otherwise: operands exchanged, plain text, products and squares spelled out.
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

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
