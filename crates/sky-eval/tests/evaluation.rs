//! Verdicts to scores, on files.
#![allow(clippy::unwrap_used)]

#[path = "../../sky-verify/tests/fixture/mod.rs"]
mod fixture;

use std::fs;

use fixture::{Exact, Folder};
use sky_eval::{EvalConfig, EvalSummary, Scoring};
use sky_files::read_json;
use sky_types::{Prompt, Verdict};

fn score(folder: &Folder, n: u32) -> sky_eval::Result<EvalSummary> {
    Scoring {
        problems: &folder.path("problems.jsonl"),
        samples: &folder.path("samples.jsonl"),
        verdicts: &folder.path("verdicts.jsonl"),
        prompt: &Prompt::default(),
        config: &EvalConfig {
            n,
            temperature: 1.0,
            ..EvalConfig::default()
        },
        model: "demo",
        expect: sky_eval::Expect::Complete,
        voter: None,
    }
    .run(&folder.path("results.json"), &folder.path("summary.json"))
}

#[test]
fn scores_are_what_the_verdicts_say() {
    // Problem p has p right replies of 4, for p = 0..4: pass@1 is their mean share.
    let folder = Folder::new(5, 4, |p, i| i < p);
    folder.check(&Exact::new(usize::MAX), 2).0.unwrap();
    let scores = score(&folder, 4).unwrap();
    assert_eq!((scores.n, scores.verdicts.of(Verdict::Correct)), (5, 10));
    assert!((scores.accuracy - 0.5).abs() < 1e-12);
    assert!((scores.pass_at_k[&4] - 0.8).abs() < 1e-12);
    // 1 - C(4 - c, 2) / C(4, 2) for c = 0..4: 0, 1/2, 5/6, 1, 1.
    assert!((scores.pass_at_k[&2] - (0.5 + 5.0 / 6.0 + 2.0) / 5.0).abs() < 1e-12);
    assert_eq!((scores.boxed, scores.boxed_of), (10, 20));
    assert_eq!(
        (scores.of, scores.cautions().len()),
        (5, 1),
        "five problems prove little"
    );
    assert!(scores.bootstrap.low < 0.5 && scores.bootstrap.high > 0.5);
    assert_eq!(scores.rates.truncated, 0.0);
    assert!(scores.p95_completion_tokens >= scores.mean_completion_tokens as u32);
    assert_eq!(scores.sources["odd"].n, 2);
    assert!((scores.sources["odd"].accuracy - 0.5).abs() < 1e-12);
    assert_eq!(scores.prompt_tokens, 200);
    assert!((scores.mean_completion_tokens - 3.5).abs() < 1e-12);
    assert!(scores.low < 0.5 && scores.high > 0.5);
    assert_eq!(
        read_json::<EvalSummary>(&folder.path("summary.json")).unwrap(),
        scores
    );

    let results: serde_json::Value = read_json(&folder.path("results.json")).unwrap();
    assert_eq!(results["v"], 1);
    assert_eq!(results.as_object().unwrap().len(), 2, "`v` and `results`");
    let entry = &results["results"][3];
    assert_eq!(entry["id"], "p3");
    assert_eq!(entry["responses"][2]["correctness"], true);
    assert_eq!(entry["responses"][3]["correctness"], false);
    assert_eq!(entry["responses"][3]["reason"], "wrong: \"no\" for p3");
    assert!(
        entry["conversation"][0]["content"]
            .as_str()
            .unwrap()
            .ends_with("What is 3?")
    );
    assert_eq!(entry["token_usage"]["prompt_tokens"], 40);
}

#[test]
fn files_that_do_not_belong_together_are_named() {
    let folder = Folder::new(4, 2, |_, _| true);
    folder.check(&Exact::new(usize::MAX), 1).0.unwrap();
    let error = score(&folder, 3).unwrap_err().to_string();
    assert!(
        error.contains("samples.jsonl") && error.contains("2 replies"),
        "{error}"
    );
    assert!(
        !folder.path("results.json").exists(),
        "nothing half-written"
    );

    let verdicts = fs::read_to_string(folder.path("verdicts.jsonl")).unwrap();
    let cut = verdicts.lines().take(7).collect::<Vec<_>>().join("\n");
    fs::write(folder.path("verdicts.jsonl"), cut).unwrap();
    let error = score(&folder, 2).unwrap_err().to_string();
    assert!(error.contains("no verdict for p3 #1"), "{error}");
    let swapped = verdicts.lines().rev().collect::<Vec<_>>().join("\n");
    fs::write(folder.path("verdicts.jsonl"), swapped).unwrap();
    let error = score(&folder, 2).unwrap_err().to_string();
    assert!(
        error.contains("p3 #1 where the samples have p0 #0"),
        "{error}"
    );
}
