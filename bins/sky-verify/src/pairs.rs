//! `sky-verify math --pairs`: pairs of answers, judged in batches on all threads.

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
use sky_math::{Grade, MathChecker, Options, Rule};

use crate::conventions::Conventions;

/// Most pairs of one batch. A batch is read, judged and written before the next one is read.
const BATCH: usize = 4096;
/// Most bytes of text of one batch, but for its last pair.
const BATCH_BYTES: usize = 16 << 20;

/// A file of pairs to judge.
pub(crate) struct PairsJob<'a> {
    pub(crate) pairs: &'a Path,
    pub(crate) out: &'a Path,
    pub(crate) threads: Option<NonZero<usize>>,
    pub(crate) conventions: Conventions,
}

/// One line of the input; other fields are ignored.
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

/// The conventions of one line, or what Math-Verify's own test extracts from it. Sky's extraction
/// rules look for all of the latter, so the first four change nothing.
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

/// Options of one line: fields of [`Options`], or Math-Verify's names for two of them.
#[derive(Debug, Default, Deserialize)]
#[serde(try_from = "Map<String, Value>")]
struct PairOptions(Map<String, Value>);

impl TryFrom<Map<String, Value>> for PairOptions {
    type Error = String;

    fn try_from(map: Map<String, Value>) -> Result<Self, String> {
        let rename = |(key, value): (String, Value)| {
            let key = match key.as_str() {
                "float_rounding" => "round_decimals".to_owned(),
                "allow_set_relation_comp" => "relation_as_set".to_owned(),
                _ => key,
            };
            (key, value)
        };
        let options = Self(map.into_iter().map(rename).collect());
        options
            .over(&Options::default())
            .map_err(|error| format!("opts: {error}"))?;
        Ok(options)
    }
}

impl PairOptions {
    /// `base` with these options set.
    fn over(&self, base: &Options) -> Result<Options, serde_json::Error> {
        let mut all = serde_json::to_value(base)?;
        if let Value::Object(all) = &mut all {
            all.extend(self.0.clone());
        }
        serde_json::from_value(all)
    }
}

#[derive(Debug, Serialize)]
struct PairVerdict {
    id: Value,
    verdict: Grade,
    extracted: Option<String>,
    rule: Option<Rule>,
    reason: String,
    micros: f64,
}

/// Judges every pair of the file and prints the counts.
pub(crate) fn run(args: &PairsJob<'_>) -> anyhow::Result<()> {
    let threads = args
        .threads
        .or_else(|| thread::available_parallelism().ok())
        .map_or(1, NonZero::get);
    let options = args.conventions.options();
    let mut rows = read_jsonl::<Pair>(args.pairs)?;
    let (mut total, mut right, mut unparsed) = (0_u64, 0_u64, 0_u64);
    // `write_atomic` passes only I/O errors on; a row that cannot be read must keep its own error.
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
                right += u64::from(judged.verdict == Grade::Correct);
                unparsed += u64::from(judged.verdict == Grade::Unparsed);
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
    sky_cli::outln!(
        "{total} pairs: {right} correct, {} wrong, {unparsed} unparsed; {:.0} a second on {threads} threads",
        total - right - unparsed,
        total as f64 / seconds.max(1e-9)
    );
    Ok(())
}

/// The next batch; empty at the end of the file.
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

/// Judges a batch on all threads; the results keep its order.
fn judge_batch(batch: &[Pair], options: &Options, threads: usize) -> Vec<PairVerdict> {
    let next = AtomicUsize::new(0);
    let worker = || {
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
    let mut all: Vec<(usize, PairVerdict)> = thread::scope(|scope| {
        let others: Vec<_> = (1..threads.min(batch.len()))
            .map(|_| scope.spawn(worker))
            .collect();
        let mut all = worker();
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

/// The options of a line with its own conventions or options; none for other lines.
fn own_options(pair: &Pair, base: &Options) -> Option<Options> {
    let conventions = pair.mode.conventions().map(Conventions::options);
    if pair.opts.0.is_empty() {
        return conventions;
    }
    // Parsing applied them to the defaults already, so this cannot fail.
    pair.opts.over(conventions.as_ref().unwrap_or(base)).ok()
}

fn judge(pair: &Pair, checker: &MathChecker) -> PairVerdict {
    let start = Instant::now();
    let graded = match own_options(pair, checker.options()) {
        None => checker.check(&pair.gold, &pair.pred),
        Some(options) => MathChecker::new(options).check(&pair.gold, &pair.pred),
    };
    PairVerdict {
        id: pair.id.clone(),
        verdict: graded.grade,
        extracted: graded.extracted,
        rule: graded.rule,
        reason: graded.reason,
        micros: start.elapsed().as_nanos() as f64 / 1000.0,
    }
}
