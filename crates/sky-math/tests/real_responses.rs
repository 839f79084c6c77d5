//! Real responses with recorded labels: where we disagree with the label, by name. Each
//! disagreement is judged in `docs/crates/sky-math.md`.
#![allow(clippy::unwrap_used)]

mod shared;

use sky_math::{MathChecker, Options};

#[test]
fn gsm8k_model_solutions() {
    let Some(rows) = shared::rows("gsm8k_model_solutions/example_model_solutions.jsonl") else {
        return;
    };
    let checker = MathChecker::new(Options::default());
    let (mut agree, mut total) = (0, 0);
    for (n, row) in rows.iter().enumerate() {
        let truth = row["ground_truth"].as_str().unwrap();
        let gold = truth
            .lines()
            .last()
            .unwrap()
            .trim_start_matches("A:")
            .trim();
        for model in [
            "6b_finetuning",
            "6b_verification",
            "175b_finetuning",
            "175b_verification",
        ] {
            let label = row[model]["is_correct"].as_bool().unwrap();
            let solution = row[model]["solution"].as_str().unwrap();
            let verdict = checker.check(gold, solution);
            total += 1;
            if verdict.is_correct() == label {
                agree += 1;
            } else {
                let end: String = solution
                    .lines()
                    .last()
                    .unwrap_or("")
                    .chars()
                    .take(80)
                    .collect();
                println!(
                    "DISAGREE gsm8k {n} {model} label {label}: gold {gold} end {end:?} extracted {:?} by {:?}: {}",
                    verdict.extracted, verdict.rule, verdict.reason
                );
            }
        }
    }
    println!("gsm8k_model_solutions: {agree} of {total} agree with the label");
    assert!(agree * 1000 >= total * 995, "{agree} of {total}");
}

#[test]
fn math500_gemma_outputs() {
    let Some(rows) = shared::rows("math500_gemma_outputs/gemma4_31b_math500.jsonl") else {
        return;
    };
    let checker = MathChecker::new(Options::default());
    let (mut agree, mut total) = (0, 0);
    for row in &rows {
        let label = row["verdict"].as_str().unwrap();
        let (got, want) = (
            row["got"].as_str().unwrap_or(""),
            row["want"].as_str().unwrap(),
        );
        let verdict = checker.check(want, &format!("\\boxed{{{got}}}"));
        total += 1;
        if verdict.is_correct() == (label == "correct") {
            agree += 1;
        } else {
            println!(
                "DISAGREE math500 {} label {label}: want {want:?} got {got:?}: {}",
                row["unique_id"], verdict.reason
            );
        }
    }
    println!("math500_gemma_outputs: {agree} of {total} agree with the label");
    assert!(agree * 100 >= total * 95, "{agree} of {total}");
}
