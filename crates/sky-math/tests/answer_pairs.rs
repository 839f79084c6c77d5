//! Labelled pairs and hostile inputs from the shared data folder: how far we agree, and every miss
//! by name.
#![allow(clippy::unwrap_used)]

#[path = "shared/on_core.rs"]
mod on_core;
mod shared;

use std::time::Duration;

use on_core::on_core;
use serde_json::Value;
use sky_math::{Grade, MathChecker, Options};

/// The options that a pair was made under.
fn options(pair: &Value) -> Options {
    let mut options = Options::default();
    if let Some(places) = pair["opts"]["float_rounding"].as_u64() {
        options.round_decimals = Some(u32::try_from(places).unwrap());
    }
    if let Some(allowed) = pair["opts"]["allow_set_relation_comp"].as_bool() {
        options.relation_as_set = allowed;
    }
    options
}

fn short(text: &str) -> String {
    let tail: String = text.chars().rev().take(160).collect();
    tail.chars().rev().collect()
}

#[test]
fn labelled_pairs() {
    let Some(pairs) = shared::rows("answer_pairs/pairs.jsonl") else {
        return;
    };
    let (mut agree, mut accepts) = (0, 0);
    let (mut slowest, mut most) = (Duration::ZERO, 0);
    for pair in &pairs {
        let checker = MathChecker::new(options(pair));
        let (gold, pred) = (
            pair["gold"].as_str().unwrap(),
            pair["pred"].as_str().unwrap(),
        );
        let expected = pair["expected"].as_bool().unwrap();
        let start = on_core();
        let verdict = checker.check(gold, pred);
        slowest = slowest.max(on_core() - start);
        most = most.max(verdict.steps);
        if (verdict.grade == Grade::Correct) == expected {
            agree += 1;
        } else {
            accepts += usize::from(!expected);
            println!(
                "MISS {} [{}] expected {expected}: gold {gold:?} pred ...{:?} extracted {:?} by {:?}: {}",
                pair["id"],
                pair["category"],
                short(pred),
                verdict.extracted,
                verdict.rule,
                verdict.reason
            );
        }
    }
    println!(
        "agreement {agree} of {}, false accepts {accepts}, slowest {slowest:?}, most steps {most}",
        pairs.len()
    );
    assert!(
        agree * 1000 >= pairs.len() * 993,
        "agreement fell to {agree} of {}",
        pairs.len()
    );
    assert_eq!(accepts, 0, "false accepts");
}

#[test]
fn hostile_inputs() {
    let Some(cases) = shared::rows("answer_pairs/adversarial.jsonl") else {
        return;
    };
    let checker = MathChecker::new(Options::default());
    let mut wrong = 0;
    let mut slow = 0;
    for case in &cases {
        let (gold, pred) = (
            case["gold"].as_str().unwrap(),
            case["pred"].as_str().unwrap(),
        );
        let timed = || {
            let start = on_core();
            let verdict = checker.check(gold, pred);
            (on_core() - start, verdict)
        };
        let (mut took, verdict) = timed();
        let limit = Duration::from_millis(if pred.len() < 10_000 { 10 } else { 100 });
        // A core that was slow for a moment is not what is measured either.
        for _ in 0..4 {
            if took > limit {
                took = timed().0;
            }
        }
        if took > limit {
            slow += 1;
            println!(
                "SLOW {} {took:?} {} steps: {gold:?} {:?}",
                case["category"],
                verdict.steps,
                short(pred)
            );
        }
        if case["lenient"] != true && case["expected"].as_bool().unwrap() != verdict.is_correct() {
            wrong += 1;
            println!(
                "WRONG {} expected {}: {gold:?} {:?}: {:?} {}",
                case["category"],
                case["expected"],
                short(pred),
                verdict.extracted,
                verdict.reason
            );
        }
    }
    println!("{} hostile inputs, {wrong} wrong, {slow} slow", cases.len());
    assert_eq!((wrong, slow), (0, 0));
}
