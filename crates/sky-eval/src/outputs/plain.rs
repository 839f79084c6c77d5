//! JSON lines with a reply and a gold answer.

use std::path::Path;

use serde_json::Value;

use super::{Fields, Object, Reply, Row, finish_of, label_of, objects, pick, text_of};
use crate::Result;

/// Names of the reply, the likeliest first.
const TEXT: [&str; 13] = [
    "response",
    "responses",
    "reply",
    "output",
    "outputs",
    "generation",
    "generations",
    "completion",
    "completions",
    "model_output",
    "prediction",
    "pred",
    "text",
];
/// Names of the gold answer.
pub(super) const GOLD: [&str; 9] = [
    "gold",
    "target",
    "ground_truth",
    "gold_answer",
    "reference",
    "expected",
    "final_answer",
    "answer",
    "want",
];
/// Names of the recorded label.
const LABEL: [&str; 9] = [
    "is_correct",
    "correct",
    "correctness",
    "label",
    "labels",
    "verdict",
    "score",
    "acc",
    "exact_match",
];
/// Names of the problem's id.
pub(super) const ID: [&str; 7] = [
    "problem_id",
    "id",
    "unique_id",
    "task_id",
    "question_id",
    "doc_id",
    "idx",
];
/// Names of the problem's text.
pub(super) const PROMPT: [&str; 5] = ["prompt", "problem", "question", "input", "instruction"];

pub(super) fn read(path: &Path, fields: &Fields, left_out: &mut Vec<String>) -> Result<Vec<Row>> {
    let objects = objects(path, left_out)?;
    let mut rows = Vec::new();
    for (line, object) in objects {
        match row(line, &object, fields) {
            Ok(row) => rows.push(row),
            Err(why) => left_out.push(format!("line {line}: {why}")),
        }
    }
    Ok(rows)
}

fn row(line: u64, object: &Object, fields: &Fields) -> std::result::Result<Row, String> {
    let found = pick(object, fields.text.as_deref(), &TEXT)
        .ok_or_else(|| missing(object, "a reply", fields.text.as_deref(), "--text-field"))?;
    let texts: Vec<&Value> = match found {
        Value::Array(list) => list.iter().collect(),
        one => vec![one],
    };
    let labels = pick(object, fields.label.as_deref(), &LABEL);
    let mut replies = Vec::new();
    for (at, value) in texts.iter().enumerate() {
        let (text, own) = match value {
            Value::Object(reply) => (
                pick(reply, None, &["content", "text", "response"]).and_then(text_of),
                pick(reply, None, &LABEL).and_then(label_of),
            ),
            value => (text_of(value), None),
        };
        let text = text.ok_or_else(|| format!("reply {at} is no text"))?;
        let label = own.or_else(|| match labels? {
            Value::Array(list) => label_of(list.get(at)?),
            one => label_of(one),
        });
        replies.push(Reply {
            text,
            finish: finish_of(object),
            tokens: tokens(object),
            label,
        });
    }
    let gold = pick(object, fields.gold.as_deref(), &GOLD).and_then(text_of);
    if gold.is_none() && fields.gold.is_some() {
        let named = fields.gold.as_deref();
        return Err(missing(object, "a gold answer", named, "--gold-field"));
    }
    let id = pick(object, fields.id.as_deref(), &ID)
        .and_then(text_of)
        .unwrap_or_else(|| format!("line-{line}"));
    let prompt = pick(object, None, &PROMPT).and_then(text_of);
    Ok(Row {
        id,
        prompt: prompt.unwrap_or_default(),
        gold,
        replies,
    })
}

fn tokens(object: &Object) -> u32 {
    let found = pick(
        object,
        None,
        &["completion_tokens", "num_tokens", "n_tokens"],
    );
    let number = found.and_then(Value::as_u64).unwrap_or(0);
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn missing(object: &Object, what: &str, named: Option<&str>, option: &str) -> String {
    let keys: Vec<&str> = object.keys().map(String::as_str).take(20).collect();
    match named {
        Some(name) => format!("has no {name:?} with {what}; it has {}", keys.join(", ")),
        None => format!(
            "has no field with {what}; name it with {option}: {}",
            keys.join(", ")
        ),
    }
}
