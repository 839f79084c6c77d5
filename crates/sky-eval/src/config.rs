use serde::{Deserialize, Serialize};
use sky_types::{SamplingParams, Section, SettingError};

/// The recipe's `[eval]`: how replies are sampled.
///
/// The defaults are Sky-T1's protocol: greedy, at most 32,768 new tokens, seed 41.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EvalConfig {
    /// Most new tokens of one reply.
    pub max_tokens: u32,
    /// Number of replies to each problem; more than one needs a temperature above 0.
    pub n: u32,
    /// Divides the logits before the softmax; 0 selects the likeliest token.
    pub temperature: f64,
    /// Nucleus sampling: the smallest set of tokens whose probability reaches this.
    pub top_p: f64,
    /// Seed of the replies, before and after training. Greedy replies do not depend on it.
    pub seed: u64,
}

impl Default for EvalConfig {
    fn default() -> Self {
        Self {
            max_tokens: 32_768,
            n: 1,
            temperature: 0.0,
            top_p: 1.0,
            seed: 41,
        }
    }
}

impl Section for EvalConfig {
    const NAME: &'static str = "eval";

    fn check(&self) -> Result<(), SettingError> {
        let checks = [
            ("max_tokens", self.max_tokens > 0, "must be at least 1"),
            (
                "n",
                (1..=65_536).contains(&self.n),
                "must be from 1 to 65536",
            ),
            (
                "temperature",
                (0.0..=10.0).contains(&self.temperature),
                "must be from 0 to 10",
            ),
            (
                "top_p",
                self.top_p > 0.0 && self.top_p <= 1.0,
                "must be above 0 and at most 1",
            ),
            (
                "n",
                self.n == 1 || self.temperature > 0.0,
                "greedy replies are all the same: use n = 1, or a temperature above 0",
            ),
        ];
        match checks.into_iter().find(|(_, right, _)| !right) {
            Some((key, _, reason)) => Err(SettingError::new(key, reason)),
            None => Ok(()),
        }
    }
}

impl EvalConfig {
    /// The sampling parameters of one reply.
    pub fn params(&self) -> SamplingParams {
        SamplingParams {
            temperature: self.temperature,
            top_p: self.top_p,
            max_tokens: self.max_tokens,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_name_their_key() {
        let of = |json: &str| {
            serde_json::from_str::<EvalConfig>(json)
                .unwrap()
                .check()
                .err()
                .map(|error| error.key)
        };
        assert_eq!(of("{}"), None);
        assert_eq!(of(r#"{"n": 8, "temperature": 1.0}"#), None);
        assert_eq!(of(r#"{"n": 8}"#), Some("n"));
        assert_eq!(of(r#"{"max_tokens": 0}"#), Some("max_tokens"));
        assert_eq!(of(r#"{"temperature": -1.0}"#), Some("temperature"));
        assert_eq!(of(r#"{"top_p": 0.0}"#), Some("top_p"));
        assert!(serde_json::from_str::<EvalConfig>(r#"{"max_token": 1}"#).is_err());
    }
}
