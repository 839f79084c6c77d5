//! Formulas of many notations: functions and names in plain text, units in letters, sets,
//! statements, conditions. Each row holds answers that mean the gold answer, and some that do not.
#![allow(clippy::unwrap_used)]

use sky_math::{MathChecker, Options};

/// `gold || equal answers || unequal answers`, answers parted by ` ;; ` (`-`: none). `#` begins a category.
const TABLE: &str = include_str!("data/formulas.txt");

/// A gold answer, an answer, and whether it means the same.
fn pairs() -> impl Iterator<Item = (&'static str, &'static str, bool)> {
    let rows = TABLE.lines().filter(|line| !line.starts_with('#'));
    rows.flat_map(|line| {
        let mut fields = line.split(" || ").map(str::trim);
        let gold = fields.next().unwrap();
        [true, false]
            .into_iter()
            .zip(fields)
            .flat_map(move |(equal, answers)| {
                let answers = answers.split(" ;; ").filter(|a| *a != "-");
                answers.map(move |answer| (gold, answer, equal))
            })
    })
}

#[test]
fn every_row_of_the_table() {
    let checker = MathChecker::new(Options::default());
    let mut misses = Vec::new();
    for (gold, answer, equal) in pairs() {
        for response in [
            answer.to_owned(),
            format!(r"So it is $\boxed{{{answer}}}$."),
        ] {
            let verdict = checker.check(gold, &response);
            if verdict.is_correct() != equal {
                misses.push(format!("{gold} and {response}: {verdict:?}"));
            }
        }
    }
    assert!(
        misses.is_empty(),
        "{} misses:\n{}",
        misses.len(),
        misses.join("\n")
    );
}

#[test]
fn equality_has_no_side() {
    let checker = MathChecker::new(Options::default());
    for (gold, answer, _) in pairs() {
        assert_eq!(
            checker.equal(gold, answer),
            checker.equal(answer, gold),
            "{gold} and {answer}"
        );
    }
}

/// A mark behind a number in prose is no factorial, in a formula it is.
#[test]
fn exclamations() {
    let checker = MathChecker::new(Options::default());
    for (gold, response, correct) in [
        ("5", "The answer is 5!", true),
        ("120", "The answer is 5!", false),
        ("5!", "The answer is 5!", true),
        ("120", "The answer is $5!$", true),
        ("120", "5!", true),
        ("n!", "The answer is n!", true),
        ("24", "So the answer is 4!.", true),
    ] {
        let verdict = checker.check(gold, response);
        assert_eq!(
            verdict.is_correct(),
            correct,
            "{gold} and {response}: {verdict:?}"
        );
    }
}

/// Numbers that take long to divide are paid for: each of these ends within its steps.
#[test]
fn large_powers_are_paid_for() {
    let checker = MathChecker::new(Options::default());
    for answer in [
        "2.47^{10^4}",
        "2.48^{10^4}",
        r"(\frac{7}{3})^{-40000}",
        r"\frac{10^{20000}}{3^{9000}}",
        r"\sum_{k=0}^{1000} \binom{1000}{k}",
    ] {
        for gold in ["2.47*10^4", "24700", "3.14"] {
            let verdict = checker.check(gold, &format!(r"$\boxed{{{answer}}}$"));
            assert!(!verdict.is_correct(), "{gold} and {answer}");
            assert!(
                verdict.steps <= 1_000_000,
                "{answer}: {} steps",
                verdict.steps
            );
        }
    }
}
