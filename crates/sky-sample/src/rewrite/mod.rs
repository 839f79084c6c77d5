mod model;
mod rules;
mod sections;

use std::collections::BTreeMap;

use sky_types::{FinishReason, Sample};

pub use model::{Rewriting, rewrite_with_model};
pub use rules::split;
pub use sections::{MARKERS, Sections};

/// What became of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rewritten {
    /// Was in form already, white space aside.
    Already,
    /// Parted by the rules.
    Rules,
    /// Put into form by a model that kept the answer.
    Model,
    /// Parted by the rules because the model lost the answer or the form.
    FellBack,
    /// Left as it was: unfinished, refused, or without a solution.
    Left,
}

impl Rewritten {
    /// The name manifests use.
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

/// How many replies became what.
pub type RewriteCounts = BTreeMap<Rewritten, usize>;

/// Puts a sample's reply into the two sections by rules; everything else of the sample stays. A
/// reply that hit the token limit is left as it is unless it is in form already: cutting it off did
/// not give it a solution.
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
