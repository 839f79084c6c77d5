use std::{
    num::NonZero,
    panic::resume_unwind,
    path::PathBuf,
    sync::{Mutex, PoisonError},
    thread,
};

use serde_json::json;
use sky_cli::{
    Progress, StageArgs, StageDef, StageEstimate, UserError, api_key, check_against_receipt,
    check_endpoint, guest_identity, layout, sky_home,
};
use sky_files::{Counts, StageDir, read_jsonl, write_jsonl};
use sky_sample::{
    Event, HttpGenerator, RewriteConfig, RewriteCounts, RewriteKind, Rewriting, Rewritten,
    rewrite_right_by_rules, rewrite_with_model,
};
use sky_sandbox::GuestPaths;
use sky_types::{Check, CheckError, Domain, Sample, SamplingParams};
use sky_verify::{ProblemIndex, StandardChecks, VerifyConfig};

use crate::teacher;

const JOURNAL: &str = "rewrite.journal";

pub(crate) fn run(args: &StageArgs) -> anyhow::Result<()> {
    let recipe = args.load()?;
    let config: RewriteConfig = recipe.section()?;
    if config.kind == RewriteKind::Model {
        check_endpoint(&config.endpoint)
            .map_err(|reason| recipe.error_at("rewrite", "endpoint", &reason))?;
        if !args.dry_run {
            api_key(&config.api_key_env)
                .map_err(|UserError(reason)| recipe.error_at("rewrite", "api_key_env", &reason))?;
        }
    }
    // What does not change the results (the pace, the key's name) does not make them stale.
    let (settings, what) = match config.kind {
        RewriteKind::Rules => (
            json!({ "kind": "rules" }),
            "thought and solution, by rules".to_owned(),
        ),
        RewriteKind::Model => (
            json!({
                "kind": "model", "name": config.name,
                "temperature": config.temperature, "top_p": config.top_p, "max_tokens": config.max_tokens,
            }),
            format!(
                "thought and solution, by {} at {}, rules where it fails",
                config.name, config.endpoint
            ),
        ),
    };
    let verify: VerifyConfig = recipe.section()?;
    let has_code = ProblemIndex::open(&args.path(layout::TRAIN_PROBLEMS))
        .is_ok_and(|problems| problems.has(Domain::Code));
    let definition = StageDef {
        name: "rewrite",
        inputs: [layout::TRAIN_PROBLEMS, layout::SAMPLES]
            .map(PathBuf::from)
            .to_vec(),
        // The verifier tells which rewriting keeps a right answer.
        config: json!({
            "rewrite": settings,
            "verify": verify,
            "verifier": sky_verify::REVISION,
            "guest": if has_code { guest_identity() } else { None },
        }),
        revision: 1,
        preserve: &[],
        estimate: StageEstimate {
            what,
            seconds: (config.kind == RewriteKind::Rules).then_some(1.0),
        },
    };
    args.run(&recipe, definition, |dir| {
        let verifier = Verifier::open(args, &verify)?;
        let (total, counts) = match config.kind {
            RewriteKind::Rules => by_rules(args, dir, &verifier)?,
            RewriteKind::Model => by_model(args, dir, &config, recipe.seed, &verifier)?,
        };
        let counts = counts
            .into_iter()
            .fold(Counts::new(total, total), |counts, (how, count)| {
                counts.with(how.as_str(), count)
            });
        Ok((
            vec![layout::file_name(layout::REWRITTEN).to_owned()],
            vec![JOURNAL.to_owned()],
            counts,
        ))
    })
}

/// The problems and the checks that tell whether a sample is right.
struct Verifier {
    problems: Mutex<ProblemIndex>,
    checks: StandardChecks,
}

impl Verifier {
    fn open(args: &StageArgs, config: &VerifyConfig) -> anyhow::Result<Self> {
        let problems = ProblemIndex::open(&args.path(layout::TRAIN_PROBLEMS))?;
        let paths = GuestPaths::new(&sky_home());
        let has_code = problems.has(Domain::Code);
        Ok(Self {
            checks: StandardChecks::open(config, has_code, &paths, check_against_receipt)?,
            problems: Mutex::new(problems),
        })
    }

    /// Whether a sample is right. A problem that cannot be judged or is not there has no right
    /// sample: the `verify` stage reports it.
    fn is_right(&self, sample: &Sample) -> Result<bool, CheckError> {
        let mut problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        let problem = problems.get(&sample.problem_id);
        drop(problems);
        let Ok(problem) = problem else {
            return Ok(false);
        };
        match self
            .checks
            .check(&problem, &sample.text, sample.finish_reason)
        {
            Ok(checked) => Ok(checked.verdict.is_correct()),
            Err(CheckError::Unsupported { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Samples that are in memory at once: enough for every core, whatever the file's size.
const ROWS_AT_ONCE: usize = 512;

/// Some rows at a time, so that any number of samples fits.
fn by_rules(
    args: &StageArgs,
    dir: &StageDir,
    verifier: &Verifier,
) -> anyhow::Result<(u64, RewriteCounts)> {
    let mut counts = RewriteCounts::new();
    let mut failure = None;
    let mut rows = read_jsonl::<Sample>(&args.path(layout::SAMPLES))?;
    let progress = Progress::new("rewrite", 0, "samples");
    let chunks = std::iter::from_fn(|| {
        let chunk: Result<Vec<Sample>, _> = rows.by_ref().take(ROWS_AT_ONCE).collect();
        let rewritten = chunk
            .map_err(anyhow::Error::from)
            .and_then(|chunk| side_by_side(chunk, verifier));
        match rewritten {
            Ok(chunk) if chunk.is_empty() => None,
            Ok(chunk) => {
                progress.advance(chunk.len() as u64);
                Some(chunk)
            }
            Err(error) => {
                failure = Some(error);
                None
            }
        }
    });
    let rewritten = chunks.flatten().map(|(sample, how)| {
        *counts.entry(how).or_default() += 1;
        sample
    });
    let total = write_jsonl(&dir.file(layout::file_name(layout::REWRITTEN)), rewritten)?;
    match failure {
        Some(error) => Err(error),
        None => Ok((total, counts)),
    }
}

/// Rewrites samples on every core, and gives them in their order.
fn side_by_side(
    samples: Vec<Sample>,
    verifier: &Verifier,
) -> anyhow::Result<Vec<(Sample, Rewritten)>> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let share = samples.len().div_ceil(threads).max(1);
    let is_right = |sample: &Sample| verifier.is_right(sample);
    let mut samples = samples.into_iter();
    thread::scope(|scope| {
        let workers: Vec<_> = std::iter::from_fn(|| {
            let part: Vec<Sample> = samples.by_ref().take(share).collect();
            (!part.is_empty()).then_some(part)
        })
        .map(|part| {
            scope.spawn(move || {
                let rewritten = part
                    .into_iter()
                    .map(|sample| rewrite_right_by_rules(sample, &is_right));
                rewritten.collect::<Result<Vec<_>, _>>()
            })
        })
        .collect();
        let mut all = Vec::new();
        for worker in workers {
            // A worker's panic is this thread's too.
            let part = worker.join().unwrap_or_else(|panic| resume_unwind(panic));
            all.extend(part?);
        }
        Ok(all)
    })
}

fn by_model(
    args: &StageArgs,
    dir: &StageDir,
    config: &RewriteConfig,
    seed: u64,
    verifier: &Verifier,
) -> anyhow::Result<(u64, RewriteCounts)> {
    let samples: Vec<Sample> =
        read_jsonl(&args.path(layout::SAMPLES))?.collect::<Result<_, _>>()?;
    let is_right = |sample: &Sample| verifier.is_right(sample);
    let rewriting = Rewriting {
        samples: &samples,
        is_right: Some(&is_right),
        params: SamplingParams {
            temperature: config.temperature,
            top_p: config.top_p,
            max_tokens: config.max_tokens,
        },
        seed,
    };
    let mut generate = HttpGenerator::new(teacher::rewriter(config)?);
    let progress = Progress::new("rewrite", samples.len() as u64, "samples");
    let counts = rewrite_with_model(
        &rewriting,
        &mut generate,
        &dir.file(JOURNAL),
        &dir.file(layout::file_name(layout::REWRITTEN)),
        &mut |event| match event {
            Event::Resumed { done, .. } => progress.skip(done as u64),
            Event::Finished(_) => progress.advance(1),
        },
    )?;
    Ok((samples.len() as u64, counts))
}
