//! Problems with more than one right output.
#![cfg(feature = "sandbox")]
#![allow(clippy::unwrap_used)]

#[path = "../../sky-sandbox/tests/guest/mod.rs"]
mod guest;

use serde_json::{Value, json};
use sky_types::{Answer, Check, CheckError, CheckOutcome, Domain, FinishReason, Problem, Verdict};
use sky_verify::CodeCheck;

fn check(tests: &Value, program: &str) -> Option<Result<CheckOutcome, CheckError>> {
    guest::sandbox()?;
    let checker = CodeCheck::open(&guest::sky_home()).unwrap();
    let tests = serde_json::from_value(tests.clone()).unwrap();
    let problem = Problem::new("p", "own", Domain::Code, "", Answer::Tests(tests));
    let reply = format!("```python\n{program}\n```");
    Some(checker.check(&problem, &reply, FinishReason::Stop))
}

/// The verdicts of several programs on one problem are these.
fn verdicts(tests: &Value, cases: &[(&str, Verdict)]) {
    for (program, verdict) in cases {
        let Some(checked) = check(tests, program) else {
            return;
        };
        let checked = checked.unwrap();
        assert_eq!(checked.verdict, *verdict, "{program}: {}", checked.detail);
    }
}

#[test]
fn any_accepted_output_is_right() {
    let tests =
        json!({"inputs": ["1", "2"], "outputs": ["a", "b"], "accepted": [["A", "one"], []]});
    verdicts(
        &tests,
        &[
            ("print({'1': 'a', '2': 'b'}[input()])", Verdict::Correct),
            ("print({'1': 'one', '2': 'b'}[input()])", Verdict::Correct),
            ("print({'1': 'a', '2': 'one'}[input()])", Verdict::Wrong),
        ],
    );
    let returned = json!({"inputs": [[4]], "outputs": [2], "accepted": [[-2]], "fn_name": "root"});
    verdicts(
        &returned,
        &[
            ("def root(x): return -2", Verdict::Correct),
            ("def root(x): return 3", Verdict::Wrong),
        ],
    );
}

#[test]
fn the_problem_says_how_outputs_are_compared() {
    let any_case = json!({"inputs": [""], "outputs": ["YES\nNO"], "compare": "words_any_case"});
    let exact = json!({"inputs": [""], "outputs": ["YES\nNO"], "compare": "exact"});
    let any_order = json!({"inputs": [""], "outputs": ["1 2\n3"], "compare": "lines_any_order"});
    verdicts(&any_case, &[("print('Yes no')", Verdict::Correct)]);
    verdicts(
        &exact,
        &[
            ("print('YES\\nNO')", Verdict::Correct),
            ("print('YES \\nNO')", Verdict::Wrong),
        ],
    );
    verdicts(
        &any_order,
        &[
            ("print('3\\n1 2')", Verdict::Correct),
            ("print('3\\n2 1')", Verdict::Wrong),
        ],
    );
    let loose = json!({"inputs": [""], "outputs": ["3.14159"], "tolerance": 0.01});
    let by_value = json!({"inputs": [""], "outputs": ["2.50"], "tolerance": 0});
    verdicts(
        &loose,
        &[
            ("print(3.14)", Verdict::Correct),
            ("print(3.2)", Verdict::Wrong),
        ],
    );
    verdicts(
        &by_value,
        &[
            ("print(2.5)", Verdict::Correct),
            ("print(2.5000001)", Verdict::Wrong),
        ],
    );
}

/// Two numbers whose sum is the input.
const JUDGE: &str = "
def accepts(input, expected, output):
    numbers = [int(word) for word in output.split()]
    return len(numbers) == 2 and sum(numbers) == int(input)
";

#[test]
fn a_special_judge_decides_and_cannot_be_fooled_from_the_program() {
    let tests = json!({"inputs": ["5", "8"], "outputs": ["2 3", "4 4"], "judge": JUDGE});
    verdicts(
        &tests,
        &[
            ("print(1, int(input()) - 1)", Verdict::Correct),
            ("print(2, 3)", Verdict::Wrong),
            ("print('nonsense')", Verdict::Wrong),
            ("print('1' * 10**6, 1)", Verdict::Wrong),
            // The judge runs where none of this has happened.
            (
                "import builtins\nbuiltins.sum = lambda x: 5\nbuiltins.int = lambda x: 5\nprint(1, 1)",
                Verdict::Wrong,
            ),
            (
                "import os\nos.write(101, b'{\"returned\": true}')\nprint(1, 1)",
                Verdict::Wrong,
            ),
            ("print(1, 4)\nraise SystemExit(1)", Verdict::RuntimeError),
        ],
    );
    let returned = json!({
        "inputs": [[6]], "outputs": [[1, 6]], "fn_name": "factors",
        "judge": "def accepts(input, expected, output): return output[0] * output[1] == input[0]",
    });
    verdicts(
        &returned,
        &[
            ("def factors(n): return (2, 3)", Verdict::Correct),
            ("def factors(n): return [2, 2]", Verdict::Wrong),
            ("def factors(n): return None", Verdict::Wrong),
        ],
    );
}

#[test]
fn each_limit_has_a_verdict_of_its_own() {
    let tests = json!({"inputs": [""], "outputs": ["x"], "timeout_s": 0.2});
    let deep = "import sys\nsys.setrecursionlimit(2**31 - 1)\nclass A:\n    def __repr__(self): return repr(self)\nrepr(A())";
    verdicts(
        &tests,
        &[
            ("while True: pass", Verdict::TimedOut),
            (
                "x = []\nwhile True: x.append(bytes(10**6))",
                Verdict::OutOfMemory,
            ),
            ("def f(): f()\nf()", Verdict::RecursionLimit),
            (deep, Verdict::RecursionLimit),
            ("while True: print('x' * 10**6)", Verdict::OutputLimit),
            ("1 / 0", Verdict::RuntimeError),
            ("1 +", Verdict::CompileError),
        ],
    );
}

#[test]
fn only_true_accepts() {
    for judge in [
        "def accepts(input, expected, output): return 1",
        "def accepts(input, expected, output): return output",
        "def accepts(input, expected, output): pass",
        "def accepts(input, expected, output): raise SystemExit(0)",
        "def accepts(input, expected, output):\n    while True: pass",
    ] {
        let tests = json!({"inputs": [""], "outputs": ["x"], "judge": judge, "timeout_s": 0.1});
        verdicts(&tests, &[("print(True)", Verdict::Wrong)]);
    }
}

#[test]
fn a_problem_that_cannot_be_judged_is_named_not_counted_wrong() {
    for tests in [
        json!({"inputs": ["", ""], "outputs": ["x", "y"], "accepted": [["z"]]}),
        json!({"inputs": [""], "outputs": ["x"], "judge": "def accepts("}),
        json!({"inputs": [""], "outputs": ["x"], "judge": "1 / 0"}),
    ] {
        let Some(checked) = check(&tests, "print('x')") else {
            return;
        };
        let error = checked.unwrap_err();
        assert!(matches!(error, CheckError::Unsupported { .. }), "{error}");
    }
}
