use serde::{Deserialize, Serialize};

use super::extract::Rule;

/// What came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The answer means what the gold answer means.
    Correct,
    /// There is an answer and it was not shown to be equal.
    Wrong,
    /// No answer was found in the response.
    Unparsed,
}

/// The judgement of one response, with what a person needs to judge it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What came out.
    pub outcome: Outcome,
    /// The gold answer as it was read.
    pub gold: String,
    /// The answer found in the response.
    pub extracted: Option<String>,
    /// How it was found.
    pub rule: Option<Rule>,
    /// Why: the values compared, the rule used, the first difference.
    pub reason: String,
    /// Work done, in steps of the budget.
    pub steps: u64,
}

impl Verdict {
    /// Whether the answer is right.
    pub fn is_correct(&self) -> bool {
        self.outcome == Outcome::Correct
    }
}
