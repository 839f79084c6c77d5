//! What the generator promises, over seeds and families.
#![allow(clippy::unwrap_used)]

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    path::Path,
};

use sky_data::{
    DataError, Disjoint, Family, ProblemFile, ProblemPaths, ProblemsConfig, generate,
    load_problems, normalise,
};
use sky_types::{Answer, Problem};

fn math(problem: &Problem) -> &str {
    match &problem.answer {
        Answer::Math(answer) => answer,
        other => panic!("{other:?}"),
    }
}

fn every_family(train: usize, max_operand: u32) -> ProblemsConfig {
    ProblemsConfig {
        train,
        heldout: train,
        max_operand,
        families: Family::ALL.to_vec(),
        ..ProblemsConfig::default()
    }
}

#[test]
fn no_seed_s_training_set_meets_any_seed_s_held_out_set() {
    for disjoint in [Disjoint::Facts, Disjoint::Prompts] {
        let config = ProblemsConfig {
            disjoint,
            ..ProblemsConfig::default()
        };
        let sets: Vec<_> = (0..8)
            .map(|seed| generate(&config, seed).unwrap())
            .collect();
        let wordings = |problems: &[Problem]| -> HashSet<String> {
            problems.iter().map(|p| normalise(&p.prompt)).collect()
        };
        let facts = |problems: &[Problem]| -> HashSet<String> {
            problems
                .iter()
                .map(|p| p.meta["fact"].to_string())
                .collect()
        };
        let mut shared_facts = 0;
        for (train, heldout) in &sets {
            assert_eq!((train.len(), heldout.len()), (128, 192));
            assert_eq!(wordings(train).len(), 128, "no wording twice");
            assert_eq!(wordings(heldout).len(), 192);
            for (_, other) in &sets {
                assert!(wordings(train).is_disjoint(&wordings(other)));
                shared_facts += facts(train).intersection(&facts(other)).count();
            }
        }
        assert_eq!(shared_facts == 0, disjoint == Disjoint::Facts);
        assert_ne!(sets[0].0, sets[1].0, "another seed, another set");
    }
}

#[test]
fn a_larger_set_begins_with_the_smaller_one() {
    let ids = |train| -> BTreeMap<String, String> {
        let config = ProblemsConfig {
            train,
            ..ProblemsConfig::default()
        };
        let (train, _) = generate(&config, 3).unwrap();
        train.into_iter().map(|p| (p.id, p.prompt)).collect()
    };
    let (few, many) = (ids(60), ids(120));
    assert!(few.iter().all(|(id, prompt)| many[id] == *prompt));
}

/// The numbers of a prompt, fractions as pairs.
fn numbers(text: &str) -> Vec<i64> {
    text.split(|c: char| !c.is_ascii_digit())
        .filter(|run| !run.is_empty())
        .map(|run| run.parse().unwrap())
        .collect()
}

/// Works every problem out again, from its prompt alone.
#[test]
fn every_answer_is_right_and_exact() {
    let (train, heldout) = generate(&every_family(700, 12), 5).unwrap();
    let mut checked: BTreeMap<&str, usize> = BTreeMap::new();
    for problem in train.iter().chain(&heldout) {
        let text = &problem.prompt;
        let n = numbers(text);
        let (num, den) = match problem.source.as_str() {
            "sum" | "sum_story" => (n[0] + n[1], 1),
            "difference" if text.starts_with("Subtract") => (n[1] - n[0], 1),
            "difference" if text.contains("you take") => (n[1] - n[0], 1),
            "difference" | "difference_story" => (n[0] - n[1], 1),
            "compare_story" => ((n[0] - n[1]).abs(), 1),
            "product" | "product_story" => (n[0] * n[1], 1),
            "quotient_story" => (n[0].max(n[1]) / n[0].min(n[1]), 1),
            "remainder" => (n[0] % n[1], 1),
            "two_step_story" if text.contains("loose") => (n[0] * n[1] + n[2], 1),
            "two_step_story" => (n[0] * n[1] - n[2], 1),
            "linear_equation" => {
                let after = text.split(['=', 'q']).nth(1).unwrap();
                let c = if after.contains('-') { -n[2] } else { n[2] };
                let left = text.split(['=', 'q']).next().unwrap();
                (
                    if left.contains('-') {
                        c + n[1]
                    } else {
                        c - n[1]
                    },
                    n[0],
                )
            }
            "fraction_sum" if text.contains('-') => (n[0] * n[3] - n[2] * n[1], n[1] * n[3]),
            "fraction_sum" => (n[0] * n[3] + n[2] * n[1], n[1] * n[3]),
            "fraction_of" if text.starts_with("What") => (n[0] * n[2], n[1]),
            "fraction_of" => (n[1] * n[0], n[2]),
            "average" => (n.iter().sum(), n.len() as i64),
            other => panic!("{other}"),
        };
        let (a, b) = math(problem)
            .split_once('/')
            .unwrap_or((math(problem), "1"));
        let (a, b): (i64, i64) = (a.parse().unwrap(), b.parse().unwrap());
        assert_eq!(a * den, num * b, "{text} -> {}", math(problem));
        assert!(
            b > 0 && (2..=b).all(|d| a % d != 0 || b % d != 0),
            "lowest terms"
        );
        *checked.entry(problem.source.as_str()).or_default() += 1;
    }
    assert_eq!(checked.len(), Family::ALL.len());
    assert!(checked.values().all(|&count| count == 100), "{checked:?}");
}

#[test]
fn the_default_families_stay_within_the_operand_bound_and_above_zero() {
    for max_operand in [6, 9, 40] {
        let config = ProblemsConfig {
            train: 30,
            heldout: 30,
            max_operand,
            ..ProblemsConfig::default()
        };
        let (train, heldout) = generate(&config, 1).unwrap();
        for problem in train.iter().chain(&heldout) {
            assert!(
                numbers(&problem.prompt)
                    .iter()
                    .all(|&n| n <= i64::from(max_operand))
            );
            assert!(!math(problem).starts_with('-') && math(problem) != "0");
        }
    }
}

#[test]
fn too_many_of_a_small_family_is_an_error_that_says_so() {
    let config = ProblemsConfig {
        families: vec![Family::Sum],
        max_operand: 3,
        train: 1000,
        ..ProblemsConfig::default()
    };
    let error = generate(&config, 1).unwrap_err();
    assert!(matches!(error, DataError::Exhausted { .. }));
    assert!(error.to_string().contains("max_operand"), "{error}");
}

fn mine(id: usize, prompt: &str) -> Problem {
    let answer = Answer::Math("1".into());
    Problem::new(
        format!("m/{id}"),
        "mine",
        sky_types::Domain::Math,
        prompt,
        answer,
    )
}

fn only(file: ProblemFile) -> ProblemsConfig {
    ProblemsConfig {
        train: 0,
        heldout: 0,
        files: vec![ProblemFile {
            path: "mine.jsonl".into(),
            ..file
        }],
        ..ProblemsConfig::default()
    }
}

#[test]
fn different_problems_are_never_dropped_as_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let prompts = [
        "Evaluate (8-3)*2.",
        "Evaluate 8-(3*2).",
        r"Find $\frac{1}{2+3}$",
        r"Find $\frac{1}{2}+3$",
        "Let A ∪ B be given.",
        "Let A ∩ B be given.",
        "f(1,2)",
        "f(12)",
        "What is ⌊2.5⌋?",
        "What is ⌈2.5⌉?",
        "What is −(2)?",
        "What is (2)?",
    ];
    let mut problems: Vec<Problem> = (0..).zip(prompts).map(|(at, p)| mine(at, p)).collect();
    problems.push(mine(100, "  EVALUATE (8 - 3) * 2 ."));
    problems.push(mine(101, r"find $ \dfrac{1}{2 + 3} $"));
    write(&dir.path().join("mine.jsonl"), &problems);
    let paths = ProblemPaths {
        home: dir.path().into(),
    };
    let loaded = load_problems(&only(ProblemFile::default()), 1, &paths).unwrap();
    assert_eq!(loaded.train, problems[..prompts.len()]);
    assert_eq!(loaded.dropped["repeated"], 2);
}

#[test]
fn a_source_that_ends_empty_or_short_is_an_error_unless_it_is_allowed() {
    let dir = tempfile::tempdir().unwrap();
    let mut problems: Vec<Problem> = (0..6).map(|at| mine(at, &format!("Puzzle {at}"))).collect();
    problems[4].meta.insert("difficulty".into(), 3.into());
    problems[5].meta.insert("difficulty".into(), "HARD".into());
    write(&dir.path().join("mine.jsonl"), &problems);
    let paths = ProblemPaths {
        home: dir.path().into(),
    };
    for (file, says) in [
        (
            ProblemFile {
                difficulty: Some([5.0, 9.0]),
                ..ProblemFile::default()
            },
            "0 of 6 rows kept; 1 of another difficulty, 5 without a difficulty: rate",
        ),
        (
            ProblemFile {
                level: Some("medium".into()),
                ..ProblemFile::default()
            },
            "0 of 6 rows kept; 1 of another difficulty, 5 without a difficulty: rate",
        ),
        (
            ProblemFile {
                source: Some("yours".into()),
                ..ProblemFile::default()
            },
            "(source yours): 0 of 6 rows kept; 6 of another source: check the entry's `source`",
        ),
        (
            ProblemFile {
                boxed: true,
                ..ProblemFile::default()
            },
            "6 without a boxed answer: widen",
        ),
        (
            ProblemFile {
                take: Some(7),
                ..ProblemFile::default()
            },
            "6 of 6 rows kept; 7 are to be taken",
        ),
        (
            ProblemFile {
                heldout: true,
                boxed: true,
                ..ProblemFile::default()
            },
            "0 of 6 rows kept",
        ),
    ] {
        let error = load_problems(&only(file.clone()), 1, &paths).unwrap_err();
        assert!(matches!(error, DataError::Setting(_)));
        let error = error.to_string();
        assert!(
            error.contains(says) && error.contains("allow_short"),
            "{error}"
        );
        let allowed = ProblemFile {
            allow_short: true,
            ..file
        };
        let loaded = load_problems(&only(allowed), 1, &paths).unwrap();
        let count = loaded.train.len() + loaded.heldout.len();
        assert_eq!(count, loaded.files[0].kept);
    }
    let none: [Problem; 0] = [];
    write(&dir.path().join("mine.jsonl"), &none);
    let error = load_problems(&only(ProblemFile::default()), 1, &paths).unwrap_err();
    assert!(error.to_string().contains("0 of 0 rows kept"), "{error}");
}

#[test]
fn take_counts_problems_that_repeat_none() {
    let dir = tempfile::tempdir().unwrap();
    let problems: Vec<Problem> = (0..40)
        .map(|at| mine(at, &format!("Puzzle {}", at / 2)))
        .collect();
    write(&dir.path().join("mine.jsonl"), &problems);
    let paths = ProblemPaths {
        home: dir.path().into(),
    };
    let twenty = only(ProblemFile {
        take: Some(20),
        ..ProblemFile::default()
    });
    let loaded = load_problems(&twenty, 1, &paths).unwrap();
    assert_eq!(loaded.train.len(), 20);
    assert_eq!(loaded.files[0].dropped["repeated"], 20);
    let missing = load_problems(
        &ProblemsConfig {
            files: vec![ProblemFile {
                path: "nowhere.jsonl".into(),
                ..ProblemFile::default()
            }],
            ..twenty
        },
        1,
        &paths,
    );
    let error = missing.unwrap_err().to_string();
    let here = std::path::absolute("nowhere.jsonl").unwrap();
    for place in [&dir.path().join("nowhere.jsonl"), &here] {
        assert!(error.contains(&place.display().to_string()), "{error}");
    }
}

fn write(path: &Path, problems: &[Problem]) {
    sky_files::write_jsonl(path, problems).unwrap();
}

#[test]
#[expect(clippy::too_many_lines, reason = "one comparison, step by step")]
fn files_are_filtered_drawn_and_kept_apart() {
    let dir = tempfile::tempdir().unwrap();
    let problem = |at: usize| {
        let mut problem = Problem::new(
            format!("f/{at}"),
            if at.is_multiple_of(2) { "even" } else { "odd" },
            sky_types::Domain::Math,
            format!("Puzzle number {at}"),
            Answer::Math(at.to_string()),
        );
        problem.meta.insert("difficulty".into(), (at % 10).into());
        problem
            .meta
            .insert("boxed".into(), at.is_multiple_of(3).into());
        problem
    };
    let all: Vec<Problem> = (0..200).map(problem).collect();
    write(&dir.path().join("all.jsonl"), &all);
    let exam = Problem {
        id: "exam".into(),
        ..problem(6)
    };
    write(&dir.path().join("exam.jsonl"), &[exam]);
    let config = ProblemsConfig {
        train: 0,
        heldout: 0,
        files: vec![
            ProblemFile {
                path: "all.jsonl".into(),
                source: Some("even".into()),
                difficulty: Some([4.0, 8.0]),
                boxed: true,
                ..ProblemFile::default()
            },
            ProblemFile {
                path: "exam.jsonl".into(),
                heldout: true,
                ..ProblemFile::default()
            },
        ],
        ..ProblemsConfig::default()
    };
    let paths = ProblemPaths {
        home: dir.path().into(),
    };
    let loaded = load_problems(&config, 1, &paths).unwrap();
    let expected: Vec<usize> = (0..200)
        .filter(|at| at % 2 == 0 && at % 10 >= 4 && at % 10 <= 8 && at % 3 == 0 && *at != 6)
        .collect();
    let ids: Vec<String> = loaded.train.iter().map(|p| p.id.clone()).collect();
    assert_eq!(
        ids,
        expected
            .iter()
            .map(|at| format!("f/{at}"))
            .collect::<Vec<_>>()
    );
    assert_eq!(loaded.heldout.len(), 1);
    assert_eq!(
        loaded.dropped["repeated"], 1,
        "what is held out is not trained on"
    );
    assert_eq!(loaded.dropped["difficulty"], 40);

    let mut some = config.clone();
    some.files[0].take = Some(7);
    let drawn = load_problems(&some, 1, &paths).unwrap();
    assert!(
        drawn.train.len() >= 6
            && drawn
                .train
                .iter()
                .all(|p| ids.contains(&p.id) || p.id == "f/6")
    );
    assert_eq!(load_problems(&some, 1, &paths).unwrap(), drawn);
    some.files[0].take = Some(1000);
    assert!(
        load_problems(&some, 1, &paths)
            .unwrap_err()
            .to_string()
            .contains("1000 are to be taken")
    );
    some.files[0].path = "nowhere.jsonl".into();
    some.files[0].get = "ask the library".into();
    assert!(
        load_problems(&some, 1, &paths)
            .unwrap_err()
            .to_string()
            .contains("ask the library")
    );
    fs::write(dir.path().join("exam.jsonl"), "{\"v\":2}\n").unwrap();
    let error = load_problems(&config, 1, &paths).unwrap_err().to_string();
    assert!(
        error.contains("exam.jsonl:1") && error.contains("version 2"),
        "{error}"
    );
}
