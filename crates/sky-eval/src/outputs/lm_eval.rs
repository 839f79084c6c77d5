//! lm-evaluation-harness, `--log_samples`: one line for each document and filter.

use std::{collections::HashSet, path::Path};

use serde_json::Value;

use super::{Object, Reply, Row, finish_of, label_of, objects, pick, plain, text_of};
use crate::Result;

/// Names of the recorded label; a metric of a task that can be right or wrong.
const METRICS: [&str; 5] = ["exact_match", "acc", "acc_norm", "math_verify", "pass@1"];

pub(super) fn read(path: &Path, left_out: &mut Vec<String>) -> Result<Vec<Row>> {
    let objects = objects(path, left_out)?;
    let mut seen = HashSet::new();
    let mut rows = Vec::new();
    for (line, object) in objects {
        let id = object
            .get("doc_id")
            .and_then(text_of)
            .unwrap_or_else(|| format!("line-{line}"));
        // Each filter of a task repeats the document with the same replies.
        if !seen.insert(id.clone()) {
            continue;
        }
        match row(id, &object) {
            Ok(row) => rows.push(row),
            Err(why) => left_out.push(format!("line {line}: {why}")),
        }
    }
    Ok(rows)
}

fn row(id: String, object: &Object) -> std::result::Result<Row, String> {
    let label = METRICS
        .iter()
        .find_map(|name| object.get(*name).and_then(label_of));
    let resps = object.get("resps").or_else(|| object.get("filtered_resps"));
    let Some(Value::Array(resps)) = resps else {
        return Err("`resps` is no list".to_owned());
    };
    let doc = object.get("doc").and_then(Value::as_object);
    let prompt = doc
        .and_then(|doc| pick(doc, None, &plain::PROMPT))
        .and_then(text_of)
        .unwrap_or_default();
    let target = object.get("target");
    let likelihoods: Option<Vec<f64>> = resps.iter().map(likelihood).collect();
    if let Some(likelihoods) = likelihoods.filter(|all| all.len() > 1) {
        let chosen = likelihoods
            .iter()
            .enumerate()
            .max_by(|a, b| a.1.total_cmp(b.1))
            .map_or(0, |(at, _)| at);
        let gold = target
            .and_then(|target| match target {
                Value::Number(number) => number.as_u64().and_then(|at| letter(at as usize)),
                value => text_of(value).map(|text| match text.parse::<usize>() {
                    Ok(at) => letter(at).unwrap_or(text),
                    Err(_) => text,
                }),
            })
            .ok_or("`target` is no choice")?;
        let text = letter(chosen).ok_or("more choices than letters")?;
        return Ok(Row {
            id,
            prompt,
            gold: Some(gold),
            replies: vec![reply(format!("({text})"), object, label)],
        });
    }
    let mut replies = Vec::new();
    for resp in resps {
        let texts: Vec<&Value> = match resp {
            Value::Array(list) => list.iter().collect(),
            one => vec![one],
        };
        for text in texts {
            let text = text_of(text).ok_or("a reply in `resps` is no text")?;
            replies.push(reply(text, object, label));
        }
    }
    // One metric stands for all the replies of a document, so it labels a single one only.
    if replies.len() > 1 {
        replies.iter_mut().for_each(|reply| reply.label = None);
    }
    let gold = target.and_then(text_of).or_else(|| {
        doc.and_then(|doc| pick(doc, None, &plain::GOLD))
            .and_then(text_of)
    });
    Ok(Row {
        id,
        prompt,
        gold,
        replies,
    })
}

fn reply(text: String, object: &Object, label: Option<bool>) -> Reply {
    Reply {
        text,
        finish: finish_of(object),
        tokens: 0,
        label,
    }
}

/// The log-likelihood in `[[-1.5, false]]`, in whose place older files have strings.
fn likelihood(value: &Value) -> Option<f64> {
    match value {
        Value::Array(list) => match list.as_slice() {
            [inner @ Value::Array(_)] => likelihood(inner),
            [number, flag] => {
                let flag = flag.is_boolean() || matches!(flag.as_str(), Some("True" | "False"));
                let number = match number {
                    Value::String(text) => text.parse().ok(),
                    number => number.as_f64(),
                };
                number.filter(|_| flag)
            }
            _ => None,
        },
        _ => None,
    }
}

fn letter(at: usize) -> Option<String> {
    let letter = u8::try_from(at).ok().filter(|&at| at < 26)? + b'A';
    Some(char::from(letter).to_string())
}
