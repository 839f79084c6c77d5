//! SkyThought's `results.json`: an object from problem to its fields and `responses`. Ours, which
//! lists the same entries under `results`, is read too.

use std::{fs, path::Path};

use serde_json::Value;
use sky_files::{FileError, read_json};

use super::{Fields, Object, Reply, Row, finish_of, label_of, pick, plain, text_of};
use crate::Result;

/// A document is held in memory; more is refused.
const MOST_BYTES: u64 = 2 << 30;

/// Whether an object is such a document, rather than a row of JSON lines.
pub(super) fn is_document(object: &Object) -> bool {
    let entry = |value: &Value| value.get("responses").is_some();
    match object.get("results") {
        Some(Value::Array(list)) => list.iter().all(entry),
        _ => !object.is_empty() && object.values().all(entry),
    }
}

pub(super) fn read(path: &Path, fields: &Fields, left_out: &mut Vec<String>) -> Result<Vec<Row>> {
    let size = fs::metadata(path).map_err(|source| FileError::io(path, "open", source))?;
    if size.len() > MOST_BYTES {
        let message = "is over 2 GiB; split it, or write it as JSON lines";
        return Err(FileError::format(path, message).into());
    }
    let document: Value = read_json(path)?;
    let entries: Vec<(String, Value)> = match document {
        Value::Object(mut object) => match object.remove("results") {
            Some(Value::Array(list)) => numbered(list),
            _ => object.into_iter().collect(),
        },
        Value::Array(list) => numbered(list),
        _ => Vec::new(),
    };
    let mut rows = Vec::new();
    for (key, entry) in entries {
        match entry.as_object().ok_or("is no object".to_owned()) {
            Ok(object) => match row(&key, object, fields) {
                Ok(row) => rows.push(row),
                Err(why) => left_out.push(format!("entry {key:?}: {why}")),
            },
            Err(why) => left_out.push(format!("entry {key:?}: {why}")),
        }
    }
    Ok(rows)
}

fn numbered(list: Vec<Value>) -> Vec<(String, Value)> {
    let numbers = 0_u64..;
    numbers.map(|n| n.to_string()).zip(list).collect()
}

fn row(key: &str, object: &Object, fields: &Fields) -> std::result::Result<Row, String> {
    let responses = object.get("responses").ok_or("has no `responses`")?;
    let mut replies = Vec::new();
    collect(responses, &mut replies)?;
    if replies.is_empty() {
        return Err("has no reply in `responses`".into());
    }
    let id = match pick(object, fields.id.as_deref(), &plain::ID) {
        Some(id) => text_of(id),
        None => None,
    };
    Ok(Row {
        id: id.unwrap_or_else(|| key.to_owned()),
        prompt: pick(object, None, &plain::PROMPT)
            .and_then(text_of)
            .unwrap_or_default(),
        gold: pick(object, fields.gold.as_deref(), &plain::GOLD).and_then(text_of),
        replies,
    })
}

/// Replies in a list, or by temperature in an object, however deep.
fn collect(value: &Value, replies: &mut Vec<Reply>) -> std::result::Result<(), String> {
    match value {
        Value::Array(list) => list.iter().try_for_each(|item| collect(item, replies)),
        Value::Object(object) => match object.get("content") {
            Some(content) => {
                replies.push(Reply {
                    text: text_of(content).ok_or("a `content` is no text")?,
                    finish: finish_of(object),
                    tokens: 0,
                    label: object.get("correctness").and_then(label_of),
                });
                Ok(())
            }
            None => object.values().try_for_each(|item| collect(item, replies)),
        },
        Value::String(text) => {
            replies.push(Reply {
                text: text.clone(),
                finish: finish_of(&Object::new()),
                tokens: 0,
                label: None,
            });
            Ok(())
        }
        _ => Err("`responses` holds no reply".into()),
    }
}
