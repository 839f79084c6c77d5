//! Programs whose verdicts other graders recorded: ours agree.
#![cfg(feature = "python")]
#![allow(clippy::unwrap_used)]

mod guest;

use serde_json::Value;
use sky_types::{Answer, Check, Domain, FinishReason, Problem, Tests, Verdict};
use sky_verify::python::CodeChecker;

fn rows(path: &str) -> Option<Vec<Value>> {
    let text = std::fs::read_to_string(guest::shared_data(path)?).unwrap();
    Some(
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect(),
    )
}

fn checker() -> Option<CodeChecker> {
    guest::sandbox()?;
    Some(CodeChecker::open(&guest::sky_home()).unwrap())
}

fn tests(input_output: &str) -> Problem {
    let tests: Tests = serde_json::from_str(input_output).unwrap();
    Problem::new("t", "t", Domain::Code, "", Answer::Tests(tests))
}

fn verdict(checker: &CodeChecker, problem: &Problem, program: &str) -> (Verdict, String) {
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
            // Three of the 35 return at the top level, which works only inside the data set's own wrapper; CPython itself
            // calls them a syntax error.
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
