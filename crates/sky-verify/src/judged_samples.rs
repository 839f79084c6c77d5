use std::path::Path;

use sky_files::read_jsonl;
use sky_types::{Sample, VerdictRecord};

use crate::{Result, VerifyError};

/// A sample and the verdict that it got.
#[derive(Clone, Debug, PartialEq)]
pub struct JudgedSample {
    /// The reply.
    pub sample: Sample,
    /// Its verdict.
    pub verdict: VerdictRecord,
}

/// Reads `samples.jsonl` and the `verdicts.jsonl` made from it side by side, in constant memory.
///
/// The iterator ends after its first error.
///
/// # Errors
/// At once when a file cannot be opened. Per row when a row cannot be read, or when the two files
/// do not hold the same samples in the same order.
pub fn read_judged_samples(
    samples: &Path,
    verdicts: &Path,
) -> Result<impl Iterator<Item = Result<JudgedSample>> + use<>> {
    let mut rows = read_jsonl::<Sample>(samples)?;
    let mut records = read_jsonl::<VerdictRecord>(verdicts)?;
    let verdicts = verdicts.to_path_buf();
    let mut failed = false;
    Ok(std::iter::from_fn(move || {
        if failed {
            return None;
        }
        let row = pair(rows.next(), records.next(), &verdicts);
        failed = matches!(row, Some(Err(_)));
        row
    }))
}

fn pair(
    sample: Option<sky_files::Result<Sample>>,
    verdict: Option<sky_files::Result<VerdictRecord>>,
    path: &Path,
) -> Option<Result<JudgedSample>> {
    let other = |what: String| {
        Some(Err(VerifyError::mismatch(
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
    Some(Ok(JudgedSample { sample, verdict }))
}
