use std::{
    collections::{BTreeMap, HashMap, HashSet, hash_map::Entry},
    hash::Hash,
};

use serde::{Deserialize, Serialize};
use sky_types::{
    Conversation, FinishReason, Problem, Prompt, Sample, Section, SettingError, Verdict,
    VerdictRecord, Version, derive_seed,
};
use tracing::info_span;

use crate::{ContaminationIndex, DataError, Result, fold_layout, near_duplicates, normalise};

/// The recipe's `[select]`: which right samples become training rows.
///
/// The defaults follow Sky-T1, which drew one sample per problem and kept it when it was right.
/// Other than Sky-T1's released file, the result has no repeated rows and no evaluation problems.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SelectConfig {
    /// Most rows of one problem.
    pub per_problem: usize,
    /// Most rows of a source; sources not named are not limited.
    pub quotas: BTreeMap<String, usize>,
    /// Accept sources with fewer rows than their quota. Without it [`Selection::check_quotas`]
    /// refuses them.
    pub allow_short: bool,
    /// Drop problems that share this many consecutive words with a held-out problem; 0 drops only
    /// those with the same wording.
    pub decontaminate: usize,
    /// Drop problems whose three-word shingles have at least this Jaccard similarity, 0 to 1, with
    /// those of an earlier problem; 0 is off.
    pub near_duplicate: f64,
}

impl Default for SelectConfig {
    fn default() -> Self {
        Self {
            per_problem: 1,
            quotas: BTreeMap::new(),
            allow_short: false,
            decontaminate: 13,
            near_duplicate: 0.0,
        }
    }
}

impl Section for SelectConfig {
    const NAME: &'static str = "select";

    fn check(&self) -> std::result::Result<(), SettingError> {
        let wrong = |key, reason: &str| Err(SettingError::new(key, reason));
        if self.per_problem == 0 {
            return wrong("per_problem", "must be above 0");
        }
        if !(0.0..=1.0).contains(&self.near_duplicate) {
            return wrong("near_duplicate", "must lie between 0 (off) and 1");
        }
        Ok(())
    }
}

/// One line of `selected.jsonl`: the provenance of the training row with the same number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selected {
    /// Format version, 1.
    #[serde(default)]
    pub v: Version<1>,
    /// 0-based row of `sharegpt.json`.
    pub row: u64,
    /// The problem's `id`.
    pub problem_id: String,
    /// The sample's `index`.
    pub index: u32,
    /// The problem's `source`.
    pub source: String,
    /// The model that wrote the sample.
    pub model: String,
    /// The seed that the sample was drawn with.
    pub seed: u64,
    /// The sample's length in tokens, before it was rewritten.
    pub completion_tokens: u32,
}

/// One line of `dropped.jsonl`: a problem with right samples that gives no row, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DroppedProblem {
    /// Format version, 1.
    #[serde(default)]
    pub v: Version<1>,
    /// The problem's `id`.
    pub problem_id: String,
    /// `contaminated`, `repeated_problem` or `near_duplicate`.
    pub reason: String,
    /// Number of right samples that are left out with it.
    pub samples: usize,
    /// The text that it shares with a held-out problem.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared: Option<String>,
    /// The `id` of the earlier problem that it repeats, which is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<String>,
}

/// The counts of a selection: what became of every problem and sample.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Funnel {
    /// Problems read.
    pub problems: usize,
    /// Problems with at least one right sample.
    pub solved: usize,
    /// Samples read.
    pub samples: usize,
    /// Samples by verdict.
    pub verdicts: BTreeMap<Verdict, usize>,
    /// Right samples left out, by reason: `unfinished`, `repeated_reply`, `over_per_problem`,
    /// `contaminated`, `repeated_problem`, `near_duplicate`, `over_quota`.
    pub dropped: BTreeMap<&'static str, usize>,
    /// Per source: problems, right samples, rows.
    pub sources: BTreeMap<String, SourceCounts>,
}

/// One source's part of a [`Funnel`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceCounts {
    /// Problems read.
    pub problems: usize,
    /// Right samples.
    pub correct: usize,
    /// Training rows.
    pub rows: usize,
}

/// The result of [`select()`]: training rows, their provenance and the counts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selection {
    /// The rows, in the order of the problems, then of the samples.
    pub rows: Vec<Conversation>,
    /// The provenance, one entry per row.
    pub selected: Vec<Selected>,
    /// The problems that were dropped whole, in their order for each reason.
    pub dropped: Vec<DroppedProblem>,
    /// The counts.
    pub funnel: Funnel,
}

impl Selection {
    /// Checks that each source fills its quota, unless the settings accept fewer rows.
    ///
    /// # Errors
    /// [`DataError::Setting`] with each source that has too few rows.
    pub fn check_quotas(&self, config: &SelectConfig) -> Result<()> {
        if config.allow_short {
            return Ok(());
        }
        let short: Vec<String> = config
            .quotas
            .iter()
            .filter_map(|(source, &quota)| {
                let found = self.funnel.sources.get(source).copied();
                let SourceCounts {
                    problems,
                    correct,
                    rows,
                } = found.unwrap_or_default();
                (rows < quota).then(|| {
                    format!(
                        "{source} has {rows} rows of {quota} ({problems} problems, {correct} right \
                         samples)"
                    )
                })
            })
            .collect();
        if short.is_empty() {
            return Ok(());
        }
        let reason = format!(
            "{}: add problems or samples, lower the quota, or accept it with allow_short = true",
            short.join("; ")
        );
        Err(SettingError::new("quotas", reason).into())
    }
}

/// The inputs of [`select()`].
#[derive(Clone, Copy, Debug)]
pub struct SelectInput<'a> {
    /// The problems that were sampled.
    pub problems: &'a [Problem],
    /// The problems held out for evaluation, which no row may repeat.
    pub heldout: &'a [Problem],
    /// The rewritten samples.
    pub samples: &'a [Sample],
    /// The verdicts, one per sample.
    pub verdicts: &'a [VerdictRecord],
    /// The student's prompt, without worked examples.
    pub prompt: &'a Prompt,
}

/// Chooses the training rows among the right and finished replies.
///
/// A problem gives at most `per_problem` different replies, drawn with the seed. Repeated and
/// held-out problems are dropped. A source gives at most its quota.
///
/// Every choice ranks samples by a hash of seed, problem and index. So neither the order of the
/// files nor other problems change it.
///
/// # Errors
/// [`DataError::Setting`] for an impossible setting, [`DataError::Mismatch`] when samples, verdicts
/// and problems do not fit together.
pub fn select(input: SelectInput<'_>, config: &SelectConfig, seed: u64) -> Result<Selection> {
    config.check()?;
    let _span = info_span!("select").entered();
    let mut funnel = Funnel {
        problems: input.problems.len(),
        samples: input.samples.len(),
        ..Funnel::default()
    };
    for problem in input.problems {
        let counts = funnel.sources.entry(problem.source.clone()).or_default();
        counts.problems += 1;
    }
    let right = right_samples(&input, &mut funnel)?;
    let mut chosen = one_problems_rows(&right, config.per_problem, seed, &mut funnel);
    let dropped = drop_problems(&mut chosen, &input, config, &mut funnel);
    keep_quotas(&mut chosen, &config.quotas, seed, &mut funnel);

    let mut selection = Selection::default();
    for (problem, samples) in chosen {
        for sample in samples {
            let row = selection.rows.len() as u64;
            selection.rows.push(Conversation::exchange(
                &input.prompt.system,
                input.prompt.user(problem),
                &sample.text,
            ));
            selection.selected.push(Selected {
                v: Version,
                row,
                problem_id: problem.id.clone(),
                index: sample.index,
                source: problem.source.clone(),
                model: sample.model.clone(),
                seed: sample.seed,
                completion_tokens: sample.completion_tokens,
            });
            let counts = funnel.sources.entry(problem.source.clone()).or_default();
            counts.rows += 1;
        }
    }
    selection.funnel = funnel;
    selection.dropped = dropped;
    Ok(selection)
}

type Chosen<'a> = Vec<(&'a Problem, Vec<&'a Sample>)>;

/// The right samples of each problem, sorted by index, in the order of the problems.
fn right_samples<'a>(input: &SelectInput<'a>, funnel: &mut Funnel) -> Result<Chosen<'a>> {
    let mismatch = |id: &str, index: u32, reason: &str| {
        Err(DataError::Mismatch {
            what: format!("sample {id} #{index}"),
            reason: reason.into(),
        })
    };
    let mut places = HashMap::new();
    let mut right: Chosen<'a> = Vec::new();
    for (at, problem) in input.problems.iter().enumerate() {
        if places.insert(problem.id.as_str(), at).is_some() {
            return Err(DataError::Mismatch {
                what: format!("problem {}", problem.id),
                reason: "two problems have this id".into(),
            });
        }
        right.push((problem, Vec::new()));
    }
    let mut verdicts = HashMap::new();
    for record in input.verdicts {
        let key = (record.problem_id.as_str(), record.index);
        if verdicts.insert(key, record.verdict).is_some() {
            return mismatch(key.0, key.1, "has two verdicts");
        }
    }
    let mut seen = HashSet::new();
    for sample in input.samples {
        let key = (sample.problem_id.as_str(), sample.index);
        let Some(&place) = places.get(key.0) else {
            return mismatch(key.0, key.1, "its problem is not among the problems");
        };
        let Some(&verdict) = verdicts.get(&key) else {
            return mismatch(key.0, key.1, "has no verdict; run `sky-verify verify`");
        };
        if !seen.insert(key) {
            return mismatch(key.0, key.1, "is there twice");
        }
        bump(&mut funnel.verdicts, verdict);
        if verdict.is_correct() {
            right[place].1.push(sample);
            let source = &right[place].0.source;
            funnel.sources.entry(source.clone()).or_default().correct += 1;
        }
    }
    for (_, samples) in &mut right {
        samples.sort_by_key(|sample| sample.index);
    }
    funnel.solved = right.iter().filter(|(_, s)| !s.is_empty()).count();
    Ok(right)
}

/// At most `most` finished replies of each problem, no two with the same words.
fn one_problems_rows<'a>(
    right: &Chosen<'a>,
    most: usize,
    seed: u64,
    funnel: &mut Funnel,
) -> Chosen<'a> {
    let mut chosen = Vec::new();
    for (problem, samples) in right {
        let mut wordings = HashSet::new();
        let mut different: Vec<&Sample> = Vec::new();
        for sample in samples {
            if sample.finish_reason != FinishReason::Stop {
                bump(&mut funnel.dropped, "unfinished");
            } else if wordings.insert(normalise(&sample.text)) {
                different.push(sample);
            } else {
                bump(&mut funnel.dropped, "repeated_reply");
            }
        }
        let label = format!("select/{}", problem.id);
        different.sort_by_key(|s| (derive_seed(seed, &label, u64::from(s.index)), s.index));
        for _ in most..different.len() {
            bump(&mut funnel.dropped, "over_per_problem");
        }
        different.truncate(most);
        different.sort_by_key(|sample| sample.index);
        if !different.is_empty() {
            chosen.push((*problem, different));
        }
    }
    chosen
}

/// Drops problems that are held out or that repeat an earlier one; returns them.
fn drop_problems(
    chosen: &mut Chosen<'_>,
    input: &SelectInput<'_>,
    config: &SelectConfig,
    funnel: &mut Funnel,
) -> Vec<DroppedProblem> {
    // No text has that many words, so only whole texts are compared.
    let size = if config.decontaminate == 0 {
        usize::MAX
    } else {
        config.decontaminate
    };
    let mut dropped = Vec::new();
    let mut drop = |reason: &'static str, problem: &Problem, samples, shared, kept| {
        *funnel.dropped.entry(reason).or_default() += samples;
        dropped.push(DroppedProblem {
            v: Version,
            problem_id: problem.id.clone(),
            reason: reason.to_owned(),
            samples,
            shared,
            kept,
        });
    };
    let heldout = ContaminationIndex::new(size, input.heldout.iter().map(|p| &p.prompt));
    let mut wordings: HashMap<String, &str> = HashMap::new();
    chosen.retain(|(problem, samples)| {
        if let Some(shared) = heldout.find(&problem.prompt) {
            drop("contaminated", problem, samples.len(), Some(shared), None);
            return false;
        }
        match wordings.entry(fold_layout(&problem.prompt)) {
            Entry::Vacant(entry) => {
                entry.insert(&problem.id);
                true
            }
            Entry::Occupied(entry) => {
                let kept = Some((*entry.get()).to_owned());
                drop("repeated_problem", problem, samples.len(), None, kept);
                false
            }
        }
    });
    if config.near_duplicate > 0.0 {
        let prompts = chosen.iter().map(|(problem, _)| &problem.prompt);
        let repeats = near_duplicates(prompts, config.near_duplicate);
        let ids: Vec<String> = chosen
            .iter()
            .map(|(problem, _)| problem.id.clone())
            .collect();
        let mut repeats = repeats.into_iter();
        chosen.retain(|(problem, samples)| {
            let Some(kept) = repeats.next().flatten() else {
                return true;
            };
            let kept = ids.get(kept).cloned();
            drop("near_duplicate", problem, samples.len(), None, kept);
            false
        });
    }
    dropped
}

/// Keeps the rows of lowest rank of each source with a quota. Each row has its own rank, so that a
/// quota thins all problems of a source alike.
fn keep_quotas(
    chosen: &mut Chosen<'_>,
    quotas: &BTreeMap<String, usize>,
    seed: u64,
    funnel: &mut Funnel,
) {
    for (source, &quota) in quotas {
        let rank = |problem: &Problem, sample: &Sample| {
            let label = format!("quota/{}", problem.id);
            (
                derive_seed(seed, &label, u64::from(sample.index)),
                problem.id.clone(),
                sample.index,
            )
        };
        let mut ranks: Vec<_> = chosen
            .iter()
            .filter(|(problem, _)| problem.source == *source)
            .flat_map(|(problem, samples)| samples.iter().map(|s| rank(problem, s)))
            .collect();
        ranks.sort_unstable();
        let Some(limit) = ranks.get(quota).cloned() else {
            continue;
        };
        *funnel.dropped.entry("over_quota").or_default() += ranks.len() - quota;
        for (problem, samples) in chosen.iter_mut().filter(|(p, _)| p.source == *source) {
            samples.retain(|sample| rank(problem, sample) < limit);
        }
    }
    chosen.retain(|(_, samples)| !samples.is_empty());
}

fn bump<K: Ord + Eq + Hash>(counts: &mut BTreeMap<K, usize>, key: K) {
    *counts.entry(key).or_default() += 1;
}
