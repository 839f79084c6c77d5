//! What `sky_verify.parse` and `sky_verify.verify` need: Math-Verify's two steps over this
//! project's checker.

use pyo3::prelude::*;
use sky_math::{Grade, MathChecker, Options, Rule};

use crate::text::{Text, shown};

/// An answer that `parse` found. `str()` gives it as it was written.
#[pyclass(frozen, eq, hash, module = "sky_verify", get_all)]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ParsedAnswer {
    /// The answer without what stands around it.
    text: String,
}

#[pymethods]
impl ParsedAnswer {
    #[new]
    fn new(text: Text) -> Self {
        Self { text: text.0 }
    }

    fn __str__(&self) -> &str {
        &self.text
    }

    fn __repr__(&self) -> String {
        format!("ParsedAnswer({})", shown(&self.text))
    }

    fn __getnewargs__(&self) -> (&str,) {
        (&self.text,)
    }
}

/// The answer of a whole text.
///
/// With `latex_only` it must be written in LaTeX; with `anchored_only` the text must announce it,
/// as a box or "the answer is" does.
#[pyfunction]
#[pyo3(signature = (text, latex_only=false, anchored_only=false))]
pub(crate) fn find_answer(
    py: Python<'_>,
    text: Text,
    latex_only: bool,
    anchored_only: bool,
) -> Option<ParsedAnswer> {
    py.detach(|| {
        if is_list_of_formulas(&text.0) {
            // The checker reads the list; extraction would take its last formula alone.
            let text = text.0.trim().to_owned();
            return (!anchored_only).then_some(ParsedAnswer { text });
        }
        let found = MathChecker::default().extract(&text.0)?;
        if anchored_only && found.rule.is_a_guess() {
            return None;
        }
        if latex_only && found.rule != Rule::Boxed && !is_latex(&text.0, &found.answer) {
            return None;
        }
        Some(ParsedAnswer { text: found.answer })
    })
}

/// Whether a text is several formulas and nothing else: `$1$, $2$ and $3$`.
fn is_list_of_formulas(text: &str) -> bool {
    let parts: Vec<&str> = text.trim().split('$').collect();
    // Of an odd number of parts, every second one is a formula.
    let is_joint = |part: &str| matches!(part, "," | ";" | "and" | "or" | ", and" | ", or");
    parts.len() >= 5
        && parts.len() % 2 == 1
        && parts.first() == Some(&"")
        && parts.last() == Some(&"")
        && parts[1..parts.len() - 1]
            .iter()
            .enumerate()
            .all(|(at, part)| {
                let part = part.trim();
                if at % 2 == 0 {
                    !part.is_empty()
                } else {
                    is_joint(part)
                }
            })
}

/// Whether an answer stands between math delimiters, or has a command of LaTeX's.
fn is_latex(text: &str, answer: &str) -> bool {
    if answer.contains('\\') {
        return true;
    }
    let before = text.rfind(answer).map(|at| text[..at].trim_end());
    before.is_some_and(|before| {
        ["$", r"\(", r"\["]
            .iter()
            .any(|delimiter| before.ends_with(delimiter))
    })
}

/// One side of a comparison: what `parse` found, or a string that is compared as it is.
#[derive(FromPyObject)]
pub(crate) enum Side {
    Answer(Py<ParsedAnswer>),
    Text(Text),
}

/// Whether any of `gold` equals any of `target`.
///
/// `rounding` is Math-Verify's `float_rounding`, `strict` its `strict`, and `relations` its
/// `allow_set_relation_comp`.
#[pyfunction]
pub(crate) fn any_equal(
    py: Python<'_>,
    gold: Vec<Side>,
    target: Vec<Side>,
    rounding: u32,
    strict: bool,
    relations: bool,
) -> bool {
    let compare = Compare {
        rounding: rounding.min(1000),
        strict,
        relations,
    };
    py.detach(|| {
        gold.iter()
            .any(|gold| target.iter().any(|target| compare.equal(gold, target)))
    })
}

/// Math-Verify's switches.
struct Compare {
    rounding: u32,
    strict: bool,
    relations: bool,
}

impl Compare {
    fn equal(&self, gold: &Side, target: &Side) -> bool {
        match (gold, target) {
            (Side::Answer(gold), Side::Answer(target)) => {
                self.answers(&gold.get().text, &target.get().text)
            }
            (Side::Text(gold), Side::Text(target)) => {
                let gold = gold.0.trim();
                !gold.is_empty() && gold == target.0.trim()
            }
            _ => false,
        }
    }

    fn answers(&self, gold: &str, target: &str) -> bool {
        let preset = Options::math_verify();
        let checker = MathChecker::new(Options {
            round_decimals: Some(self.rounding),
            relation_as_set: self.relations || preset.relation_as_set,
            ..preset
        });
        let equal = |gold: &str, target: &str| {
            // In a box, since the answer has been found already.
            let graded = checker.check(gold, &format!(r"\boxed{{{target}}}"));
            match graded.grade {
                // Its braces do not match.
                Grade::Unparsed => checker.check(gold, target).is_correct(),
                grade => grade == Grade::Correct,
            }
        };
        if equal(gold, target) {
            return true;
        }
        if self.strict {
            return false;
        }
        // A tuple without its brackets is a list, which counts for a set in any order.
        match (items_of_tuple(gold), items_of_tuple(target)) {
            (Some(items), None) => equal(items, target),
            (None, Some(items)) => equal(gold, items),
            _ => false,
        }
    }
}

/// What stands between the brackets of a tuple.
fn items_of_tuple(text: &str) -> Option<&str> {
    let text = text.trim();
    let inner = text.strip_prefix(r"\left").unwrap_or(text);
    let inner = inner.strip_prefix('(')?.strip_suffix(')')?;
    Some(inner.strip_suffix(r"\right").unwrap_or(inner))
}
