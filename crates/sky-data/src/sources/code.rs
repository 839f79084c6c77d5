use serde::Deserialize;
use serde_json::{Map, Value};
use sky_types::{Answer, Domain, Json, Problem, Program, Tests};

use super::{
    converted::{Converted, Refusal, keep, text},
    source_row::Fields,
    tolerance::stated_tolerance,
};

/// The error that problems without a `tolerance` allow.
const DEFAULT_TOLERANCE: f64 = 1e-6;
/// Per-test limit of APPS and TACO in Sky-T1's evaluation, in seconds.
const TEST_SECONDS: f64 = 4.0;

/// HumanEval: the signature and docstring to complete, and a test that calls `check`.
pub(super) fn human_eval(row: &Map<String, Value>) -> Converted {
    let prefix = text(row, "prompt")?;
    let id = text(row, "task_id")?.replace("HumanEval", "humaneval");
    let prompt = format!(
        "Complete the body of this Python function and give the whole function.\n\n```python\n{}\n```",
        prefix.trim()
    );
    let answer = Answer::Program(Program {
        test: text(row, "test")?.to_owned(),
        entry_point: Some(text(row, "entry_point")?.to_owned()),
        prefix: Some(prefix.to_owned()),
        timeout_s: None,
    });
    Ok(Problem::new(id, "humaneval", Domain::Code, prompt, answer))
}

/// MBPP: assertions; the set-up code runs after the program and before them.
pub(super) fn mbpp(row: &Map<String, Value>) -> Converted {
    let tests = row
        .get("test_list")
        .and_then(Value::as_array)
        .ok_or_else(|| Refusal::Form("no list `test_list`".into()))?;
    let tests: Vec<&str> = tests.iter().filter_map(Value::as_str).collect();
    if tests.is_empty() {
        return Err(Refusal::Skip("no tests".into()));
    }
    let number = row
        .get("task_id")
        .and_then(Value::as_u64)
        .ok_or_else(|| Refusal::Form("no number `task_id`".into()))?;
    // The sanitized version calls it `prompt`.
    let question = text(row, "text").or_else(|_| text(row, "prompt"))?;
    let prompt = format!(
        "{}\n\nThe code has to pass these tests:\n\n```python\n{}\n```",
        question.trim(),
        tests.join("\n")
    );
    let imports = row.get("test_imports").and_then(Value::as_array);
    let imports: Vec<&str> = imports
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let imports = imports.join("\n");
    let setup = row
        .get("test_setup_code")
        .and_then(Value::as_str)
        .unwrap_or(&imports)
        .trim_end();
    let test = if setup.is_empty() {
        tests.join("\n")
    } else {
        format!("{setup}\n{}", tests.join("\n"))
    };
    let answer = Answer::Program(Program {
        test,
        entry_point: None,
        prefix: None,
        timeout_s: None,
    });
    let id = format!("mbpp/{number}");
    Ok(Problem::new(id, "mbpp", Domain::Code, prompt, answer))
}

/// `input_output` of a row: what is read of it, whatever else a data set puts there.
#[derive(Deserialize)]
struct InputOutput {
    inputs: Vec<Json>,
    outputs: Vec<Json>,
    fn_name: Option<String>,
    timeout_s: Option<f64>,
}

/// What a model is asked: the question, how to hand in, and the row's own beginning of a program if
/// it has one. `function` asks for one; without it the program reads and prints.
pub(super) fn contest_prompt(
    question: &str,
    function: Option<String>,
    row: &Map<String, Value>,
) -> String {
    let how = function
        .unwrap_or_else(|| "Read from standard input and print to standard output.".to_owned());
    let mut prompt = format!("{}\n\n{how}", question.trim());
    let starter = row.get("starter_code").and_then(Value::as_str);
    if let Some(starter) = starter.map(str::trim).filter(|code| !code.is_empty()) {
        prompt.push_str(&format!("\n\nBegin with:\n\n```python\n{starter}\n```"));
    }
    prompt
}

/// APPS and TACO: inputs and outputs, often as JSON inside a string; some rows have none.
pub(super) fn apps(row: &Fields<'_>, number: usize, source: &str) -> Converted {
    let question = text(row, "question")?;
    let found: Result<Option<InputOutput>, _> = match row.get("input_output") {
        Some(Value::String(json)) if json.trim().is_empty() => Ok(None),
        Some(Value::String(json)) => serde_json::from_str(json),
        Some(Value::Null) | None => Ok(None),
        Some(_) => {
            let written = row.exact("input_output");
            written
                .map(|json| serde_json::from_str(json.text()))
                .transpose()
        }
    };
    let Some(tests) = found.map_err(|error| Refusal::Skip(format!("`input_output`: {error}")))?
    else {
        return Err(Refusal::Skip("no tests".into()));
    };
    let InputOutput {
        inputs,
        outputs,
        fn_name,
        timeout_s,
    } = tests;
    let mut tests = Tests {
        inputs,
        outputs,
        fn_name,
        ..Tests::default()
    };
    if tests.inputs.is_empty() || tests.inputs.len() != tests.outputs.len() {
        return Err(Refusal::Skip(format!(
            "{} inputs and {} outputs",
            tests.inputs.len(),
            tests.outputs.len()
        )));
    }
    tests.timeout_s = timeout_s.or(Some(TEST_SECONDS));
    // Only where it is more than the default: outputs are often printed with few digits.
    tests.tolerance = stated_tolerance(question).filter(|stated| *stated > DEFAULT_TOLERANCE);
    let function = tests.fn_name.as_ref();
    let function = function.map(|name| format!("Write the function `{name}`."));
    let prompt = contest_prompt(question, function, row);
    let id = row.name(&["problem_id", "id"]);
    let id = format!("{source}/{}", id.unwrap_or_else(|| number.to_string()));
    let mut problem = Problem::new(id, source, Domain::Code, prompt, Answer::Tests(tests));
    keep(&mut problem, row, &["difficulty", "url"]);
    if let Some(Value::Object(metadata)) = row.get("metadata") {
        keep(&mut problem, metadata, &["difficulty", "url"]);
    }
    Ok(problem)
}
