//! How replies were rewritten, and how many.

use std::collections::BTreeMap;

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
