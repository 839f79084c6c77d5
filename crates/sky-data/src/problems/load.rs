use std::{
    collections::{BTreeMap, HashSet},
    path::{Path, PathBuf},
};

use sky_types::{Problem, SettingError, derive_seed};
use tracing::info_span;

use super::{ProblemFile, ProblemsConfig, generate};
use crate::{
    DataError, Result,
    sources::{self, Format},
    text::normalise,
};

/// Where set-up puts HumanEval, under `SKY_HOME`.
pub const HUMAN_EVAL: &str = "datasets/humaneval/HumanEval.jsonl.gz";

/// A file that problems come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeededFile {
    /// Where it is, or should be.
    pub path: PathBuf,
    /// How to get it, in words.
    pub get: String,
}

/// Where relative paths of problem files are looked up.
#[derive(Clone, Debug)]
pub struct ProblemPaths {
    /// The folder that set-up fills (`SKY_HOME`). It is looked at before the current folder.
    pub home: PathBuf,
}

impl ProblemPaths {
    /// The path under `home`, or the path as given when only that exists.
    pub fn resolve(&self, path: &Path) -> PathBuf {
        let at_home = self.home.join(path);
        if !at_home.exists() && path.exists() {
            return path.into();
        }
        at_home
    }

    /// Every file that the settings need.
    pub fn needs(&self, config: &ProblemsConfig) -> Vec<NeededFile> {
        let human_eval = (config.human_eval > 0).then(|| NeededFile {
            path: self.resolve(Path::new(HUMAN_EVAL)),
            get: "run `cargo xtask setup`".to_owned(),
        });
        let files = config.files.iter().map(|file| NeededFile {
            path: self.resolve(&file.path),
            get: file.get.clone(),
        });
        human_eval.into_iter().chain(files).collect()
    }
}

/// The problems of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoadedProblems {
    /// Problems to sample.
    pub train: Vec<Problem>,
    /// Problems held out for evaluation.
    pub heldout: Vec<Problem>,
    /// Number of problems left out, by reason: `repeated`, `difficulty`, `not_boxed`.
    pub dropped: BTreeMap<String, usize>,
}

/// Generates problems, reads files and draws from them, as the settings say. The same settings,
/// seed and files give the same problems.
///
/// A training problem with the wording of a held-out one or of an earlier training problem is
/// dropped and counted.
///
/// # Errors
/// When a setting is impossible, a file is missing or damaged, or two problems have the same id.
pub fn load_problems(
    config: &ProblemsConfig,
    seed: u64,
    paths: &ProblemPaths,
) -> Result<LoadedProblems> {
    let _span = info_span!("load_problems").entered();
    let (mut train, mut heldout) = generate(config, seed)?;
    let mut dropped = BTreeMap::new();
    for file in &config.files {
        let side = if file.heldout {
            &mut heldout
        } else {
            &mut train
        };
        side.extend(from_file(file, seed, paths, &mut dropped)?);
    }
    if config.human_eval > 0 {
        let path = paths.resolve(Path::new(HUMAN_EVAL));
        must_exist(&path, "run `cargo xtask setup`")?;
        let all = sources::read(Format::HumanEval, &path)?
            .filter_map(|row| row.map(sources::Row::into_problem).transpose())
            .collect::<Result<Vec<_>>>()?;
        train.extend(draw(all, config.human_eval, seed));
    }

    let mut wordings: HashSet<String> = heldout.iter().map(|p| normalise(&p.prompt)).collect();
    let apart = wordings.len();
    train.retain(|problem| {
        let new = wordings.insert(normalise(&problem.prompt));
        if !new {
            *dropped.entry("repeated".into()).or_default() += 1;
        }
        new
    });
    debug_assert_eq!(wordings.len(), apart + train.len());
    let mut ids = HashSet::new();
    for problem in train.iter().chain(&heldout) {
        if !ids.insert(&problem.id) {
            return Err(DataError::Mismatch {
                what: format!("problem {}", problem.id),
                reason: "two problems have this id; convert the files with different --prefix"
                    .into(),
            });
        }
    }
    Ok(LoadedProblems {
        train,
        heldout,
        dropped,
    })
}

fn must_exist(path: &Path, get: &str) -> Result<()> {
    if path.exists() {
        return Ok(());
    }
    Err(DataError::Missing {
        path: path.into(),
        get: get.into(),
    })
}

fn from_file(
    file: &ProblemFile,
    seed: u64,
    paths: &ProblemPaths,
    dropped: &mut BTreeMap<String, usize>,
) -> Result<Vec<Problem>> {
    let path = paths.resolve(&file.path);
    let _span = info_span!("problem_file", path = %path.display()).entered();
    must_exist(&path, &file.get)?;
    let mut kept = Vec::new();
    let mut matching = 0;
    for row in sources::read(Format::Problems, &path)? {
        let Some(problem) = row?.into_problem() else {
            continue;
        };
        if file
            .source
            .as_ref()
            .is_some_and(|source| *source != problem.source)
        {
            continue;
        }
        matching += 1;
        if file.first.is_some_and(|first| matching > first) {
            break;
        }
        let reason = if !in_range(&problem, file.difficulty) || !at_level(&problem, file) {
            "difficulty"
        } else if file.boxed && problem.meta.get("boxed") != Some(&true.into()) {
            "not_boxed"
        } else {
            kept.push(problem);
            continue;
        };
        *dropped.entry(reason.into()).or_default() += 1;
    }
    match file.take {
        Some(take) if take > kept.len() => Err(SettingError::new(
            "files",
            format!(
                "{} has {} fitting problems, {take} are to be taken",
                path.display(),
                kept.len()
            ),
        )
        .into()),
        Some(take) => Ok(draw(kept, take, seed)),
        None => Ok(kept),
    }
}

fn in_range(problem: &Problem, range: Option<[f64; 2]>) -> bool {
    range.is_none_or(|[low, high]| {
        let difficulty = problem
            .meta
            .get("difficulty")
            .and_then(serde_json::Value::as_f64);
        difficulty.is_some_and(|d| (low..=high).contains(&d))
    })
}

fn at_level(problem: &Problem, file: &ProblemFile) -> bool {
    let named = |key: &str, wanted: &str| {
        let level = problem.meta.get(key).and_then(|level| level.as_str());
        level.is_some_and(|level| level.eq_ignore_ascii_case(wanted))
    };
    file.level
        .as_deref()
        .is_none_or(|wanted| named("difficulty", wanted) || named("level", wanted))
}

/// Draws `take` problems and keeps their order. Each problem's rank is a hash of its id and the
/// seed, so that adding problems changes the rank of no other.
fn draw(problems: Vec<Problem>, take: usize, seed: u64) -> Vec<Problem> {
    let mut ranked: Vec<(u64, usize, Problem)> = problems
        .into_iter()
        .enumerate()
        .map(|(at, p)| (derive_seed(seed, &format!("take/{}", p.id), 0), at, p))
        .collect();
    ranked.sort_by_key(|(rank, at, _)| (*rank, *at));
    ranked.truncate(take);
    ranked.sort_by_key(|(_, at, _)| *at);
    ranked.into_iter().map(|(_, _, problem)| problem).collect()
}
