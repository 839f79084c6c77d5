//! Gold answers of public problem sets: each equals itself in other dress, and all but two have a
//! parse.
#![allow(clippy::unwrap_used)]

mod shared;

use serde_json::Value;
use sky_math::{MathChecker, Options};

fn golds(file: &str, field: &str) -> Option<Vec<String>> {
    let rows = shared::rows(file)?.into_iter();
    Some(
        rows.filter_map(|row| match &row[field] {
            Value::String(s) => Some(s.clone()),
            Value::Array(items) => items.first().and_then(Value::as_str).map(str::to_owned),
            other => Some(other.to_string()),
        })
        .collect(),
    )
}

#[test]
fn golds_equal_themselves_and_have_a_parse() {
    let checker = MathChecker::new(Options::default());
    let (mut total, mut unparsed, mut unlike) = (0, 0, 0);
    for (file, field) in [
        ("math500/test.jsonl", "answer"),
        ("math_train/train.jsonl", "answer"),
        ("olympiadbench/test.jsonl", "final_answer"),
        ("amc23/test.jsonl", "answer"),
        ("aime24/test.jsonl", "answer"),
        ("minerva_math/test.jsonl", "solution"),
    ] {
        for gold in golds(file, field).unwrap_or_default() {
            // Some rows of the training set have none.
            if gold.trim().is_empty() {
                continue;
            }
            total += 1;
            let bare = gold.trim().trim_matches('$');
            let answer = if gold.contains("boxed") {
                gold.clone()
            } else {
                format!("The answer is $\\boxed{{{bare}}}$.")
            };
            let dressed = answer
                .replace("\\frac", "\\dfrac")
                .replace("\\left", "")
                .replace("\\right", "");
            for response in [&answer, &dressed] {
                let verdict = checker.check(&gold, response);
                if !verdict.is_correct() {
                    unlike += 1;
                    println!(
                        "NOT ITSELF {file}: {gold:?} as {:?}: {}",
                        verdict.extracted, verdict.reason
                    );
                }
                if verdict.reason.contains("no parse") {
                    unparsed += 1;
                    println!(
                        "NO PARSE {file}: {:?} {}",
                        verdict.gold,
                        checker.check(&gold, "\\boxed{123456789}").reason
                    );
                }
            }
        }
    }
    println!("{total} golds, {} without a parse", unparsed / 2);
    assert_eq!(unlike, 0, "answers that are not themselves");
    assert!(unparsed <= 4, "{unparsed}");
}
