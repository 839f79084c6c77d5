use dashu_ratio::RBig;

use crate::budget::OutOfBudget;

/// Why there is no exact value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExactError {
    /// A division by zero, a logarithm of zero.
    Undefined,
    /// Not a rational, or too large to write down.
    NotRational,
    OutOfBudget,
}

impl From<OutOfBudget> for ExactError {
    fn from(_: OutOfBudget) -> Self {
        Self::OutOfBudget
    }
}

pub(crate) type ExactResult<T = RBig> = Result<T, ExactError>;
