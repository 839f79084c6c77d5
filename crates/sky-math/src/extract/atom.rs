//! The values in a text, each with all that is written around it.

use super::{
    formula::around,
    spans::{Span, numbers},
};

/// Numbers looked at from the end.
const MAX_ATOMS: usize = 24;

/// A value in a text.
#[derive(Clone, Debug)]
pub(super) struct Atom {
    /// Where it begins, with the name of `n = 3`.
    pub(super) head: usize,
    pub(super) start: usize,
    pub(super) end: usize,
    /// Between delimiters.
    pub(super) formula: bool,
    pub(super) text: String,
}

/// Formulas and numbers, in order.
pub(super) fn atoms(text: &str, spans: &[Span]) -> Vec<Atom> {
    let mut found: Vec<Atom> = Vec::new();
    // From the end, so that a number inside a longer formula is met after its end.
    let mut limit = text.len();
    for number in numbers(text).into_iter().rev().take(MAX_ATOMS) {
        let inside = spans
            .iter()
            .any(|s| s.start < number.end && number.start < s.end);
        if inside || number.end > limit {
            continue;
        }
        let floor = spans
            .iter()
            .rev()
            .find(|s| s.end <= number.start)
            .map_or(0, |s| s.end);
        let Some(formula) = around(text, &number, floor) else {
            continue;
        };
        // The left side of an equality is no separate value.
        if formula.end > limit {
            continue;
        }
        limit = formula.head;
        found.push(Atom {
            head: formula.head,
            start: formula.start,
            end: formula.end,
            formula: false,
            text: formula.text,
        });
    }
    for span in spans.iter().rev().take(MAX_ATOMS) {
        found.push(Atom {
            head: span.start,
            start: span.start,
            end: span.end,
            formula: true,
            text: span.inner(text).to_owned(),
        });
    }
    found.sort_by_key(|atom| atom.start);
    found
}

/// Whether a value is a statement: it relates something.
pub(super) fn states(atom: &Atom) -> bool {
    atom.text.contains(['=', '<', '>', '≤', '≥', '≠'])
        || ["\\le", "\\ge", "\\ne", "\\in", "\\lt", "\\gt"]
            .iter()
            .any(|name| atom.text.contains(name))
}

/// The sentence that ends here.
pub(super) fn sentence(before: &str) -> &str {
    let from = [". ", "! ", "? ", "\n", "。"]
        .iter()
        .filter_map(|mark| before.rfind(mark).map(|at| at + mark.len()))
        .max();
    &before[from.unwrap_or(0)..]
}
