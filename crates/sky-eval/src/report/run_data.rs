use std::{
    collections::{HashMap, HashSet},
    path::Path,
};

use serde::Deserialize;
use sky_files::{Manifest, read_json, read_jsonl};
use sky_types::Verdict;

use super::{ReportConfig, RunFiles, RunInfo, curves::Curves, group::Group};
use crate::{EvalSummary, Judged, ProblemIndex, Result};

/// Everything the page is made from, in bounded memory.
pub(super) struct RunData {
    pub(super) info: RunInfo,
    /// Every stage with its manifest, when it is complete.
    pub(super) stages: Vec<(String, Option<Manifest>)>,
    pub(super) before: Option<EvalSummary>,
    pub(super) after: Option<EvalSummary>,
    pub(super) paired: Option<Paired>,
    /// Before, samples, after: those that are there.
    pub(super) groups: Vec<Group>,
    pub(super) funnel: Funnel,
    pub(super) curves: Option<Curves>,
    /// Why right samples were not selected, as the selection counts it.
    pub(super) dropped: Vec<(String, u64)>,
    /// Samples that went into training.
    pub(super) chosen: HashSet<(String, u32)>,
    /// Whether there are problems to look up.
    pub(super) has_problems: bool,
}

/// What became of each held-out problem, by its first reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Paired {
    pub(super) kept: u64,
    pub(super) learned: u64,
    pub(super) forgotten: u64,
    pub(super) missed: u64,
}

/// How many problems and samples are left after each step; `None` where a step has not run.
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

/// What the report needs of a line of `selected.jsonl`.
#[derive(Deserialize)]
struct Chosen {
    problem_id: String,
    index: u32,
}

impl RunData {
    pub(super) fn read(files: &RunFiles, info: &RunInfo, config: &ReportConfig) -> Result<Self> {
        let mut stages = Vec::new();
        for (name, folder) in &files.stages {
            let path = folder.join("manifest.json");
            let manifest = path.exists().then(|| Manifest::read(&path)).transpose()?;
            stages.push((name.clone(), manifest));
        }
        let done = |stage: &str| {
            stages
                .iter()
                .find(|(name, _)| name == stage)
                .and_then(|(_, manifest)| manifest.as_ref())
        };
        let with = (config, info.seed);
        let mut groups = Vec::new();

        let problems = match done("problems") {
            None => None,
            Some(_) => Some(ProblemIndex::open(&files.train_problems)?.len() as u64),
        };
        let (before, first_before) = evaluation(
            done("eval-before"),
            &files.eval_before,
            ("before", "Before training"),
            with,
            &mut groups,
        )?;

        let mut chosen = HashSet::new();
        let mut funnel = Funnel {
            problems,
            ..Funnel::default()
        };
        let mut dropped = Vec::new();
        if let Some(select) = done("select") {
            let mut ids = HashSet::new();
            for row in read_jsonl::<Chosen>(&files.selected)? {
                let row = row?;
                ids.insert(row.problem_id.clone());
                chosen.insert((row.problem_id, row.index));
            }
            dropped = select.counts.more.iter().filter_map(reason).collect();
            funnel.selected = Some(Left {
                problems: ids.len() as u64,
                samples: chosen.len() as u64,
            });
        }
        if done("verify").is_some() {
            let mut steps = Steps::default();
            groups.push(Group::read(
                "samples",
                "Teacher's samples",
                &files.samples,
                &files.verdicts,
                with,
                |row| steps.add(row),
            )?);
            steps.fill(&mut funnel);
        }
        funnel.trained = done("train").map(trained);
        let curves = done("train")
            .map(|_| Curves::read(&files.metrics))
            .transpose()?;

        let (after, first_after) = evaluation(
            done("eval-after"),
            &files.eval_after,
            ("after", "After training"),
            with,
            &mut groups,
        )?;
        let paired =
            (before.is_some() && after.is_some()).then(|| Paired::of(&first_before, &first_after));
        Ok(Self {
            info: info.clone(),
            before,
            after,
            paired,
            groups,
            funnel,
            curves,
            dropped,
            chosen,
            has_problems: problems.is_some(),
            stages,
        })
    }
}

/// A reason of the selection with its count; what else it counts are no reasons.
fn reason((name, count): (&String, &serde_json::Value)) -> Option<(String, u64)> {
    let count = count.as_u64().filter(|&count| count > 0)?;
    (name != "problems" && name != "solved").then(|| (name.replace('_', " "), count))
}

/// Conversations that were trained on: all but those the trainer says it left out.
fn trained(manifest: &Manifest) -> u64 {
    let left_out: u64 = ["over_long", "no_target"]
        .iter()
        .filter_map(|name| manifest.counts.more.get(*name)?.as_u64())
        .sum();
    manifest.counts.count_in.saturating_sub(left_out)
}

/// Whether the first reply to each problem was right.
type First = HashMap<String, bool>;

fn evaluation(
    done: Option<&Manifest>,
    folder: &Path,
    (key, label): (&'static str, &'static str),
    with: (&ReportConfig, u64),
    groups: &mut Vec<Group>,
) -> Result<(Option<EvalSummary>, First)> {
    let mut first = First::new();
    if done.is_none() {
        return Ok((None, first));
    }
    let summary = read_json(&folder.join("summary.json"))?;
    groups.push(Group::read(
        key,
        label,
        &folder.join("samples.jsonl"),
        &folder.join("verdicts.jsonl"),
        with,
        |row| {
            if row.sample.index == 0 {
                first.insert(
                    row.sample.problem_id.clone(),
                    row.verdict.verdict.is_correct(),
                );
            }
        },
    )?);
    Ok((Some(summary), first))
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
    /// Of each problem, whether a sample was parsed and whether one was right.
    problems: HashMap<String, (bool, bool)>,
}

impl Steps {
    fn add(&mut self, row: &Judged) {
        let verdict = row.verdict.verdict;
        let parsed = has_answer(verdict);
        let correct = verdict.is_correct();
        self.sampled += 1;
        self.parsed += u64::from(parsed);
        self.correct += u64::from(correct);
        if let Some(seen) = self.problems.get_mut(&row.sample.problem_id) {
            *seen = (seen.0 || parsed, seen.1 || correct);
        } else {
            self.problems
                .insert(row.sample.problem_id.clone(), (parsed, correct));
        }
    }

    fn fill(&self, funnel: &mut Funnel) {
        let problems = |keep: fn(&(bool, bool)) -> bool| {
            self.problems.values().filter(|seen| keep(seen)).count() as u64
        };
        let left = |problems, samples| Some(Left { problems, samples });
        funnel.sampled = left(problems(|_| true), self.sampled);
        funnel.parsed = left(problems(|seen| seen.0), self.parsed);
        funnel.correct = left(problems(|seen| seen.1), self.correct);
    }
}

/// Whether a checker found an answer or a program to judge.
pub(super) fn has_answer(verdict: Verdict) -> bool {
    !matches!(
        verdict,
        Verdict::Unparsed | Verdict::Truncated | Verdict::Refused
    )
}
