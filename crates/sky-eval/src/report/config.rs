use serde::{Deserialize, Serialize};
use sky_types::{Section, SettingError};

/// The recipe's `[report]`: the price of an hour and the size of the page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReportConfig {
    /// Price of the machine in dollars an hour; with 0 the page shows no cost.
    pub dollars_per_hour: f64,
    /// Most samples of one stage on the page. Of more, a random choice is shown, seeded by the run.
    pub samples_per_stage: usize,
    /// Most bytes of one reply on the page. The middle of a longer one is replaced by a note.
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

impl Section for ReportConfig {
    const NAME: &'static str = "report";

    fn check(&self) -> Result<(), SettingError> {
        let wrong = |key, reason: &str| Err(SettingError::new(key, reason));
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
