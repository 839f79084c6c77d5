//! A comparison spelled out: how each side was read, and what came of it.

use std::fmt;

use super::{
    budget::Budget,
    checker::MathChecker,
    expr::{Expr, Kind},
    extract,
    grade::Graded,
    identity,
    parse::{self, Reading},
    unicode_to_latex::unicode_to_latex,
    wording,
};

/// A verdict with the trees behind it; `Display` prints it for a person.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The verdict.
    pub verdict: Graded,
    gold: String,
    answer: Option<String>,
}

impl MathChecker {
    /// Checks and explains.
    pub fn explain(&self, gold: &str, response: &str) -> Explanation {
        let verdict = self.check(gold, response);
        let budget = Budget::new(self.options().budget);
        Explanation {
            gold: side(&extract::extract_gold(gold), &budget),
            answer: verdict
                .extracted
                .as_deref()
                .map(|answer| side(answer, &budget)),
            verdict,
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = &self.verdict;
        writeln!(f, "verdict: {:?}", verdict.grade)?;
        writeln!(f, "reason:  {}", verdict.reason)?;
        if let Some(rule) = verdict.rule {
            writeln!(f, "rule:    {rule:?}")?;
        }
        writeln!(f, "steps:   {}", verdict.steps)?;
        writeln!(f, "\ngold\n{}", self.gold)?;
        match &self.answer {
            Some(answer) => writeln!(f, "answer\n{answer}"),
            None => writeln!(f, "answer: none"),
        }
    }
}

fn side(text: &str, budget: &Budget) -> String {
    let text = unicode_to_latex(text);
    let text = wording::reword(&text);
    let mut out = format!("  text: {text}\n");
    match parse::parse(&text, Reading::default(), budget) {
        Ok(tree) => {
            if let Some(value) = identity::approximate(&tree.expr, budget) {
                out.push_str(&format!("  value: about {value}\n"));
            }
            out.push_str(&format!("  read as: {}\n", tree.expr));
            out.push_str("  tree:\n");
            draw(&tree.expr, &text, 2, &mut out);
        }
        Err(error) => out.push_str(&format!(
            "  no parse: {} at bytes {}..{}\n",
            error.what, error.at.start, error.at.end
        )),
    }
    out
}

/// One line a node, children below, each with the text it was read from.
fn draw(expr: &Expr, text: &str, depth: usize, out: &mut String) {
    if out.len() > 20_000 {
        return;
    }
    let from: String = text
        .get(expr.span.clone())
        .unwrap_or("")
        .chars()
        .take(60)
        .collect();
    out.push_str(&format!(
        "{}{}  [{from}]\n",
        "  ".repeat(depth),
        label(&expr.kind)
    ));
    expr.children(&mut |child| draw(child, text, depth + 1, out));
}

fn label(kind: &Kind) -> String {
    match kind {
        Kind::Num {
            value,
            decimals: None,
        } => format!("number {value}"),
        Kind::Num {
            value,
            decimals: Some(d),
        } => format!("decimal {value} ({d} places)"),
        Kind::Const(c) => format!("{c:?}"),
        Kind::Sym(name) => format!("name {name}"),
        Kind::Neg(_) => "minus".to_owned(),
        Kind::Add(_) => "sum".to_owned(),
        Kind::Mul(_) => "product".to_owned(),
        Kind::Div(..) => "quotient".to_owned(),
        Kind::Pow(..) => "power".to_owned(),
        Kind::Root(..) => "root".to_owned(),
        Kind::PlusMinus(..) => "plus-minus".to_owned(),
        Kind::Call(func, _) => format!("{func:?}").to_lowercase(),
        Kind::Apply(name, _) => format!("function {name}"),
        Kind::Big { op, var, .. } => format!("{op:?} over {var}").to_lowercase(),
        Kind::Based { digits, base } => format!("{digits} in base {base}"),
        Kind::Percent(_) => "percent".to_owned(),
        Kind::Degree(_) => "degrees".to_owned(),
        Kind::Quantity(_, unit) => format!("quantity in {unit}"),
        Kind::List(_) => "list".to_owned(),
        Kind::Tuple(_) => "tuple".to_owned(),
        Kind::Set(_) => "set".to_owned(),
        Kind::Interval {
            lo_open, hi_open, ..
        } => format!(
            "interval {}a, b{}",
            if *lo_open { '(' } else { '[' },
            if *hi_open { ')' } else { ']' }
        ),
        Kind::Sets(op, _) => format!("{op:?}").to_lowercase(),
        Kind::Builder { .. } => "set of all".to_owned(),
        Kind::Relation(_, rest) => format!(
            "relation {:?}",
            rest.iter().map(|(r, _)| *r).collect::<Vec<_>>()
        ),
        Kind::Matrix(rows) => format!("matrix of {} rows", rows.len()),
        Kind::Text(text) => format!("words \"{text}\""),
    }
}
