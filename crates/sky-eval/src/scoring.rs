use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

use serde::{Deserialize, Serialize};
use sky_files::{FileError, write_atomic, write_json};
use sky_types::{Domain, Message, Problem, Prompt, Verdict, Version};
use sky_verify::{
    Ballot, JudgedSample, MathCheck, ProblemIndex, VerdictCounts, read_judged_samples,
};

use crate::{
    EvalConfig, EvalError, Interval, Result, bootstrap_mean, ends_in_loop, pass_at_k,
    stats::reported_k, wilson,
};

/// Turns samples and verdicts into scores.
///
/// Writes `results.json`, with one entry a problem, and `summary.json`.
#[derive(Clone, Copy, Debug)]
pub struct Scoring<'a> {
    /// `problems.jsonl`: what was asked, with source and domain.
    pub problems: &'a Path,
    /// The replies; those to one problem stand next to each other.
    pub samples: &'a Path,
    /// `verdicts.jsonl`, a line a reply, in the order of `samples`.
    pub verdicts: &'a Path,
    /// The prompt that the model got.
    pub prompt: &'a Prompt,
    /// The sampling settings of the replies.
    pub config: &'a EvalConfig,
    /// The model's name.
    pub model: &'a str,
    /// Which replies there have to be.
    pub expect: Expect,
    /// Reads the answers of wrong replies for the majority vote; none leaves the vote out.
    pub voter: Option<&'a MathCheck>,
}

/// Which replies a scoring has to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// `config.n` replies to every problem of the file.
    Complete,
    /// Whatever is there: an evaluation that was cut short, or replies from elsewhere. Problems
    /// without a reply are not scored; the summary says of how many problems `n` are.
    Whatever,
}

/// The scores of one evaluation, as in `summary.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvalSummary {
    /// Format version, 1.
    pub v: Version<1>,
    /// The model's name.
    pub model: String,
    /// The sampling settings of the replies.
    pub config: EvalConfig,
    /// Number of problems that could be judged.
    pub n: u64,
    /// Number of problems of the task; above `n` when some have no reply or cannot be judged.
    pub of: u64,
    /// The mean over problems of pass@1: the share of right replies.
    pub accuracy: f64,
    /// Lower end of the 95 % interval of `accuracy`. Its trials are the problems: replies to one
    /// problem are not independent, so more of them do not make it narrower.
    pub low: f64,
    /// Upper end of that interval.
    pub high: f64,
    /// The 95 % interval of `accuracy` by resampling problems, those that share a text together.
    pub bootstrap: Interval,
    /// pass@k averaged over problems, for k = n, n/2, ... 1. With the verifier as scorer, best of k
    /// is the same number.
    pub pass_at_k: BTreeMap<u64, f64>,
    /// maj@k (cons@k): the share of problems whose majority answer of k replies is right, averaged
    /// over disjoint groups of k. Of problems with one answer only, so not of programs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub maj_at_k: BTreeMap<u64, f64>,
    /// Shares of replies that say something about how replies end.
    pub rates: Rates,
    /// Number of replies with each verdict.
    pub verdicts: VerdictCounts,
    /// Number of replies with `\boxed{`, of those to problems that ask for it: all but code.
    pub boxed: u64,
    /// Number of replies to problems that ask for `\boxed{`.
    pub boxed_of: u64,
    /// Scores of each source of problems.
    pub sources: BTreeMap<String, SourceScore>,
    /// Tokens of all prompts.
    pub prompt_tokens: u64,
    /// Tokens of all replies.
    pub completion_tokens: u64,
    /// Mean number of tokens of a reply.
    pub mean_completion_tokens: f64,
    /// The number of tokens that 95 % of replies do not exceed.
    pub p95_completion_tokens: u32,
}

impl EvalSummary {
    /// What a reader has to know before comparing this score with another: a set as small as AIME
    /// proves little, and a part of a task is not the task.
    pub fn cautions(&self) -> Vec<String> {
        let mut cautions = Vec::new();
        if self.n < self.of {
            cautions.push(format!(
                "{} of {} problems are scored; this is not the task's score",
                self.n, self.of
            ));
        }
        let width = (self.high - self.low) * 100.0;
        if self.n > 0 && width > 15.0 {
            cautions.push(format!(
                "with {} problems the 95 % interval is {width:.0} points wide: a smaller difference proves nothing",
                self.n
            ));
        }
        cautions
    }
}

/// Shares of replies, each of all replies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rates {
    /// Replies that hit the token limit before their answer.
    pub truncated: f64,
    /// Replies without an answer, wrong in the score.
    pub unparsed: f64,
    /// Requests that got no reply.
    pub no_reply: f64,
    /// Replies that end in a loop; see [`ends_in_loop`].
    pub repetition: f64,
}

/// The score on one source of problems.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceScore {
    /// Number of problems.
    pub n: u64,
    /// Mean over them of pass@1.
    pub accuracy: f64,
}

/// One entry of `results.json`.
#[derive(Serialize)]
struct ProblemResult<'a> {
    id: &'a str,
    source: &'a str,
    prompt: &'a str,
    conversation: Vec<Message>,
    responses: Vec<Response<'a>>,
    token_usage: TokenUsage,
}

#[derive(Serialize)]
struct Response<'a> {
    content: &'a str,
    correctness: bool,
    reason: String,
}

#[derive(Serialize)]
struct TokenUsage {
    prompt_tokens: u64,
    completion_tokens: u64,
}

impl Scoring<'_> {
    /// Reads samples and verdicts once, holds one problem's replies in memory, writes both files.
    ///
    /// # Errors
    /// When a file fails, or a problem does not have exactly the configured number of replies.
    pub fn run(&self, results: &Path, summary: &Path) -> Result<EvalSummary> {
        let _span = tracing::info_span!("score", model = self.model).entered();
        let mut problems = ProblemIndex::open(self.problems)?;
        let mut tally = Tally::default();
        write_with(results, |out| {
            let fail = |source| FileError::io(results, "write", source);
            out.write_all(b"{\"v\":1,\"results\":[").map_err(fail)?;
            let rows = read_judged_samples(self.samples, self.verdicts)?;
            for_each_problem(rows, |group| {
                let Some(first) = group.first() else {
                    return Ok(());
                };
                let problem = problems.get(&first.sample.problem_id)?;
                self.check_complete(&problem, group)?;
                out.write_all(if tally.seen == 0 { b"\n" } else { b",\n" })
                    .map_err(fail)?;
                serde_json::to_writer(&mut *out, &self.result(&problem, group))
                    .map_err(|error| fail(error.into()))?;
                tally.add(&problem, group, self.voter);
                Ok(())
            })?;
            out.write_all(b"\n]}\n").map_err(fail)?;
            Ok(())
        })?;
        if self.expect == Expect::Complete && tally.seen != problems.len() as u64 {
            let what = format!(
                "has replies to {} problems, the task has {}",
                tally.seen,
                problems.len()
            );
            return Err(EvalError::mismatch(self.samples, what));
        }
        let scores = tally.summary(self, problems.len() as u64);
        write_json(summary, &scores)?;
        Ok(scores)
    }

    fn check_complete(&self, problem: &Problem, group: &[JudgedSample]) -> Result<()> {
        if self.expect == Expect::Whatever || group.len() == self.config.n as usize {
            return Ok(());
        }
        let what = format!(
            "has {} replies in a row to {:?}, `n` is {}",
            group.len(),
            problem.id,
            self.config.n
        );
        Err(EvalError::mismatch(self.samples, what))
    }

    fn result<'b>(&self, problem: &'b Problem, group: &'b [JudgedSample]) -> ProblemResult<'b> {
        let response = |row: &'b JudgedSample| Response {
            content: &row.sample.text,
            correctness: row.verdict.verdict.is_correct(),
            reason: format!("{}: {}", row.verdict.verdict, row.verdict.detail),
        };
        ProblemResult {
            id: &problem.id,
            source: &problem.source,
            prompt: &problem.prompt,
            conversation: self.prompt.messages(&[], problem),
            responses: group.iter().map(response).collect(),
            token_usage: TokenUsage {
                prompt_tokens: group
                    .iter()
                    .map(|r| u64::from(r.sample.prompt_tokens))
                    .sum(),
                completion_tokens: group
                    .iter()
                    .map(|r| u64::from(r.sample.completion_tokens))
                    .sum(),
            },
        }
    }
}

/// Calls `on_group` with each run of rows that have the same problem.
fn for_each_problem(
    rows: impl Iterator<Item = sky_verify::Result<JudgedSample>>,
    mut on_group: impl FnMut(&[JudgedSample]) -> Result<()>,
) -> Result<()> {
    let mut group: Vec<JudgedSample> = Vec::new();
    for row in rows {
        let row = row?;
        let same = |last: &JudgedSample| last.sample.problem_id == row.sample.problem_id;
        if group.last().is_some_and(|last| !same(last)) {
            on_group(&group)?;
            group.clear();
        }
        group.push(row);
    }
    if group.is_empty() {
        return Ok(());
    }
    on_group(&group)
}

/// What the problems give, put together by [`Tally::summary`].
#[derive(Default)]
struct Tally {
    /// Problems with replies.
    seen: u64,
    /// Those that could be judged.
    judged: Vec<JudgedProblem>,
    verdicts: VerdictCounts,
    boxed: u64,
    boxed_of: u64,
    looped: u64,
    prompt_tokens: u64,
    /// Of each reply.
    completion_tokens: Vec<u32>,
}

/// The result of one problem.
struct JudgedProblem {
    source: String,
    /// The problems of one cluster share a text.
    cluster: String,
    replies: u64,
    right: u64,
    /// maj@k for each reported k.
    majority: Vec<Majority>,
}

/// The majority vote of k replies.
struct Majority {
    k: u64,
    /// Mean over disjoint groups of k replies of the chance that the majority is right.
    right: f64,
}

impl Tally {
    fn add(&mut self, problem: &Problem, group: &[JudgedSample], voter: Option<&MathCheck>) {
        self.seen += 1;
        self.add_counts(problem, group);
        if group
            .iter()
            .any(|row| row.verdict.verdict == Verdict::Unsupported)
        {
            return;
        }
        let right = group
            .iter()
            .filter(|row| row.verdict.verdict.is_correct())
            .count() as u64;
        let majority = match voter {
            Some(voter) if group.len() > 1 && problem.domain != Domain::Code => {
                votes(voter, problem, group)
            }
            _ => Vec::new(),
        };
        self.judged.push(JudgedProblem {
            source: problem.source.clone(),
            cluster: cluster(problem),
            replies: group.len() as u64,
            right,
            majority,
        });
    }

    fn add_counts(&mut self, problem: &Problem, group: &[JudgedSample]) {
        for row in group {
            self.verdicts.add(row.verdict.verdict);
            if problem.domain != Domain::Code {
                self.boxed_of += 1;
                self.boxed += u64::from(row.sample.text.contains(r"\boxed{"));
            }
            self.looped += u64::from(ends_in_loop(&row.sample.text));
            self.prompt_tokens += u64::from(row.sample.prompt_tokens);
            self.completion_tokens.push(row.sample.completion_tokens);
        }
    }

    fn summary(mut self, scoring: &Scoring<'_>, of: u64) -> EvalSummary {
        let n = self.judged.len() as u64;
        // pass@k is known for problems with k replies or more: only such k are reported.
        let least = self.judged.iter().map(|one| one.replies).min().unwrap_or(0);
        let mean_of =
            |value: &dyn Fn(&JudgedProblem) -> f64| mean(self.judged.iter().map(value).sum(), n);
        let pass_at_k: BTreeMap<u64, f64> = reported_k(least)
            .map(|k| (k, mean_of(&|one| pass_at_k(one.replies, one.right, k))))
            .collect();
        let accuracy = pass_at_k.get(&1).copied().unwrap_or(0.0);
        let Interval { low, high } = wilson(accuracy, n);
        let shares: Vec<f64> = self.judged.iter().map(JudgedProblem::share).collect();
        let clusters: Vec<String> = self.judged.iter().map(|one| one.cluster.clone()).collect();
        let mut sources: BTreeMap<String, SourceScore> = BTreeMap::new();
        for one in &self.judged {
            let source = sources.entry(one.source.clone()).or_default();
            source.n += 1;
            source.accuracy += one.share();
        }
        for source in sources.values_mut() {
            source.accuracy = mean(source.accuracy, source.n);
        }
        let replies = self.verdicts.total();
        let rate = |count: u64| mean(count as f64, replies);
        let completion_tokens = self.completion_tokens.iter().map(|&n| u64::from(n)).sum();
        self.completion_tokens.sort_unstable();
        EvalSummary {
            v: Version,
            model: scoring.model.to_owned(),
            config: scoring.config.clone(),
            n,
            of,
            accuracy,
            low,
            high,
            bootstrap: bootstrap_mean(&shares, &clusters, scoring.config.seed),
            maj_at_k: majorities(&self.judged, least),
            pass_at_k,
            rates: Rates {
                truncated: rate(self.verdicts.of(Verdict::Truncated)),
                unparsed: rate(self.verdicts.of(Verdict::Unparsed)),
                no_reply: rate(self.verdicts.of(Verdict::NoReply)),
                repetition: rate(self.looped),
            },
            mean_completion_tokens: mean(completion_tokens as f64, replies),
            p95_completion_tokens: percentile_95(&self.completion_tokens),
            verdicts: self.verdicts,
            boxed: self.boxed,
            boxed_of: self.boxed_of,
            sources,
            prompt_tokens: self.prompt_tokens,
            completion_tokens,
        }
    }
}

impl JudgedProblem {
    fn share(&self) -> f64 {
        pass_at_k(self.replies, self.right, 1)
    }
}

fn mean(sum: f64, n: u64) -> f64 {
    if n == 0 { 0.0 } else { sum / n as f64 }
}

/// The nearest-rank 95th percentile of sorted values.
fn percentile_95(sorted: &[u32]) -> u32 {
    let rank = (sorted.len() as f64 * 0.95).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}

/// Problems share a text when their source says so in `meta.cluster`; else each stands alone.
fn cluster(problem: &Problem) -> String {
    match problem.meta.get("cluster").and_then(|name| name.as_str()) {
        Some(name) => format!("{}/{name}", problem.source),
        None => problem.id.clone(),
    }
}

/// The majority votes of one problem's replies, for each reported k above 1.
fn votes(voter: &MathCheck, problem: &Problem, group: &[JudgedSample]) -> Vec<Majority> {
    let ballots: Vec<Ballot<'_>> = group
        .iter()
        .map(|row| Ballot {
            text: &row.sample.text,
            verdict: row.verdict.verdict,
        })
        .collect();
    reported_k(group.len() as u64)
        .filter(|&k| k > 1)
        .map(|k| {
            let blocks = ballots.chunks_exact(k as usize);
            let number = blocks.len() as u64;
            let right = blocks.map(|block| voter.majority(problem, block).unwrap_or(0.0));
            Majority {
                k,
                right: mean(right.sum(), number),
            }
        })
        .collect()
}

/// maj@k over the problems that vote; only k that all of them have.
fn majorities(judged: &[JudgedProblem], least: u64) -> BTreeMap<u64, f64> {
    let voting = || judged.iter().filter(|one| !one.majority.is_empty());
    reported_k(least)
        .filter_map(|k| {
            let rights: Option<Vec<f64>> = voting()
                .map(|one| one.majority.iter().find(|it| it.k == k).map(|it| it.right))
                .collect();
            let rights = rights.filter(|rights| !rights.is_empty())?;
            Some((k, mean(rights.iter().sum(), rights.len() as u64)))
        })
        .collect()
}

/// Calls [`write_atomic`] for a writer with its own errors and returns the first of them.
pub(crate) fn write_with(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> Result<()>,
) -> Result<()> {
    let mut failed = None;
    let written = write_atomic(path, |writer| {
        fill(writer).map_err(|error| {
            let stop = std::io::Error::other(error.to_string());
            failed = Some(error);
            stop
        })
    });
    match failed {
        Some(error) => Err(error),
        None => Ok(written?),
    }
}
