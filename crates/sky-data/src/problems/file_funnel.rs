use std::{collections::BTreeMap, fmt, path::PathBuf};

use serde::Serialize;
use sky_types::Problem;

use super::ProblemFile;

/// What became of the rows of one entry of `[problems].files`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FileFunnel {
    /// The file.
    pub path: PathBuf,
    /// The entry's `source`.
    pub source: Option<String>,
    /// Rows read; with `first`, up to where that many have the entry's source.
    pub rows: usize,
    /// Number of rows left out, by reason: `skipped`, `other_source`, `no_difficulty`, `difficulty`,
    /// `not_boxed`, `repeated`, `not_drawn`.
    pub dropped: BTreeMap<&'static str, usize>,
    /// Problems that are used.
    pub kept: usize,
}

impl FileFunnel {
    /// Counts a row that is left out.
    pub(super) fn drop_row(&mut self, reason: &'static str) {
        *self.dropped.entry(reason).or_default() += 1;
    }

    /// What to do about a file that gives too few problems.
    pub(super) fn remedy(&self) -> &'static str {
        let most = self.dropped.iter().max_by_key(|(_, count)| **count);
        match most.map(|(reason, _)| *reason) {
            Some("no_difficulty") => "rate the problems' `meta.difficulty`, drop the filter",
            Some("other_source") => "check the entry's `source`",
            Some("repeated") => "take another file",
            Some(_) => "widen the filters",
            None => "check the file",
        }
    }
}

/// `all.jsonl (source math): 0 of 200 rows kept; 180 without a difficulty, 20 not boxed`.
impl fmt::Display for FileFunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some(source) = &self.source {
            write!(f, " (source {source})")?;
        }
        write!(f, ": {} of {} rows kept", self.kept, self.rows)?;
        for (number, (reason, count)) in self.dropped.iter().enumerate() {
            let reason = match *reason {
                "skipped" => "without a problem",
                "other_source" => "of another source",
                "no_difficulty" => "without a difficulty",
                "difficulty" => "of another difficulty",
                "not_boxed" => "without a boxed answer",
                "repeated" => "held out or repeated",
                "not_drawn" => "not drawn",
                other => other,
            };
            write!(
                f,
                "{} {count} {reason}",
                if number == 0 { ";" } else { "," }
            )?;
        }
        Ok(())
    }
}

/// Why an entry's filters drop a problem; nothing when they keep it.
pub(super) fn filtered(problem: &Problem, file: &ProblemFile) -> Option<&'static str> {
    let meta = |key| problem.meta.get(key).filter(|value| !value.is_null());
    if let Some([low, high]) = file.difficulty {
        let Some(difficulty) = meta("difficulty").and_then(serde_json::Value::as_f64) else {
            return Some("no_difficulty");
        };
        if !(low..=high).contains(&difficulty) {
            return Some("difficulty");
        }
    }
    if let Some(wanted) = &file.level {
        let named = |key| meta(key).and_then(|level| level.as_str());
        let levels = [named("difficulty"), named("level")];
        if levels.iter().all(Option::is_none) {
            return Some("no_difficulty");
        }
        if !levels
            .iter()
            .flatten()
            .any(|level| level.eq_ignore_ascii_case(wanted))
        {
            return Some("difficulty");
        }
    }
    (file.boxed && problem.meta.get("boxed") != Some(&true.into())).then_some("not_boxed")
}
