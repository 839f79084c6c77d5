//! Samples to verdicts to scores, on files.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    num::NonZero,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
};

use sky_eval::{Checking, EvalConfig, EvalError, EvalSummary, Scoring, judged};
use sky_files::{read_json, write_jsonl};
use sky_types::{
    Answer, Check, CheckError, Checked, Domain, FinishReason, Problem, Prompt, Sample,
    SamplingParams, Verdict, VerdictRecord, Version,
};

/// Compares text exactly; fails as a host would after `fails_at` replies.
struct Exact {
    checked: AtomicUsize,
    fails_at: usize,
}

impl Exact {
    fn new(fails_at: usize) -> Self {
        Self {
            checked: AtomicUsize::new(0),
            fails_at,
        }
    }
}

impl Check for Exact {
    fn check(
        &self,
        problem: &Problem,
        reply: &str,
        _: FinishReason,
    ) -> Result<Checked, CheckError> {
        let number = self.checked.fetch_add(1, Ordering::SeqCst);
        if number >= self.fails_at {
            return Err(CheckError::Host("the sandbox is gone".into()));
        }
        let verdict = match reply {
            "" => Verdict::Unparsed,
            _ if problem.answer
                == Answer::Math(
                    reply
                        .trim_start_matches(r"\boxed{")
                        .trim_end_matches('}')
                        .into(),
                ) =>
            {
                Verdict::Correct
            }
            _ => Verdict::Wrong,
        };
        Ok(Checked {
            verdict,
            detail: format!("{reply:?} for {}", problem.id),
        })
    }

    fn effort(&self, reply: &str) -> usize {
        reply.len()
    }
}

struct Folder {
    dir: tempfile::TempDir,
}

impl Folder {
    /// `problems` problems; the reply to sample `i` of problem `p` is right when `right(p, i)`.
    fn new(problems: u32, n: u32, right: impl Fn(u32, u32) -> bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let rows = (0..problems).map(|p| {
            let source = if p % 2 == 0 { "even" } else { "odd" };
            let answer = Answer::Math(p.to_string());
            Problem::new(
                format!("p{p}"),
                source,
                Domain::Math,
                format!("What is {p}?"),
                answer,
            )
        });
        write_jsonl(&dir.path().join("problems.jsonl"), rows).unwrap();
        let samples = (0..problems * n).map(|k| {
            let (p, index) = (k / n, k % n);
            Sample {
                v: Version,
                problem_id: format!("p{p}"),
                index,
                text: if right(p, index) {
                    format!(r"\boxed{{{p}}}")
                } else {
                    "no".into()
                },
                finish_reason: FinishReason::Stop,
                prompt_tokens: 10,
                completion_tokens: 2 + index,
                model: "demo".into(),
                params: SamplingParams::default(),
                seed: k.into(),
            }
        });
        write_jsonl(&dir.path().join("samples.jsonl"), samples).unwrap();
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn check(
        &self,
        checker: &Exact,
        threads: usize,
    ) -> (sky_eval::Result<sky_eval::VerdictMix>, usize) {
        let mut resumed = 0;
        let mix = Checking {
            problems: &self.path("problems.jsonl"),
            samples: &self.path("samples.jsonl"),
            journal: &self.path("verdicts.journal"),
            verdicts: &self.path("verdicts.jsonl"),
            threads: NonZero::new(threads),
        }
        .run(checker, &mut |_, new| resumed += usize::from(!new));
        (mix, resumed)
    }

    fn score(&self, n: u32) -> sky_eval::Result<EvalSummary> {
        Scoring {
            problems: &self.path("problems.jsonl"),
            samples: &self.path("samples.jsonl"),
            verdicts: &self.path("verdicts.jsonl"),
            prompt: &Prompt::default(),
            config: &EvalConfig {
                n,
                temperature: 1.0,
                ..EvalConfig::default()
            },
            model: "demo",
        }
        .run(&self.path("results.json"), &self.path("summary.json"))
    }
}

#[test]
fn a_failed_host_loses_nothing_and_threads_change_nothing() {
    let folder = Folder::new(50, 4, |p, i| (p + i) % 3 == 0);
    let (failed, _) = folder.check(&Exact::new(70), 3);
    assert!(matches!(failed.unwrap_err(), EvalError::Check(_)));
    assert!(!folder.path("verdicts.jsonl").exists());

    let checker = Exact::new(usize::MAX);
    let (mix, resumed) = folder.check(&checker, 3);
    let mix = mix.unwrap();
    assert!((1..=70).contains(&resumed), "{resumed}");
    assert_eq!(checker.checked.load(Ordering::SeqCst), 200 - resumed);
    assert_eq!(mix.total(), 200);

    let other = Folder::new(50, 4, |p, i| (p + i) % 3 == 0);
    let (same, _) = other.check(&Exact::new(usize::MAX), 1);
    assert_eq!(same.unwrap(), mix);
    assert_eq!(
        fs::read(folder.path("verdicts.jsonl")).unwrap(),
        fs::read(other.path("verdicts.jsonl")).unwrap()
    );
    let rows = judged(
        &folder.path("samples.jsonl"),
        &folder.path("verdicts.jsonl"),
    )
    .unwrap();
    assert_eq!(rows.filter(Result::is_ok).count(), 200);
}

#[test]
fn where_few_replies_wait_the_long_ones_begin_first() {
    for (problems, few) in [(60, true), (160, false)] {
        let folder = Folder::new(problems, 4, |p, i| p % 10 == 7 && i == 2);
        let mut seen = Vec::new();
        let checking = Checking {
            problems: &folder.path("problems.jsonl"),
            samples: &folder.path("samples.jsonl"),
            journal: &folder.path("verdicts.journal"),
            verdicts: &folder.path("verdicts.jsonl"),
            threads: NonZero::new(1),
        };
        let see = &mut |row: &VerdictRecord, _| seen.push((row.problem_id.clone(), row.index));
        checking.run(&Exact::new(usize::MAX), see).unwrap();
        let place = |p: u32, i: u32| seen.iter().position(|row| *row == (format!("p{p}"), i));
        if few {
            // `\boxed{17}` is longer than `\boxed{7}`, that than `no`.
            let long = [
                (17, 2),
                (27, 2),
                (37, 2),
                (47, 2),
                (57, 2),
                (7, 2),
                (0, 0),
                (0, 1),
            ];
            for (index, (p, i)) in long.into_iter().enumerate() {
                assert_eq!(place(p, i), Some(index), "p{p} {i}");
            }
        } else {
            assert_eq!((place(0, 0), place(7, 2)), (Some(0), Some(30)));
        }
        let rows: Vec<VerdictRecord> = sky_files::read_jsonl(&folder.path("verdicts.jsonl"))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        let order: Vec<_> = (0..problems * 4)
            .map(|k| (format!("p{}", k / 4), k % 4))
            .collect();
        assert!(
            rows.into_iter()
                .map(|row| (row.problem_id, row.index))
                .eq(order)
        );
    }
}

#[test]
fn scores_are_what_the_verdicts_say() {
    // Problem p has p right replies of 4, for p = 0..4: pass@1 is their mean share.
    let folder = Folder::new(5, 4, |p, i| i < p);
    folder.check(&Exact::new(usize::MAX), 2).0.unwrap();
    let scores = folder.score(4).unwrap();
    assert_eq!((scores.n, scores.verdicts.of(Verdict::Correct)), (5, 10));
    assert!((scores.accuracy - 0.5).abs() < 1e-12);
    assert!((scores.pass_at_k[&4] - 0.8).abs() < 1e-12);
    // 1 - C(4 - c, 2) / C(4, 2) for c = 0..4: 0, 1/2, 5/6, 1, 1.
    assert!((scores.pass_at_k[&2] - (0.5 + 5.0 / 6.0 + 2.0) / 5.0).abs() < 1e-12);
    assert_eq!((scores.boxed, scores.boxed_of), (10, 20));
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
    let error = folder.score(3).unwrap_err().to_string();
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
    let error = folder.score(2).unwrap_err().to_string();
    assert!(error.contains("no verdict for p3 #1"), "{error}");
    let swapped = verdicts.lines().rev().collect::<Vec<_>>().join("\n");
    fs::write(folder.path("verdicts.jsonl"), swapped).unwrap();
    let error = folder.score(2).unwrap_err().to_string();
    assert!(
        error.contains("p3 #1 where the samples have p0 #0"),
        "{error}"
    );

    let fewer = Folder::new(3, 2, |_, _| true);
    fs::copy(fewer.path("problems.jsonl"), folder.path("problems.jsonl")).unwrap();
    fs::remove_file(folder.path("verdicts.journal")).unwrap();
    let error = folder
        .check(&Exact::new(usize::MAX), 2)
        .0
        .unwrap_err()
        .to_string();
    assert!(error.contains("no problem \"p3\""), "{error}");
}

#[test]
fn a_sample_that_occurs_twice_is_refused() {
    let folder = Folder::new(3, 1, |_, _| true);
    let samples = fs::read_to_string(folder.path("samples.jsonl")).unwrap();
    fs::write(folder.path("samples.jsonl"), samples.repeat(2)).unwrap();
    for _ in 0..2 {
        let error = folder
            .check(&Exact::new(usize::MAX), 2)
            .0
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("sample") && error.contains("twice"),
            "{error}"
        );
    }
}
