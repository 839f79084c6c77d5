//! Which samples become training rows.
#![allow(clippy::unwrap_used)]

use sky_data::{CardFacts, SelectConfig, SelectInput, Selection, card, select};
use sky_types::{
    Answer, Domain, FinishReason, Problem, Prompt, Sample, SamplingParams, Verdict, VerdictRecord,
    Version,
};

fn problem(id: &str, source: &str, prompt: &str) -> Problem {
    Problem::new(id, source, Domain::Math, prompt, Answer::Math("8".into()))
}

fn sample(id: &str, index: u32, text: &str) -> Sample {
    Sample {
        v: Version,
        problem_id: id.into(),
        index,
        text: text.into(),
        finish_reason: FinishReason::Stop,
        prompt_tokens: 1,
        completion_tokens: 10 + index,
        model: "m".into(),
        params: SamplingParams::default(),
        seed: 7,
        failure: None,
    }
}

fn verdict(sample: &Sample, verdict: Verdict) -> VerdictRecord {
    VerdictRecord {
        v: Version,
        problem_id: sample.problem_id.clone(),
        index: sample.index,
        verdict,
        detail: String::new(),
    }
}

struct Run {
    problems: Vec<Problem>,
    heldout: Vec<Problem>,
    samples: Vec<Sample>,
    verdicts: Vec<VerdictRecord>,
}

impl Run {
    /// Twenty problems with six different right samples each.
    fn new() -> Self {
        let problems: Vec<Problem> = (0..20)
            .map(|at| {
                let source = if at < 15 { "many" } else { "few" };
                problem(&format!("p{at}"), source, &format!("What is {at} + {at}?"))
            })
            .collect();
        let samples: Vec<Sample> = problems
            .iter()
            .flat_map(|p| (0..6).map(|i| sample(&p.id, i, &format!("way {i} of {}", p.id))))
            .collect();
        let verdicts = samples
            .iter()
            .map(|s| verdict(s, Verdict::Correct))
            .collect();
        Self {
            problems,
            heldout: Vec::new(),
            samples,
            verdicts,
        }
    }

    fn select(&self, config: &SelectConfig, seed: u64) -> sky_data::Result<Selection> {
        let prompt = Prompt {
            system: "sys".into(),
            ..Prompt::default()
        };
        let input = SelectInput {
            problems: &self.problems,
            heldout: &self.heldout,
            samples: &self.samples,
            verdicts: &self.verdicts,
            prompt: &prompt,
        };
        select(input, config, seed)
    }
}

fn two() -> SelectConfig {
    SelectConfig {
        per_problem: 2,
        ..SelectConfig::default()
    }
}

#[test]
fn at_most_k_of_a_problem_whatever_the_order_of_the_files() {
    let mut run = Run::new();
    let selection = run.select(&two(), 1).unwrap();
    assert_eq!(selection.rows.len(), 40);
    assert_eq!(selection.funnel.dropped["over_per_problem"], 80);
    assert_eq!(selection.rows[0].system, "sys");
    assert!(
        selection.rows[0].conversations[0]
            .value
            .ends_with("What is 0 + 0?")
    );
    run.samples.reverse();
    run.verdicts.rotate_left(17);
    assert_eq!(run.select(&two(), 1).unwrap(), selection);
    let other = run.select(&two(), 2).unwrap();
    assert_ne!(other.selected, selection.selected, "the seed chooses");
    let firsts = selection.selected.iter().filter(|s| s.index < 2).count();
    assert!(firsts < 30, "not simply the first ones: {firsts} of 40");
    // Another problem changes no other choice.
    run.problems.remove(3);
    run.samples.retain(|s| s.problem_id != "p3");
    let fewer = run.select(&two(), 1).unwrap();
    let kept: Vec<(&str, u32)> = selection
        .selected
        .iter()
        .filter(|s| s.problem_id != "p3")
        .map(|s| (s.problem_id.as_str(), s.index))
        .collect();
    let found: Vec<(&str, u32)> = fewer
        .selected
        .iter()
        .map(|s| (s.problem_id.as_str(), s.index))
        .collect();
    assert_eq!(found, kept);
}

#[test]
fn only_right_finished_and_different_replies_of_different_problems() {
    let mut run = Run::new();
    run.verdicts[0].verdict = Verdict::Wrong;
    run.verdicts[1].verdict = Verdict::Truncated;
    run.samples[2].finish_reason = FinishReason::Length;
    run.samples[4].text = " WAY 3, of p0".into();
    run.problems[2].prompt = "what is 1+1".into();
    let all = SelectConfig {
        per_problem: 10,
        ..SelectConfig::default()
    };
    let selection = run.select(&all, 1).unwrap();
    let p0: Vec<u32> = selection
        .selected
        .iter()
        .filter(|s| s.problem_id == "p0")
        .map(|s| s.index)
        .collect();
    assert_eq!(p0, [3, 5]);
    assert!(selection.selected.iter().all(|s| s.problem_id != "p2"));
    let dropped = &selection.funnel.dropped;
    assert_eq!(
        (
            dropped["unfinished"],
            dropped["repeated_reply"],
            dropped["repeated_problem"]
        ),
        (1, 1, 6)
    );
    assert_eq!(selection.funnel.verdicts[&Verdict::Correct], 118);
    let repeated = &selection.dropped[0];
    assert_eq!(repeated.problem_id, "p2");
    assert_eq!(
        (repeated.kept.as_deref(), repeated.samples),
        (Some("p1"), 6)
    );
    assert!(card(&selection, &CardFacts::default()).contains("the first is kept"));
    let kept: usize = dropped.values().sum::<usize>() + selection.rows.len();
    assert_eq!(kept, 118, "every right sample is accounted for");
}

#[test]
fn what_is_held_out_is_never_trained_on() {
    let mut run = Run::new();
    let long = "A train with nine cars leaves the north station at noon and meets two others before it comes to the sea";
    run.problems[5].prompt = format!("{long}. How many cars is that?");
    run.heldout = vec![
        problem("h1", "x", "what is 4+4?"),
        problem("h2", "x", &format!("Once: {long}!")),
    ];
    let selection = run.select(&two(), 1).unwrap();
    assert_eq!(selection.funnel.dropped["contaminated"], 4);
    let shared: Vec<(&str, &str)> = selection
        .dropped
        .iter()
        .map(|d| (d.problem_id.as_str(), d.shared.as_deref().unwrap()))
        .collect();
    assert_eq!((shared[0], shared[1].0), (("p4", "4 + 4"), "p5"));
    assert!(shared[1].1.starts_with("a train with nine cars"));
    assert!(
        selection
            .selected
            .iter()
            .all(|s| s.problem_id != "p4" && s.problem_id != "p5")
    );
    let whole_only = SelectConfig {
        decontaminate: 0,
        ..two()
    };
    assert_eq!(
        run.select(&whole_only, 1).unwrap().funnel.dropped["contaminated"],
        2
    );
    let near = SelectConfig {
        near_duplicate: 0.8,
        ..two()
    };
    run.problems[7].prompt = format!("{long}. How many cars are that?");
    run.heldout.clear();
    let near = run.select(&near, 1).unwrap();
    assert_eq!(near.funnel.dropped["near_duplicate"], 2);
    assert_eq!(near.dropped[0].kept.as_deref(), Some("p5"));
}

#[test]
fn quotas_limit_a_source_and_keep_the_rest() {
    let run = Run::new();
    let config = SelectConfig {
        quotas: [("many".to_owned(), 9), ("few".to_owned(), 100)].into(),
        ..two()
    };
    let selection = run.select(&config, 1).unwrap();
    let sources = &selection.funnel.sources;
    assert_eq!((sources["many"].rows, sources["few"].rows), (9, 10));
    assert_eq!(selection.funnel.dropped["over_quota"], 21);
    let error = selection.check_quotas(&config).unwrap_err().to_string();
    assert!(
        error.contains("few has 10 rows of 100 (5 problems, 30 right samples)"),
        "{error}"
    );
    assert!(
        !error.contains("many has") && error.contains("allow_short"),
        "{error}"
    );
    let allowed = SelectConfig {
        allow_short: true,
        ..config
    };
    selection.check_quotas(&allowed).unwrap();
    let unknown = SelectConfig {
        quotas: [("nobody".to_owned(), 1)].into(),
        ..two()
    };
    let error = run.select(&unknown, 1).unwrap().check_quotas(&unknown);
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("nobody has 0 rows of 1 (0 problems")
    );
    let none = SelectConfig {
        quotas: [("many".to_owned(), 0)].into(),
        ..two()
    };
    assert_eq!(run.select(&none, 1).unwrap().rows.len(), 10);
}

#[test]
fn files_that_do_not_fit_together_are_refused() {
    let says = |change: fn(&mut Run)| {
        let mut run = Run::new();
        change(&mut run);
        run.select(&two(), 1).unwrap_err().to_string()
    };
    assert!(says(|r| drop(r.verdicts.pop())).contains("sample p19 #5: has no verdict"));
    assert!(says(|r| drop(r.problems.pop())).contains("p19"));
    assert!(says(|r| r.verdicts.push(r.verdicts[0].clone())).contains("two verdicts"));
    assert!(says(|r| r.samples.push(r.samples[0].clone())).contains("is there twice"));
    assert!(says(|r| r.problems.push(r.problems[0].clone())).contains("problem p0"));
}

#[test]
fn the_card_gives_the_counts() {
    let run = Run::new();
    let selection = run.select(&two(), 1).unwrap();
    let facts = CardFacts {
        name: "demo".into(),
        seed: 1,
        hash: None,
        licences: vec![("few".into(), "CC0".into())],
    };
    let text = card(&selection, &facts);
    for line in [
        "# demo",
        "| problems | 20 |",
        "| samples | 120 |",
        "| right samples | 120 (100.0 %) |",
        "| left out: over per problem | 80 |",
        "| rows | 40 |",
        "| correct | 120 |",
        "| few | 5 | 30 | 10 | CC0 |",
        "| many | 15 | 90 | 30 | unknown: ask its source |",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
    let empty = card(&Selection::default(), &facts);
    assert!(empty.contains("| rows | 0 |") && empty.contains("by no model"));
}
