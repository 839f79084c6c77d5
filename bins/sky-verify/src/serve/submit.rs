//! `POST /submit` as SandboxFusion has it: a reply to a problem of one of its data sets. The problem
//! comes with the request (`config.provided_data`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sky_types::{
    Answer, CheckOutcome, Compare, Domain, FinishReason, Harness, Json, Problem, Program, Tests,
    Verdict,
};

use super::wire::CheckJob;

/// The relative error that SandboxFusion allows in a line that is a number.
const TOLERANCE: f64 = 1e-5;

/// The body of `POST /submit`. Unknown fields are ignored.
#[derive(Debug, Deserialize)]
pub(super) struct SubmitRequest {
    dataset: String,
    id: Value,
    completion: String,
    config: Config,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Config {
    dataset_type: Option<String>,
    language: Option<String>,
    run_timeout: Option<f64>,
    custom_extract_logic: Option<String>,
    provided_data: Option<Value>,
}

/// How a data set writes its problems.
#[derive(Clone, Copy)]
enum Kind {
    /// Standard input and output.
    CommonOj,
    Mbpp,
    HumanEval,
    LiveCodeBench,
    /// A test that is appended to the reply's code.
    AutoEval,
}

/// Data sets and their types by SandboxFusion's names.
const KINDS: [(&str, Kind); 10] = [
    ("CommonOJDataset", Kind::CommonOj),
    ("code_contests", Kind::CommonOj),
    ("MBPPDataset", Kind::Mbpp),
    ("mbpp", Kind::Mbpp),
    ("HumanEvalDataset", Kind::HumanEval),
    ("humaneval_python", Kind::HumanEval),
    ("shadow_humaneval_python", Kind::HumanEval),
    ("LiveCodeBenchDataset", Kind::LiveCodeBench),
    ("live_code_bench_v1", Kind::LiveCodeBench),
    ("AutoEvalDataset", Kind::AutoEval),
];

/// A reply to check, and what the client calls it.
pub(super) struct Submission {
    pub(super) id: Value,
    pub(super) job: CheckJob,
}

impl SubmitRequest {
    /// The problem, with at most `max_seconds` for a test, and the reply.
    ///
    /// # Errors
    /// What the request asks for and the service does not have.
    pub(super) fn into_submission(self, max_seconds: f64) -> Result<Submission, String> {
        if self.config.custom_extract_logic.is_some() {
            return Err("`custom_extract_logic` is code; the service runs none of it".to_owned());
        }
        let Some(Value::Object(row)) = self.config.provided_data else {
            return Err("give the problem as an object in `config.provided_data`".to_owned());
        };
        let named = |name: &str| KINDS.iter().find(|(known, _)| *known == name);
        let kind = self.config.dataset_type.as_deref().and_then(named);
        let Some((_, kind)) = kind.or_else(|| named(&self.dataset)) else {
            let known: Vec<&str> = KINDS.iter().map(|(name, _)| *name).collect();
            return Err(format!(
                "no data set `{}`; give one of these as `dataset` or `config.dataset_type`: {}",
                self.dataset,
                known.join(", ")
            ));
        };
        let labels = structured(&row, "labels")?.unwrap_or_default();
        let language = labels.get("execution_language").and_then(Value::as_str);
        let language = language.or(self.config.language.as_deref());
        if let Some(language) = language.filter(|it| !["python", "python3", "pytest"].contains(it))
        {
            return Err(format!(
                "language `{language}` is not supported; use `python`"
            ));
        }
        let timeout_s = self
            .config
            .run_timeout
            .map(|seconds| seconds.min(max_seconds));
        let answer = match kind {
            Kind::CommonOj => common_oj(&row, timeout_s)?,
            Kind::LiveCodeBench => live_code_bench(&row, timeout_s)?,
            Kind::Mbpp => {
                let tests = structured(&row, "test_list")?.ok_or("no `test_list`")?;
                let tests: Vec<String> = serde_json::from_value(tests)
                    .map_err(|error| format!("`test_list`: {error}"))?;
                let setup = labels.get("test_setup_code").and_then(Value::as_str);
                program(
                    format!("{}\n{}", setup.unwrap_or_default(), tests.join("\n")),
                    timeout_s,
                )
            }
            Kind::HumanEval => {
                let test = text(&row, &["test", "tests"])?;
                Answer::Program(Program {
                    test,
                    entry_point: Some(text(&row, &["entry_point"])?),
                    prefix: Some(text(&row, &["prompt", "content"])?),
                    timeout_s,
                })
            }
            Kind::AutoEval => {
                let test = structured(&row, "test")?.unwrap_or_default();
                let asset = test.get("asset").and_then(Value::as_object);
                if asset.is_some_and(|asset| !asset.is_empty()) {
                    return Err("programs have no files: `test.asset` must be empty".to_owned());
                }
                let code = test.get("code").and_then(Value::as_str);
                let code = code.ok_or("no text `test.code`")?;
                // The mark stands where the program goes; a test after it is the usual case.
                let after = code.split_once("#<INSERT>");
                program(
                    after.map_or_else(
                        || code.to_owned(),
                        |(before, after)| format!("{before}{after}"),
                    ),
                    timeout_s,
                )
            }
        };
        Ok(Submission {
            id: self.id,
            job: CheckJob {
                problem: Problem::new("request", self.dataset, Domain::Code, "", answer),
                reply: self.completion,
                finish_reason: FinishReason::Stop,
            },
        })
    }
}

fn program(test: String, timeout_s: Option<f64>) -> Answer {
    Answer::Program(Program {
        test,
        entry_point: None,
        prefix: None,
        timeout_s,
    })
}

/// `test`: a list of `{"input": {"stdin": ...}, "output": {"stdout": ...}}`.
fn common_oj(row: &Map<String, Value>, timeout_s: Option<f64>) -> Result<Answer, String> {
    #[derive(Deserialize)]
    struct Case {
        input: BTreeMap<String, String>,
        output: BTreeMap<String, String>,
    }
    let cases = structured(row, "test")?.ok_or("no `test`")?;
    let cases: Vec<Case> =
        serde_json::from_value(cases).map_err(|error| format!("`test`: {error}"))?;
    let mut tests = Tests {
        // It compares lines in lower case.
        compare: Compare::WordsAnyCase,
        tolerance: Some(TOLERANCE),
        timeout_s,
        ..Tests::default()
    };
    for mut case in cases {
        let stdin = case.input.remove("stdin").unwrap_or_default();
        let stdout = case.output.remove("stdout").unwrap_or_default();
        if !case.input.is_empty() || !case.output.is_empty() {
            return Err("programs have no files: use `stdin` and `stdout` alone".to_owned());
        }
        tests.inputs.push(Json::from(Value::String(stdin)));
        tests.outputs.push(Json::from(Value::String(stdout)));
    }
    Ok(Answer::Tests(tests))
}

/// `test`: `{"input_output": {"inputs": [...], "outputs": [...], "fn_name": ...}}`, in JSON or as a
/// text of JSON. Its packed form is not read.
fn live_code_bench(row: &Map<String, Value>, timeout_s: Option<f64>) -> Result<Answer, String> {
    #[derive(Deserialize)]
    struct InputOutput {
        inputs: Vec<Json>,
        outputs: Vec<Json>,
        #[serde(default)]
        fn_name: Option<String>,
    }
    let packed = |error| format!("{error}; send `test` as JSON, unpacked");
    let test = structured(row, "test")
        .map_err(packed)?
        .ok_or("no `test`")?;
    let test = test.as_object().ok_or("`test` is no object")?;
    let found = structured(test, "input_output")?.ok_or("no `test.input_output`")?;
    let found: InputOutput =
        serde_json::from_value(found).map_err(|error| format!("`test.input_output`: {error}"))?;
    Ok(Answer::Tests(Tests {
        inputs: found.inputs,
        outputs: found.outputs,
        fn_name: found.fn_name,
        harness: Harness::LiveCodeBench,
        tolerance: Some(0.0),
        timeout_s,
        ..Tests::default()
    }))
}

/// A field that may be JSON or a text of JSON.
fn structured(row: &Map<String, Value>, key: &str) -> Result<Option<Value>, String> {
    match row.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => serde_json::from_str(text)
            .map(Some)
            .map_err(|error| format!("`{key}` is no JSON: {error}")),
        Some(value) => Ok(Some(value.clone())),
    }
}

/// The first of these text fields that is there.
fn text(row: &Map<String, Value>, keys: &[&str]) -> Result<String, String> {
    keys.iter()
        .find_map(|key| row.get(*key).and_then(Value::as_str))
        .map(str::to_owned)
        .ok_or_else(|| format!("no text field `{}`", keys.join("` or `")))
}

/// The answer to `POST /submit`.
#[derive(Debug, Serialize)]
pub(super) struct SubmitResponse {
    id: Value,
    accepted: bool,
    extracted_code: String,
    full_code: Option<String>,
    test_code: Option<String>,
    /// All of the problem's tests as one.
    tests: [TestCase; 1],
    extracted_type: Option<&'static str>,
    extra: Extra,
}

#[derive(Debug, Serialize)]
struct TestCase {
    passed: bool,
    exec_info: ExecInfo,
    test_info: Option<()>,
}

#[derive(Debug, Serialize)]
struct ExecInfo {
    status: &'static str,
    message: String,
}

#[derive(Debug, Serialize)]
struct Extra {
    verdict: Verdict,
    detail: String,
}

impl SubmitResponse {
    pub(super) fn new(id: Value, job: &CheckJob, outcome: CheckOutcome) -> Self {
        let entry_point = match &job.problem.answer {
            Answer::Tests(tests) => tests.fn_name.as_deref(),
            Answer::Program(program) => program.entry_point.as_deref(),
            Answer::Math(_) | Answer::Choice(_) => None,
        };
        let extracted = sky_verify::extract(&job.reply, entry_point);
        let extracted_type = extracted
            .as_ref()
            .map(|found| match (found.fenced, found.closed) {
                (true, true) => "fenced",
                (true, false) => "incomplete_fenced",
                (false, _) => "heuristic",
            });
        let accepted = outcome.verdict.is_correct();
        let status = match outcome.verdict {
            Verdict::Unsupported => "SandboxError",
            _ if accepted => "Success",
            _ => "Failed",
        };
        Self {
            id,
            accepted,
            extracted_code: extracted.map(|found| found.code).unwrap_or_default(),
            full_code: None,
            test_code: None,
            tests: [TestCase {
                passed: accepted,
                exec_info: ExecInfo {
                    status,
                    message: outcome.detail.clone(),
                },
                test_info: None,
            }],
            extracted_type: Some(extracted_type.unwrap_or("empty")),
            extra: Extra {
                verdict: outcome.verdict,
                detail: outcome.detail,
            },
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn submission(dataset: &str, config: &Value) -> Result<Submission, String> {
        let request = json!({"dataset": dataset, "id": 7, "completion": "x", "config": config});
        serde_json::from_value::<SubmitRequest>(request)
            .unwrap()
            .into_submission(10.0)
    }

    #[test]
    fn a_row_of_each_data_set_is_a_problem() {
        let rows = [
            (
                "code_contests",
                json!({"test": [{"input": {"stdin": "1"}, "output": {"stdout": "2"}}]}),
            ),
            (
                "mbpp",
                json!({"test_list": "[\"assert f(1) == 2\"]", "labels": "{\"test_setup_code\": \"\"}"}),
            ),
            (
                "humaneval_python",
                json!({"prompt": "def f(x):\n", "test": "def check(f): assert f(1)", "entry_point": "f"}),
            ),
            (
                "live_code_bench_v1",
                json!({"test": {"input_output": "{\"inputs\": [\"1\"], \"outputs\": [\"2\"]}"}}),
            ),
            (
                "own",
                json!({"test": {"code": "#<INSERT>\nassert f(1)"}, "labels": {"programming_language": "python"}}),
            ),
        ];
        for (dataset, row) in rows {
            let config = json!({"provided_data": row, "language": "python", "dataset_type": "AutoEvalDataset"});
            let mut config = config;
            if dataset != "own" {
                config["dataset_type"] = Value::Null;
            }
            let found = submission(dataset, &config);
            let is_tests = matches!(found.unwrap().job.problem.answer, Answer::Tests(_));
            assert_eq!(
                is_tests,
                matches!(dataset, "code_contests" | "live_code_bench_v1")
            );
        }
    }

    #[test]
    fn what_cannot_be_done_is_said() {
        let test = json!({"test": [{"input": {"stdin": "1", "file": "x"}, "output": {}}]});
        for (config, word) in [
            (json!({}), "provided_data"),
            (
                json!({"provided_data": [], "language": "python"}),
                "provided_data",
            ),
            (json!({"provided_data": {}, "language": "cpp"}), "cpp"),
            (
                json!({"provided_data": {}, "custom_extract_logic": "x"}),
                "custom_extract_logic",
            ),
            (json!({"provided_data": {}, "language": "python"}), "`test`"),
            (json!({"provided_data": {"test": "eJx"}}), "`test`"),
            (json!({"provided_data": test}), "files"),
        ] {
            let refused = submission("code_contests", &config).err().unwrap();
            assert!(refused.contains(word), "{config}: {refused}");
        }
        let refused = submission("unknown", &json!({"provided_data": {}}))
            .err()
            .unwrap();
        assert!(refused.contains("CommonOJDataset"), "{refused}");
    }
}
