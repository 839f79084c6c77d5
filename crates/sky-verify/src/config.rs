use serde::{Deserialize, Serialize};
use sky_math::Options;
use sky_types::{Section, SettingError};

/// The revision of the checks. Verdicts of another revision count as stale.
///
/// Raise it with every change that may give a reply another verdict.
pub const REVISION: u32 = 4;

/// The recipe's `[verify]`: how the pipeline and the evaluations judge replies.
///
/// It parses the same with and without the feature `sandbox`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct VerifyConfig {
    /// `[verify.math]`: the conventions that answers are compared by.
    pub math: Options,
    /// `[verify.code]`: the limits of programs and how their tests run.
    pub code: CodeOptions,
}

impl Section for VerifyConfig {
    const NAME: &'static str = "verify";

    fn check(&self) -> Result<(), SettingError> {
        /// The longest double has fewer digits, and so has any answer.
        const MOST_DIGITS: u32 = 1000;
        let digits = |digits: Option<u32>| digits.is_none_or(|digits| digits <= MOST_DIGITS);
        let math = &self.math;
        if math.budget == 0 {
            return Err(SettingError::new("math.budget", "must be above 0"));
        }
        for (key, value) in [
            ("math.decimal_gold_digits", math.decimal_gold_digits),
            ("math.decimal_answer_digits", math.decimal_answer_digits),
            ("math.round_decimals", math.round_decimals),
        ] {
            if !digits(value) {
                return Err(SettingError::new(
                    key,
                    format!("must be at most {MOST_DIGITS}"),
                ));
            }
        }
        self.check_code()
    }
}

impl VerifyConfig {
    fn check_code(&self) -> Result<(), SettingError> {
        /// The value of `sky_sandbox::MAX_MEMORY` in bytes, which the feature `sandbox` brings.
        const MAX_MEMORY: u64 = 1 << 30;
        let code = &self.code;
        for (key, seconds) in [
            ("code.test_seconds", code.test_seconds),
            ("code.program_seconds", code.program_seconds),
        ] {
            if !(0.001..=3600.0).contains(&seconds) {
                return Err(SettingError::new(
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
                return Err(SettingError::new(
                    key,
                    format!("is {bytes}; must be from {least} to {MAX_MEMORY} bytes"),
                ));
            }
        }
        Ok(())
    }
}

/// Limits and choices of the code check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CodeOptions {
    /// Seconds of a native interpreter for an input/output test without a limit of its own; APPS
    /// and TACO use 4 s.
    pub test_seconds: f64,
    /// Seconds of a native interpreter for a test program without a limit of its own; HumanEval's
    /// harness uses 3 s.
    pub program_seconds: f64,
    /// Most bytes of heap of one run.
    pub memory: u64,
    /// Most bytes of output of one run.
    pub output: u64,
    /// Run every test and count, instead of stopping at the first failure.
    pub all_tests: bool,
}

impl Default for CodeOptions {
    fn default() -> Self {
        Self {
            test_seconds: 4.0,
            program_seconds: 3.0,
            memory: 256 << 20,
            output: 16 << 20,
            all_tests: false,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_recipe_parses_with_and_without_the_sandbox() {
        let of = |json: &str| serde_json::from_str::<VerifyConfig>(json);
        let config = of(r#"{"code": {"memory": 1048576}, "math": {"budget": 9}}"#).unwrap();
        assert_eq!((config.code.memory, config.math.budget), (1 << 20, 9));
        assert_eq!(of("{}").unwrap(), VerifyConfig::default());
        assert!(of(r#"{"code": {"memori": 1}}"#).is_err());
        assert!(of(r#"{"coding": {}}"#).is_err());
        let small = of(r#"{"code": {"memory": 1}}"#).unwrap();
        assert!(small.check().is_err());
    }

    #[cfg(feature = "sandbox")]
    #[test]
    fn a_program_may_use_by_default_what_the_sandbox_gives_by_default() {
        let (options, limits) = (CodeOptions::default(), sky_sandbox::Limits::default());
        assert_eq!(
            (options.memory, options.output),
            (limits.memory, limits.output)
        );
        let most = CodeOptions {
            memory: sky_sandbox::MAX_MEMORY,
            ..options.clone()
        };
        let more = CodeOptions {
            memory: sky_sandbox::MAX_MEMORY + 1,
            ..options
        };
        let check = |code| {
            VerifyConfig {
                code,
                ..VerifyConfig::default()
            }
            .check()
            .is_ok()
        };
        assert!(check(most) && !check(more));
    }
}
