use std::fmt;

/// What a run reports to its operator. Displays as one line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// Something about the checkpoints in the folder: a damaged one that is skipped, steps that are
    /// lost with it.
    Checkpoints(String),
    /// The run resumes from a checkpoint, and steps that a killed process had done after it are
    /// repeated.
    Repeats {
        /// Steps done at the checkpoint.
        step: u64,
        /// Steps that are repeated.
        repeated: u64,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Checkpoints(text) => f.write_str(text),
            Self::Repeats { step, repeated } => {
                let steps = if *repeated == 1 { "step" } else { "steps" };
                write!(
                    f,
                    "resumes after step {step}; repeats {repeated} {steps} done since that checkpoint"
                )
            }
        }
    }
}
