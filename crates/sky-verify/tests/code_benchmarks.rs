//! Known right programs are found right: HumanEval's canonical solutions, MBPP's reference
//! solutions.
#![cfg(feature = "sandbox")]
#![allow(clippy::unwrap_used)]

#[path = "../../sky-sandbox/tests/guest/mod.rs"]
mod guest;

use std::io::{BufRead, BufReader};

use serde_json::Value;
use sky_sandbox::Sandbox;
use sky_types::{Answer, Check, Domain, FinishReason, Problem, Program, Verdict};
use sky_verify::{CodeCheck, CodeOptions};

fn text(row: &Value, key: &str) -> String {
    row[key].as_str().unwrap().to_owned()
}

fn rows(reader: impl BufRead) -> Vec<Value> {
    reader
        .lines()
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .collect()
}

fn checker() -> Option<CodeCheck> {
    guest::sandbox()?;
    Some(CodeCheck::new(
        Sandbox::open(&guest::sky_home()).unwrap(),
        CodeOptions::default(),
    ))
}

/// Checks every (problem, reply) and gives those that are not correct.
fn failures(checker: &CodeCheck, cases: &[(Problem, String)]) -> Vec<String> {
    use rayon::prelude::*;
    cases
        .par_iter()
        .filter_map(|(problem, reply)| {
            let checked = checker.check(problem, reply, FinishReason::Stop).unwrap();
            (checked.verdict != Verdict::Correct)
                .then(|| format!("{}: {} {}", problem.id, checked.verdict, checked.detail))
        })
        .collect()
}

fn humaneval() -> Option<Vec<Value>> {
    let path = guest::sky_home().join("datasets/humaneval/HumanEval.jsonl.gz");
    let Ok(file) = std::fs::File::open(&path) else {
        guest::skipped(&format!(
            "{} is not there; `cargo xtask setup` fetches it",
            path.display()
        ));
        return None;
    };
    Some(rows(BufReader::new(flate2::read::GzDecoder::new(file))))
}

fn problem(row: &Value) -> Problem {
    let answer = Answer::Program(Program {
        test: text(row, "test"),
        entry_point: Some(text(row, "entry_point")),
        prefix: Some(text(row, "prompt")),
        timeout_s: None,
    });
    Problem::new(
        text(row, "task_id"),
        "humaneval",
        Domain::Code,
        text(row, "prompt"),
        answer,
    )
}

#[test]
fn humaneval_canonical_solutions_pass_as_completions_and_as_programs() {
    let (Some(checker), Some(rows)) = (checker(), humaneval()) else {
        return;
    };
    assert_eq!(rows.len(), 164);
    let cases: Vec<_> = rows
        .iter()
        .flat_map(|row| {
            let (prompt, body) = (text(row, "prompt"), text(row, "canonical_solution"));
            [
                body.clone(),
                format!("Here it is.\n\n```python\n{prompt}{body}```\nDone."),
            ]
            .map(|reply| (problem(row), reply))
        })
        .collect();
    let started = std::time::Instant::now();
    assert_eq!(failures(&checker, &cases), Vec::<String>::new());
    eprintln!(
        "HumanEval: {} programs in {:.2?}",
        cases.len(),
        started.elapsed()
    );
}

#[test]
fn humaneval_stubs_fail() {
    let (Some(checker), Some(rows)) = (checker(), humaneval()) else {
        return;
    };
    for row in rows.iter().take(20) {
        let checked = checker
            .check(&problem(row), "    return None\n", FinishReason::Stop)
            .unwrap();
        assert_ne!(checked.verdict, Verdict::Correct, "{row}");
    }
}

#[test]
fn mbpp_reference_solutions_pass() {
    let (Some(checker), Some(path)) = (checker(), guest::shared_data("mbpp/mbpp.jsonl")) else {
        return;
    };
    let rows = rows(BufReader::new(std::fs::File::open(path).unwrap()));
    assert_eq!(rows.len(), 974);
    let cases: Vec<_> = rows
        .iter()
        .map(|row| {
            let asserts = row["test_list"].as_array().unwrap().iter();
            let asserts: Vec<_> = asserts.map(|line| line.as_str().unwrap()).collect();
            let answer = Answer::Program(Program {
                // The set-up runs after the code: it defines what the code must not.
                test: format!("{}\n{}", text(row, "test_setup_code"), asserts.join("\n")),
                entry_point: None,
                prefix: None,
                timeout_s: Some(10.0),
            });
            let id = format!("mbpp/{}", row["task_id"]);
            let problem = Problem::new(id, "mbpp", Domain::Code, text(row, "text"), answer);
            (
                problem,
                format!("```python\n{}\n```", text(row, "code").replace('\r', "")),
            )
        })
        .collect();
    let started = std::time::Instant::now();
    assert_eq!(failures(&checker, &cases), Vec::<String>::new());
    eprintln!(
        "MBPP: {} programs in {:.2?}",
        cases.len(),
        started.elapsed()
    );
}
