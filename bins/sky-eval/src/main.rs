//! The `sky-eval` program: a model's score on held-out problems, and the report of a run.

mod model;
mod report;
mod run;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// How good is a model, and what came of a run?
///
/// Both commands are stages of a recipe's run.
#[derive(Parser)]
#[command(name = "sky-eval", version, after_help = EXAMPLES)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  sky-eval run --which before --recipe recipes/tiny-cpu.toml --run runs/tiny-cpu
      ask the recipe's student the held-out problems, check its replies, and write
      samples.jsonl, verdicts.jsonl, results.json and summary.json into
      runs/tiny-cpu/eval-before/
  sky-eval run --which after --recipe recipes/tiny-cpu.toml --run runs/tiny-cpu
      the same for the model in runs/tiny-cpu/train/model/
  sky-eval report --recipe recipes/tiny-cpu.toml --run runs/tiny-cpu
      write runs/tiny-cpu/summary.json and report.html from what is in the run
      folder, finished or not

Killed at any moment, the same command goes on where it stopped.";

#[derive(Subcommand)]
enum Command {
    /// Stage: score a model on the held-out problems.
    Run(run::Args),
    /// Stage: the run's summary and its report, one HTML page that needs no network.
    Report(report::Args),
}

fn main() -> ExitCode {
    // First of all: libtorch remembers its first answer about CUDA.
    #[cfg(feature = "local")]
    sky_torch::load_cuda();
    sky_cli::main(|| match sky_cli::parse::<Args>().command {
        Command::Run(args) => run::run(&args),
        Command::Report(args) => report::run(args),
    })
}
