use serde::{Deserialize, Serialize};

/// The recipe's `[report]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReportConfig {
    /// Price of the machine for one hour, in dollars; 0 for "not priced".
    pub dollars_per_hour: f64,
    /// Most samples of one stage on the page; of more, as many are drawn at random with the run's seed.
    pub samples_per_stage: usize,
    /// Most bytes of one reply on the page; a longer one loses its middle, and says so.
    pub max_text_bytes: usize,
}

impl Default for ReportConfig {
    fn default() -> Self {
        Self {
            dollars_per_hour: 0.0,
            samples_per_stage: 1000,
            max_text_bytes: 20_000,
        }
    }
}

impl ReportConfig {
    /// Checks what the types cannot say. The error is the key and the reason.
    ///
    /// # Errors
    /// When a value makes no sense.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        let wrong = |key, reason: &str| Err((key, reason.to_owned()));
        if !(0.0..1e9).contains(&self.dollars_per_hour) {
            return wrong("dollars_per_hour", "must be 0 or more");
        }
        if self.samples_per_stage > 100_000 {
            return wrong(
                "samples_per_stage",
                "must be at most 100000, or no browser opens the page",
            );
        }
        if !(100..=10_000_000).contains(&self.max_text_bytes) {
            return wrong("max_text_bytes", "must be from 100 to 10000000");
        }
        Ok(())
    }
}
