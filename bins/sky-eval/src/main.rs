//! The `sky-eval` program: scores a model on held-out problems, scores and compares replies from
//! anywhere, and reports a run.

mod compare;
mod report;
mod run;
mod score;
mod tasks;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Score models on held-out problems and report runs.
///
/// `run` and `report` are pipeline stages; `score` and `compare` need no recipe and no model.
#[derive(Parser)]
#[command(name = "sky-eval", version, after_help = EXAMPLES)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  sky-eval run --which before --recipe recipes/tiny-cpu.toml --run runs/tiny-cpu
      sample the recipe's student on the held-out problems, check its replies, and
      write samples.jsonl, verdicts.jsonl, results.json and summary.json into
      runs/tiny-cpu/eval-before/
  sky-eval run --which after --recipe recipes/tiny-cpu.toml --run runs/tiny-cpu
      do the same for the model in runs/tiny-cpu/train/model/
  sky-eval report --recipe recipes/tiny-cpu.toml --run runs/tiny-cpu
      write runs/tiny-cpu/summary.json and report.html from the stages that are
      complete
  sky-eval score results.json --out scored/
      score replies from elsewhere: our samples, SkyThought's results.json,
      lm-evaluation-harness's logged samples, or plain JSON lines
  sky-eval compare scored/ other/
      say whether two evaluations of the same problems differ, and on which

After an interruption the same command resumes.";

#[derive(Subcommand)]
enum Command {
    /// Pipeline stage: score a model on the held-out problems.
    Run(run::Args),
    /// Pipeline stage: write the run's summary and its report, one HTML page that needs no network.
    Report(report::Args),
    /// Score replies that any program wrote; needs no model and no recipe.
    Score(score::Args),
    /// Compare evaluations of the same problems: differences, chance, and which problems flipped.
    Compare(compare::Args),
    /// List the benchmarks that are known.
    List,
    /// Show a benchmark: its data, prompt, sampling and published scores.
    Show(tasks::ShowArgs),
}

fn main() -> ExitCode {
    // Before anything else: libtorch caches its first answer about CUDA.
    #[cfg(feature = "local")]
    sky_torch::limit_spinning();
    #[cfg(feature = "local")]
    sky_torch::load_cuda();
    sky_cli::main(|| match sky_cli::parse::<Args>().command {
        Command::Run(args) => run::run(&args),
        Command::Report(args) => report::run(args),
        Command::Score(args) => score::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::List => tasks::list(),
        Command::Show(args) => tasks::show(&args),
    })
}
