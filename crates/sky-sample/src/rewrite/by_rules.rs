//! Rewriting whole samples by rules.

use sky_types::{CheckError, FinishReason, Sample};

use super::{rewritten::Rewritten, rules::split, sections::Sections};

/// Whether a sample's text is a right answer to its problem.
pub type IsRight<'a> = dyn Fn(&Sample) -> Result<bool, CheckError> + Sync + 'a;

/// Whether a rewritten sample is right where the original is.
pub(super) fn keeps_verdict(
    original: &Sample,
    rewritten: &Sample,
    is_right: &IsRight<'_>,
) -> Result<bool, CheckError> {
    Ok(original.text == rewritten.text || !is_right(original)? || is_right(rewritten)?)
}

/// Puts a sample's reply into the two sections by rules; the rest of the sample is unchanged. A
/// reply that hit the token limit or was refused has no solution, so that it stays as it is unless
/// it has the two sections already.
pub fn rewrite_by_rules(mut sample: Sample) -> (Sample, Rewritten) {
    let sections = Sections::parse(&sample.text);
    let (how, sections) = match (sample.finish_reason, sections) {
        (_, Some(sections)) => (Rewritten::Already, Some(sections)),
        (FinishReason::Stop, None) => (Rewritten::Rules, split(&sample.text)),
        (FinishReason::Length | FinishReason::Refused | FinishReason::Failed, None) => {
            (Rewritten::Left, None)
        }
    };
    let Some(sections) = sections else {
        return (sample, Rewritten::Left);
    };
    sample.text = sections.render();
    (sample, how)
}

/// As [`rewrite_by_rules`], but a right reply stays as it is when the rules make it wrong.
///
/// # Errors
/// When `is_right` fails.
pub fn rewrite_right_by_rules(
    sample: Sample,
    is_right: &IsRight<'_>,
) -> Result<(Sample, Rewritten), CheckError> {
    let (rewritten, how) = rewrite_by_rules(sample.clone());
    Ok(if keeps_verdict(&sample, &rewritten, is_right)? {
        (rewritten, how)
    } else {
        (sample, Rewritten::Kept)
    })
}
