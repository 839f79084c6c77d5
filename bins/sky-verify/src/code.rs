//! `sky-verify code`: replies to problems of any kind; those to code problems are judged by running
//! the programs in them.

use std::path::PathBuf;

use sky_cli::{check_against_receipt, sky_home};
use sky_sandbox::GuestPaths;
use sky_types::Domain;
use sky_verify::{CodeOptions, ProblemIndex, StandardChecks, VerifyConfig};

use crate::{output::OutputArgs, samples::SamplesJob};

#[derive(clap::Args)]
pub(crate) struct CodeArgs {
    /// The problems (problems.jsonl).
    #[arg(long, value_name = "FILE")]
    problems: PathBuf,
    /// The samples to judge (samples.jsonl).
    #[arg(long, value_name = "FILE")]
    samples: PathBuf,
    #[command(flatten)]
    output: OutputArgs,
    /// Run every test of a problem and count, instead of stopping at the first failure.
    #[arg(long)]
    all_tests: bool,
    /// MiB of memory for each run of a program.
    #[arg(long, default_value_t = 256, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=1024))]
    memory: u64,
}

pub(crate) fn run(args: &CodeArgs) -> anyhow::Result<()> {
    args.output.check()?;
    let options = CodeOptions {
        all_tests: args.all_tests,
        memory: args.memory << 20,
        ..CodeOptions::default()
    };
    let tests = if options.all_tests { "all" } else { "first" };
    let job = SamplesJob {
        problems: &args.problems,
        samples: &args.samples,
        output: &args.output,
        settings: format!("{tests}-{}", options.memory),
    };
    job.run(|| {
        let has_code = ProblemIndex::open(&args.problems)?.has(Domain::Code);
        let mut config = VerifyConfig::default();
        config.code = options;
        let paths = GuestPaths::new(&sky_home());
        Ok(StandardChecks::open(
            &config,
            has_code,
            &paths,
            check_against_receipt,
        )?)
    })
}
