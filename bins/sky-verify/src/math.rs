//! `sky-verify math`: replies to math problems, or pairs of answers, compared by value.

use std::path::PathBuf;

use sky_cli::UserError;
use sky_verify::MathCheck;

use crate::{
    conventions::Conventions,
    output::OutputArgs,
    pairs::{self, PairsJob},
    samples::SamplesJob,
};

#[derive(clap::Args)]
pub(crate) struct MathArgs {
    /// Pairs to judge: one JSON object a line with `id`, `gold`, `pred` (an answer or a whole
    /// response) and optionally `mode` and `opts`; see `docs/math-conventions.md`.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["problems", "samples"], required_unless_present = "problems")]
    pairs: Option<PathBuf>,
    /// The problems (problems.jsonl).
    #[arg(long, value_name = "FILE", requires = "samples")]
    problems: Option<PathBuf>,
    /// The samples to judge (samples.jsonl).
    #[arg(long, value_name = "FILE", requires = "problems")]
    samples: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
    /// The conventions to judge by.
    #[arg(long, value_enum, default_value_t)]
    conventions: Conventions,
}

pub(crate) fn run(args: &MathArgs) -> anyhow::Result<()> {
    args.output.check()?;
    match (&args.pairs, &args.problems, &args.samples) {
        (Some(pairs), ..) => pairs::run(&PairsJob {
            pairs,
            out: &args.output.out,
            threads: args.output.threads,
            conventions: args.conventions,
        }),
        (None, Some(problems), Some(samples)) => {
            let job = SamplesJob {
                problems,
                samples,
                output: &args.output,
                settings: format!("{:?}", args.conventions),
            };
            job.run(|| Ok(MathCheck::new(args.conventions.options())))
        }
        _ => Err(UserError(
            "nothing to judge: give --pairs, or --problems with --samples".to_owned(),
        )
        .into()),
    }
}
