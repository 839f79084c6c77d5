use serde::{Deserialize, Serialize};

use crate::math::Options;

/// Part of what a verdict depends on, beside replies and settings: raised with every change here that may give a reply
/// another verdict, so that older verdicts count as made otherwise.
pub const REVISION: u32 = 2;

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

impl VerifyConfig {
    /// Checks what the types cannot say. The error is the key inside `[verify]` and the reason.
    ///
    /// # Errors
    /// When a value makes no sense.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        /// Digits of the longest double, and far more than any answer has.
        const MOST_DIGITS: u32 = 1000;
        let digits = |digits: Option<u32>| digits.is_none_or(|digits| digits <= MOST_DIGITS);
        let math = &self.math;
        if math.budget == 0 {
            return Err(("math.budget", "must be above 0".to_owned()));
        }
        for (key, value) in [
            ("math.decimal_gold_digits", math.decimal_gold_digits),
            ("math.round_decimals", math.round_decimals),
        ] {
            if !digits(value) {
                return Err((key, format!("must be at most {MOST_DIGITS}")));
            }
        }
        #[cfg(feature = "python")]
        self.check_code()?;
        Ok(())
    }

    #[cfg(feature = "python")]
    fn check_code(&self) -> Result<(), (&'static str, String)> {
        use crate::python::MAX_MEMORY;
        let code = &self.code;
        for (key, seconds) in [
            ("code.test_seconds", code.test_seconds),
            ("code.program_seconds", code.program_seconds),
        ] {
            if !(0.001..=3600.0).contains(&seconds) {
                return Err((
                    key,
                    format!("is {seconds}; must be from 0.001 to 3600 seconds"),
                ));
            }
        }
        for (key, bytes, least) in [
            ("code.memory", code.memory, 1 << 20),
            ("code.output", code.output, 1),
        ] {
            if !(least..=MAX_MEMORY).contains(&bytes) {
                return Err((
                    key,
                    format!("is {bytes}; must be from {least} to {MAX_MEMORY} bytes"),
                ));
            }
        }
        Ok(())
    }
}
