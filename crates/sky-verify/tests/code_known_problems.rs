//! The judges of known problems (`sky-data`, `sources/judges/`), each with outputs that it has to
//! accept and to refuse.
#![cfg(feature = "sandbox")]
#![allow(clippy::unwrap_used)]

#[path = "../../sky-sandbox/tests/guest/mod.rs"]
mod guest;

use serde_json::json;
use sky_types::{Answer, Check, Domain, FinishReason, Problem};
use sky_verify::CodeCheck;

/// Judge, input, the benchmark's output, right outputs, wrong ones.
type Row<'a> = (&'a str, &'a str, &'a str, &'a [&'a str], &'a [&'a str]);

/// Whether the judge accepts what a program prints.
fn accepts(checker: &CodeCheck, judge: &str, input: &str, expected: &str, printed: &str) -> bool {
    let judge = guest::workspace().join(format!("crates/sky-data/src/sources/judges/{judge}.py"));
    let judge = std::fs::read_to_string(judge).unwrap();
    let tests = json!({"inputs": [input], "outputs": [expected], "judge": judge});
    let answer = Answer::Tests(serde_json::from_value(tests).unwrap());
    let problem = Problem::new("p", "own", Domain::Code, "", answer);
    let reply = format!("```python\nprint({printed:?})\n```");
    let checked = checker.check(&problem, &reply, FinishReason::Stop);
    checked.unwrap().verdict.is_correct()
}

#[test]
fn judges_accept_every_right_output_and_no_wrong_one() {
    if guest::sandbox().is_none() {
        return;
    }
    let checker = CodeCheck::open(&guest::sky_home()).unwrap();
    let table: [Row<'_>; 6] = [
        (
            "abc311_c",
            "7\n6 7 2 1 3 4 5",
            "4\n7 5 3 2",
            &["4\n7 5 3 2", "4\n2 7 5 3", "3\n6 4 1"],
            &["4\n7 5 2 3", "8\n7 5 3 2 7 5 3 2", "1\n1", "0", "x", "1\n9"],
        ),
        (
            "abc326_d",
            "3\nABC\nABC",
            "Yes\nABC\nBCA\nCAB",
            &["Yes\nABC\nBCA\nCAB"],
            &[
                "No",
                "Yes\nACB\nBAC\nCBA",
                "Yes\nABC\nBCA",
                "Yes\nABC\nBCA\nCAX",
            ],
        ),
        (
            "abc333_e",
            "4\n1 1\n1 1\n1 2\n2 1",
            "1\n0 1 0",
            &["1\n0 1 0", "1\n1 0 0"],
            &[
                "1\n0 0 0",
                "1\n1 1 0",
                "2\n1 1 0",
                "1\n0 1",
                "1\n0 1 0 0",
                "-1",
            ],
        ),
        (
            "abc343_e",
            "840 84 7",
            "Yes\n0 0 0 0 6 0 6 0 0",
            &["Yes\n0 0 0 0 6 0 6 0 0", "Yes\n1 1 1 1 7 1 7 1 1"],
            &[
                "No",
                "Yes\n0 0 0 0 0 0 0 0 0",
                "Yes\n0 0 0 0 6 0",
                "Yes\n200 0 0 200 6 0 206 0 0",
            ],
        ),
        (
            "abc362_c",
            "3\n3 5\n-4 1\n-2 3",
            "Yes\n4 -3 -1",
            &["Yes\n4 -3 -1", "Yes\n3 -4 1"],
            &["No", "Yes\n6 -4 -2", "Yes\n3 -4 2", "Yes\n3 -3", ""],
        ),
        ("abc362_c", "1\n1 2", "No", &["No"], &["Yes\n0", "NO x"]),
    ];
    for (judge, input, expected, right, wrong) in table {
        for printed in right {
            assert!(
                accepts(&checker, judge, input, expected, printed),
                "{judge} {printed}"
            );
        }
        for printed in wrong {
            assert!(
                !accepts(&checker, judge, input, expected, printed),
                "{judge} {printed}"
            );
        }
    }
}

#[test]
fn the_order_of_a_returned_list_may_not_matter() {
    if guest::sandbox().is_none() {
        return;
    }
    let checker = CodeCheck::open(&guest::sky_home()).unwrap();
    let judge = guest::workspace().join("crates/sky-data/src/sources/judges/any_order.py");
    let judge = std::fs::read_to_string(judge).unwrap();
    let tests = json!({"fn_name": "f", "inputs": ["3"], "outputs": ["[\"b\", \"a\", \"a\"]"], "judge": judge});
    for (program, right) in [
        ("def f(n): return ['a', 'b', 'a']", true),
        ("def f(n): return ('a', 'a', 'b')", true),
        ("def f(n): return ['a', 'b', 'b']", false),
        ("def f(n): return ['a', 'b']", false),
        ("def f(n): return 'aab'", false),
    ] {
        let answer = Answer::Tests(serde_json::from_value(tests.clone()).unwrap());
        let problem = Problem::new("p", "own", Domain::Code, "", answer);
        let reply = format!("```python\n{program}\n```");
        let checked = checker.check(&problem, &reply, FinishReason::Stop).unwrap();
        assert_eq!(
            checked.verdict.is_correct(),
            right,
            "{program}: {checked:?}"
        );
    }
}
