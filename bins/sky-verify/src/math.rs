//! `sky-verify math` and `sky-verify explain`: answers compared by value.

use std::{
    io::{self, Write},
    num::NonZero,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Instant,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sky_cli::{Invalid, VerdictProgress};
use sky_eval::Checking;
use sky_files::{FileError, hash_file, read_jsonl, write_atomic};
use sky_types::Sample;
use sky_verify::math::{MathChecker, Options, Outcome, Rule};

/// Pairs read, judged on all threads and written before the next are read: so many, or so many bytes of text.
const BATCH: usize = 4096;
const BATCH_BYTES: usize = 16 << 20;

/// On which conventions to judge; each is described in `docs/math-equality.md`.
#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Conventions {
    /// Ours: units, `x =` and degree signs may be left out.
    #[default]
    Default,
    /// As Math-Verify 0.9.0 judges, where it differs.
    MathVerify,
    /// Nothing may be left out.
    Strict,
}

impl Conventions {
    fn options(self) -> Options {
        match self {
            Self::Default => Options::default(),
            Self::MathVerify => Options::math_verify(),
            Self::Strict => Options::strict(),
        }
    }
}

#[derive(clap::Args)]
pub(crate) struct MathArgs {
    /// Pairs to judge: one JSON object a line with `id`, `gold`, `pred` (an answer or a whole response) and perhaps `opts`.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["problems", "samples"], required_unless_present = "problems")]
    pairs: Option<PathBuf>,
    /// The problems, in our format.
    #[arg(long, value_name = "FILE", requires = "samples")]
    problems: Option<PathBuf>,
    /// The samples to judge, in our format.
    #[arg(long, value_name = "FILE", requires = "problems")]
    samples: Option<PathBuf>,
    /// Where the verdicts go, in the order of the input.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Replace the file if it is there.
    #[arg(long)]
    force: bool,
    /// Threads that check; one a core unless given. Verdicts do not depend on it.
    #[arg(long, value_name = "N")]
    threads: Option<NonZero<usize>>,
    /// Whose conventions.
    #[arg(long, value_enum, default_value_t)]
    conventions: Conventions,
}

#[derive(clap::Args)]
pub(crate) struct ExplainArgs {
    /// The gold answer.
    #[arg(allow_hyphen_values = true)]
    gold: String,
    /// The answer, or a whole response.
    #[arg(allow_hyphen_values = true)]
    answer: String,
    /// Whose conventions.
    #[arg(long, value_enum, default_value_t)]
    conventions: Conventions,
}

/// Prints a verdict with both trees.
pub(crate) fn explain(args: &ExplainArgs) -> anyhow::Result<()> {
    let checker = MathChecker::new(args.conventions.options());
    print!("{}", checker.explain(&args.gold, &args.answer));
    Ok(())
}

pub(crate) fn run(args: &MathArgs) -> anyhow::Result<()> {
    if args.out.exists() && !args.force {
        return Err(Invalid(format!(
            "{}: is there already; --force replaces it",
            args.out.display()
        ))
        .into());
    }
    match (&args.pairs, &args.problems, &args.samples) {
        (Some(pairs), ..) => judge_pairs(args, pairs),
        (None, Some(problems), Some(samples)) => judge_samples(args, problems, samples),
        _ => Err(
            Invalid("--pairs, or --problems with --samples, says what to judge".to_owned()).into(),
        ),
    }
}

/// One line of the input; fields beyond these are for people.
#[derive(Debug, Deserialize)]
struct Pair {
    id: Value,
    gold: String,
    pred: String,
    #[serde(default)]
    opts: Option<PairOptions>,
}

/// How a pair's own test called its grader, under Math-Verify's names.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PairOptions {
    float_rounding: Option<u32>,
    allow_set_relation_comp: Option<bool>,
}

#[derive(Debug, Serialize)]
struct Judged {
    id: Value,
    verdict: Outcome,
    extracted: Option<String>,
    rule: Option<Rule>,
    reason: String,
    micros: f64,
}

fn judge_pairs(args: &MathArgs, path: &Path) -> anyhow::Result<()> {
    let threads = args
        .threads
        .or_else(|| thread::available_parallelism().ok())
        .map_or(1, NonZero::get);
    let options = args.conventions.options();
    let mut rows = read_jsonl::<Pair>(path)?;
    let (mut total, mut right, mut unparsed) = (0_u64, 0_u64, 0_u64);
    // A row that cannot be read is reported as itself, not as a failure to write.
    let mut broken: Option<FileError> = None;
    let start = Instant::now();
    let written = write_atomic(&args.out, |out| {
        loop {
            let batch = match next_batch(&mut rows) {
                Ok(batch) => batch,
                Err(error) => {
                    let message = error.to_string();
                    broken = Some(error);
                    return Err(io::Error::other(message));
                }
            };
            if batch.is_empty() {
                return Ok(());
            }
            for judged in judge_batch(&batch, &options, threads) {
                total += 1;
                right += u64::from(judged.verdict == Outcome::Correct);
                unparsed += u64::from(judged.verdict == Outcome::Unparsed);
                serde_json::to_writer(&mut *out, &judged)?;
                out.write_all(b"\n")?;
            }
        }
    });
    if let Some(error) = broken {
        return Err(error.into());
    }
    written?;
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{total} pairs: {right} correct, {} wrong, {unparsed} unparsed; {:.0} a second on {threads} threads",
        total - right - unparsed,
        total as f64 / seconds.max(1e-9)
    );
    Ok(())
}

/// The next pairs, few enough to hold at once however long they are; none at the end.
fn next_batch(
    rows: &mut impl Iterator<Item = Result<Pair, FileError>>,
) -> Result<Vec<Pair>, FileError> {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while batch.len() < BATCH && bytes < BATCH_BYTES {
        let Some(pair) = rows.next().transpose()? else {
            break;
        };
        bytes += pair.gold.len() + pair.pred.len();
        batch.push(pair);
    }
    Ok(batch)
}

/// Judges a batch, results in its order.
fn judge_batch(batch: &[Pair], options: &Options, threads: usize) -> Vec<Judged> {
    let next = AtomicUsize::new(0);
    let work = || {
        let checker = MathChecker::new(options.clone());
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(pair) = batch.get(at) else {
                return done;
            };
            done.push((at, judge(pair, &checker)));
        }
    };
    let mut all: Vec<(usize, Judged)> = thread::scope(|scope| {
        let others: Vec<_> = (1..threads.min(batch.len()))
            .map(|_| scope.spawn(work))
            .collect();
        let mut all = work();
        for other in others {
            match other.join() {
                Ok(done) => all.extend(done),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        all
    });
    all.sort_unstable_by_key(|(at, _)| *at);
    all.into_iter().map(|(_, judged)| judged).collect()
}

fn judge(pair: &Pair, checker: &MathChecker) -> Judged {
    let own = pair
        .opts
        .as_ref()
        .filter(|o| o.float_rounding.is_some() || o.allow_set_relation_comp.is_some());
    let start = Instant::now();
    let verdict = match own {
        None => checker.check(&pair.gold, &pair.pred),
        Some(opts) => {
            let mut options = checker.options().clone();
            if let Some(places) = opts.float_rounding {
                options.round_decimals = Some(places);
            }
            if let Some(allowed) = opts.allow_set_relation_comp {
                options.relation_as_set = allowed;
            }
            MathChecker::new(options).check(&pair.gold, &pair.pred)
        }
    };
    Judged {
        id: pair.id.clone(),
        verdict: verdict.outcome,
        extracted: verdict.extracted,
        rule: verdict.rule,
        reason: verdict.reason,
        micros: start.elapsed().as_nanos() as f64 / 1000.0,
    }
}

fn judge_samples(args: &MathArgs, problems: &Path, samples: &Path) -> anyhow::Result<()> {
    let mut total = 0;
    for row in read_jsonl::<Sample>(samples)? {
        row?;
        total += 1;
    }
    let journal = journal(args, problems, samples)?;
    let checker = MathChecker::new(args.conventions.options());
    let mut progress = VerdictProgress::new("verify", total);
    let checking = Checking {
        problems,
        samples,
        journal: &journal,
        verdicts: &args.out,
        threads: args.threads,
    };
    let mix = checking.run(&checker, &mut |row, new| {
        progress.verdict(row.verdict.is_correct(), new);
    })?;
    drop(progress);
    std::fs::remove_file(&journal).map_err(|source| FileError::io(&journal, "remove", source))?;
    let parts: Vec<String> = mix
        .iter()
        .map(|(verdict, count)| format!("{count} {verdict}"))
        .collect();
    println!("{total} samples: {}", parts.join(", "));
    Ok(())
}

/// The journal of this very work: other inputs or conventions get another.
fn journal(args: &MathArgs, problems: &Path, samples: &Path) -> anyhow::Result<PathBuf> {
    let (problems, samples) = (hash_file(problems)?, hash_file(samples)?);
    let name = args
        .out
        .file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let part = |hash: &str| hash.chars().take(12).collect::<String>();
    let file = format!(
        "{name}.{}-{}-{:?}.journal",
        part(&problems.sha256),
        part(&samples.sha256),
        args.conventions
    );
    Ok(args.out.parent().unwrap_or(Path::new("")).join(file))
}
