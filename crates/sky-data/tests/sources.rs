//! Readers on the real files, where they are.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use sky_data::{
    ProblemPaths, ProblemsConfig, load_problems,
    sources::{Format, Row, read},
};
use sky_types::{Answer, Problem};

fn shared(file: &str) -> Option<PathBuf> {
    let root = std::env::var("SKY_SHARED_DATA").unwrap_or_else(|_| {
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data").to_owned()
    });
    let path = Path::new(&root).join(file);
    if !path.exists() {
        let _ = std::io::Write::write_all(
            &mut std::io::stderr(),
            format!("SKIPPED: {} is not here\n", path.display()).as_bytes(),
        );
        return None;
    }
    Some(path)
}

/// All problems of a file, and how many rows were left out.
fn all(format: Format, path: &Path) -> (Vec<Problem>, usize) {
    let mut skipped = 0;
    let problems = read(format, path)
        .unwrap()
        .filter_map(|row| match row.unwrap() {
            Row::Problem(problem) => Some(*problem),
            Row::Skipped { .. } => {
                skipped += 1;
                None
            }
        })
        .collect();
    (problems, skipped)
}

fn answer(problem: &Problem) -> &str {
    match &problem.answer {
        Answer::Math(answer) => answer,
        other => panic!("{other:?}"),
    }
}

#[test]
fn gsm8k() {
    let Some(path) = shared("gsm8k/train.jsonl") else {
        return;
    };
    let (problems, skipped) = all(Format::Gsm8k, &path);
    assert_eq!((problems.len(), skipped), (7473, 0));
    assert!(problems.iter().all(|p| answer(p).parse::<f64>().is_ok()));
    let Some(path) = shared("gsm8k/test.jsonl") else {
        return;
    };
    assert_eq!(answer(&all(Format::Gsm8k, &path).0[0]), "18");
}

#[test]
fn math_and_its_like() {
    for (file, format, count, first) in [
        (
            "math500/test.jsonl",
            Format::Math,
            500,
            r"\left( 3, \frac{\pi}{2} \right)",
        ),
        ("math_train/train.jsonl", Format::Math, 7474, "0"),
        ("aime24/test.jsonl", Format::Aime, 30, "204"),
        ("aime24/aime25.jsonl", Format::Aime, 30, "70"),
        ("aime_1983_2023/train.jsonl", Format::Aime, 975, "60"),
        ("amc23/test.jsonl", Format::Math, 40, "27"),
    ] {
        let Some(path) = shared(file) else { continue };
        let (problems, skipped) = all(format, &path);
        assert_eq!(problems.len() + skipped, count, "{file}");
        assert!(skipped <= count / 100, "{file}: {skipped} left out");
        assert_eq!(answer(&problems[0]), first, "{file}");
    }
    // A data set without answers gives those of its solutions' boxes.
    let Some(path) = shared("minerva_math/test.jsonl") else {
        return;
    };
    let (problems, _) = all(Format::Math, &path);
    assert!(problems.len() > 250, "{}", problems.len());
}

#[test]
fn code() {
    if let Some(path) = shared("mbpp/mbpp.jsonl") {
        let (problems, skipped) = all(Format::Mbpp, &path);
        assert_eq!((problems.len(), skipped), (974, 0));
        let Answer::Program(program) = &problems[366].answer else {
            panic!()
        };
        assert!(program.test.starts_with("class Node") || program.test.contains("root"));
    }
    if let Some(path) = shared("apps_sample/apps_train5.jsonl") {
        let (problems, _) = all(Format::Apps, &path);
        assert_eq!(problems.len(), 3);
        for problem in &problems {
            let Answer::Tests(tests) = &problem.answer else {
                panic!()
            };
            assert_eq!(tests.inputs.len(), tests.outputs.len());
            assert_eq!(tests.timeout_s, Some(4.0));
        }
    }
    if let Some(path) = shared("humaneval/HumanEval.jsonl") {
        let (problems, skipped) = all(Format::HumanEval, &path);
        assert_eq!((problems.len(), skipped), (164, 0));
        assert!(
            problems
                .iter()
                .all(|p| p.prompt.contains("```python\n") && p.id.starts_with("humaneval/"))
        );
    }
}

#[test]
fn a_row_may_say_more_of_its_tests_than_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rows.jsonl");
    let tests = r#"{"inputs": ["1"], "outputs": ["2"], "memory_limit": 256}"#;
    let row = serde_json::json!({ "question": "Add one.", "input_output": tests });
    std::fs::write(&path, row.to_string()).unwrap();
    let (problems, skipped) = all(Format::Apps, &path);
    assert_eq!((problems.len(), skipped), (1, 0));
    // Our own file is another matter.
    let line = serde_json::to_string(&problems[0]).unwrap();
    assert!(serde_json::from_str::<Problem>(&line).is_ok());
    let extra = line.replace("\"inputs\":", "\"memory_limit\":1,\"inputs\":");
    assert_ne!(extra, line);
    assert!(serde_json::from_str::<Problem>(&extra).is_err());
}

#[test]
fn human_eval_comes_from_the_set_up_packed() {
    let home = PathBuf::from(std::env::var("SKY_HOME").unwrap_or_else(|_| ".sky".into()));
    let paths = ProblemPaths { home };
    let path = paths.home.join(sky_data::HUMAN_EVAL);
    if !path.exists() {
        let _ = std::io::Write::write_all(
            &mut std::io::stderr(),
            format!("SKIPPED: {} is not here\n", path.display()).as_bytes(),
        );
        return;
    }
    let config = ProblemsConfig {
        human_eval: 4,
        train_on_evaluation_sets: true,
        ..ProblemsConfig::default()
    };
    let train = load_problems(&config, 1, &paths).unwrap().train;
    assert_eq!(train.len(), 132);
    let drawn = |seed| -> Vec<String> {
        let train = load_problems(&config, seed, &paths).unwrap().train;
        train[128..].iter().map(|p| p.id.clone()).collect()
    };
    assert_eq!(
        drawn(1),
        train[128..]
            .iter()
            .map(|p| p.id.clone())
            .collect::<Vec<_>>()
    );
    assert_ne!(drawn(1), drawn(2));
}

#[test]
fn rows_without_what_they_need_are_skipped_or_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rows.jsonl");
    let read_one = |format: Format, row: &str| {
        std::fs::write(&path, row).unwrap();
        read(format, &path).unwrap().next().unwrap()
    };
    for (format, row) in [
        (Format::Apps, r#"{"question": "q", "input_output": ""}"#),
        (
            Format::Apps,
            r#"{"question": "q", "input_output": "{\"inputs\": [], \"outputs\": []}"}"#,
        ),
        (
            Format::Apps,
            r#"{"question": "q", "input_output": "{\"inputs\": [1], \"outputs\": []}"}"#,
        ),
        (Format::Taco, r#"{"question": "q", "input_output": "{"}"#),
        (Format::Math, r#"{"problem": "p", "solution": "no box"}"#),
        (
            Format::Mbpp,
            r#"{"text": "t", "task_id": 1, "test_list": []}"#,
        ),
    ] {
        assert!(
            matches!(read_one(format, row), Ok(Row::Skipped { .. })),
            "{row}"
        );
    }
    for (format, row) in [
        (Format::Gsm8k, r#"{"question": "q", "answer": "4"}"#),
        (Format::Gsm8k, "[1]"),
        (Format::HumanEval, r#"{"task_id": 1}"#),
        (Format::Problems, r#"{"id": "x"}"#),
        (Format::Problems, "not json"),
    ] {
        let error = read_one(format, row).unwrap_err().to_string();
        assert!(error.contains("rows.jsonl:1"), "{error}");
    }
    let boxed = read_one(
        Format::Numina,
        r#"{"source": "amc_aime", "problem": "p", "solution": "so \\boxed{\\frac{1}{2}}"}"#,
    );
    let problem = boxed.unwrap().into_problem().unwrap();
    assert_eq!(
        (problem.source.as_str(), answer(&problem)),
        ("amc_aime", r"\frac{1}{2}")
    );
}

/// Integers beyond 64 bits and long fractions, wherever tests are read from.
#[test]
fn every_digit_of_a_test_is_kept_on_every_path() {
    let dir = tempfile::tempdir().unwrap();
    let numbers = [
        "717897987691852588770249",
        "-18446744073709551617",
        "18446744073709551616",
        "0.1000000000000000055511151231257827",
        "[[1,340282366920938463463374607431768211456],null]",
        "{\"k\":99999999999999999999999999999999999999}",
    ];
    let texts = |tests: &sky_types::Tests| -> Vec<String> {
        let all = tests.inputs.iter().chain(&tests.outputs);
        let all = all.chain(tests.accepted.iter().flatten());
        all.map(|json| json.text().to_owned()).collect()
    };
    for number in numbers {
        let pair = format!("\"inputs\":[[{number}]],\"outputs\":[{number}]");
        let problem = format!(
            "{{\"id\":\"1\",\"source\":\"s\",\"domain\":\"code\",\"prompt\":\"p\",\"answer\":{{\"tests\":\
             {{{pair},\"fn_name\":\"f\",\"accepted\":[[{number}]]}}}}}}"
        );
        let apps = format!("{{\"question\": \"q\", \"input_output\": {{{pair}}}}}");
        let packed = serde_json::json!({ "question": "q", "input_output": format!("{{{pair}}}") });
        for (format, row, accepted) in [
            (Format::Problems, problem.clone(), true),
            (Format::Apps, apps.clone(), false),
            (Format::Taco, apps, false),
            (Format::Apps, packed.to_string(), false),
        ] {
            let path = dir.path().join("rows.jsonl");
            std::fs::write(&path, &row).unwrap();
            let problem = all(format, &path).0.remove(0);
            let Answer::Tests(tests) = &problem.answer else {
                panic!()
            };
            let mut expected = vec![format!("[{number}]"), number.to_owned()];
            expected.extend(accepted.then(|| number.to_owned()));
            assert_eq!(texts(tests), expected, "{format:?}");
            // Written and read again, as `convert` and the stages do.
            let written = serde_json::to_string(&problem).unwrap();
            assert_eq!(serde_json::from_str::<Problem>(&written).unwrap(), problem);
            assert!(written.contains(number));
        }
        std::fs::write(dir.path().join("mine.jsonl"), &problem).unwrap();
        let config = ProblemsConfig {
            train: 0,
            heldout: 0,
            files: vec![sky_data::ProblemFile {
                path: "mine.jsonl".into(),
                ..Default::default()
            }],
            ..ProblemsConfig::default()
        };
        let paths = ProblemPaths {
            home: dir.path().into(),
        };
        let loaded = load_problems(&config, 1, &paths).unwrap();
        let Answer::Tests(tests) = &loaded.train[0].answer else {
            panic!()
        };
        assert_eq!(tests.outputs[0].text(), number);
    }
}

#[test]
fn a_numeric_answer_and_id_keep_their_digits() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rows.jsonl");
    std::fs::write(
        &path,
        r#"{"problem": "p", "answer": 717897987691852588770249, "id": 18446744073709551617}"#,
    )
    .unwrap();
    let problem = all(Format::Math, &path).0.remove(0);
    assert_eq!(answer(&problem), "717897987691852588770249");
    assert_eq!(problem.id, "math/18446744073709551617");
}
