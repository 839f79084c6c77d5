//! The conventions that answers are compared by.

use sky_math::Options;

/// The conventions to judge by; `docs/math-conventions.md` describes each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Conventions {
    /// Sky's own: units, `x =` and degree signs are optional.
    #[default]
    Default,
    /// Math-Verify 0.9.0's, where they differ.
    MathVerify,
    /// Nothing is optional.
    Strict,
}

impl Conventions {
    pub(crate) fn options(self) -> Options {
        match self {
            Self::Default => Options::default(),
            Self::MathVerify => Options::math_verify(),
            Self::Strict => Options::strict(),
        }
    }
}
