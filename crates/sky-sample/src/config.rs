use serde::{Deserialize, Serialize};
use sky_types::{Domain, Message, SamplingParams, Section, SettingError};

/// The recipe's `[sample]`: how many samples of each problem, and how they are drawn. The defaults
/// are Sky-T1's: one greedy sample of at most 16,384 tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SampleConfig {
    /// Samples of each problem, 1 to 100,000.
    pub n: u32,
    /// Temperature, 0 to 10. The logits are divided by it; 0 is greedy sampling.
    pub temperature: f64,
    /// Nucleus sampling: the total probability of the tokens to draw from, above 0 and at most 1.
    pub top_p: f64,
    /// Most new tokens of one reply.
    pub max_tokens: u32,
    /// Most new tokens of a reply to a code problem; `max_tokens` when unset.
    pub code_max_tokens: Option<u32>,
    /// The teacher's system prompt; that of `[prompt]`, which the student gets, when unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// Worked examples, put before a problem as earlier turns. Code problems have none.
    pub examples: Vec<Example>,
    /// Largest share of samples that may fail, 0 to 1; one always may. Where more do, something is
    /// wrong with all of them, and sampling stops.
    pub max_failed: f64,
}

/// One worked example of a prompt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// The user's turn: the question.
    pub user: String,
    /// The assistant's turn: the answer.
    pub assistant: String,
}

impl Default for SampleConfig {
    fn default() -> Self {
        let params = SamplingParams::default();
        Self {
            n: 1,
            temperature: params.temperature,
            top_p: params.top_p,
            max_tokens: params.max_tokens,
            code_max_tokens: None,
            system: None,
            examples: Vec::new(),
            max_failed: 0.02,
        }
    }
}

impl Section for SampleConfig {
    const NAME: &'static str = "sample";

    fn check(&self) -> Result<(), SettingError> {
        if self.n == 0 || self.n > 100_000 {
            return Err(SettingError::new("n", "must lie between 1 and 100000"));
        }
        check_params(self.temperature, self.top_p, self.max_tokens)?;
        if !(0.0..=1.0).contains(&self.max_failed) {
            return Err(SettingError::new("max_failed", "must lie between 0 and 1"));
        }
        if self.code_max_tokens == Some(0) {
            return Err(SettingError::new("code_max_tokens", "must be above 0"));
        }
        if self.n > 1 && self.temperature == 0.0 {
            return Err(SettingError::new(
                "n",
                "at temperature 0 all samples of a problem are the same",
            ));
        }
        Ok(())
    }
}

impl SampleConfig {
    /// The sampling parameters for a problem of this domain.
    pub fn params(&self, domain: Domain) -> SamplingParams {
        let max_tokens = match domain {
            Domain::Code => self.code_max_tokens.unwrap_or(self.max_tokens),
            Domain::Math | Domain::Choice | Domain::Puzzle => self.max_tokens,
        };
        SamplingParams {
            temperature: self.temperature,
            top_p: self.top_p,
            max_tokens,
        }
    }

    /// The worked examples as turns, for a problem of this domain; empty for code.
    pub fn example_messages(&self, domain: Domain) -> Vec<Message> {
        if domain == Domain::Code {
            return Vec::new();
        }
        self.examples
            .iter()
            .flat_map(|example| {
                [
                    Message::user(&example.user),
                    Message::assistant(&example.assistant),
                ]
            })
            .collect()
    }
}

/// The recipe's `[rewrite]`: how a reply is put into its two sections. With `kind = "model"` the
/// defaults are Sky-T1's: GPT-4o-mini at temperature 0.7, five requests per second.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RewriteConfig {
    /// Rules, or a model behind an OpenAI-style endpoint.
    pub kind: RewriteKind,
    /// Base URL of the server, up to and including `/v1`.
    pub endpoint: String,
    /// The model's name at the server.
    pub name: String,
    /// Name of the environment variable with the server's key; empty for a server without a key.
    pub api_key_env: String,
    /// Concurrent requests, 1 to 4096.
    pub concurrency: usize,
    /// Most requests begun per second; 0 for no limit.
    pub requests_per_second: f64,
    /// As in `[sample]`.
    pub temperature: f64,
    /// As in `[sample]`.
    pub top_p: f64,
    /// As in `[sample]`.
    pub max_tokens: u32,
}

/// What rewrites a reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RewriteKind {
    /// Rules, which move text and never make any up.
    #[default]
    Rules,
    /// A model. Where it loses the answer or the form, the rules rewrite the reply instead.
    Model,
}

impl Default for RewriteConfig {
    fn default() -> Self {
        Self {
            kind: RewriteKind::Rules,
            endpoint: "https://api.openai.com/v1".into(),
            name: "gpt-4o-mini".into(),
            api_key_env: "OPENAI_API_KEY".into(),
            concurrency: 16,
            requests_per_second: 5.0,
            temperature: 0.7,
            top_p: 1.0,
            max_tokens: 16_384,
        }
    }
}

impl Section for RewriteConfig {
    const NAME: &'static str = "rewrite";

    fn check(&self) -> Result<(), SettingError> {
        check_params(self.temperature, self.top_p, self.max_tokens)?;
        if !(self.requests_per_second >= 0.0 && self.requests_per_second.is_finite()) {
            return Err(SettingError::new(
                "requests_per_second",
                "must be 0 (no limit) or above",
            ));
        }
        if !(1..=4096).contains(&self.concurrency) {
            return Err(SettingError::new(
                "concurrency",
                "must lie between 1 and 4096",
            ));
        }
        if self.kind == RewriteKind::Rules {
            let unused = Self::default();
            let set = [
                ("endpoint", self.endpoint != unused.endpoint),
                ("name", self.name != unused.name),
                ("api_key_env", self.api_key_env != unused.api_key_env),
                ("concurrency", self.concurrency != unused.concurrency),
                (
                    "requests_per_second",
                    self.requests_per_second != unused.requests_per_second,
                ),
                ("temperature", self.temperature != unused.temperature),
                ("top_p", self.top_p != unused.top_p),
                ("max_tokens", self.max_tokens != unused.max_tokens),
            ];
            if let Some((key, _)) = set.iter().find(|(_, set)| *set) {
                let reason =
                    "does nothing with `kind = \"rules\"`; remove it or set `kind = \"model\"`";
                return Err(SettingError::new(key, reason));
            }
        }
        if self.kind == RewriteKind::Model && self.endpoint.is_empty() {
            return Err(SettingError::new("endpoint", "a model rewriter needs one"));
        }
        Ok(())
    }
}

fn check_params(temperature: f64, top_p: f64, max_tokens: u32) -> Result<(), SettingError> {
    if !(0.0..=10.0).contains(&temperature) {
        return Err(SettingError::new(
            "temperature",
            "must lie between 0 and 10",
        ));
    }
    if !(top_p > 0.0 && top_p <= 1.0) {
        return Err(SettingError::new(
            "top_p",
            "must lie above 0 and at most at 1",
        ));
    }
    if max_tokens == 0 {
        return Err(SettingError::new("max_tokens", "must be above 0"));
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn each_impossible_setting_names_its_key() {
        SampleConfig::default().check().unwrap();
        RewriteConfig::default().check().unwrap();
        let key = |change: fn(&mut SampleConfig)| {
            let mut config = SampleConfig::default();
            change(&mut config);
            config.check().unwrap_err().key
        };
        assert_eq!(key(|c| c.n = 0), "n");
        assert_eq!(key(|c| c.n = 4), "n");
        assert_eq!(key(|c| c.temperature = f64::NAN), "temperature");
        assert_eq!(key(|c| c.top_p = 0.0), "top_p");
        assert_eq!(key(|c| c.max_failed = 2.0), "max_failed");
        assert_eq!(key(|c| c.max_tokens = 0), "max_tokens");
        assert_eq!(key(|c| c.code_max_tokens = Some(0)), "code_max_tokens");
    }
}
