use serde_json::Value;
use sky_types::{Answer, Domain, Problem};

use super::{
    converted::{Converted, Refusal, keep, text},
    source_row::Fields,
};

/// OlympiadBench: `final_answer` is a list; what is to be proved has none. `context` is a theorem or
/// a setting that several questions share.
pub(super) fn olympiad_bench(row: &Fields<'_>, number: usize) -> Converted {
    let question = text(row, "question")?;
    let answers: Vec<&str> = match row.get("final_answer") {
        Some(Value::Array(answers)) => answers.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(answer)) => vec![answer],
        Some(Value::Null) => Vec::new(),
        _ => return Err(Refusal::Form("no list `final_answer`".into())),
    };
    let Some(answer) = answers.first() else {
        return Err(Refusal::Skip("no final answer: something to prove".into()));
    };
    if answers.len() > 1 {
        return Err(Refusal::Skip(format!("{} final answers", answers.len())));
    }
    let images = |key: &String| key.starts_with("image");
    if row
        .iter()
        .any(|(key, value)| images(key) && !value.is_null())
        || question.contains("<image_")
    {
        return Err(Refusal::Skip("it needs an image".into()));
    }
    if row
        .get("error")
        .and_then(Value::as_str)
        .is_some_and(|e| !e.trim().is_empty())
    {
        return Err(Refusal::Skip(
            "its answer is a number within an allowed error".into(),
        ));
    }
    let mut prompt = String::new();
    if let Some(context) = row.get("context").and_then(Value::as_str) {
        prompt = format!("{}\n\n", context.trim());
    }
    prompt.push_str(question.trim());
    if let Some(unit) = row
        .get("unit")
        .and_then(Value::as_str)
        .filter(|unit| !unit.is_empty())
    {
        prompt.push_str(&format!(" Give the answer in {unit}."));
    }
    let id = row.name(&["id"]).unwrap_or_else(|| number.to_string());
    let answer = Answer::Math(answer.trim().to_owned());
    let id = format!("olympiadbench/{id}");
    let mut problem = Problem::new(id, "olympiadbench", Domain::Math, prompt, answer);
    keep(
        &mut problem,
        row,
        &["subfield", "subject", "answer_type", "difficulty"],
    );
    Ok(problem)
}
