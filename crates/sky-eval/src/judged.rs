use std::path::Path;

use sky_files::read_jsonl;
use sky_types::{Sample, VerdictRecord};

use crate::{EvalError, Result};

/// A sample with its verdict.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// The reply.
    pub sample: Sample,
    /// What the checker said of it.
    pub verdict: VerdictRecord,
}

/// Reads `samples.jsonl` and the `verdicts.jsonl` made from it side by side, in constant memory.
///
/// # Errors
/// At once when a file cannot be opened; per row when one cannot be read or the two are not of the same samples in the same
/// order.
pub fn judged(
    samples: &Path,
    verdicts: &Path,
) -> Result<impl Iterator<Item = Result<Judged>> + use<>> {
    let mut rows = read_jsonl::<Sample>(samples)?;
    let mut judgements = read_jsonl::<VerdictRecord>(verdicts)?;
    let verdicts = verdicts.to_path_buf();
    let mut failed = false;
    Ok(std::iter::from_fn(move || {
        if failed {
            return None;
        }
        let row = pair(rows.next(), judgements.next(), &verdicts);
        failed = matches!(row, Some(Err(_)));
        row
    }))
}

fn pair(
    sample: Option<sky_files::Result<Sample>>,
    verdict: Option<sky_files::Result<VerdictRecord>>,
    path: &Path,
) -> Option<Result<Judged>> {
    let other = |what: String| {
        Some(Err(EvalError::mismatch(
            path,
            format!("{what}; run the stage that wrote it again with --force"),
        )))
    };
    let (sample, verdict) = match (sample, verdict) {
        (None, None) => return None,
        (Some(Err(error)), _) | (_, Some(Err(error))) => return Some(Err(error.into())),
        (Some(Ok(sample)), None) => {
            return other(format!(
                "has no verdict for {} #{}",
                sample.problem_id, sample.index
            ));
        }
        (None, Some(Ok(_))) => return other("has more rows than there are samples".into()),
        (Some(Ok(sample)), Some(Ok(verdict))) => (sample, verdict),
    };
    if (&sample.problem_id, sample.index) != (&verdict.problem_id, verdict.index) {
        return other(format!(
            "has {} #{} where the samples have {} #{}",
            verdict.problem_id, verdict.index, sample.problem_id, sample.index
        ));
    }
    Some(Ok(Judged { sample, verdict }))
}
