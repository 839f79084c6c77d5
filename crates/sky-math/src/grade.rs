use super::extract::Rule;

/// Whether an answer is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Grade {
    /// The answer means what the gold answer means.
    Correct,
    /// There is an answer and it was not shown to be equal.
    Wrong,
    /// No answer was found in the response.
    Unparsed,
}

/// The grade of one response, with what a person needs to understand it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Graded {
    /// Whether the answer is right.
    pub grade: Grade,
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

impl Graded {
    /// Whether the answer is right.
    pub fn is_correct(&self) -> bool {
        self.grade == Grade::Correct
    }
}
