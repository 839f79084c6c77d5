use std::{
    collections::{BTreeMap, HashSet},
    path::{Path, PathBuf},
};

use sky_types::{Problem, SettingError, derive_seed};
use tracing::info_span;

use super::{FileFunnel, ProblemFile, ProblemsConfig, file_funnel::filtered, generate};
use crate::{
    DataError, Result, fold_layout,
    sources::{self, Format},
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

    /// The path of a file that exists.
    ///
    /// # Errors
    /// [`DataError::Missing`] when it is at none of the places; the error names them all.
    pub fn existing(&self, path: &Path, get: &str) -> Result<PathBuf> {
        let found = self.resolve(path);
        if found.exists() {
            return Ok(found);
        }
        let mut how = get.to_owned();
        if let Ok(here) = std::path::absolute(path)
            && here != found
        {
            let more = if get.is_empty() { "" } else { ". " };
            how = format!("nor at {}{more}{get}", here.display());
        }
        Err(DataError::Missing {
            path: found,
            get: how,
        })
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
    /// Number of problems left out, by reason: `repeated`, `no_difficulty`, `difficulty`,
    /// `not_boxed`.
    pub dropped: BTreeMap<String, usize>,
    /// What became of the rows of each entry of `files`, in their order.
    pub files: Vec<FileFunnel>,
}

/// Generates problems, reads files and draws from them, as the settings say. The same settings,
/// seed and files give the same problems.
///
/// A training problem with the wording of a held-out one or of an earlier training problem, up to
/// layout ([`fold_layout`]), is dropped and counted, before `take` is drawn.
///
/// # Errors
/// When a setting is impossible, a file is missing or damaged, two problems have the same id, or a
/// file without `allow_short` gives no problem or fewer than its `take`.
pub fn load_problems(
    config: &ProblemsConfig,
    seed: u64,
    paths: &ProblemPaths,
) -> Result<LoadedProblems> {
    let _span = info_span!("load_problems").entered();
    let (generated, mut heldout) = generate(config, seed)?;
    let mut files: Vec<FileFunnel> = vec![FileFunnel::default(); config.files.len()];
    // What is held out first: nothing of it may be drawn for training.
    for (file, funnel) in config.files.iter().zip(&mut files) {
        if file.heldout {
            let candidates = from_file(file, paths, funnel)?;
            heldout.extend(taken(candidates, file, seed, funnel)?);
        }
    }
    let mut wordings: HashSet<String> = heldout.iter().map(|p| fold_layout(&p.prompt)).collect();
    let mut repeated = 0;
    let mut train = Vec::new();
    for problem in generated {
        if wordings.insert(fold_layout(&problem.prompt)) {
            train.push(problem);
        } else {
            repeated += 1;
        }
    }
    for (file, funnel) in config.files.iter().zip(&mut files) {
        if file.heldout {
            continue;
        }
        let mut candidates = from_file(file, paths, funnel)?;
        let mut own = HashSet::new();
        candidates.retain(|problem| {
            let wording = fold_layout(&problem.prompt);
            let new = !wordings.contains(&wording) && own.insert(wording);
            if !new {
                funnel.drop_row("repeated");
            }
            new
        });
        let drawn = taken(candidates, file, seed, funnel)?;
        wordings.extend(drawn.iter().map(|p| fold_layout(&p.prompt)));
        train.extend(drawn);
    }
    if config.human_eval > 0 {
        let get = "run `cargo xtask setup`";
        let path = paths.existing(Path::new(HUMAN_EVAL), get)?;
        let all = sources::read(Format::HumanEval, &path)?
            .filter_map(|row| row.map(sources::Row::into_problem).transpose())
            .collect::<Result<Vec<_>>>()?;
        for problem in draw(all, config.human_eval, seed) {
            if wordings.insert(fold_layout(&problem.prompt)) {
                train.push(problem);
            } else {
                repeated += 1;
            }
        }
    }
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
    let dropped = dropped(&files, repeated);
    Ok(LoadedProblems {
        train,
        heldout,
        dropped,
        files,
    })
}

/// The counts over all files. What an entry does not ask for is no loss.
fn dropped(files: &[FileFunnel], repeated: usize) -> BTreeMap<String, usize> {
    let mut dropped = BTreeMap::new();
    if repeated > 0 {
        dropped.insert("repeated".to_owned(), repeated);
    }
    for (reason, count) in files.iter().flat_map(|file| &file.dropped) {
        if !matches!(*reason, "other_source" | "not_drawn") {
            *dropped.entry((*reason).to_owned()).or_default() += count;
        }
    }
    dropped
}

/// The problems of a file that pass its filters.
fn from_file(
    file: &ProblemFile,
    paths: &ProblemPaths,
    funnel: &mut FileFunnel,
) -> Result<Vec<Problem>> {
    let path = paths.existing(&file.path, &file.get)?;
    let _span = info_span!("problem_file", path = %path.display()).entered();
    funnel.path.clone_from(&path);
    funnel.source.clone_from(&file.source);
    let mut kept = Vec::new();
    let mut matching = 0;
    for row in sources::read(Format::Problems, &path)? {
        let Some(problem) = row?.into_problem() else {
            funnel.rows += 1;
            funnel.drop_row("skipped");
            continue;
        };
        let other = file
            .source
            .as_ref()
            .is_some_and(|source| *source != problem.source);
        if !other {
            matching += 1;
            if file.first.is_some_and(|first| matching > first) {
                break;
            }
        }
        funnel.rows += 1;
        if other {
            funnel.drop_row("other_source");
        } else if let Some(reason) = filtered(&problem, file) {
            funnel.drop_row(reason);
        } else {
            kept.push(problem);
        }
    }
    Ok(kept)
}

/// Draws what the entry takes of its candidates.
fn taken(
    candidates: Vec<Problem>,
    file: &ProblemFile,
    seed: u64,
    funnel: &mut FileFunnel,
) -> Result<Vec<Problem>> {
    let count = candidates.len();
    let take = file.take.unwrap_or(count);
    funnel.kept = count.min(take);
    if !file.allow_short && (count == 0 || count < take) {
        let wanted = file
            .take
            .map_or_else(String::new, |take| format!("; {take} are to be taken"));
        let reason = format!(
            "{funnel}{wanted}: {}, or accept it with allow_short = true",
            funnel.remedy()
        );
        return Err(SettingError::new("files", reason).into());
    }
    let drawn = draw(candidates, take, seed);
    if drawn.len() < count {
        funnel.dropped.insert("not_drawn", count - drawn.len());
    }
    Ok(drawn)
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
