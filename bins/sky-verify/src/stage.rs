//! The pipeline stage `verify`: gives every rewritten sample its verdict.

use std::{num::NonZero, path::PathBuf};

use sky_cli::{
    Recipe, StageArgs, StageDef, StageEstimate, VerdictProgress, check_against_receipt,
    guest_identity, layout, sky_home,
};
use sky_data::ProblemsConfig;
use sky_files::Counts;
use sky_sample::SampleConfig;
use sky_sandbox::GuestPaths;
use sky_types::Domain;
use sky_verify::{ParallelChecker, ProblemIndex, StandardChecks, VerifyConfig};

use crate::samples;

#[derive(clap::Args)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    stage: StageArgs,
    /// Number of threads that check; one a core by default. Verdicts do not depend on it.
    #[arg(long, value_name = "N")]
    threads: Option<NonZero<usize>>,
}

const VERDICTS: &str = "verdicts.jsonl";
const JOURNAL: &str = "verdicts.journal";

/// Checks the run's samples. The sandbox is opened only when there are code problems.
pub(crate) fn run(args: &VerifyArgs) -> anyhow::Result<()> {
    let VerifyArgs { stage, threads } = args;
    let recipe = stage.load()?;
    let config: VerifyConfig = recipe.section()?;
    // When the problems cannot be read, opening the stage reports why.
    let has_code = ProblemIndex::open(&stage.path(layout::TRAIN_PROBLEMS))
        .is_ok_and(|problems| problems.has(Domain::Code));
    let definition = StageDef {
        name: "verify",
        inputs: [layout::TRAIN_PROBLEMS, layout::REWRITTEN]
            .map(PathBuf::from)
            .to_vec(),
        config: serde_json::json!({
            "verify": config,
            "verifier": sky_verify::REVISION,
            "guest": if has_code { guest_identity() } else { None },
        }),
        revision: 1,
        preserve: &[],
        estimate: StageEstimate {
            what: "every sample against its problem's answer; code in the sandbox".into(),
            seconds: expected(&recipe),
        },
    };
    stage.run(&recipe, definition, |dir| {
        let problems = stage.path(layout::TRAIN_PROBLEMS);
        let samples = stage.path(layout::REWRITTEN);
        let total = samples::count(&samples)?;
        let paths = GuestPaths::new(&sky_home());
        let checks = StandardChecks::open(&config, has_code, &paths, check_against_receipt)?;
        let mut progress = VerdictProgress::new("verify", total);
        let checker = ParallelChecker {
            problems: &problems,
            samples: &samples,
            journal: &dir.file(JOURNAL),
            verdicts: &dir.file(VERDICTS),
            threads: *threads,
        };
        let counts = checker.run(&checks, &mut |row, new| {
            progress.verdict(row.verdict.is_correct(), new);
        })?;
        let counts = counts.iter().fold(
            Counts::new(total, counts.total()),
            |counts, (verdict, count)| counts.with(verdict.as_str(), count),
        );
        Ok((vec![VERDICTS.into()], vec![JOURNAL.into()], counts))
    })
}

/// Expected wall time in seconds on two cores; none when the recipe does not say how much to judge.
fn expected(recipe: &Recipe) -> Option<f64> {
    /// Samples a second that are compared by value; a slow machine reaches it.
    const BY_VALUE: f64 = 2000.0;
    /// Samples a second that run in the sandbox; a slow machine reaches it.
    const IN_SANDBOX: f64 = 20.0;
    let config: ProblemsConfig = recipe.other_section()?;
    let n = recipe
        .other_section()
        .map_or(1, |sample: SampleConfig| u64::from(sample.n));
    let code = config.human_eval as u64;
    let value = config.expected_train()?.saturating_sub(code) * n;
    Some(1.0 + value as f64 / BY_VALUE + (code * n) as f64 / IN_SANDBOX)
}
