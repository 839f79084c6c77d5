//! `sky-verify math --pairs`: a stream of pairs, judged in batches on all threads.

use std::{
    io::{self, Write},
    num::NonZero,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Instant,
};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sky_files::{FileError, read_jsonl, write_atomic};
use sky_verify::math::{MathChecker, Options, Outcome, Rule};

use crate::math::Conventions;

/// Pairs read, judged on all threads and written before the next are read: so many, or so many bytes of text.
const BATCH: usize = 4096;
const BATCH_BYTES: usize = 16 << 20;

/// What to judge, and how.
pub(crate) struct Judging<'a> {
    pub(crate) pairs: &'a Path,
    pub(crate) out: &'a Path,
    pub(crate) threads: Option<NonZero<usize>>,
    pub(crate) conventions: Conventions,
}

/// One line of the input; fields beyond these are for people.
#[derive(Debug, Deserialize)]
struct Pair {
    id: Value,
    gold: String,
    pred: String,
    #[serde(default)]
    mode: Mode,
    #[serde(default)]
    opts: PairOptions,
}

/// Whose conventions a line is judged by, or what Math-Verify's own test looked for in it: our rules of extraction look for
/// all of that, so that these four change nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mode {
    #[default]
    #[serde(rename = "latex+expr")]
    LatexAndExpr,
    Latex,
    Expr,
    String,
    Default,
    MathVerify,
    Strict,
}

impl Mode {
    fn conventions(self) -> Option<Conventions> {
        match self {
            Self::LatexAndExpr | Self::Latex | Self::Expr | Self::String => None,
            Self::Default => Some(Conventions::Default),
            Self::MathVerify => Some(Conventions::MathVerify),
            Self::Strict => Some(Conventions::Strict),
        }
    }
}

/// Conventions of one line: fields of [`Options`], or Math-Verify's names for two of them.
#[derive(Debug, Default, Deserialize)]
#[serde(try_from = "Map<String, Value>")]
struct PairOptions(Map<String, Value>);

impl TryFrom<Map<String, Value>> for PairOptions {
    type Error = String;

    fn try_from(map: Map<String, Value>) -> Result<Self, String> {
        let own = |(key, value): (String, Value)| {
            let key = match key.as_str() {
                "float_rounding" => "round_decimals".to_owned(),
                "allow_set_relation_comp" => "relation_as_set".to_owned(),
                _ => key,
            };
            (key, value)
        };
        let options = Self(map.into_iter().map(own).collect());
        options
            .over(&Options::default())
            .map_err(|error| format!("opts: {error}"))?;
        Ok(options)
    }
}

impl PairOptions {
    /// These options where they say something, `base` elsewhere.
    fn over(&self, base: &Options) -> Result<Options, serde_json::Error> {
        let mut all = serde_json::to_value(base)?;
        if let Value::Object(all) = &mut all {
            all.extend(self.0.clone());
        }
        serde_json::from_value(all)
    }
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

/// Judges every pair of the file.
pub(crate) fn run(args: &Judging<'_>) -> anyhow::Result<()> {
    let threads = args
        .threads
        .or_else(|| thread::available_parallelism().ok())
        .map_or(1, NonZero::get);
    let options = args.conventions.options();
    let mut rows = read_jsonl::<Pair>(args.pairs)?;
    let (mut total, mut right, mut unparsed) = (0_u64, 0_u64, 0_u64);
    // A row that cannot be read is reported as itself, not as a failure to write.
    let mut broken: Option<FileError> = None;
    let start = Instant::now();
    let written = write_atomic(args.out, |out| {
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

/// The options of a line that has its own.
fn own_options(pair: &Pair, base: &Options) -> Option<Options> {
    let conventions = pair.mode.conventions().map(Conventions::options);
    if pair.opts.0.is_empty() {
        return conventions;
    }
    // They were read over the defaults before, so that they fit here too.
    pair.opts.over(conventions.as_ref().unwrap_or(base)).ok()
}

fn judge(pair: &Pair, checker: &MathChecker) -> Judged {
    let start = Instant::now();
    let verdict = match own_options(pair, checker.options()) {
        None => checker.check(&pair.gold, &pair.pred),
        Some(options) => MathChecker::new(options).check(&pair.gold, &pair.pred),
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
