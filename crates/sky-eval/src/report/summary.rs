use serde::{Deserialize, Serialize};
use sky_types::Version;

use super::run_data::RunData;
use crate::EvalSummary;

/// The scores and stages of a run, as in the run folder's `summary.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunSummary {
    /// Format version, 1.
    pub v: Version<1>,
    /// The recipe's name.
    pub recipe: String,
    /// The run's seed.
    pub seed: u64,
    /// Score before training; `null` when it was not measured.
    pub before: Option<Score>,
    /// Score after training; `null` when it was not measured.
    pub after: Option<Score>,
    /// The complete stages, in the order in which they run.
    pub stages: Vec<StageLine>,
    /// The report's file name.
    pub report: String,
}

/// The score of one evaluation in a run's summary.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Score {
    /// Share of right replies.
    pub accuracy: f64,
    /// Number of problems.
    pub n: u64,
    /// Lower end of the 95 % Wilson interval.
    pub low: f64,
    /// Upper end of the 95 % Wilson interval.
    pub high: f64,
}

/// One stage in a run's summary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageLine {
    /// The stage's name.
    pub name: String,
    /// Wall time in seconds, summed over the processes that worked on it.
    pub seconds: f64,
    /// Items it read.
    pub count_in: u64,
    /// Items it wrote.
    pub count_out: u64,
}

impl RunSummary {
    pub(super) fn of(data: &RunData) -> Self {
        let score = |eval: &EvalSummary| Score {
            accuracy: eval.accuracy,
            n: eval.n,
            low: eval.low,
            high: eval.high,
        };
        let stage = |(name, manifest): &(String, Option<sky_files::Manifest>)| {
            manifest.as_ref().map(|manifest| StageLine {
                name: name.clone(),
                seconds: manifest.seconds,
                count_in: manifest.counts.count_in,
                count_out: manifest.counts.count_out,
            })
        };
        Self {
            v: Version,
            recipe: data.info.recipe.clone(),
            seed: data.info.seed,
            before: data.before.as_ref().map(score),
            after: data.after.as_ref().map(score),
            stages: data.stages.iter().filter_map(stage).collect(),
            report: "report.html".into(),
        }
    }
}
