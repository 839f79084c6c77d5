use std::path::{Path, PathBuf, absolute};

use anyhow::bail;
use clap::ValueEnum;
use sky_cli::{
    Invalid, ModelConfig, Plan, Progress, Recipe, StageArgs, VerdictProgress, Work, check_cached,
    guest_identity, layout, model_files, sky_home,
};
use sky_eval::{ByDomain, Checking, EvalConfig, ProblemIndex, Scoring};
use sky_files::{Counts, StageDir, read_jsonl};
use sky_sample::{Event, SampleConfig, Sampling, sample};
use sky_types::{Domain, Problem, Prompt};
use sky_verify::{
    VerifyConfig,
    math::MathChecker,
    python::{CodeChecker, GuestPaths, Sandbox},
};

use crate::model::{self, Source};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    stage: StageArgs,
    /// Which model: the recipe's student as it comes, or the one that was trained.
    #[arg(long)]
    which: Which,
}

#[derive(Clone, Copy, ValueEnum)]
enum Which {
    /// The recipe's `[student]`.
    Before,
    /// The model in the run folder's train/model.
    After,
}

const OUTPUTS: [&str; 4] = [
    "samples.jsonl",
    "verdicts.jsonl",
    "results.json",
    "summary.json",
];
const SCRATCH: [&str; 2] = ["samples.journal", "verdicts.journal"];

/// What an evaluation is made from.
struct Eval {
    student: ModelConfig,
    prompt: Prompt,
    config: EvalConfig,
    verify: VerifyConfig,
    name: String,
}

impl Eval {
    fn read(recipe: &Recipe, which: Which) -> anyhow::Result<Self> {
        let student = ModelConfig::read(recipe, "student")?;
        let config: EvalConfig = recipe.section("eval")?;
        config
            .check()
            .map_err(|(key, reason)| recipe.complain("eval", key, &reason))?;
        let verify: VerifyConfig = recipe.section("verify")?;
        verify
            .check()
            .map_err(|(key, reason)| recipe.complain("verify", key, &reason))?;
        let name = match which {
            Which::Before => student.name.clone(),
            Which::After => format!("{}, fine-tuned", student.name),
        };
        Ok(Self {
            prompt: recipe.prompt()?,
            verify,
            student,
            config,
            name,
        })
    }

    fn source(&self, recipe: &Recipe, args: &StageArgs, which: Which) -> anyhow::Result<Source> {
        if let Which::After = which {
            return Ok(Source::Local(absolute(args.path(layout::MODEL))?));
        }
        let local = self.student.ready(recipe, "student")?;
        Ok(match (local, &self.student.endpoint) {
            (Some(path), _) => Source::Local(absolute(path)?),
            (None, Some(url)) => Source::Server(url.clone()),
            (None, None) => bail!(Invalid("[student] names no model".into())),
        })
    }

    fn sampling(&self) -> SampleConfig {
        SampleConfig {
            n: self.config.n,
            temperature: self.config.temperature,
            top_p: self.config.top_p,
            max_tokens: self.config.max_tokens,
            ..SampleConfig::default()
        }
    }
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let Args { stage, which } = args;
    let recipe = stage.load()?;
    let eval = Eval::read(&recipe, *which)?;
    // A dry run may come before the model and the problems are there.
    let source = if stage.looks_only() {
        if stage.check && matches!(which, Which::Before) {
            eval.student.ready(&recipe, "student")?;
        }
        None
    } else {
        Some(eval.source(&recipe, stage, *which)?)
    };
    // Where the problems cannot be read yet, opening the stage says why.
    let code = ProblemIndex::open(&stage.path(layout::HELDOUT_PROBLEMS))
        .is_ok_and(|problems| problems.has(Domain::Code));
    let mut inputs = vec![PathBuf::from(layout::HELDOUT_PROBLEMS)];
    if let Some(Source::Local(path)) = &source {
        inputs.extend(model_files(path)?);
    }
    let work = Work {
        name: match which {
            Which::Before => "eval-before",
            Which::After => "eval-after",
        },
        inputs,
        config: serde_json::json!({
            "model": eval.name,
            "endpoint": match &source { Some(Source::Server(url)) => Some(url), _ => None },
            "arithmetic": model::arithmetic(&eval.student),
            "prompt": eval.prompt,
            "eval": eval.config,
            "verify": eval.verify,
            "verifier": sky_verify::REVISION,
            "guest": if code { guest_identity() } else { None },
        }),
        revision: 1,
        keeps: &[],
        plan: Plan {
            what: format!(
                "{} on the held-out problems, {} of at most {} tokens each",
                eval.name,
                if eval.config.n == 1 {
                    "one reply".to_owned()
                } else {
                    format!("{} replies", eval.config.n)
                },
                eval.config.max_tokens
            ),
            seconds: recipe.planned_problems(true).and_then(|n| {
                let replies = n * u64::from(eval.config.n);
                eval.student.seconds(replies, eval.config.max_tokens)
            }),
        },
    };
    stage.run(&recipe, work, |dir| {
        let source = match source {
            Some(source) => source,
            None => eval.source(&recipe, stage, *which)?,
        };
        let problems = stage.path(layout::HELDOUT_PROBLEMS);
        let replies = ask(&eval, &source, &problems, dir)?;
        check(&eval, &problems, code, replies, dir)?;
        score(&eval, &problems, dir)
    })
}

/// The model's replies; returns how many there are.
fn ask(eval: &Eval, source: &Source, problems: &Path, dir: &StageDir) -> anyhow::Result<u64> {
    let problems: Vec<Problem> = read_jsonl(problems)?.collect::<sky_files::Result<_>>()?;
    let config = eval.sampling();
    let sampling = Sampling {
        problems: &problems,
        prompt: &eval.prompt,
        config: &config,
        seed: eval.config.seed,
    };
    let total = sampling.len() as u64;
    let mut generator = model::open(source, &eval.student, &eval.name)?;
    let progress = Progress::new("asking", total, "replies");
    let mut tokens = 0;
    sample(
        sampling,
        &mut *generator,
        &dir.file("samples.journal"),
        &dir.file("samples.jsonl"),
        &mut |event| match event {
            Event::Resumed { done, .. } => progress.skip(done as u64),
            Event::Finished(row) => {
                tokens += u64::from(row.completion_tokens);
                progress.advance(1);
                progress.note(format!("{tokens} tokens"));
            }
        },
    )?;
    Ok(total)
}

fn check(
    eval: &Eval,
    problems: &Path,
    code: bool,
    replies: u64,
    dir: &StageDir,
) -> anyhow::Result<()> {
    let math = MathChecker::new(eval.verify.math.clone());
    let code = code
        .then(|| {
            let paths = GuestPaths::new(&sky_home());
            let found = Sandbox::find(&paths)?;
            if !found.is_baked() {
                check_cached(&paths.guest)?;
            }
            anyhow::Ok(found.open()?)
        })
        .transpose()?
        .map(|sandbox| CodeChecker::new(sandbox, eval.verify.code.clone()));
    let mut checker = ByDomain::new()
        .with(Domain::Math, &math)
        .with(Domain::Puzzle, &math)
        .with(Domain::Choice, &math);
    if let Some(code) = &code {
        checker = checker.with(Domain::Code, code);
    }
    let mut progress = VerdictProgress::new("checking", replies);
    let checking = Checking {
        problems,
        samples: &dir.file("samples.jsonl"),
        journal: &dir.file("verdicts.journal"),
        verdicts: &dir.file("verdicts.jsonl"),
        threads: None,
    };
    checking.run(&checker, &mut |row, new| {
        progress.verdict(row.verdict.is_correct(), new);
    })?;
    Ok(())
}

fn score(
    eval: &Eval,
    problems: &Path,
    dir: &StageDir,
) -> anyhow::Result<(Vec<String>, Vec<String>, Counts)> {
    let scoring = Scoring {
        problems,
        samples: &dir.file("samples.jsonl"),
        verdicts: &dir.file("verdicts.jsonl"),
        prompt: &eval.prompt,
        config: &eval.config,
        model: &eval.name,
    };
    let scores = scoring.run(&dir.file("results.json"), &dir.file("summary.json"))?;
    let percent = |share: f64| (share * 1000.0).round() / 10.0;
    let mut counts = Counts::new(scores.n, scores.verdicts.total())
        .with("accuracy_percent", percent(scores.accuracy))
        .with("low_percent", percent(scores.low))
        .with("high_percent", percent(scores.high));
    for (verdict, count) in scores.verdicts.iter() {
        counts = counts.with(verdict.as_str(), count);
    }
    let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect();
    Ok((names(&OUTPUTS), names(&SCRATCH), counts))
}
