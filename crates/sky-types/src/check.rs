use crate::{FinishReason, Problem, Verdict};

/// A verdict and, for a person, why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckOutcome {
    /// What the checker says.
    pub verdict: Verdict,
    /// The values compared, the failing test, the exception.
    pub detail: String,
}

/// The checker itself failed; says nothing about the reply.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// This checker does not know this kind of answer.
    #[error("problem {id}: {checker} cannot check a {domain} problem: {reason}")]
    Unsupported {
        /// The problem.
        id: String,
        /// Who refused.
        checker: &'static str,
        /// The problem's domain.
        domain: String,
        /// What would be needed.
        reason: String,
    },
    /// The host failed: a missing guest, no memory for the sandbox.
    #[error("{0}")]
    Host(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Turns a problem and a reply into a verdict. A guest's or an answer's failure is a verdict, the
/// host's is an `Err`.
pub trait Check: Sync {
    /// Checks one reply. The same problem and reply give the same verdict on any machine, at any
    /// load.
    ///
    /// # Errors
    /// Only when the checker itself cannot work.
    fn check(
        &self,
        problem: &Problem,
        reply: &str,
        finish_reason: FinishReason,
    ) -> Result<CheckOutcome, CheckError>;

    /// A guess, from a look at a reply, at how long it takes to check, in no unit. Where few
    /// replies wait, the costliest start first, so that no long one is left for the end. No
    /// verdict depends on it.
    fn estimated_cost(&self, _reply: &str) -> usize {
        0
    }
}
