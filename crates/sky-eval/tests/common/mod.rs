//! A small run folder, made by the writers the pipeline uses.
#![allow(clippy::unwrap_used, dead_code)]

use std::path::Path;

use serde_json::json;
use sky_eval::{
    EvalConfig, Scoring,
    report::{RunFiles, RunInfo},
};
use sky_files::{Counts, Stage, StageDir, StageSpec, write_bytes, write_jsonl};
use sky_types::{
    Answer, Check, CheckError, CheckOutcome, Domain, FinishReason, Problem, Prompt, Sample,
    SamplingParams, Verdict, Version, derive_seed,
};
use sky_verify::ParallelChecker;

/// Text that breaks out of a page that trusts it.
pub(crate) const HOSTILE: &str = "</script><script>document.title='broken'</script><img src=x onerror=\"document.title='broken'\"> \
     \u{2028} --> ]]> \" ' & <!-- <b>bold</b>";

/// Takes what is in the box and compares it letter by letter.
pub(crate) struct Boxed;

impl Check for Boxed {
    fn check(
        &self,
        problem: &Problem,
        reply: &str,
        finish: FinishReason,
    ) -> Result<CheckOutcome, CheckError> {
        let Answer::Math(expected) = &problem.answer else {
            return Err(CheckError::Host("only mathematics here".into()));
        };
        let found = reply
            .rsplit_once(r"\boxed{")
            .and_then(|(_, rest)| rest.split_once('}'));
        let (verdict, detail) = match found {
            Some((found, _)) if found == expected => {
                (Verdict::Correct, format!("{found} = {expected}"))
            }
            Some((found, _)) => (Verdict::Wrong, format!("{found} is not {expected}")),
            None if finish == FinishReason::Length => (
                Verdict::Truncated,
                "no answer before the token limit".into(),
            ),
            None => (Verdict::Unparsed, "no \\boxed{} and no final number".into()),
        };
        Ok(CheckOutcome { verdict, detail })
    }
}

/// Sums, differences and products of small numbers.
fn problem(side: &str, number: u64) -> Problem {
    let draw = |label: &str| derive_seed(7, &format!("{side}-{label}"), number);
    let (a, b) = (2 + draw("a") % 8, 2 + draw("b") % 8);
    let (source, prompt, answer) = match draw("kind") % 3 {
        0 => (
            "sum",
            format!("Ada has {a} stamps and finds {b} more. How many stamps does she have?"),
            a + b,
        ),
        1 => (
            "difference",
            format!(
                "A jar holds {} plums. {b} are eaten. How many are left?",
                a + b
            ),
            a,
        ),
        _ => (
            "product",
            format!("Each of {a} rows has {b} chairs. How many chairs are there?"),
            a * b,
        ),
    };
    let id = format!("{source}-{side}-{number}");
    let mut problem = Problem::new(
        id,
        source,
        Domain::Math,
        prompt,
        Answer::Math(answer.to_string()),
    );
    if number == 5 {
        problem.prompt.push_str(HOSTILE);
    }
    problem
}

/// A reply that is right, wrong, without a box or cut off, with chances that depend on the stage.
fn sample(problem: &Problem, stage: &str, index: u32, right_of_100: u64) -> Sample {
    let Answer::Math(answer) = &problem.answer else {
        unreachable!("all are mathematics")
    };
    let draw = derive_seed(11, &format!("{stage}-{}", problem.id), index.into());
    let (luck, style) = (draw % 100, draw / 100 % 10);
    let ending = if luck < right_of_100 {
        format!("The answer is \\boxed{{{answer}}}.")
    } else {
        match style {
            0..6 => format!("The answer is \\boxed{{{}}}.", style + 1),
            6..9 => "So that is the final number.".to_owned(),
            _ => "We count one, and one more, and one more, and".to_owned(),
        }
    };
    let length = luck >= right_of_100 && style == 9;
    let mut text = format!(
        "<|begin_of_thought|>\n\nFirst look at what is asked.\n\nThen work it out step by step.\n\n<|end_of_thought|>\n\n\
         <|begin_of_solution|>\n\n{ending}\n\n<|end_of_solution|>"
    );
    if problem.id.ends_with("-9") {
        text.insert_str(0, HOSTILE);
    }
    Sample {
        v: Version,
        problem_id: problem.id.clone(),
        index,
        text,
        finish_reason: if length {
            FinishReason::Length
        } else {
            FinishReason::Stop
        },
        prompt_tokens: 40,
        completion_tokens: if length {
            96
        } else {
            20 + (draw / 1000 % 37) as u32 + (draw / 50_000 % 19) as u32
        },
        model: "demo-135M".into(),
        params: SamplingParams::default(),
        seed: draw,
        failure: None,
    }
}

/// Runs stages into a folder, in their order, up to and including `until`.
pub(crate) struct Run<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) until: &'a str,
}

type Work<'a> = &'a dyn Fn(&StageDir) -> Counts;

const TRAIN: u64 = 64;
const HELDOUT: u64 = 96;

impl Run<'_> {
    pub(crate) fn files(&self) -> RunFiles {
        RunFiles::in_folder(self.folder)
    }

    pub(crate) fn info() -> RunInfo {
        RunInfo {
            recipe: "fixture".into(),
            description: format!("A small run for tests. {HOSTILE}"),
            seed: 7,
            command: format!("cargo xtask repro --recipe '{HOSTILE}' --seed 7"),
        }
    }

    pub(crate) fn make(&self) {
        let stages: [(&str, Work<'_>); 8] = [
            ("problems", &|dir| self.problems(dir)),
            ("eval-before", &|dir| self.evaluate(dir, "before", 33)),
            ("sample", &|dir| self.sample(dir)),
            ("rewrite", &|dir| self.sample(dir)),
            ("verify", &|dir| self.verify(dir)),
            ("select", &|dir| self.select(dir)),
            ("train", &|dir| self.train(dir)),
            ("eval-after", &|dir| self.evaluate(dir, "after", 74)),
        ];
        for (name, work) in stages {
            let folder = self
                .files()
                .stages
                .iter()
                .find(|(stage, _)| stage == name)
                .unwrap()
                .1
                .clone();
            let spec = StageSpec {
                name: name.into(),
                dir: folder,
                inputs: Vec::new(),
                config: json!({"note": HOSTILE, "seed": 7}),
                preserve: &[],
            };
            let Stage::Todo(dir) = Stage::open(spec, false).unwrap() else {
                panic!("made twice")
            };
            let counts = work(&dir);
            let outputs: Vec<String> = std::fs::read_dir(dir.path())
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .filter(|name| {
                    name.ends_with("jsonl")
                        || name.ends_with("results.json")
                        || name.ends_with("summary.json")
                })
                .collect();
            let outputs: Vec<&str> = outputs.iter().map(String::as_str).collect();
            dir.finish(&outputs, &["journal"], counts).unwrap();
            if name == self.until {
                break;
            }
        }
    }

    fn problems(&self, dir: &StageDir) -> Counts {
        write_jsonl(
            &dir.file("train.jsonl"),
            (0..TRAIN).map(|n| problem("train", n)),
        )
        .unwrap();
        write_jsonl(
            &dir.file("heldout.jsonl"),
            (0..HELDOUT).map(|n| problem("heldout", n)),
        )
        .unwrap();
        Counts::new(TRAIN + HELDOUT, TRAIN + HELDOUT)
    }

    fn sample(&self, dir: &StageDir) -> Counts {
        let rows = (0..TRAIN).flat_map(|n| {
            let problem = problem("train", n);
            (0..4).map(move |index| sample(&problem, "samples", index, 42))
        });
        write_jsonl(&dir.file("samples.jsonl"), rows).unwrap();
        Counts::new(TRAIN, TRAIN * 4)
    }

    fn verify(&self, dir: &StageDir) -> Counts {
        let files = self.files();
        ParallelChecker {
            problems: &files.train_problems,
            samples: &files.samples,
            journal: &dir.file("journal"),
            verdicts: &dir.file("verdicts.jsonl"),
            threads: None,
        }
        .run(&Boxed, &mut |_, _| {})
        .unwrap();
        Counts::new(TRAIN * 4, TRAIN * 4)
    }

    fn select(&self, dir: &StageDir) -> Counts {
        let files = self.files();
        let mut taken = std::collections::HashMap::<String, u32>::new();
        let mut over = 0;
        let rows: Vec<_> = sky_verify::read_judged_samples(&files.samples, &files.verdicts)
            .unwrap()
            .map(Result::unwrap)
            .filter(|row| row.verdict.verdict.is_correct())
            .filter(|row| {
                let taken = taken.entry(row.sample.problem_id.clone()).or_default();
                *taken += 1;
                over += u64::from(*taken > 2);
                *taken <= 2
            })
            .map(|row| json!({"v": 1, "row": 0, "problem_id": row.sample.problem_id, "index": row.sample.index, "source": "sum", "model": "demo", "seed": 1}))
            .collect();
        let kept = write_jsonl(&dir.file("selected.jsonl"), rows).unwrap();
        Counts::new(TRAIN * 4, kept).with("over_per_problem", over)
    }

    fn train(&self, dir: &StageDir) -> Counts {
        let rows = (1..=33_u64).map(|step| {
            let part = step as f64 / 33.0;
            let noise = derive_seed(3, "loss", step) as f64 / u64::MAX as f64 - 0.5;
            let lr = 5e-5 * if step <= 3 { step as f64 / 3.0 } else { 0.5 + 0.5 * (std::f64::consts::PI * (part - 0.09) / 0.91).cos() };
            json!({"v": 1, "step": step, "epoch": 3.0 * part, "loss": 0.18 + 1.1 * (-4.0 * part).exp() + 0.12 * noise * (1.2 - part), "lr": lr,
                "grad_norm": 1.0, "rows": 16, "tokens": 900, "targets": 500, "micro_batches": 1, "time": {"seconds": 1.0, "optimizer_seconds": 0.1, "tokens_per_second": 900.0}})
        });
        write_jsonl(&dir.file("metrics.jsonl"), rows).unwrap();
        let files = self.files();
        let selected = std::fs::read_to_string(&files.selected)
            .unwrap()
            .lines()
            .count() as u64;
        Counts::new(selected, 33)
    }

    fn evaluate(&self, dir: &StageDir, stage: &str, right_of_100: u64) -> Counts {
        let problems = self.files().heldout_problems;
        let rows = (0..HELDOUT).map(|n| sample(&problem("heldout", n), stage, 0, right_of_100));
        let (samples, verdicts) = (dir.file("samples.jsonl"), dir.file("verdicts.jsonl"));
        write_jsonl(&samples, rows).unwrap();
        let checker = ParallelChecker {
            problems: &problems,
            samples: &samples,
            journal: &dir.file("journal"),
            verdicts: &verdicts,
            threads: None,
        };
        checker.run(&Boxed, &mut |_, _| {}).unwrap();
        let scoring = Scoring {
            problems: &problems,
            samples: &samples,
            verdicts: &verdicts,
            prompt: &Prompt::default(),
            config: &EvalConfig {
                max_tokens: 128,
                ..EvalConfig::default()
            },
            model: "demo-135M",
            expect: sky_eval::Expect::Complete,
            voter: None,
        };
        scoring
            .run(&dir.file("results.json"), &dir.file("summary.json"))
            .unwrap();
        Counts::new(HELDOUT, HELDOUT)
    }
}

/// Writes the report of a fresh run up to `until` and returns the page.
pub(crate) fn page(folder: &Path, until: &str) -> String {
    let run = Run { folder, until };
    run.make();
    sky_eval::report::write_report(&run.files(), &Run::info(), &Default::default()).unwrap();
    std::fs::read_to_string(folder.join("report.html")).unwrap()
}

/// A file for tests that have to look at a folder by themselves.
pub(crate) fn put(path: &Path, text: &str) {
    write_bytes(path, text.as_bytes()).unwrap();
}
