//! Programs whose verdicts other graders recorded: ours agree.
#![cfg(feature = "sandbox")]
#![allow(clippy::unwrap_used)]

#[path = "../../sky-sandbox/tests/guest/mod.rs"]
mod guest;

use serde_json::Value;
use sky_types::{Answer, Check, Domain, FinishReason, Problem, Program, Tests, Verdict};
use sky_verify::CodeCheck;

fn rows(path: &str) -> Option<Vec<Value>> {
    let text = std::fs::read_to_string(guest::shared_data(path)?).unwrap();
    Some(
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect(),
    )
}

fn checker() -> Option<CodeCheck> {
    guest::sandbox()?;
    Some(CodeCheck::open(&guest::sky_home()).unwrap())
}

fn tests(input_output: &str) -> Problem {
    let tests: Tests = serde_json::from_str(input_output).unwrap();
    Problem::new("t", "t", Domain::Code, "", Answer::Tests(tests))
}

fn verdict(checker: &CodeCheck, problem: &Problem, program: &str) -> (Verdict, String) {
    let reply = if program.contains("```") {
        program.to_owned()
    } else {
        format!("```python\n{program}\n```")
    };
    let checked = checker.check(problem, &reply, FinishReason::Stop).unwrap();
    (checked.verdict, checked.detail)
}

#[test]
fn the_published_scorers_cases_agree() {
    let (Some(checker), Some(rows)) = (checker(), rows("skythought_code_scorer_cases/cases.jsonl"))
    else {
        return;
    };
    assert!(!rows.is_empty());
    for row in rows {
        let problem = tests(row["input_output"].as_str().unwrap());
        let found = verdict(&checker, &problem, row["response"].as_str().unwrap());
        assert_eq!(
            found.0.is_correct(),
            row["expected_score"].as_bool().unwrap(),
            "{found:?} {}",
            row["kind"]
        );
    }
}

#[test]
fn apps_reference_solutions_pass() {
    let (Some(checker), Some(rows)) = (checker(), rows("apps_sample/apps_train5.jsonl")) else {
        return;
    };
    let (mut passed, mut no_programs) = (0, 0);
    for row in rows {
        let problem = tests(row["input_output"].as_str().unwrap());
        for solution in row["solutions"].as_array().unwrap() {
            let found = verdict(&checker, &problem, solution.as_str().unwrap());
            // Three of the 35 return at the top level, which works only inside the data set's own
            // wrapper; CPython itself calls them a syntax error.
            if found.1.contains("SyntaxError: 'return' outside function") {
                assert_eq!(found.0, Verdict::CompileError);
                no_programs += 1;
                continue;
            }
            assert_eq!(found.0, Verdict::Correct, "{found:?} {solution}");
            passed += 1;
        }
    }
    assert!(passed > 0 && no_programs <= 3, "{passed}, {no_programs}");
    eprintln!("APPS: {passed} reference solutions, {no_programs} that are no programs");
}

#[test]
fn functions_and_classes_are_called_with_their_arguments() {
    let Some(checker) = checker() else { return };
    let problem = tests(
        r#"{"inputs": [[[2, 7, 11], 9], [[3, 3], 6]], "outputs": [[0, 1], [[0, 1]]], "fn_name": "two_sum"}"#,
    );
    let body = "seen = {}\n        for i, x in enumerate(a):\n            if t - x in seen: return (seen[t - x], i)\n            seen[x] = i";
    for program in [
        format!("def two_sum(a, t):\n    if True:\n        {body}"),
        format!(
            "class Solution:\n    def two_sum(self, a: List[int], t: int) -> List[int]:\n        {body}"
        ),
    ] {
        let found = verdict(&checker, &problem, &program);
        assert_eq!(found.0, Verdict::Correct, "{found:?}");
    }
    for (program, expected) in [
        ("def two_sum(a, t): return [1, 0]", Verdict::Wrong),
        ("def two_sum(a, t): return 1 / 0", Verdict::RuntimeError),
        (
            "def two_sum(a, t):\n    while True: pass",
            Verdict::TimedOut,
        ),
        ("def other(a, t): return [0, 1]", Verdict::RuntimeError),
        ("def two_sum(a, t: return", Verdict::CompileError),
        (
            "import os\ndef two_sum(a, t):\n    os.write(101, b'{\"returned\": [9, 9]}')\n    os._exit(0)",
            Verdict::Wrong,
        ),
    ] {
        assert_eq!(
            verdict(&checker, &problem, program).0,
            expected,
            "{program}"
        );
    }
    let lines = tests(
        r#"{"inputs": ["[1, 2]\n\"ab\""], "outputs": ["{\"n\": [1, 2, \"ab\"]}"], "fn_name": "f"}"#,
    );
    let found = verdict(&checker, &lines, "def f(a, b): return {'n': a + [b]}");
    assert_eq!(found.0, Verdict::Correct, "{found:?}");
}

#[test]
fn replies_without_a_whole_program_say_so() {
    let Some(checker) = checker() else { return };
    let problem = tests(r#"{"inputs": ["1"], "outputs": ["1"]}"#);
    let check = |reply: &str, reason| checker.check(&problem, reply, reason).unwrap().verdict;
    assert_eq!(
        check("I do not know.", FinishReason::Stop),
        Verdict::Unparsed
    );
    assert_eq!(
        check("I do not know yet", FinishReason::Length),
        Verdict::Truncated
    );
    assert_eq!(
        check("```python\nprint(in", FinishReason::Length),
        Verdict::Truncated
    );
    assert_eq!(check("", FinishReason::Refused), Verdict::Refused);
    assert_eq!(
        check("```python\nprint(input())\n```", FinishReason::Length),
        Verdict::Correct
    );
    assert_eq!(
        check("For example, if x = 3 then so it is.", FinishReason::Stop),
        Verdict::Unparsed
    );
}

/// What HumanEval+ adds: more inputs, on which a candidate has to agree with the reference
/// solution.
fn human_eval_plus(row: &Value) -> Problem {
    let inputs =
        [&row["base_input"], &row["plus_input"]].map(|inputs| inputs.as_array().unwrap().clone());
    let text = |key: &str| row[key].as_str().unwrap();
    let test = format!(
        "import copy, json\nREFERENCE = {}\nINPUTS = json.loads({})\ndef same(a, b):\n    \
         if isinstance(a, float) or isinstance(b, float):\n        return a == b or abs(a - b) <= {} + 1e-6 * abs(b)\n    \
         if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):\n        \
         return len(a) == len(b) and all(map(same, a, b))\n    return a == b\n\
         def check(candidate):\n    space = {{}}\n    exec(REFERENCE, space)\n    reference = space[{}]\n    \
         for arguments in INPUTS:\n        expected = reference(*copy.deepcopy(arguments))\n        \
         assert same(candidate(*copy.deepcopy(arguments)), expected), arguments\n",
        Value::from(format!("{}{}", text("prompt"), text("canonical_solution"))),
        Value::from(Value::from(inputs.concat()).to_string()),
        row["atol"],
        row["entry_point"],
    );
    let program = Program {
        test,
        entry_point: Some(text("entry_point").to_owned()),
        prefix: Some(text("prompt").to_owned()),
        timeout_s: Some(20.0),
    };
    Problem::new(
        text("task_id"),
        "humanevalplus",
        Domain::Code,
        "",
        Answer::Program(program),
    )
}

#[test]
fn human_eval_plus_takes_its_reference_solutions_and_no_stubs() {
    use rayon::prelude::*;
    let (Some(checker), Some(rows)) = (checker(), rows("humanevalplus/HumanEvalPlus-Mini.jsonl"))
    else {
        return;
    };
    assert_eq!(rows.len(), 164);
    let failures: Vec<String> = rows
        .par_iter()
        .flat_map_iter(|row| {
            let problem = human_eval_plus(row);
            let verdict = |reply: &str| checker.check(&problem, reply, FinishReason::Stop).unwrap();
            let right = verdict(row["canonical_solution"].as_str().unwrap());
            let stub = verdict("    return 'no such thing'\n");
            let mut failures = Vec::new();
            if !right.verdict.is_correct() {
                failures.push(format!(
                    "{}: {} {}",
                    problem.id, right.verdict, right.detail
                ));
            }
            if stub.verdict.is_correct() {
                failures.push(format!("{}: takes a stub", problem.id));
            }
            failures
        })
        .collect();
    assert_eq!(failures, Vec::<String>::new());
}

/// Completions that a model really wrote. Nobody recorded which are right, but running them twice
/// must say the same, and whatever they do must be a verdict.
#[test]
fn a_models_own_completions_have_one_verdict_each() {
    use rayon::prelude::*;
    let home = guest::sky_home().join("datasets/humaneval/HumanEval.jsonl.gz");
    let (Some(checker), Some(rows)) = (
        checker(),
        rows("humaneval_codegen16b_samples/samples.jsonl"),
    ) else {
        return;
    };
    let Ok(file) = std::fs::File::open(home) else {
        guest::skipped("HumanEval is not set up");
        return;
    };
    let mut tests = std::collections::HashMap::new();
    let lines =
        std::io::BufRead::lines(std::io::BufReader::new(flate2::read::GzDecoder::new(file)));
    for line in lines {
        let row: Value = serde_json::from_str(&line.unwrap()).unwrap();
        tests.insert(
            row["task_id"].as_str().unwrap().to_owned(),
            row["test"].as_str().unwrap().to_owned(),
        );
    }
    let per_problem = 3;
    let all = || -> Vec<(Verdict, String)> {
        rows.par_iter()
            .flat_map_iter(|row| {
                let text = |key: &str| row[key].as_str().unwrap();
                let program = Program {
                    test: tests[text("task_id")].clone(),
                    entry_point: Some(text("entry_point").to_owned()),
                    prefix: Some(text("prompt").to_owned()),
                    timeout_s: None,
                };
                let problem = Problem::new(
                    text("task_id"),
                    "humaneval",
                    Domain::Code,
                    "",
                    Answer::Program(program),
                );
                let samples = row["samples"].as_array().unwrap().iter().take(per_problem);
                samples
                    .map(|sample| {
                        let checked = checker
                            .check(&problem, sample.as_str().unwrap(), FinishReason::Stop)
                            .unwrap();
                        (checked.verdict, checked.detail)
                    })
                    .collect::<Vec<_>>()
            })
            .collect()
    };
    let (first, second) = (all(), all());
    assert_eq!(first, second);
    let right = first
        .iter()
        .filter(|(verdict, _)| verdict.is_correct())
        .count();
    eprintln!("CodeGen-16B: {right} of {} completions pass", first.len());
    assert!(right > 0 && right < first.len());
}

/// SandboxFusion's copies of MBPP, with the reference solutions that its own tests expect to pass.
#[test]
fn sandbox_fusions_mbpp_samples_pass() {
    let (Some(checker), Some(rows)) = (
        checker(),
        rows("sandboxfusion_samples/code_eval_mbpp.jsonl"),
    ) else {
        return;
    };
    for row in rows {
        let asserts = row["test_list"].as_array().unwrap().iter();
        let asserts: Vec<_> = asserts.map(|line| line.as_str().unwrap()).collect();
        let setup = row["labels"]["test_setup_code"]
            .as_str()
            .unwrap_or_default();
        let answer = |test| {
            Answer::Program(Program {
                test,
                entry_point: None,
                prefix: None,
                timeout_s: None,
            })
        };
        let solution = row["canonical_solution"]
            .as_str()
            .unwrap()
            .replace('\r', "");
        let problem = |test| Problem::new("mbpp", "mbpp", Domain::Code, "", answer(test));
        let right = problem(format!("{setup}\n{}", asserts.join("\n")));
        let found = verdict(&checker, &right, &solution);
        assert_eq!(found.0, Verdict::Correct, "{found:?} {}", row["id"]);
        let never = problem(format!("{setup}\n{}\nassert False", asserts.join("\n")));
        assert_eq!(verdict(&checker, &never, &solution).0, Verdict::Wrong);
    }
}
