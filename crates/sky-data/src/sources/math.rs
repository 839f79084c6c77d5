use serde_json::{Map, Value};
use sky_types::{Answer, Domain, Problem};

use super::converted::{Converted, Refusal, keep, text};

/// GSM8K states the answer after `####`, with thousands separators.
pub(super) fn gsm8k(row: &Map<String, Value>, number: usize) -> Converted {
    let question = text(row, "question")?;
    let (_, answer) = text(row, "answer")?
        .rsplit_once("####")
        .ok_or_else(|| Refusal::Form("`answer` has no `####`".into()))?;
    let answer = answer.trim().replace(',', "");
    let answer = Answer::Math(answer);
    let id = format!("gsm8k/{number}");
    Ok(Problem::new(id, "gsm8k", Domain::Math, question, answer))
}

/// MATH and its like: the answer is a field, or the last box of the solution.
pub(super) fn math(row: &Map<String, Value>, number: usize, source: &str) -> Converted {
    let question = ["problem", "question", "prompt"]
        .iter()
        .find_map(|key| row.get(*key).and_then(Value::as_str))
        .ok_or_else(|| Refusal::Form("no text field `problem`, `question` or `prompt`".into()))?;
    let solution = row.get("solution").and_then(Value::as_str);
    let answer = match row.get("answer") {
        Some(Value::String(answer)) => answer.trim().to_owned(),
        Some(Value::Number(answer)) => whole(answer),
        _ => solution
            .and_then(last_boxed)
            .map(str::to_owned)
            .ok_or_else(|| Refusal::Skip("no answer, and no box in the solution".into()))?,
    };
    if answer.is_empty() {
        return Err(Refusal::Skip("the answer is empty".into()));
    }
    let id = match row.get("unique_id").or_else(|| row.get("id")) {
        Some(Value::String(id)) => format!("{source}/{id}"),
        Some(Value::Number(id)) => format!("{source}/{id}"),
        _ => format!("{source}/{number}"),
    };
    let mut problem = Problem::new(id, source, Domain::Math, question, Answer::Math(answer));
    keep(
        &mut problem,
        row,
        &[
            "level",
            "subject",
            "type",
            "difficulty",
            "year",
            "aime_number",
            "problem_number",
            "url",
        ],
    );
    if let Some(solution) = solution {
        let boxed = last_boxed(solution).is_some();
        problem.meta.insert("boxed".into(), boxed.into());
    }
    Ok(problem)
}

/// NuminaMath-CoT names where each of its problems comes from; the recipe selects by that.
pub(super) fn numina(row: &Map<String, Value>, number: usize) -> Converted {
    let source = text(row, "source")?.to_owned();
    let mut problem = math(row, number, "numina")?;
    problem.source = source;
    Ok(problem)
}

/// `27.0` stands for 27 in files that went through a spreadsheet.
fn whole(number: &serde_json::Number) -> String {
    match number.as_f64() {
        Some(value) if value.fract() == 0.0 && value.abs() < 1e15 => format!("{}", value as i64),
        _ => number.to_string(),
    }
}

/// The inside of the last `\boxed{...}` or `\fbox{...}`, braces matched.
fn last_boxed(text: &str) -> Option<&str> {
    let start = [r"\boxed", r"\fbox"]
        .iter()
        .filter_map(|command| text.rfind(command).map(|at| at + command.len()))
        .max()?;
    let rest = text[start..].trim_start().strip_prefix('{')?;
    let mut depth = 1_usize;
    let mut escaped = false;
    for (at, c) in rest.char_indices() {
        match c {
            _ if escaped => {}
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(rest[..at].trim());
        }
        escaped = c == '\\' && !escaped;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_box_counts_with_its_braces_matched() {
        assert_eq!(
            last_boxed(r"\boxed{1} so $\boxed{\frac{1}{2}}$."),
            Some(r"\frac{1}{2}")
        );
        assert_eq!(last_boxed(r"\fbox {a\}b}"), Some(r"a\}b"));
        assert_eq!(last_boxed(r"\boxed{1"), None);
        assert_eq!(last_boxed(r"\boxed 5"), None);
    }
}
