mod model;
mod rules;
mod sections;

use std::collections::BTreeMap;

use sky_types::{CheckError, FinishReason, Sample};

pub use model::{Rewriting, rewrite_with_model};
pub use rules::split;
pub use sections::{MARKERS, Sections};

/// How a reply was rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rewritten {
    /// It had the two sections already; only white space changed.
    Already,
    /// The rules split it.
    Rules,
    /// A model rewrote it and kept the answer.
    Model,
    /// The rules split it, because the model lost the answer or the form.
    FellBack,
    /// It is unchanged: unfinished, refused, or without a solution.
    Left,
    /// It is unchanged: it is right, and each rewritten form was wrong.
    Kept,
}

/// Whether a sample's text is a right answer to its problem.
pub type IsRight<'a> = dyn Fn(&Sample) -> Result<bool, CheckError> + Sync + 'a;

/// Whether a rewritten sample is right where the original is.
fn keeps_verdict(
    original: &Sample,
    rewritten: &Sample,
    is_right: &IsRight<'_>,
) -> Result<bool, CheckError> {
    Ok(original.text == rewritten.text || !is_right(original)? || is_right(rewritten)?)
}

impl Rewritten {
    /// The name in manifests.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Already => "already",
            Self::Rules => "rules",
            Self::Model => "model",
            Self::FellBack => "fell_back",
            Self::Left => "left",
            Self::Kept => "kept",
        }
    }
}

/// The number of replies by how they were rewritten.
pub type RewriteCounts = BTreeMap<Rewritten, usize>;

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
