//! Answers read out of prose, by kind: each row has a gold answer, a response and whether the
//! response is right. `\n` stands for the end of a line.
#![allow(clippy::unwrap_used)]

use sky_math::{MathChecker, Options};

const TABLE: &str = include_str!("data/prose.txt");

/// The response with its line ends; `\nu` and `\ne` begin a LaTeX command.
fn lines(response: &str) -> String {
    response
        .replace("\\nu", "\u{1}u")
        .replace("\\ne", "\u{1}e")
        .replace("\\n", "\n")
        .replace('\u{1}', "\\n")
}

#[test]
fn every_row_of_the_table() {
    let checker = MathChecker::new(Options::default());
    let (mut kind, mut rows, mut misses) = ("", 0, Vec::new());
    for line in TABLE.lines() {
        if let Some(name) = line.strip_prefix("# ") {
            kind = name;
            continue;
        }
        let fields: Vec<&str> = line.split(" >> ").collect();
        let [gold, response, expected] = fields.as_slice() else {
            panic!("three fields wanted: {line}");
        };
        assert!(matches!(*expected, "c" | "n"), "c or n wanted: {line}");
        rows += 1;
        let verdict = checker.check(&lines(gold), &lines(response));
        if verdict.is_correct() != (*expected == "c") {
            misses.push(format!(
                "[{kind}] {line}: {:?} by {:?}: {}",
                verdict.extracted, verdict.rule, verdict.reason
            ));
        }
    }
    assert!(rows > 300, "{rows} rows");
    assert!(
        misses.is_empty(),
        "{} misses of {rows}:\n{}",
        misses.len(),
        misses.join("\n")
    );
}
