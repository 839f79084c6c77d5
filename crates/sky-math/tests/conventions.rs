//! Pairs from mathematics, by category: each row holds answers that mean the gold answer, and
//! answers that do not.
#![allow(clippy::unwrap_used)]

use sky_math::{Grade, MathChecker, Options, Percent};

/// `gold | equal answers | unequal answers`, answers parted by ` ;; `. `#` begins a category.
const TABLE: &str = include_str!("data/pairs.txt");

#[test]
fn every_row_of_the_table() {
    let checker = MathChecker::new(Options::default());
    let mut category = "";
    let (mut pairs, mut misses) = (0, Vec::new());
    for (number, line) in TABLE.lines().enumerate() {
        if let Some(name) = line.strip_prefix('#') {
            category = name.trim();
            continue;
        }
        let fields: Vec<&str> = line.split(" || ").collect();
        let [gold, equal, unequal] = fields.as_slice() else {
            assert!(
                line.trim().is_empty(),
                "line {}: three fields wanted: {line}",
                number + 1
            );
            continue;
        };
        for (answers, expected) in [(equal, true), (unequal, false)] {
            for answer in answers
                .split(" ;; ")
                .map(str::trim)
                .filter(|a| !a.is_empty())
            {
                // The same through every common frame of a response.
                for frame in [
                    "$\\boxed{@}$",
                    "We get $7$. The answer is $@$.",
                    "**Answer:** $@$",
                ] {
                    let framed = frame.replace('@', answer);
                    pairs += 1;
                    let verdict = checker.check(gold.trim(), &framed);
                    if verdict.is_correct() != expected {
                        misses.push(format!(
                            "line {} [{category}] expected {expected}: gold {gold} answer {framed} extracted {:?}: {}",
                            number + 1,
                            verdict.extracted,
                            verdict.reason
                        ));
                    }
                }
            }
        }
    }
    println!("{pairs} pairs, {} misses", misses.len());
    assert!(
        misses.is_empty(),
        "{} misses of {pairs}:\n{}",
        misses.len(),
        misses.join("\n")
    );
}

/// `gold >> response >> verdict`, the verdict by its first letter.
const RESPONSES: &str = include_str!("data/responses.txt");

#[test]
fn every_response_of_the_table() {
    let checker = MathChecker::new(Options::default());
    let mut misses = Vec::new();
    for line in RESPONSES.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.split(" >> ").collect();
        let [gold, response, expected] = fields.as_slice() else {
            panic!("three fields wanted: {line}");
        };
        let verdict = checker.check(gold, response);
        let wanted = match expected.trim() {
            "c" => Grade::Correct,
            "w" => Grade::Wrong,
            "u" => Grade::Unparsed,
            other => panic!("no verdict: {other}"),
        };
        if verdict.grade != wanted {
            misses.push(format!("{line}: {verdict:?}"));
        }
    }
    assert!(misses.is_empty(), "{}", misses.join("\n"));
}

#[test]
fn equality_of_the_table_is_symmetric() {
    let checker = MathChecker::new(Options::default());
    for line in TABLE
        .lines()
        .filter(|l| !l.starts_with('#') && !l.trim().is_empty())
    {
        let fields: Vec<&str> = line.split(" || ").collect();
        for answer in fields[1]
            .split(" ;; ")
            .chain(fields[2].split(" ;; "))
            .map(str::trim)
        {
            assert_eq!(
                checker.equal(fields[0], answer),
                checker.equal(answer, fields[0]),
                "{} and {answer}",
                fields[0]
            );
        }
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn conventions_are_switches() {
    let base = Options::default();
    let cases: [(&str, &str, Options); 10] = [
        (
            "5",
            "x = 5",
            Options {
                assignment_is_value: false,
                ..base.clone()
            },
        ),
        (
            "5",
            r"5 \text{ cm}",
            Options {
                units_optional: false,
                ..base.clone()
            },
        ),
        (
            r"36^\circ",
            "36",
            Options {
                degrees_optional: false,
                ..base.clone()
            },
        ),
        (
            r"20\%",
            "20",
            Options {
                percent: Percent::Hundredth,
                ..base.clone()
            },
        ),
        (
            r"(-\infty, 2]",
            r"x \le 2",
            Options {
                relation_as_set: false,
                ..base.clone()
            },
        ),
        (
            r"\{1, 2\}",
            "2, 1",
            Options {
                bare_list: false,
                ..base.clone()
            },
        ),
        (
            "1.414",
            r"\sqrt{2}",
            Options {
                decimal_gold_digits: None,
                ..base.clone()
            },
        ),
        (
            r"\log 100",
            "2",
            Options {
                decimal_log: false,
                ..base.clone()
            },
        ),
        (
            "(0, 9)",
            r"]0, 9[",
            Options {
                point_or_interval: false,
                ..base.clone()
            },
        ),
        (
            "Even",
            "even",
            Options {
                ignore_case: false,
                ..base.clone()
            },
        ),
    ];
    for (gold, answer, off) in cases {
        let boxed = format!("$\\boxed{{{answer}}}$");
        assert!(
            MathChecker::new(base.clone())
                .check(gold, &boxed)
                .is_correct(),
            "{gold} {answer}"
        );
        assert!(
            !MathChecker::new(off).check(gold, &boxed).is_correct(),
            "{gold} {answer} switched off"
        );
    }
    let based = Options {
        base_optional: true,
        ..base.clone()
    };
    assert!(
        MathChecker::new(based)
            .check("204_5", r"\boxed{204}")
            .is_correct()
    );
    assert!(
        !MathChecker::new(base)
            .check("204_5", r"\boxed{204}")
            .is_correct()
    );
    let long_decimals = MathChecker::new(Options {
        decimal_answer_digits: Some(10),
        ..Options::default()
    });
    for (gold, answer, equal) in [
        (r"\frac{1}{3}", "0.3333333333", true),
        (r"\frac{1}{3}", "0.333333333", false),
        (r"\frac{2}{3}", "0.6666666667", true),
        (r"\frac{2}{3}", "0.6666666666", false),
        (r"\frac{1}{4}", "0.2500000001", false),
        (r"-\frac{100}{7}", "-14.28571429", true),
        (r"\sqrt{2}", "1.4142135624", false),
    ] {
        let verdict = long_decimals.check(gold, &format!(r"\boxed{{{answer}}}"));
        assert_eq!(verdict.is_correct(), equal, "{gold} {answer}");
    }
    assert!(
        !MathChecker::new(Options::default())
            .check(r"\frac{1}{3}", r"\boxed{0.3333333333}")
            .is_correct()
    );
    let rounded = Options {
        round_decimals: Some(2),
        ..Options::default()
    };
    assert!(
        MathChecker::new(rounded)
            .check(r"\frac{8}{3}", r"\boxed{2.6667}")
            .is_correct()
    );
    assert!(
        MathChecker::new(Options::math_verify())
            .check("0.333333", r"\boxed{1/3}")
            .is_correct()
    );
    // A relation for a set counts there the other way round only.
    let theirs = MathChecker::new(Options::math_verify());
    assert!(!theirs.check(r"(-\infty, 2)", r"\boxed{x < 2}").is_correct());
    assert!(theirs.check("x < 2", r"\boxed{(-\infty, 2)}").is_correct());
    assert!(
        !MathChecker::new(Options::strict())
            .check("5", r"\boxed{x = 5}")
            .is_correct()
    );
}
