//! Writes one self-contained HTML page about a run.
//!
//! It shows scores, the funnel from problems to training data, training curves, verdicts, times and
//! the samples. It is computed from the run folder's files by streaming; a stage that did not run
//! is shown as missing. The page needs no network, and what models wrote is inert data on it.

mod config;
mod curves;
mod explorer;
mod files;
mod funnel;
mod html;
mod page;
mod published;
mod reproduce;
mod run_data;
mod scores;
mod stage_replies;
mod stages;
mod summary;
mod training;
mod verdicts;

pub use config::ReportConfig;
pub use files::{RunFiles, RunInfo};
pub use summary::{RunSummary, Score, StageLine};

use sky_files::write_json;

use crate::{Result, scoring::write_with};

/// Reads a run folder and writes its `summary.json` and `report.html`, each atomically.
///
/// # Errors
/// When a file of a complete stage is missing, damaged or does not fit the others. The error names
/// the file.
pub fn write_report(files: &RunFiles, info: &RunInfo, config: &ReportConfig) -> Result<RunSummary> {
    let data = run_data::RunData::read(files, info, config)?;
    let summary = RunSummary::of(&data);
    write_with(&files.report, |out| page::write(out, &data, config, files))?;
    write_json(&files.summary, &summary)?;
    Ok(summary)
}
