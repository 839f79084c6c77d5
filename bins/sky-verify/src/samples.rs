//! Samples to verdicts on the command line: progress, a journal, the counts.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use sky_cli::VerdictProgress;
use sky_files::{FileError, hash_file, read_jsonl};
use sky_types::{Check, Sample, Verdict, VerdictRecord};
use sky_verify::ParallelChecker;

use crate::output::OutputArgs;

/// Checks the samples of one file and prints how many got each verdict.
pub(crate) struct SamplesJob<'a> {
    pub(crate) problems: &'a Path,
    pub(crate) samples: &'a Path,
    pub(crate) output: &'a OutputArgs,
    /// The settings that verdicts depend on, as part of a file name.
    pub(crate) settings: String,
}

impl SamplesJob<'_> {
    /// `open` runs after the inputs were read: it may take long and they may be wrong.
    pub(crate) fn run<C: Check>(
        &self,
        open: impl FnOnce() -> anyhow::Result<C>,
    ) -> anyhow::Result<()> {
        let total = count(self.samples)?;
        let journal = self.journal()?;
        let check = open()?;
        let mut progress = VerdictProgress::new("verify", total);
        let checker = ParallelChecker {
            problems: self.problems,
            samples: self.samples,
            journal: &journal,
            verdicts: &self.output.out,
            threads: self.output.threads,
        };
        let counts = checker.run(&check, &mut |row, new| {
            progress.verdict(row.verdict.is_correct(), new);
        })?;
        drop(progress);
        std::fs::remove_file(&journal)
            .map_err(|source| FileError::io(&journal, "remove", source))?;
        let parts: Vec<String> = counts
            .iter()
            .map(|(verdict, count)| format!("{count} {verdict}"))
            .collect();
        sky_cli::outln!("{total} samples: {}", parts.join(", "));
        if let Some(line) = accuracy(&self.output.out)? {
            sky_cli::outln!("{line}");
        }
        Ok(())
    }

    /// The journal's path. Its name has the hashes of the inputs and the settings, so that a run on
    /// other inputs never resumes from it.
    fn journal(&self) -> anyhow::Result<PathBuf> {
        let (problems, samples) = (hash_file(self.problems)?, hash_file(self.samples)?);
        let out = &self.output.out;
        let name = out.file_name().unwrap_or_default().to_string_lossy();
        let short = |hash: &str| hash.chars().take(12).collect::<String>();
        let file = format!(
            "{name}.{}-{}-{}.journal",
            short(&problems.sha256),
            short(&samples.sha256),
            self.settings
        );
        Ok(out.with_file_name(file))
    }
}

/// The share of right replies with its interval. Its trials are the problems, as replies to one
/// problem depend on each other; problems that cannot be judged are left out.
fn accuracy(verdicts: &Path) -> Result<Option<String>, FileError> {
    #[derive(Default)]
    struct Tally {
        replies: u64,
        right: u64,
        unsupported: bool,
    }
    let mut problems: HashMap<String, Tally> = HashMap::new();
    for row in read_jsonl::<VerdictRecord>(verdicts)? {
        let row = row?;
        let tally = problems.entry(row.problem_id).or_default();
        tally.replies += 1;
        tally.right += u64::from(row.verdict.is_correct());
        tally.unsupported |= row.verdict == Verdict::Unsupported;
    }
    problems.retain(|_, tally| !tally.unsupported);
    if problems.is_empty() {
        return Ok(None);
    }
    let n = problems.len() as u64;
    let sum: f64 = problems
        .values()
        .map(|tally| tally.right as f64 / tally.replies as f64)
        .sum();
    let share = sum / n as f64;
    let interval = sky_eval::wilson(share, n);
    Ok(Some(format!(
        "accuracy {:.1} %, 95 % interval {:.1} to {:.1}, n = {n} problems",
        share * 100.0,
        interval.low * 100.0,
        interval.high * 100.0
    )))
}

/// The number of samples in a file; every row must parse.
pub(crate) fn count(samples: &Path) -> Result<u64, FileError> {
    let mut total = 0;
    for row in read_jsonl::<Sample>(samples)? {
        row?;
        total += 1;
    }
    Ok(total)
}
