//! The rows of `docs/math-conventions.md` are true: the second column is equal, the third is not.
#![allow(clippy::unwrap_used)]

use std::{fs, path::Path};

use sky_math::{Grade, MathChecker, Options};

/// The code spans of a text, with the table's escapes undone.
fn codes(text: &str) -> Vec<String> {
    text.split('`')
        .skip(1)
        .step_by(2)
        .map(|code| code.replace(r"\|", "|"))
        .collect()
}

/// The cells of a table's row; a bar behind a backslash is part of a cell.
fn cells(row: &str) -> Vec<String> {
    const ESCAPED: &str = "\u{1}";
    row.replace(r"\|", ESCAPED)
        .trim_matches('|')
        .split('|')
        .map(|cell| cell.replace(ESCAPED, r"\|"))
        .collect()
}

#[test]
fn every_row_of_the_page_is_true() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/math-conventions.md");
    let text = fs::read_to_string(page).unwrap();
    let checker = MathChecker::new(Options::default());
    let mut pairs = 0;
    for row in text.lines().filter(|line| line.starts_with('|')) {
        let cells = cells(row);
        assert_eq!(cells.len(), 3, "{row}");
        for (cell, equal) in [(&cells[1], true), (&cells[2], false)] {
            for group in cell.split(';') {
                let codes = codes(group);
                let Some((gold, answers)) = codes.split_first() else {
                    continue;
                };
                for answer in answers {
                    let grade = checker.check(gold, answer).grade;
                    assert_eq!(grade == Grade::Correct, equal, "{gold} and {answer}: {row}");
                    pairs += 1;
                }
            }
        }
    }
    assert!(pairs > 100, "{pairs} pairs");
}
