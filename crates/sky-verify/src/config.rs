use serde::{Deserialize, Serialize};

use crate::math::Options;

/// The recipe's `[verify]`: how replies are judged, by the pipeline and by the evaluations alike.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct VerifyConfig {
    /// `[verify.math]`: the conventions of the math checker.
    pub math: Options,
    /// `[verify.code]`: the limits of programs.
    #[cfg(feature = "python")]
    pub code: crate::python::CodeOptions,
}
