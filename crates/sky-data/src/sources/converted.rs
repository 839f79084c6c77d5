use serde_json::{Map, Value};
use sky_types::Problem;

/// Why a row does not give a problem.
pub(super) enum Refusal {
    /// It is a row of this source without a checkable answer.
    Skip(String),
    /// It is not a row of this source.
    Form(String),
}

/// What a reader makes of one row.
pub(super) type Converted = Result<Problem, Refusal>;

/// A text field that must be there.
pub(super) fn text<'a>(row: &'a Map<String, Value>, key: &str) -> Result<&'a str, Refusal> {
    row.get(key)
        .and_then(Value::as_str)
        .ok_or_else(|| Refusal::Form(format!("no text field `{key}`")))
}

/// Copies what may be useful later into `meta`.
pub(super) fn keep(problem: &mut Problem, row: &Map<String, Value>, keys: &[&str]) {
    for key in keys {
        if let Some(value) = row.get(*key).filter(|value| !value.is_null()) {
            problem.meta.insert((*key).to_owned(), value.clone());
        }
    }
}
