//! The `sky-sample` program: replies to problems, and their rewriting.

mod rewrite;
mod sample;
mod teacher;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Samples replies to problems, and rewrites them into thought and solution.
///
/// Both commands are stages of a recipe's run. Stop them at any moment: the same command resumes
/// and writes the same bytes.
#[derive(Parser)]
#[command(name = "sky-sample", version, after_help = EXAMPLES)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  sky-sample sample --recipe recipes/tiny-cpu.toml --run runs/tiny-cpu
      sample the teacher into runs/tiny-cpu/samples/samples.jsonl
  sky-sample sample --recipe recipes/tiny-cpu.toml --run runs/tiny-cpu --dry-run
      check the recipe and print how much there is to do
  sky-sample rewrite --recipe recipes/tiny-cpu.toml --run runs/tiny-cpu
      put the replies into thought and solution

A teacher behind an OpenAI-style server, in the recipe:
  [teacher]
  endpoint = \"http://localhost:8000/v1\"
  name = \"Qwen/QwQ-32B-Preview\"
  api_key_env = \"MY_KEY\"    # the variable's name, never the key
  concurrency = 64";

#[derive(Subcommand)]
enum Command {
    /// Stage: sample n replies of the teacher to each problem.
    Sample(sky_cli::StageArgs),
    /// Stage: put each reply into the two sections, by rules or by asking a model.
    Rewrite(sky_cli::StageArgs),
}

fn main() -> ExitCode {
    #[cfg(feature = "local")]
    sky_torch::limit_spinning();
    sky_cli::main(|| match sky_cli::parse::<Args>().command {
        Command::Sample(args) => sample::run(&args),
        Command::Rewrite(args) => rewrite::run(&args),
    })
}
