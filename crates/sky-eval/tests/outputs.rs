//! Replies of other programs, read and scored; and real ones with recorded labels.
#![allow(clippy::unwrap_used)]

use std::{fs, io::Write as _, path::Path};

use serde_json::{Value, json};
use sky_eval::outputs::{Fields, Format, Outputs};
use sky_types::{Answer, Check, Domain, FinishReason};
use sky_verify::MathCheck;

fn read(text: &str) -> (Format, sky_eval::Result<Outputs>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("replies.jsonl");
    fs::write(&path, text).unwrap();
    let format = Format::of(&path).unwrap();
    (format, Outputs::read(&path, &Fields::default(), None))
}

fn lines(rows: &[Value]) -> String {
    rows.iter().map(|row| format!("{row}\n")).collect()
}

/// Whether our check finds each reply right.
fn right(outputs: &Outputs) -> Vec<bool> {
    let check = MathCheck::default();
    let find = |id: &str| outputs.problems.iter().find(|p| p.id == id).unwrap();
    outputs
        .samples
        .iter()
        .map(|sample| {
            let problem = find(&sample.problem_id);
            let outcome = check.check(problem, &sample.text, sample.finish_reason);
            outcome.unwrap().verdict.is_correct()
        })
        .collect()
}

#[test]
fn plain_lines_need_a_reply_and_a_gold_answer() {
    let (format, found) = read(&lines(&[
        json!({"response": "It is \\boxed{4}.", "answer": "4", "id": "a"}),
        json!({"response": ["5", "The answer is 6"], "answer": 5, "id": "b", "is_correct": [true, false]}),
        json!({"response": "The answer is 7", "answer": "75", "finish_reason": "length"}),
    ]));
    let found = found.unwrap();
    assert_eq!(format, Format::Plain);
    assert_eq!(right(&found), [true, true, false, false]);
    assert_eq!(found.labels, [None, Some(true), Some(false), None]);
    assert_eq!(found.samples[2].index, 1);
    assert_eq!(found.samples[3].finish_reason, FinishReason::Length);
    assert_eq!(found.samples[3].problem_id, "line-3");
    assert!(found.problems.iter().all(|p| p.domain == Domain::Math));
}

#[test]
fn golds_that_are_letters_make_choices() {
    let (_, found) = read(&lines(&[
        json!({"output": "\\boxed{b}", "gold": "B"}),
        json!({"output": "Therefore, C.", "gold": "(c)"}),
    ]));
    let found = found.unwrap();
    assert!(found.problems.iter().all(|p| p.domain == Domain::Choice));
    assert_eq!(right(&found), [true, true]);
    let (_, mixed) = read(&lines(&[
        json!({"output": "A", "gold": "A"}),
        json!({"output": "12", "gold": "12"}),
    ]));
    let math = |p: &sky_types::Problem| matches!(p.answer, Answer::Math(_));
    assert!(mixed.unwrap().problems.iter().all(math));
}

#[test]
fn a_bad_row_is_left_out_and_named() {
    let good = json!({"response": "4", "answer": "4"});
    let text = format!("{good}\n{{\"response\": \n{good}\n{{\"answer\": \"4\"}}\n[1]\n{good}");
    let found = read(&text).1.unwrap();
    assert_eq!(found.samples.len(), 3);
    assert_eq!(found.left_out.len(), 3, "{:?}", found.left_out);
    assert!(found.left_out[0].starts_with("line 2: "));
    assert!(
        found
            .left_out
            .iter()
            .any(|row| row.contains("--text-field"))
    );
    let error = read("{\"a\": 1}\n{\"b\": 2}\n").1.unwrap_err().to_string();
    assert!(error.contains("no row can be scored"), "{error}");
}

#[test]
fn rows_of_ours_need_only_a_problem_and_a_text() {
    let (format, found) = read(&lines(&[
        json!({"problem_id": "p", "text": "4"}),
        json!({"problem_id": "q", "text": "5"}),
        json!({"problem_id": "p", "text": "6"}),
    ]));
    let found = found.unwrap();
    assert_eq!(format, Format::Ours);
    let places: Vec<_> = found
        .samples
        .iter()
        .map(|sample| (sample.problem_id.as_str(), sample.index))
        .collect();
    assert_eq!(places, [("p", 0), ("p", 1), ("q", 0)]);
    assert!(found.problems.is_empty());
}

#[test]
fn sky_thought_results_in_both_forms() {
    let by_problem = json!({
        "0": {"problem": "2 + 2?", "answer": "4", "responses": [
            {"content": "It is \\boxed{4}.", "correctness": true, "reason": ""}]},
        "1": {"problem": "2 + 3?", "answer": "5", "responses": {"0.7": {"content": "\\boxed{6}", "correctness": false}}},
    });
    for text in [
        by_problem.to_string(),
        serde_json::to_string_pretty(&by_problem).unwrap(),
    ] {
        let (format, found) = read(&text);
        let found = found.unwrap();
        assert_eq!(format, Format::SkyThought);
        assert_eq!(right(&found), [true, false]);
        assert_eq!(found.labels, [Some(true), Some(false)]);
        assert_eq!(found.problems[0].prompt, "2 + 2?");
    }
    let ours = json!({"v": 1, "results": [{"id": "p7", "prompt": "?", "responses": [{"content": "4", "correctness": true}]}]});
    let (format, found) = read(&ours.to_string());
    assert_eq!(format, Format::SkyThought);
    assert_eq!(found.unwrap().samples[0].problem_id, "p7");
}

#[test]
fn lm_eval_samples_with_filters_and_likelihoods() {
    let line = |filter: &str| {
        json!({"doc_id": 3, "doc": {"question": "2 + 2?", "answer": "It is 4.\n#### 4"}, "target": "It is 4.\n#### 4",
            "resps": [["The answer is 4."]], "filtered_resps": ["4"], "filter": filter, "exact_match": 1.0})
    };
    let (format, found) = read(&lines(&[line("strict-match"), line("flexible-extract")]));
    let found = found.unwrap();
    assert_eq!(format, Format::LmEval);
    assert_eq!((found.samples.len(), &right(&found)[..]), (1, &[true][..]));
    assert_eq!(found.labels, [Some(true)]);

    let choice = |target: Value, best: usize| {
        let resps: Vec<Value> = (0..4)
            .map(|at| json!([[if at == best { -1.0 } else { -3.5 }, false]]))
            .collect();
        json!({"doc_id": best, "doc": {"question": "?"}, "target": target, "resps": resps, "acc": 0.0})
    };
    let found = read(&lines(&[choice(json!(2), 2), choice(json!("1"), 0)]))
        .1
        .unwrap();
    assert_eq!(found.problems[0].domain, Domain::Choice);
    assert_eq!(right(&found), [true, false]);
}

/// The shared data's folder; says loudly that a test is skipped without it.
fn shared(name: &str) -> Option<std::path::PathBuf> {
    let found = std::env::var_os("SKY_SHARED_DATA")
        .map(|root| Path::new(&root).join(name))
        .filter(|path| path.exists());
    if found.is_none() {
        let _ = writeln!(std::io::stderr(), "SKIPPED: {name}; set SKY_SHARED_DATA");
    }
    found
}

#[test]
fn recorded_labels_of_four_gsm8k_models_are_reproduced() {
    let Some(path) = shared("gsm8k_model_solutions/example_model_solutions.jsonl") else {
        return;
    };
    let (mut agree, mut all) = (0, 0);
    for model in [
        "6b_finetuning",
        "6b_verification",
        "175b_finetuning",
        "175b_verification",
    ] {
        let fields = Fields {
            text: Some(format!("{model}.solution")),
            label: Some(format!("{model}.is_correct")),
            gold: Some("ground_truth".into()),
            id: None,
        };
        let found = Outputs::read(&path, &fields, Some(Domain::Math)).unwrap();
        assert!(found.left_out.is_empty(), "{:?}", found.left_out);
        for (right, label) in right(&found).into_iter().zip(&found.labels) {
            all += 1;
            agree += usize::from(Some(right) == *label);
        }
    }
    assert_eq!(all, 4 * 659);
    assert!(agree * 1000 >= all * 995, "{agree} of {all} agree");
}

#[test]
fn recorded_verdicts_of_math500_are_reproduced() {
    let Some(path) = shared("math500_gemma_outputs/gemma4_31b_math500.jsonl") else {
        return;
    };
    let fields = Fields {
        text: Some("got".into()),
        gold: Some("want".into()),
        ..Fields::default()
    };
    let found = Outputs::read(&path, &fields, Some(Domain::Math)).unwrap();
    let pairs = right(&found).into_iter().zip(&found.labels);
    let labelled: Vec<_> = pairs
        .filter_map(|(right, label)| Some((right, (*label)?)))
        .collect();
    let false_alarms = labelled
        .iter()
        .filter(|(right, label)| !right && *label)
        .count();
    assert!(labelled.len() > 200, "{}", labelled.len());
    assert!(
        false_alarms * 50 <= labelled.len(),
        "{false_alarms} of {}",
        labelled.len()
    );
}
