use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Version;

/// What a checker says of one reply. Everything but `Correct` is a kind of failure, each with its
/// own cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The answer matches, or every test passes.
    Correct,
    /// There is an answer and it is wrong.
    Wrong,
    /// No answer could be found in the reply.
    Unparsed,
    /// The program used up its instructions or its time.
    TimedOut,
    /// The program used up its memory.
    OutOfMemory,
    /// The program called itself deeper than it may.
    RecursionLimit,
    /// The program raised an error.
    RuntimeError,
    /// The program does not parse.
    CompileError,
    /// The program printed more than it may.
    OutputLimit,
    /// The reply hit the token limit before its answer.
    Truncated,
    /// The model or its server refused to answer.
    Refused,
    /// The server could not answer the request.
    NoReply,
    /// The problem cannot be judged: its test does not run, or asks the program nothing. It says
    /// nothing about the reply, and scores leave it out.
    Unsupported,
}

impl Verdict {
    /// Every verdict, in the order reports show them.
    pub const ALL: [Self; 13] = [
        Self::Correct,
        Self::Wrong,
        Self::Unparsed,
        Self::TimedOut,
        Self::OutOfMemory,
        Self::RecursionLimit,
        Self::RuntimeError,
        Self::CompileError,
        Self::OutputLimit,
        Self::Truncated,
        Self::Refused,
        Self::NoReply,
        Self::Unsupported,
    ];

    /// The name used on disk.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Correct => "correct",
            Self::Wrong => "wrong",
            Self::Unparsed => "unparsed",
            Self::TimedOut => "timed_out",
            Self::OutOfMemory => "out_of_memory",
            Self::RecursionLimit => "recursion_limit",
            Self::RuntimeError => "runtime_error",
            Self::CompileError => "compile_error",
            Self::OutputLimit => "output_limit",
            Self::Truncated => "truncated",
            Self::Refused => "refused",
            Self::NoReply => "no_reply",
            Self::Unsupported => "unsupported",
        }
    }

    /// Whether the reply is right.
    pub fn is_correct(self) -> bool {
        self == Self::Correct
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One line of `verdicts.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerdictRecord {
    /// Format version, 1.
    #[serde(default)]
    pub v: Version<1>,
    /// The problem's `id`.
    pub problem_id: String,
    /// The sample's `index`.
    pub index: u32,
    /// What the checker says.
    pub verdict: Verdict,
    /// Why, for a person: the values compared, the failing test, the exception.
    pub detail: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_on_disk_are_the_displayed_ones() {
        for verdict in Verdict::ALL {
            assert_eq!(
                serde_json::to_string(&verdict).unwrap(),
                format!("\"{verdict}\"")
            );
        }
    }
}
