//! An answer that was found, by which rule, or why there is none.

/// Which rule found the answer, in the order in which they are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Rule {
    /// The last `\boxed{}` or `\fbox{}`; several side by side, parted by commas or `and`, are one
    /// list.
    Boxed,
    /// `<answer>...</answer>`.
    AnswerTag,
    /// `#### 42`, as the GSM8K dataset ends its solutions.
    HashMarks,
    /// "the answer is ...", "**Answer:** ...", "A: ...".
    Phrase,
    /// The whole response, which is nothing but an answer.
    Whole,
    /// The last formula of the last sentence that has one.
    LastMath,
    /// The last number.
    LastNumber,
    /// The letter of a choice at the beginning.
    ChoiceLetter,
}

impl Rule {
    /// Whether the rule takes what merely stands last, rather than what the response announces as
    /// its answer.
    pub fn is_a_guess(self) -> bool {
        matches!(self, Self::LastMath | Self::LastNumber | Self::Whole)
    }
}

/// An answer found in a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extraction {
    /// The answer as it was written, without math delimiters.
    pub answer: String,
    /// How it was found.
    pub rule: Rule,
}

/// Why there is no answer to compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    Empty,
    /// The thought section never ended.
    UnfinishedThought,
    /// The last box never ended.
    UnfinishedBox,
    NothingFound,
    /// No choice is stated.
    NoChoice,
}

impl NoAnswer {
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Empty => "the response is empty",
            Self::UnfinishedThought => "the response ends inside its thought section",
            Self::UnfinishedBox => "the response ends inside its last box",
            Self::NoChoice => "the response states no choice",
            Self::NothingFound => "no box, answer phrase, formula or number was found",
        }
    }
}
