//! The pipeline stage `verify`: every rewritten sample gets its verdict.

use std::{num::NonZero, path::PathBuf};

use sky_cli::{Plan, Recipe, StageArgs, VerdictProgress, Work, guest_identity, layout};
use sky_eval::{ByDomain, Checking, ProblemIndex};
use sky_files::Counts;
use sky_types::{Domain, Sample};
use sky_verify::{VerifyConfig, math::MathChecker, python::CodeChecker};

#[derive(clap::Args)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    stage: StageArgs,
    /// Threads that check; one a core unless given. Verdicts do not depend on it.
    #[arg(long, value_name = "N")]
    threads: Option<NonZero<usize>>,
}

const VERDICTS: &str = "verdicts.jsonl";
const JOURNAL: &str = "verdicts.journal";

/// Math, puzzles and choices by value, code in the sandbox; the sandbox is only opened when there is code to run.
pub(crate) fn run(args: &VerifyArgs) -> anyhow::Result<()> {
    let VerifyArgs { stage, threads } = args;
    let recipe = stage.load()?;
    let config: VerifyConfig = recipe.section("verify")?;
    config
        .check()
        .map_err(|(key, reason)| recipe.complain("verify", key, &reason))?;
    // Where the problems cannot be read yet, opening the stage says why.
    let code = ProblemIndex::open(&stage.path(layout::TRAIN_PROBLEMS))
        .is_ok_and(|problems| problems.has(Domain::Code));
    let work = Work {
        name: "verify",
        inputs: [layout::TRAIN_PROBLEMS, layout::REWRITTEN]
            .map(PathBuf::from)
            .to_vec(),
        config: serde_json::json!({
            "verify": config,
            "verifier": sky_verify::REVISION,
            "guest": if code { guest_identity() } else { None },
        }),
        revision: 1,
        keeps: &[],
        plan: Plan {
            what: "every sample against its problem's answer; code in the sandbox".into(),
            seconds: expected(&recipe),
        },
    };
    stage.run(&recipe, work, |dir| {
        let problems = stage.path(layout::TRAIN_PROBLEMS);
        let samples = stage.path(layout::REWRITTEN);
        let mut total = 0;
        for row in sky_files::read_jsonl::<Sample>(&samples)? {
            row?;
            total += 1;
        }
        let math = MathChecker::new(config.math.clone());
        let code = code
            .then(crate::sandbox)
            .transpose()?
            .map(|sandbox| CodeChecker::new(sandbox, config.code.clone()));
        let mut checker = ByDomain::new()
            .with(Domain::Math, &math)
            .with(Domain::Puzzle, &math)
            .with(Domain::Choice, &math);
        if let Some(code) = &code {
            checker = checker.with(Domain::Code, code);
        }

        let mut progress = VerdictProgress::new("verify", total);
        let checking = Checking {
            problems: &problems,
            samples: &samples,
            journal: &dir.file(JOURNAL),
            verdicts: &dir.file(VERDICTS),
            threads: *threads,
        };
        let mix = checking.run(&checker, &mut |row, new| {
            progress.verdict(row.verdict.is_correct(), new);
        })?;
        let counts = mix.iter().fold(
            Counts::new(total, mix.total()),
            |counts, (verdict, count)| counts.with(verdict.as_str(), count),
        );
        Ok((vec![VERDICTS.into()], vec![JOURNAL.into()], counts))
    })
}

/// Expected wall time on two cores, when the recipe says how much there is to judge.
fn expected(recipe: &Recipe) -> Option<f64> {
    /// Samples a second, by value and in the sandbox, with room for slower machines.
    const BY_VALUE: f64 = 2000.0;
    const IN_SANDBOX: f64 = 20.0;
    let number = |section: &str, key: &str| {
        let value: serde_json::Value = recipe.section(section).ok()?;
        value[key].as_u64()
    };
    let (problems, n) = (
        recipe.planned_problems(false)?,
        number("sample", "n").unwrap_or(1),
    );
    let code = number("problems", "human_eval").unwrap_or(0);
    let value = problems.saturating_sub(code) * n;
    Some(1.0 + value as f64 / BY_VALUE + (code * n) as f64 / IN_SANDBOX)
}
