mod model;
mod rules;
mod sections;

use std::collections::BTreeMap;

use sky_types::{FinishReason, Sample};

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
        (FinishReason::Length | FinishReason::Refused, None) => (Rewritten::Left, None),
    };
    let Some(sections) = sections else {
        return (sample, Rewritten::Left);
    };
    sample.text = sections.render();
    (sample, how)
}
