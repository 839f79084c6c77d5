use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf, absolute},
};

use anyhow::bail;
use clap::ValueEnum;
use sky_backend::Source;
use sky_cli::{
    ModelConfig, Progress, Recipe, StageArgs, StageDef, StageEstimate, UserError, VerdictProgress,
    check_against_receipt, guest_identity, layout, model_files, sky_home,
};
use sky_data::ProblemsConfig;
use sky_eval::{EvalConfig, Expect, Scoring};
use sky_files::{Counts, FileError, Journal, StageDir, read_jsonl, write_jsonl};
use sky_sample::{Event, SampleConfig, Sampling, sample};
use sky_sandbox::GuestPaths;
use sky_types::{Domain, Problem, Prompt, Sample};
use sky_verify::{MathCheck, ParallelChecker, ProblemIndex, StandardChecks, VerifyConfig};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    stage: StageArgs,
    /// The model to evaluate: the recipe's student, or the model that the run trained.
    #[arg(long)]
    which: Which,
}

#[derive(Clone, Copy, ValueEnum)]
enum Which {
    /// The recipe's `[student]`.
    Before,
    /// The model in the run folder's train/model/.
    After,
}

const OUTPUTS: [&str; 4] = [
    "samples.jsonl",
    "verdicts.jsonl",
    "results.json",
    "summary.json",
];
const SCRATCH: [&str; 2] = ["samples.journal", "verdicts.journal"];
/// The folder of the score of an evaluation that was cut short, in the stage's folder.
const PARTIAL: &str = "partial";

/// One evaluation, as the recipe configures it.
struct Eval {
    student: ModelConfig,
    prompt: Prompt,
    config: EvalConfig,
    verify: VerifyConfig,
    /// The model's name in results.
    name: String,
}

impl Eval {
    fn read(recipe: &Recipe, which: Which) -> anyhow::Result<Self> {
        let student = ModelConfig::read(recipe, "student")?;
        let config: EvalConfig = recipe.section()?;
        let verify: VerifyConfig = recipe.section()?;
        let name = match which {
            Which::Before => student.name.clone(),
            Which::After => format!("{}, fine-tuned", student.name),
        };
        Ok(Self {
            prompt: recipe.section()?,
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
            (None, None) => bail!(UserError(
                "[student] names no model: set `path` or `endpoint`".into()
            )),
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

    fn estimate(&self, recipe: &Recipe) -> StageEstimate {
        let Eval { config, .. } = self;
        let replies = match config.n {
            1 => "one reply".to_owned(),
            n => format!("{n} replies"),
        };
        StageEstimate {
            what: format!(
                "{} on the held-out problems, {replies} of at most {} tokens each",
                self.name, config.max_tokens
            ),
            seconds: expected_problems(recipe).and_then(|n| {
                let replies = n * u64::from(config.n);
                self.student.expected_seconds(replies, config.max_tokens)
            }),
        }
    }
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let Args { stage, which } = args;
    let recipe = stage.load()?;
    let eval = Eval::read(&recipe, *which)?;
    // A dry run works before the model and the problems exist.
    let source = if stage.is_dry_run() {
        if stage.check && matches!(which, Which::Before) {
            eval.student.ready(&recipe, "student")?;
        }
        None
    } else {
        Some(eval.source(&recipe, stage, *which)?)
    };
    // When the problems cannot be read, opening the stage reports why.
    let has_code = ProblemIndex::open(&stage.path(layout::HELDOUT_PROBLEMS))
        .is_ok_and(|problems| problems.has(Domain::Code));
    let mut inputs = vec![PathBuf::from(layout::HELDOUT_PROBLEMS)];
    if let Some(Source::Local(path)) = &source {
        inputs.extend(model_files(path)?);
    }
    let definition = StageDef {
        name: match which {
            Which::Before => "eval-before",
            Which::After => "eval-after",
        },
        inputs,
        config: serde_json::json!({
            "model": eval.name,
            // Not the server's address: the same model elsewhere is the same.
            "extra_body": eval.student.extra_body,
            "arithmetic": sky_backend::arithmetic(&eval.student),
            "prompt": eval.prompt,
            "eval": eval.config,
            "verify": eval.verify,
            "verifier": sky_verify::REVISION,
            "guest": if has_code { guest_identity() } else { None },
        }),
        revision: 1,
        preserve: &[],
        estimate: eval.estimate(&recipe),
    };
    stage.run(&recipe, definition, |dir| {
        let source = match source {
            Some(source) => source,
            None => eval.source(&recipe, stage, *which)?,
        };
        let problems = stage.path(layout::HELDOUT_PROBLEMS);
        let work = Evaluation {
            eval: &eval,
            problems: &problems,
            dir,
            voter: MathCheck::new(eval.verify.math.clone()),
        };
        let replies = match work.sample(&source) {
            Ok(replies) => replies,
            Err(error) => return Err(work.partial(has_code, error)),
        };
        let partial = dir.file(PARTIAL);
        if partial.exists() {
            std::fs::remove_dir_all(&partial)
                .map_err(|source| FileError::io(&partial, "remove", source))?;
        }
        work.check(
            has_code,
            replies,
            &dir.file("samples.jsonl"),
            &dir.file("verdicts.jsonl"),
        )?;
        work.score()
    })
}

/// How many problems will be held out, when the recipe says so itself.
fn expected_problems(recipe: &Recipe) -> Option<u64> {
    let problems: ProblemsConfig = recipe.other_section()?;
    problems.expected_heldout()
}

/// The three steps of an evaluation, each from files to files of the stage's folder.
struct Evaluation<'a> {
    eval: &'a Eval,
    problems: &'a Path,
    dir: &'a StageDir,
    voter: MathCheck,
}

impl Evaluation<'_> {
    /// Draws the model's replies; returns their number.
    fn sample(&self, source: &Source) -> anyhow::Result<u64> {
        let problems: Vec<Problem> =
            read_jsonl(self.problems)?.collect::<sky_files::Result<_>>()?;
        let config = self.eval.sampling();
        let sampling = Sampling {
            problems: &problems,
            prompt: &self.eval.prompt,
            config: &config,
            seed: self.eval.config.seed,
        };
        let total = sampling.len() as u64;
        let mut generator = sky_backend::open(source, &self.eval.student, &self.eval.name)?;
        let progress = Progress::new("asking", total, "replies");
        let mut tokens = 0;
        sample(
            sampling,
            &mut *generator,
            &self.dir.file("samples.journal"),
            &self.dir.file("samples.jsonl"),
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

    /// Scores what an evaluation that was cut short has finished: problems with all their replies.
    /// Gives the error that cut it short, with the score. The verdicts go into the stage's journal,
    /// so that the same command goes on from there.
    fn partial(&self, has_code: bool, error: anyhow::Error) -> anyhow::Error {
        match self.score_partial(has_code) {
            Ok(Some(said)) => error.context(said),
            Ok(None) => error,
            Err(other) => error.context(format!("the finished replies were not scored: {other:#}")),
        }
    }

    fn score_partial(&self, has_code: bool) -> anyhow::Result<Option<String>> {
        let journal = self.dir.file("samples.journal");
        let (_lock, found) = Journal::<Sample>::open(&journal)?;
        let mut replies: HashMap<String, BTreeMap<u32, Sample>> = HashMap::new();
        for row in found.rows {
            if row.failure.is_none() && row.index < self.eval.config.n {
                replies
                    .entry(row.problem_id.clone())
                    .or_default()
                    .insert(row.index, row);
            }
        }
        let n = self.eval.config.n as usize;
        let mut samples = Vec::new();
        for problem in read_jsonl::<Problem>(self.problems)? {
            if let Some(group) = replies
                .remove(&problem?.id)
                .filter(|group| group.len() == n)
            {
                samples.extend(group.into_values());
            }
        }
        if samples.is_empty() {
            return Ok(None);
        }
        let folder = self.dir.file(PARTIAL);
        std::fs::create_dir_all(&folder)
            .map_err(|source| FileError::io(&folder, "make", source))?;
        let rows = samples.len() as u64;
        let (samples_file, verdicts) =
            (folder.join("samples.jsonl"), folder.join("verdicts.jsonl"));
        write_jsonl(&samples_file, &samples)?;
        self.check(has_code, rows, &samples_file, &verdicts)?;
        let scoring = Scoring {
            samples: &samples_file,
            verdicts: &verdicts,
            expect: Expect::Whatever,
            ..self.scoring(Path::new(""), Path::new(""))
        };
        let summary = folder.join("summary.json");
        let scores = scoring.run(&folder.join("results.json"), &summary)?;
        Ok(Some(format!(
            "cut short; {} of {} problems are finished: {:.1} % right (95 % interval {:.1} to {:.1}), in {}; \
             the same command goes on from here",
            scores.n,
            scores.of,
            scores.accuracy * 100.0,
            scores.low * 100.0,
            scores.high * 100.0,
            summary.display()
        )))
    }

    fn scoring<'b>(&'b self, samples: &'b Path, verdicts: &'b Path) -> Scoring<'b> {
        Scoring {
            problems: self.problems,
            samples,
            verdicts,
            prompt: &self.eval.prompt,
            config: &self.eval.config,
            model: &self.eval.name,
            expect: Expect::Complete,
            voter: Some(&self.voter),
        }
    }

    fn check(
        &self,
        has_code: bool,
        replies: u64,
        samples: &Path,
        verdicts: &Path,
    ) -> anyhow::Result<()> {
        let paths = GuestPaths::new(&sky_home());
        let checks =
            StandardChecks::open(&self.eval.verify, has_code, &paths, check_against_receipt)?;
        let mut progress = VerdictProgress::new("checking", replies);
        let checker = ParallelChecker {
            problems: self.problems,
            samples,
            journal: &self.dir.file("verdicts.journal"),
            verdicts,
            threads: None,
        };
        checker.run(&checks, &mut |row, new| {
            progress.verdict(row.verdict.is_correct(), new);
        })?;
        Ok(())
    }

    fn score(&self) -> anyhow::Result<(Vec<String>, Vec<String>, Counts)> {
        let (samples, verdicts) = (
            self.dir.file("samples.jsonl"),
            self.dir.file("verdicts.jsonl"),
        );
        let scoring = self.scoring(&samples, &verdicts);
        let (results, summary) = (self.dir.file("results.json"), self.dir.file("summary.json"));
        let scores = scoring.run(&results, &summary)?;
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
}
