use std::{
    collections::{HashMap, HashSet},
    path::Path,
};

use serde::Deserialize;
use sky_files::{Manifest, read_json, read_jsonl};
use sky_types::Verdict;
use sky_verify::{JudgedSample, ProblemIndex};

use super::{
    ReportConfig, RunFiles, RunInfo,
    curves::Curves,
    stage_replies::{Limits, StageReplies, StageReplyFiles},
};
use crate::{EvalSummary, Result};

/// The data of the page, in bounded memory.
pub(super) struct RunData {
    pub(super) info: RunInfo,
    /// Every stage with its manifest, when it is complete.
    pub(super) stages: Vec<(String, Option<Manifest>)>,
    pub(super) before: Option<EvalSummary>,
    pub(super) after: Option<EvalSummary>,
    pub(super) paired: Option<Paired>,
    /// The judged replies of the stages that ran: before, samples, after.
    pub(super) replies: Vec<StageReplies>,
    pub(super) funnel: Funnel,
    pub(super) curves: Option<Curves>,
    /// Why right samples were not selected, with counts.
    pub(super) dropped: Vec<(String, u64)>,
    /// Problem id and index of each selected sample.
    pub(super) chosen: HashSet<(String, u32)>,
    /// Whether the stage `problems` is complete.
    pub(super) has_problems: bool,
}

/// Counts held-out problems by whether the first reply was right before and after training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Paired {
    pub(super) kept: u64,
    pub(super) learned: u64,
    pub(super) forgotten: u64,
    pub(super) missed: u64,
}

/// Problems and samples left after each step; `None` for a step that has not run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Funnel {
    pub(super) problems: Option<u64>,
    pub(super) sampled: Option<Left>,
    pub(super) parsed: Option<Left>,
    pub(super) correct: Option<Left>,
    pub(super) selected: Option<Left>,
    pub(super) trained: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Left {
    pub(super) problems: u64,
    pub(super) samples: u64,
}

/// The fields of a line of `selected.jsonl` that the report needs.
#[derive(Deserialize)]
struct Chosen {
    problem_id: String,
    index: u32,
}

impl RunData {
    pub(super) fn read(files: &RunFiles, info: &RunInfo, config: &ReportConfig) -> Result<Self> {
        let stages = read_manifests(files)?;
        let done = |stage: &str| {
            stages
                .iter()
                .find(|(name, _)| name == stage)
                .and_then(|(_, manifest)| manifest.as_ref())
        };
        let seed = info.seed;
        let limits = Limits { config, seed };
        let mut funnel = Funnel::default();

        if done("problems").is_some() {
            funnel.problems = Some(ProblemIndex::open(&files.train_problems)?.len() as u64);
        }
        let before = done("eval-before")
            .map(|_| Evaluation::read("before", "Before training", &files.eval_before, limits))
            .transpose()?;
        let (mut chosen, mut dropped) = (HashSet::new(), Vec::new());
        if let Some(select) = done("select") {
            chosen = read_chosen(&files.selected)?;
            dropped = select.counts.more.iter().filter_map(reason).collect();
            let ids: HashSet<&str> = chosen.iter().map(|(id, _)| id.as_str()).collect();
            funnel.selected = Some(Left {
                problems: ids.len() as u64,
                samples: chosen.len() as u64,
            });
        }
        let samples = done("verify")
            .map(|_| read_samples(files, limits, &mut funnel))
            .transpose()?;
        funnel.trained = done("train").map(trained);
        let curves = done("train")
            .map(|_| Curves::read(&files.metrics))
            .transpose()?;
        let after = done("eval-after")
            .map(|_| Evaluation::read("after", "After training", &files.eval_after, limits))
            .transpose()?;

        let paired = before
            .as_ref()
            .zip(after.as_ref())
            .map(|(before, after)| Paired::of(&before.first, &after.first));
        let mut replies = Vec::new();
        let before = before.map(|eval| {
            replies.push(eval.replies);
            eval.summary
        });
        replies.extend(samples);
        let after = after.map(|eval| {
            replies.push(eval.replies);
            eval.summary
        });
        Ok(Self {
            info: info.clone(),
            before,
            after,
            paired,
            replies,
            funnel,
            curves,
            dropped,
            chosen,
            has_problems: funnel.problems.is_some(),
            stages,
        })
    }
}

/// Every stage's name, with its manifest when the stage is complete.
fn read_manifests(files: &RunFiles) -> Result<Vec<(String, Option<Manifest>)>> {
    let mut stages = Vec::new();
    for (name, folder) in &files.stages {
        let path = folder.join("manifest.json");
        let manifest = path.exists().then(|| Manifest::read(&path)).transpose()?;
        stages.push((name.clone(), manifest));
    }
    Ok(stages)
}

/// The problem id and index of each selected sample.
fn read_chosen(selected: &Path) -> Result<HashSet<(String, u32)>> {
    let mut chosen = HashSet::new();
    for row in read_jsonl::<Chosen>(selected)? {
        let row = row?;
        chosen.insert((row.problem_id, row.index));
    }
    Ok(chosen)
}

/// The teacher's samples; fills in the funnel's steps that depend on verdicts.
fn read_samples(files: &RunFiles, limits: Limits<'_>, funnel: &mut Funnel) -> Result<StageReplies> {
    let source = StageReplyFiles {
        key: "samples",
        label: "Teacher's samples",
        samples: files.samples.clone(),
        verdicts: files.verdicts.clone(),
    };
    let mut steps = Steps::default();
    let replies = StageReplies::read(&source, limits, |row| steps.add(row))?;
    steps.fill(funnel);
    Ok(replies)
}

/// A reason of the selection with its count; none for its other counts.
fn reason((name, count): (&String, &serde_json::Value)) -> Option<(String, u64)> {
    let count = count.as_u64().filter(|&count| count > 0)?;
    (name != "problems" && name != "solved").then(|| (name.replace('_', " "), count))
}

/// Number of conversations trained on: all but those that the trainer left out.
fn trained(manifest: &Manifest) -> u64 {
    let left_out: u64 = ["over_long", "no_target"]
        .iter()
        .filter_map(|name| manifest.counts.more.get(*name)?.as_u64())
        .sum();
    manifest.counts.count_in.saturating_sub(left_out)
}

/// Whether the first reply to each problem was right.
type First = HashMap<String, bool>;

/// One evaluation.
struct Evaluation {
    summary: EvalSummary,
    replies: StageReplies,
    first: First,
}

impl Evaluation {
    fn read(
        key: &'static str,
        label: &'static str,
        folder: &Path,
        limits: Limits<'_>,
    ) -> Result<Self> {
        let summary = read_json(&folder.join("summary.json"))?;
        let source = StageReplyFiles {
            key,
            label,
            samples: folder.join("samples.jsonl"),
            verdicts: folder.join("verdicts.jsonl"),
        };
        let mut first = First::new();
        let replies = StageReplies::read(&source, limits, |row| {
            if row.sample.index == 0 {
                let right = row.verdict.verdict.is_correct();
                first.insert(row.sample.problem_id.clone(), right);
            }
        })?;
        Ok(Self {
            summary,
            replies,
            first,
        })
    }
}

impl Paired {
    fn of(before: &First, after: &First) -> Self {
        let mut paired = Self::default();
        for (id, &now) in after {
            match (before.get(id), now) {
                (Some(true), true) => paired.kept += 1,
                (Some(false), true) => paired.learned += 1,
                (Some(true), false) => paired.forgotten += 1,
                (Some(false), false) => paired.missed += 1,
                (None, _) => {}
            }
        }
        paired
    }
}

/// Counts samples at each step, and problems with at least one sample left.
#[derive(Default)]
struct Steps {
    sampled: u64,
    parsed: u64,
    correct: u64,
    problems: HashMap<String, Solved>,
}

/// How far any sample of a problem got.
#[derive(Clone, Copy, Default)]
struct Solved {
    parsed: bool,
    correct: bool,
}

impl Steps {
    fn add(&mut self, row: &JudgedSample) {
        let verdict = row.verdict.verdict;
        let parsed = has_answer(verdict);
        let correct = verdict.is_correct();
        self.sampled += 1;
        self.parsed += u64::from(parsed);
        self.correct += u64::from(correct);
        if let Some(seen) = self.problems.get_mut(&row.sample.problem_id) {
            seen.parsed |= parsed;
            seen.correct |= correct;
        } else {
            self.problems
                .insert(row.sample.problem_id.clone(), Solved { parsed, correct });
        }
    }

    fn fill(&self, funnel: &mut Funnel) {
        let problems = |keep: fn(&Solved) -> bool| {
            self.problems.values().filter(|seen| keep(seen)).count() as u64
        };
        let left = |problems, samples| Some(Left { problems, samples });
        funnel.sampled = left(problems(|_| true), self.sampled);
        funnel.parsed = left(problems(|seen| seen.parsed), self.parsed);
        funnel.correct = left(problems(|seen| seen.correct), self.correct);
    }
}

/// Whether the check found an answer or a program to judge.
pub(super) fn has_answer(verdict: Verdict) -> bool {
    !matches!(
        verdict,
        Verdict::Unparsed
            | Verdict::Truncated
            | Verdict::Refused
            | Verdict::NoReply
            | Verdict::Unsupported
    )
}
