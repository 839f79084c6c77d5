use std::io::Read;

use base64::{Engine, engine::general_purpose::STANDARD};
use flate2::read::ZlibDecoder;
use serde::Deserialize;
use serde_json::{Map, Value};
use sky_types::{Answer, Domain, Harness, Json, Problem, Tests};

use super::{
    code::contest_prompt,
    converted::{Converted, Refusal, keep, text},
    format::Format,
    known_problems::{Remedy, known},
    pickle::unpickle,
    tolerance::stated_tolerance,
};

/// Per-test limit of LiveCodeBench's runner, in seconds.
const TEST_SECONDS: f64 = 6.0;
/// Most bytes that one row's packed tests may unpack to: the largest published are about a tenth of
/// it.
const MOST_UNPACKED: u64 = 1 << 30;

/// One test as LiveCodeBench writes it.
#[derive(Deserialize)]
struct Case {
    input: String,
    output: String,
}

/// LiveCodeBench: public tests as JSON in a text; private ones too, or as base64 of zlib of a
/// pickle of that text.
pub(super) fn live_code_bench(row: &Map<String, Value>) -> Converted {
    let name = |key| row.get(key).and_then(Value::as_str);
    let known = known(
        Format::LiveCodeBench,
        [name("question_id"), name("question_title")],
    );
    if let Some(Remedy::Exclude(reason)) = known.map(|known| known.remedy) {
        return Err(Refusal::Skip(reason.to_owned()));
    }
    let mut cases = cases(text(row, "public_test_cases")?)?;
    if let Some(Value::String(private)) = row.get("private_test_cases") {
        cases.extend(private_cases(private)?);
    }
    if cases.is_empty() {
        return Err(Refusal::Skip("no tests".into()));
    }
    let metadata: Map<String, Value> = match row.get("metadata") {
        Some(Value::String(json)) => serde_json::from_str(json)
            .map_err(|error| Refusal::Skip(format!("`metadata` is not JSON: {error}")))?,
        Some(Value::Object(metadata)) => metadata.clone(),
        _ => Map::new(),
    };
    let fn_name = metadata.get("func_name").and_then(Value::as_str);
    let function = fn_name.map(|name| format!("Write the method `{name}` of `class Solution`."));
    let statement = text(row, "question_content")?;
    let prompt = contest_prompt(statement, function, row);
    let (inputs, outputs) = cases
        .into_iter()
        .map(|case| {
            let text = |text| Json::from(Value::String(text));
            (text(case.input), text(case.output))
        })
        .unzip();
    let tests = Tests {
        inputs,
        outputs,
        fn_name: fn_name.map(str::to_owned),
        harness: Harness::LiveCodeBench,
        timeout_s: Some(TEST_SECONDS),
        // Its runner compares numbers as decimals, exactly, also where the statement allows an
        // error: right programs fail by the last digit.
        tolerance: Some(stated_tolerance(statement).unwrap_or(0.0)),
        judge: match known.map(|known| known.remedy) {
            Some(Remedy::Judge(judge)) => Some(judge.to_owned()),
            _ => None,
        },
        ..Tests::default()
    };
    let id = format!("livecodebench/{}", text(row, "question_id")?);
    let mut problem = Problem::new(
        id,
        "livecodebench",
        Domain::Code,
        prompt,
        Answer::Tests(tests),
    );
    keep(
        &mut problem,
        row,
        &["difficulty", "platform", "contest_date"],
    );
    Ok(problem)
}

fn cases(json: &str) -> Result<Vec<Case>, Refusal> {
    serde_json::from_str(json).map_err(|error| Refusal::Skip(format!("its tests: {error}")))
}

fn private_cases(packed: &str) -> Result<Vec<Case>, Refusal> {
    if packed.trim_start().starts_with('[') {
        return cases(packed);
    }
    match unpack(packed).map_err(|reason| Refusal::Skip(format!("its private tests: {reason}")))? {
        Value::String(json) => cases(&json),
        other => serde_json::from_value(other)
            .map_err(|error| Refusal::Skip(format!("its private tests: {error}"))),
    }
}

/// What base64 of zlib of a pickle holds, if that is plain data.
fn unpack(packed: &str) -> Result<Value, String> {
    let zlib = STANDARD
        .decode(packed.trim())
        .map_err(|error| format!("not base64: {error}"))?;
    let mut pickle = Vec::new();
    ZlibDecoder::new(zlib.as_slice())
        .take(MOST_UNPACKED + 1)
        .read_to_end(&mut pickle)
        .map_err(|error| format!("not zlib: {error}"))?;
    if pickle.len() as u64 > MOST_UNPACKED {
        return Err(format!("they unpack to over {MOST_UNPACKED} bytes"));
    }
    unpickle(&pickle).map_err(|reason| format!("their pickle: {reason}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Write;

    use serde_json::json;

    use super::*;

    fn packed(pickle: &[u8]) -> String {
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        zlib.write_all(pickle).unwrap();
        STANDARD.encode(zlib.finish().unwrap())
    }

    fn row(private: &str) -> Map<String, Value> {
        let row = json!({
            "question_content": "Add.", "question_id": "7", "starter_code": "class Solution:", "difficulty": "easy",
            "public_test_cases": r#"[{"input": "1\n2", "output": "3", "testtype": "functional"}]"#,
            "private_test_cases": private, "metadata": r#"{"func_name": "add"}"#,
        });
        row.as_object().unwrap().clone()
    }

    #[test]
    fn packed_private_tests_join_the_public_ones() {
        let json = r#"[{"input": "2\n2", "output": "4", "testtype": "functional"}]"#;
        let mut pickle = b"\x80\x04X".to_vec();
        pickle.extend((json.len() as u32).to_le_bytes());
        pickle.extend(json.as_bytes());
        pickle.extend(b"\x94.");
        for private in [packed(&pickle), json.to_owned()] {
            let problem = live_code_bench(&row(&private)).ok().unwrap();
            let Answer::Tests(tests) = &problem.answer else {
                panic!()
            };
            assert_eq!(tests.inputs, [json!("1\n2"), json!("2\n2")].map(Json::from));
            assert_eq!(tests.outputs, [json!("3"), json!("4")].map(Json::from));
            assert_eq!(tests.fn_name.as_deref(), Some("add"));
            assert_eq!(problem.id, "livecodebench/7");
        }
    }

    #[test]
    fn known_problems_get_their_judge_or_are_left_out() {
        let named = |key: &str, value: &str| {
            let mut row = row("[]");
            row.insert(key.to_owned(), json!(value));
            row.insert(
                "question_content".to_owned(),
                json!("an absolute or relative error of at most 10^{-6} is allowed"),
            );
            live_code_bench(&row)
        };
        let tests = |converted: Converted| match converted.ok().unwrap().answer {
            Answer::Tests(tests) => tests,
            other => panic!("{other:?}"),
        };
        let peaks = tests(named("question_title", "find-the-peaks"));
        assert!(peaks.judge.unwrap().contains("def accepts("));
        let other = tests(named("question_id", "abc999_a"));
        assert_eq!((other.judge, other.tolerance), (None, Some(1e-6)));
        let refused = named("question_id", "abc337_e").err().unwrap();
        assert!(matches!(refused, Refusal::Skip(reason) if reason == "an interactive problem"));
    }

    #[test]
    fn a_pickle_that_would_run_something_is_left_out() {
        for private in [
            packed(b"cos\nsystem\n(S'true'\ntR."),
            "AAAA".into(),
            "!".into(),
        ] {
            let refused = live_code_bench(&row(&private)).err().unwrap();
            assert!(matches!(refused, Refusal::Skip(reason) if reason.contains("private tests")));
        }
    }

    #[test]
    fn really_packed_tests_are_read() {
        let root = std::env::var("SKY_SHARED_DATA").unwrap_or_else(|_| {
            concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data").into()
        });
        let path = format!("{root}/sandboxfusion_samples/code_eval_live_code_bench_v1.jsonl");
        let Ok(text) = std::fs::read_to_string(&path) else {
            let _ =
                std::io::stderr().write_all(format!("SKIPPED: {path} is not here\n").as_bytes());
            return;
        };
        for line in text.lines() {
            let row: Value = serde_json::from_str(line).unwrap();
            let tests = unpack(row["test"].as_str().unwrap()).unwrap();
            let tests: Value =
                serde_json::from_str(tests["input_output"].as_str().unwrap()).unwrap();
            let count = |key: &str| tests[key].as_array().unwrap().len();
            assert!(count("inputs") > 0 && count("inputs") == count("outputs"));
        }
    }
}
