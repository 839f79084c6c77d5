//! `sky-verify math` and `explain` from the command line: order, threads, ids, bad files, memory.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::{Value, json};
use sky_files::{read_jsonl, write_jsonl};
use sky_types::{Answer, Domain, FinishReason, Problem, Sample};

fn sky_verify(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sky-verify"))
        .args(args)
        .current_dir(folder)
        .output()
        .unwrap()
}

fn rows(path: &Path) -> Vec<Value> {
    read_jsonl(path).unwrap().map(Result::unwrap).collect()
}

#[test]
fn verdicts_in_the_order_of_the_input_at_any_thread_count() {
    let folder = tempfile::tempdir().unwrap();
    let ids = [
        json!(7),
        json!("seven"),
        json!(null),
        json!([7, "b"]),
        json!({"n": 7}),
        json!(7.5),
        json!(true),
    ];
    // More than one batch.
    let pairs = (0..10_000_usize).map(|n| {
        let pred = match n % 3 {
            0 => format!("So it is $\\boxed{{{}}}$.", n + 1),
            1 => format!("The answer is {}.", n + 2),
            _ => "I do not know.".to_owned(),
        };
        json!({"id": ids[n % ids.len()], "gold": format!("{}", n + 1), "pred": pred, "mode": "latex+expr", "opts": {}})
    });
    write_jsonl(&folder.path().join("pairs.jsonl"), pairs).unwrap();
    let mut before: Option<Vec<Value>> = None;
    for threads in ["1", "2", "5"] {
        let out = format!("out{threads}.jsonl");
        let done = sky_verify(
            folder.path(),
            &[
                "math",
                "--pairs",
                "pairs.jsonl",
                "--out",
                &out,
                "--threads",
                threads,
            ],
        );
        assert!(done.status.success(), "{done:?}");
        let mut said = rows(&folder.path().join(&out));
        assert_eq!(said.len(), 10_000);
        for (n, row) in said.iter_mut().enumerate() {
            let wanted = ["correct", "wrong", "unparsed"][n % 3];
            assert_eq!(row["id"], ids[n % ids.len()], "row {n}");
            assert_eq!(row["verdict"], wanted, "row {n}: {row}");
            assert!(row["micros"].as_f64().unwrap() > 0.0);
            assert!(!row["reason"].as_str().unwrap().is_empty());
            row["micros"] = json!(0);
        }
        assert_eq!(said[0]["extracted"], "1");
        assert_eq!(said[0]["rule"], "boxed");
        assert_eq!(said[2]["extracted"], json!(null));
        if let Some(before) = &before {
            assert!(*before == said, "{threads} threads");
        }
        before = Some(said);
    }
}

#[test]
fn mistakes_name_the_file_and_the_line() {
    let folder = tempfile::tempdir().unwrap();
    let good = r#"{"id": 1, "gold": "1", "pred": "1"}"#;
    for (name, bad) in [
        ("json", "{\"id\": 2, "),
        ("field", r#"{"id": 2, "gold": "1"}"#),
        ("type", r#"{"id": 2, "gold": 1, "pred": "1"}"#),
        (
            "mode",
            r#"{"id": 2, "gold": "1", "pred": "1", "mode": "lenient"}"#,
        ),
        (
            "option",
            r#"{"id": 2, "gold": "1", "pred": "1", "opts": {"rounding": 2}}"#,
        ),
        (
            "value",
            r#"{"id": 2, "gold": "1", "pred": "1", "opts": {"float_rounding": "two"}}"#,
        ),
    ] {
        let file = format!("{name}.jsonl");
        fs::write(
            folder.path().join(&file),
            format!("{good}\n\n{bad}\n{good}\n"),
        )
        .unwrap();
        let done = sky_verify(
            folder.path(),
            &["math", "--pairs", &file, "--out", "out.jsonl"],
        );
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(2), "{said}");
        assert!(said.contains(&file) && said.contains('3'), "{said}");
        assert!(!folder.path().join("out.jsonl").exists());
    }
    let done = sky_verify(
        folder.path(),
        &["math", "--pairs", "none.jsonl", "--out", "out.jsonl"],
    );
    assert_eq!(done.status.code(), Some(2), "{done:?}");
    assert!(String::from_utf8_lossy(&done.stderr).contains("none.jsonl"));
}

#[test]
fn a_line_has_its_own_conventions() {
    let folder = tempfile::tempdir().unwrap();
    let cases = [
        (json!({}), "1", "x = 1", "correct"),
        (json!({"mode": "strict"}), "1", "x = 1", "wrong"),
        (json!({"mode": "latex"}), "1", "x = 1", "correct"),
        (
            json!({"mode": "math_verify"}),
            "(-\\infty, 2)",
            "x < 2",
            "wrong",
        ),
        (
            json!({"mode": "math_verify", "opts": {"allow_set_relation_comp": true}}),
            "(-\\infty, 2)",
            "x < 2",
            "correct",
        ),
        (
            json!({"opts": {"float_rounding": 2}}),
            "\\frac83",
            "2.6667",
            "correct",
        ),
        (json!({"opts": {}}), "\\frac83", "2.6667", "wrong"),
        (
            json!({"opts": {"units_optional": false}}),
            "5 \\text{ cm}",
            "5",
            "wrong",
        ),
        (
            json!({"mode": "strict", "opts": {"assignment_is_value": true}}),
            "1",
            "x = 1",
            "correct",
        ),
    ];
    let pairs = cases.iter().map(|(extra, gold, pred, _)| {
        let mut pair = json!({"id": 0, "gold": gold, "pred": format!("\\boxed{{{pred}}}")});
        for (key, value) in extra.as_object().unwrap() {
            pair[key] = value.clone();
        }
        pair
    });
    write_jsonl(&folder.path().join("pairs.jsonl"), pairs).unwrap();
    let done = sky_verify(
        folder.path(),
        &["math", "--pairs", "pairs.jsonl", "--out", "out.jsonl"],
    );
    assert!(done.status.success(), "{done:?}");
    for (row, case) in rows(&folder.path().join("out.jsonl")).iter().zip(&cases) {
        assert_eq!(row["verdict"], case.3, "{case:?}: {row}");
    }
}

/// `sky-verify explain ... | head -1`: the reader goes, the writer ends in peace.
#[cfg(unix)]
#[test]
fn a_closed_pipe_is_no_failure() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let done = Command::new(env!("CARGO_BIN_EXE_sky-verify"))
        .args(["explain", "5", "5"])
        .stdout(writer)
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
    assert!(done.stderr.is_empty(), "{done:?}");
}

#[test]
fn nothing_is_overwritten_unless_told() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("pairs.jsonl"),
        "{\"id\": 1, \"gold\": \"1\", \"pred\": \"1\"}\n",
    )
    .unwrap();
    fs::write(folder.path().join("out.jsonl"), "mine").unwrap();
    let args = ["math", "--pairs", "pairs.jsonl", "--out", "out.jsonl"];
    let done = sky_verify(folder.path(), &args);
    assert_eq!(done.status.code(), Some(2), "{done:?}");
    assert_eq!(
        fs::read_to_string(folder.path().join("out.jsonl")).unwrap(),
        "mine"
    );
    let done = sky_verify(folder.path(), &[&args[..], &["--force"]].concat());
    assert!(done.status.success(), "{done:?}");
    assert_eq!(rows(&folder.path().join("out.jsonl")).len(), 1);
}

/// 300 MB of long responses pass through a process that may hold no more than as much in all.
#[cfg(target_os = "linux")]
#[test]
fn a_large_file_streams() {
    let folder = tempfile::tempdir().unwrap();
    let filler = "We add and subtract. ".repeat(15_000);
    let pairs =
        (0..1000).map(|n| json!({"id": n, "gold": "5", "pred": format!("{filler} \\boxed{{5}}")}));
    write_jsonl(&folder.path().join("pairs.jsonl"), pairs).unwrap();
    let size = fs::metadata(folder.path().join("pairs.jsonl"))
        .unwrap()
        .len();
    assert!(size > 300_000_000, "{size}");
    // Address space in KiB: the program and its threads take most of it.
    let program = env!("CARGO_BIN_EXE_sky-verify");
    let done = Command::new("sh")
        .args([
            "-c",
            &format!(
                "ulimit -v 300000; '{program}' math --pairs pairs.jsonl --out out.jsonl --threads 1"
            ),
        ])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
    let said = rows(&folder.path().join("out.jsonl"));
    assert!(said.len() == 1000 && said.iter().all(|row| row["verdict"] == "correct"));
}

#[test]
fn samples_of_the_pipeline() {
    let folder = tempfile::tempdir().unwrap();
    let problem = |id: &str, answer: &str| {
        Problem::new(
            id.to_owned(),
            "made",
            Domain::Math,
            "What?".to_owned(),
            Answer::Math(answer.to_owned()),
        )
    };
    write_jsonl(
        &folder.path().join("problems.jsonl"),
        [problem("a", "\\frac12"), problem("b", "7")],
    )
    .unwrap();
    let sample = |problem: &str, index, text: &str, finish_reason| Sample {
        v: Default::default(),
        problem_id: problem.to_owned(),
        index,
        text: text.to_owned(),
        finish_reason,
        prompt_tokens: 1,
        completion_tokens: 1,
        model: "m".to_owned(),
        params: Default::default(),
        seed: 1,
        failure: None,
    };
    let samples = [
        sample("a", 0, "It is $\\boxed{0.5}$.", FinishReason::Stop),
        sample("a", 1, "It is $\\boxed{0.6}$.", FinishReason::Stop),
        sample("b", 0, "Then 3 and 4 make 7 and", FinishReason::Length),
        sample("b", 1, "Who knows?", FinishReason::Stop),
    ];
    write_jsonl(&folder.path().join("samples.jsonl"), samples).unwrap();
    let done = sky_verify(
        folder.path(),
        &[
            "math",
            "--problems",
            "problems.jsonl",
            "--samples",
            "samples.jsonl",
            "--out",
            "verdicts.jsonl",
        ],
    );
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    let said: Vec<String> = rows(&folder.path().join("verdicts.jsonl"))
        .iter()
        .map(|row| row["verdict"].to_string())
        .collect();
    assert_eq!(said.len(), 4);
    assert!(
        said[0].contains("correct") && !said[1].contains("correct"),
        "{said:?}"
    );
    assert!(said[2].contains("truncated"), "{said:?}");
}

#[test]
fn an_explanation_has_the_tree_and_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let done = sky_verify(folder.path(), &["explain", "\\frac{1}{2}", "-0.5"]);
    assert!(done.status.success(), "{done:?}");
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    for part in ["Wrong", "0.5 is not -0.5", "quotient", "tree", "value"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn a_mixed_file_is_judged_with_its_accuracy_and_rows_need_no_sampler() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, rows: &[Value]| {
        write_jsonl(&folder.path().join(name), rows).unwrap();
    };
    let problem = |id: &str, domain: &str, answer: Value| json!({"id": id, "source": "demo", "domain": domain, "prompt": "?", "answer": answer});
    write(
        "problems.jsonl",
        &[
            problem("m", "math", json!({"math": "135"})),
            problem("c", "choice", json!({"choice": "D"})),
            problem("p", "puzzle", json!({"math": "Tuesday"})),
            problem("t", "math", json!({"math": "13"})),
        ],
    );
    write(
        "samples.jsonl",
        &[
            json!({"problem_id": "m", "text": "It is \\boxed{135}."}),
            json!({"problem_id": "c", "text": "Final answer: d."}),
            json!({"problem_id": "p", "text": "The answer is Tuesday."}),
            json!({"problem_id": "t", "text": "The answer is 13", "finish_reason": "length"}),
        ],
    );
    let args = [
        "code",
        "--problems",
        "problems.jsonl",
        "--samples",
        "samples.jsonl",
    ];
    let done = sky_verify(
        folder.path(),
        &[&args[..], &["--out", "out.jsonl"]].concat(),
    );
    let said = String::from_utf8(done.stdout).unwrap();
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    assert!(
        said.contains("3 correct, 1 truncated") && said.contains("accuracy 75.0 %"),
        "{said}"
    );
    assert!(said.contains("n = 4 problems"), "{said}");
    let verdicts = rows(&folder.path().join("out.jsonl"));
    assert_eq!(verdicts[3]["verdict"], "truncated");
}
