//! `sky-eval score` and `sky-eval compare` on files of other programs.
#![allow(clippy::unwrap_used)]

use std::{fs, path::Path, process::Command};

use serde_json::{Value, json};
use sky_files::{read_json, read_jsonl};

/// Runs the program; its output, and its errors when it fails.
fn sky_eval(args: &[&str]) -> Result<String, String> {
    let output = Command::new(env!("CARGO_BIN_EXE_sky-eval"))
        .args(args)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    match output.status.success() {
        true => Ok(text(output.stdout)),
        false => Err(text(output.stderr)),
    }
}

fn path(folder: &Path, name: &str) -> String {
    folder.join(name).to_str().unwrap().to_owned()
}

fn write(folder: &Path, name: &str, rows: impl IntoIterator<Item = Value>) -> String {
    let text: String = rows.into_iter().map(|row| format!("{row}\n")).collect();
    let file = path(folder, name);
    fs::write(&file, text).unwrap();
    file
}

/// Forty sums; every `wrong`th reply is wrong. All are labelled right.
fn sums(wrong: u64) -> impl Iterator<Item = Value> {
    (0..40_u64).map(move |n| {
        let said = if n % wrong == 0 { n } else { 2 * n + 1 };
        json!({"id": format!("s{n}"), "question": format!("{n} + {}?", n + 1), "answer": (2 * n + 1).to_string(),
            "response": format!("It is \\boxed{{{said}}}."), "is_correct": true})
    })
}

#[test]
fn replies_of_another_program_are_scored_and_their_labels_checked() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "model_a.jsonl", sums(4));
    let out = path(folder.path(), "scored");
    let said = sky_eval(&["score", &file, "--out", &out]).unwrap();
    assert!(
        said.contains("75.0 % right") && said.contains("n = 40 of 40"),
        "{said}"
    );
    assert!(
        said.contains("10 differ") && said.contains("note: with 40 problems"),
        "{said}"
    );
    let summary: Value = read_json(&folder.path().join("scored/summary.json")).unwrap();
    assert_eq!(
        (&summary["accuracy"], &summary["model"]),
        (&json!(0.75), &json!("model_a"))
    );
    let differences: Vec<Value> = read_jsonl(&folder.path().join("scored/differences.jsonl"))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(differences[1]["problem_id"], "s4");

    let error = sky_eval(&["score", &file, "--out", &out]).unwrap_err();
    assert!(error.contains("--force"), "{error}");
    let first = fs::read(folder.path().join("scored/results.json")).unwrap();
    sky_eval(&["score", &file, "--out", &out, "--force", "--threads", "1"]).unwrap();
    assert_eq!(
        first,
        fs::read(folder.path().join("scored/results.json")).unwrap()
    );

    // Our own results are one of the formats; their gold answers are in the problems.
    let results = path(folder.path(), "scored/results.json");
    let again = path(folder.path(), "again");
    let error = sky_eval(&["score", &results, "--out", &again]).unwrap_err();
    assert!(error.contains("--problems"), "{error}");
    let problems = path(folder.path(), "scored/problems.jsonl");
    let said = sky_eval(&["score", &results, "--problems", &problems, "--out", &again]).unwrap();
    assert!(
        said.contains("75.0 % right") && said.contains("0 differ"),
        "{said}"
    );
}

#[test]
fn samples_need_no_field_that_only_our_sampler_knows() {
    let folder = tempfile::tempdir().unwrap();
    let problems = (0..3).map(|n| {
        json!({"id": format!("p{n}"), "source": "demo", "domain": "math", "prompt": "?", "answer": {"math": n.to_string()}})
    });
    let problems = write(folder.path(), "problems.jsonl", problems);
    let samples =
        (0..3).map(|n| json!({"problem_id": format!("p{n}"), "text": "The answer is 2."}));
    let stray = json!({"problem_id": "elsewhere", "text": "5"});
    let samples = write(folder.path(), "samples.jsonl", samples.chain([stray]));
    let out = path(folder.path(), "out");
    let said = sky_eval(&["score", &samples, "--problems", &problems, "--out", &out]).unwrap();
    assert!(
        said.contains("33.3 % right") && said.contains("n = 3 of 3"),
        "{said}"
    );
    assert!(said.contains("left out: elsewhere"), "{said}");
}

#[test]
fn several_replies_have_a_majority() {
    let folder = tempfile::tempdir().unwrap();
    let rows = (0..10).map(|n| {
        let replies = match n {
            0..6 => ["1/2", "0.5", "3"],
            _ => ["4", "8/2", "0.5"],
        };
        json!({"id": n, "answer": "\\frac{1}{2}", "responses": replies.map(|text| format!("\\boxed{{{text}}}"))})
    });
    let file = write(folder.path(), "three.jsonl", rows);
    let out = path(folder.path(), "out");
    let said = sky_eval(&["score", &file, "--out", &out]).unwrap();
    assert!(
        said.contains("maj@3 60.0 %") && said.contains("pass@3 100.0 %"),
        "{said}"
    );
}

#[test]
fn two_evaluations_are_compared() {
    let folder = tempfile::tempdir().unwrap();
    for (name, wrong) in [("a", 2), ("b", 20)] {
        let file = write(folder.path(), &format!("{name}.jsonl"), sums(wrong));
        sky_eval(&["score", &file, "--out", &path(folder.path(), name)]).unwrap();
    }
    let (a, b) = (path(folder.path(), "a"), path(folder.path(), "b"));
    let said = sky_eval(&["compare", &a, &b]).unwrap();
    assert!(
        said.contains("50.0 % -> 95.0 %") && said.contains("18 won, 0 lost"),
        "{said}"
    );
    assert!(
        said.contains("more than chance") && said.contains("18 wrong -> correct"),
        "{said}"
    );
    let said = sky_eval(&["compare", &a, &a, &b, "--json"]).unwrap();
    let found: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(found[0]["comparison"]["p_value"], 1.0);
    assert_eq!(found[1]["comparison"]["n"], 40);
    let error = sky_eval(&["compare", &a, &path(folder.path(), "none")]).unwrap_err();
    assert!(error.contains("none"), "{error}");
}

#[test]
fn a_reader_that_has_gone_is_no_error() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let done = Command::new(env!("CARGO_BIN_EXE_sky-eval"))
        .arg("list")
        .stdout(writer)
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
    assert!(done.stderr.is_empty(), "{done:?}");
}
