use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

use serde::{Deserialize, Serialize};
use sky_files::{FileError, write_atomic, write_json};
use sky_types::{Domain, Message, Problem, Prompt, Verdict, Version};
use sky_verify::{JudgedSample, ProblemIndex, VerdictCounts, read_judged_samples};

use crate::{EvalConfig, EvalError, Interval, Result, pass_at_k, stats::reported_k, wilson};

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
    /// The mean over problems of pass@1: the share of right replies.
    pub accuracy: f64,
    /// Lower end of the 95 % interval of `accuracy`. Its trials are the problems: replies to one
    /// problem are not independent, so more of them do not make it narrower.
    pub low: f64,
    /// Upper end of that interval.
    pub high: f64,
    /// pass@k averaged over problems, for k = n, n/2, ... 1.
    pub pass_at_k: BTreeMap<u64, f64>,
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
                tally.add(&problem, group);
                Ok(())
            })?;
            out.write_all(b"\n]}\n").map_err(fail)?;
            Ok(())
        })?;
        if tally.seen != problems.len() as u64 {
            let what = format!(
                "has replies to {} problems, the task has {}",
                tally.seen,
                problems.len()
            );
            return Err(EvalError::mismatch(self.samples, what));
        }
        let scores = tally.summary(self.model, self.config);
        write_json(summary, &scores)?;
        Ok(scores)
    }

    fn check_complete(&self, problem: &Problem, group: &[JudgedSample]) -> Result<()> {
        if group.len() == self.config.n as usize {
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

/// Sums over problems, divided by [`Tally::summary`].
#[derive(Default)]
struct Tally {
    /// Problems with replies.
    seen: u64,
    /// Problems that could be judged.
    n: u64,
    pass: BTreeMap<u64, f64>,
    verdicts: VerdictCounts,
    boxed: u64,
    boxed_of: u64,
    sources: BTreeMap<String, SourceScore>,
    prompt_tokens: u64,
    completion_tokens: u64,
}

impl Tally {
    fn add(&mut self, problem: &Problem, group: &[JudgedSample]) {
        let replies = group.len() as u64;
        let right = group
            .iter()
            .filter(|row| row.verdict.verdict.is_correct())
            .count() as u64;
        self.seen += 1;
        self.add_counts(problem, group);
        if group
            .iter()
            .any(|row| row.verdict.verdict == Verdict::Unsupported)
        {
            return;
        }
        self.n += 1;
        for k in reported_k(replies) {
            *self.pass.entry(k).or_default() += pass_at_k(replies, right, k);
        }
        let source = self.sources.entry(problem.source.clone()).or_default();
        source.n += 1;
        source.accuracy += pass_at_k(replies, right, 1);
    }

    fn add_counts(&mut self, problem: &Problem, group: &[JudgedSample]) {
        for row in group {
            self.verdicts.add(row.verdict.verdict);
            if problem.domain != Domain::Code {
                self.boxed_of += 1;
                self.boxed += u64::from(row.sample.text.contains(r"\boxed{"));
            }
            self.prompt_tokens += u64::from(row.sample.prompt_tokens);
            self.completion_tokens += u64::from(row.sample.completion_tokens);
        }
    }

    fn summary(self, model: &str, config: &EvalConfig) -> EvalSummary {
        let mean = |sum: f64, n: u64| if n == 0 { 0.0 } else { sum / n as f64 };
        let pass_at_k: BTreeMap<u64, f64> = self
            .pass
            .into_iter()
            .map(|(k, sum)| (k, mean(sum, self.n)))
            .collect();
        let accuracy = pass_at_k.get(&1).copied().unwrap_or(0.0);
        let Interval { low, high } = wilson(accuracy, self.n);
        let mut sources = self.sources;
        for source in sources.values_mut() {
            source.accuracy = mean(source.accuracy, source.n);
        }
        EvalSummary {
            v: Version,
            model: model.to_owned(),
            config: config.clone(),
            n: self.n,
            accuracy,
            low,
            high,
            pass_at_k,
            mean_completion_tokens: mean(self.completion_tokens as f64, self.verdicts.total()),
            verdicts: self.verdicts,
            boxed: self.boxed,
            boxed_of: self.boxed_of,
            sources,
            prompt_tokens: self.prompt_tokens,
            completion_tokens: self.completion_tokens,
        }
    }
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
