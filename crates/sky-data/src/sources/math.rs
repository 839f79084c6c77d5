use serde_json::{Map, Value};
use sky_types::{Answer, Domain, Problem};

use super::{
    columns::is_gsm8k,
    converted::{Converted, Refusal, keep, text},
    source_row::Fields,
};

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
pub(super) fn math(row: &Fields<'_>, number: usize, source: &str) -> Converted {
    let question = ["problem", "question", "prompt", "Problem", "Question"]
        .iter()
        .find_map(|key| row.get(*key).and_then(Value::as_str))
        .ok_or_else(|| Refusal::Form("no text field `problem`, `question` or `prompt`".into()))?;
    let solutions = ["solution", "Solution"].iter();
    let solution = solutions
        .filter_map(|key| row.get(*key).and_then(Value::as_str))
        .next();
    let has = |key: &&str| row.get(*key).is_some_and(|value| !value.is_null());
    let key = ["answer", "Answer"].into_iter().find(has);
    let known = ["answer", "Answer"]
        .iter()
        .any(|key| row.contains_key(*key));
    if !known && solution.is_none() {
        let wanted = "no field `answer` or `Answer`, and no text field `solution` or `Solution`";
        return Err(Refusal::Form(wanted.into()));
    }
    let answer = match key.and_then(|key| row.get(key)) {
        Some(Value::String(answer)) if is_gsm8k(answer) => {
            let reason = "`answer` is a whole solution that ends in `####`";
            return Err(Refusal::Form(reason.into()));
        }
        Some(Value::String(answer)) => answer.trim().to_owned(),
        Some(Value::Number(_)) => whole(&row.name(&["answer", "Answer"]).unwrap_or_default()),
        _ => solution
            .and_then(last_boxed)
            .map(str::to_owned)
            .ok_or_else(|| Refusal::Skip("no answer, and no box in the solution".into()))?,
    };
    if answer.is_empty() {
        return Err(Refusal::Skip("the answer is empty".into()));
    }
    let id = row.name(&["unique_id", "id", "ID"]);
    let id = format!("{source}/{}", id.unwrap_or_else(|| number.to_string()));
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
            "Year",
            "Problem Number",
            "Part",
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
pub(super) fn numina(row: &Fields<'_>, number: usize) -> Converted {
    let source = text(row, "source")?.to_owned();
    let mut problem = math(row, number, "numina")?;
    problem.source = source;
    Ok(problem)
}

/// `27.0` stands for 27 in files that went through a spreadsheet; every other number is as it is
/// written.
fn whole(number: &str) -> String {
    let whole = match number.split_once('.') {
        Some((whole, zeros)) if zeros.bytes().all(|digit| digit == b'0') => whole,
        _ => number,
    };
    if whole == "-0" { "0" } else { whole }.to_owned()
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

    #[test]
    fn a_number_is_the_answer_that_it_is_written_as() {
        for (written, answer) in [
            ("27.0", "27"),
            ("-0.0", "0"),
            ("-12.00", "-12"),
            ("0.10", "0.10"),
            ("1e3", "1e3"),
            ("717897987691852588770249", "717897987691852588770249"),
            ("0.1000000000000000055511", "0.1000000000000000055511"),
        ] {
            assert_eq!(whole(written), answer);
        }
    }
}
