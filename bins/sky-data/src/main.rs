//! The `sky-data` program: problems in, training data out.

mod convert;
mod overlap;
mod problems;
mod select;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Loads problems and turns checked samples into training data.
///
/// `problems` and `select` are stages of a recipe's run. `convert` and `overlap` work on single
/// files.
#[derive(Parser)]
#[command(name = "sky-data", version, after_help = EXAMPLES)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  sky-data problems --recipe recipes/tiny-cpu.toml --run runs/tiny-cpu
      generate the recipe's problems into runs/tiny-cpu/problems/
  sky-data convert --from gsm8k train.jsonl --out problems.jsonl
      turn a public data set into a problems.jsonl
  sky-data overlap problems.jsonl --with aime24.jsonl --words 13
      list problems that share 13 words in a row with an evaluation set
  sky-data select --recipe recipes/tiny-cpu.toml --run runs/tiny-cpu
      turn the right samples into runs/tiny-cpu/selected/sharegpt.json and its card";

#[derive(Subcommand)]
enum Command {
    /// Stage: generate and load the recipe's problems, for sampling and for evaluation.
    Problems(sky_cli::StageArgs),
    /// Stage: choose the right samples and write training rows, their provenance and a dataset
    /// card.
    Select(sky_cli::StageArgs),
    /// Turn rows of a public data set into problems.
    Convert(convert::Args),
    /// List problems that share consecutive words with an evaluation set.
    Overlap(overlap::Args),
}

fn main() -> ExitCode {
    sky_cli::main(|| match sky_cli::parse::<Args>().command {
        Command::Problems(args) => problems::run(&args),
        Command::Select(args) => select::run(&args),
        Command::Convert(args) => convert::run(&args),
        Command::Overlap(args) => overlap::run(&args),
    })
}

/// Gives a library's error the recipe's line when it is about a setting. A missing or mismatched
/// file is an error that the user can mend.
fn explain(recipe: &sky_cli::Recipe, section: &str, error: sky_data::DataError) -> anyhow::Error {
    match error {
        sky_data::DataError::Setting(error) => recipe.setting_error(section, &error).into(),
        sky_data::DataError::File(error) => error.into(),
        error @ sky_data::DataError::Exhausted { .. } => recipe
            .error_at(section, "max_operand", &error.to_string())
            .into(),
        error @ (sky_data::DataError::Missing { .. } | sky_data::DataError::Mismatch { .. }) => {
            sky_cli::UserError(error.to_string()).into()
        }
        error => error.into(),
    }
}
