use proptest::prelude::*;

use super::*;
use crate::{
    budget::Budget,
    expr::Const,
    parse::{Reading, parse},
    unicode_to_latex::unicode_to_latex,
};

/// What has no spelling: quotients that were a repeating decimal, derivatives,
/// numerals out of a power of ten.
fn printable(expr: &Expr) -> bool {
    !expr.any(&|kind| match kind {
        Kind::Num { value, decimals } => decimals.is_none() && !value.is_int(),
        Kind::Sym(name) => name.starts_with("derivative:") || name == "..." || name.contains('\''),
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
    let table = include_str!("../../tests/data/pairs.txt");
    let (mut tried, mut all) = (0, 0);
    for line in table.lines().filter(|line| !line.starts_with('#')) {
        for text in line
            .split(" || ")
            .flat_map(|field| field.split(" ;; "))
            .map(str::trim)
        {
            let budget = Budget::new(1_000_000);
            let text = unicode_to_latex(text);
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

/// Shapes with two operands, `@` and `#`.
const BINARY: &[&str] = &[
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

/// Shapes with one operand, `@`.
const UNARY: &[&str] = &[
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

/// What an answer may be as a whole.
const FRAMES: &[&str] = &[
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
        prop_oneof![
            (two, prop::sample::select(BINARY))
                .prop_map(|((a, b), s)| s.replace('@', &a).replace('#', &b)),
            (inner, prop::sample::select(UNARY)).prop_map(|(a, s)| s.replace('@', &a)),
        ]
    });
    (value.clone(), value, prop::sample::select(FRAMES))
        .prop_map(|(a, b, frame)| frame.replace('@', &a).replace('#', &b))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, max_global_rejects: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn any_printed_tree_parses_to_itself(text in text()) {
        let budget = Budget::new(10_000_000);
        let text = unicode_to_latex(&text);
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
