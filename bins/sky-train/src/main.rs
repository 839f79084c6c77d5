//! The `sky-train` program: fine-tuning, export, and the plan of a run.

#[cfg(feature = "torch")]
mod estimate;
#[cfg(feature = "torch")]
mod export;
#[cfg(feature = "torch")]
mod launch;
mod plan;
mod size;
#[cfg(feature = "torch")]
mod train;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Fine-tunes a model, resumes after a kill, and plans a run before it is paid for.
///
/// `train` is a stage of a recipe's run. `launch` starts it as several ranks. `export` reads a
/// checkpoint. `plan` needs only a recipe.
#[derive(Parser)]
#[command(name = "sky-train", version, after_help = EXAMPLES)]
#[cfg_attr(
    not(feature = "torch"),
    command(before_help = "Built without libtorch: `plan` is the only command.")
)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  sky-train train --recipe recipes/tiny-cpu.toml --run runs/tiny-cpu
      train the recipe's student on runs/tiny-cpu/selected/sharegpt.json
  sky-train launch -n 4 -- train --recipe recipes/tiny-cpu.toml --run runs/tiny-cpu
      the same on four ranks of this host, each with its shard
  sky-train export --from runs/tiny-cpu/train/checkpoints --text runs/tiny-cpu/train/model --out exported
      write the newest intact checkpoint as a Hugging Face folder
  sky-train plan recipes/sky-t1-32b.toml --gpus 8 --gpu h100-80g --host-memory 1800G
      print the memory, time and dollars of the published run before any is spent";

#[derive(Subcommand)]
enum Command {
    /// Stage: train the student on the selected rows.
    #[cfg(feature = "torch")]
    Train(train::Args),
    /// Start several ranks of this program, or of another one, on this host.
    #[cfg(feature = "torch")]
    Launch(launch::Args),
    /// Write a checkpoint's weights as a Hugging Face folder.
    #[cfg(feature = "torch")]
    Export(export::Args),
    /// Print the memory, time and cost of a recipe's training on given GPUs.
    Plan(plan::Args),
}

#[cfg(feature = "torch")]
fn main() -> ExitCode {
    sky_torch::limit_spinning();
    sky_torch::install_allocator();
    // First of all: libtorch remembers its first answer about CUDA.
    let cuda = sky_torch::load_cuda();
    let mut code = ExitCode::SUCCESS;
    let ended = sky_cli::main(|| {
        sky_train::session::end_with_launcher()?;
        match sky_cli::parse::<Args>().command {
            Command::Train(args) => train::run(&args, cuda).map(|found| code = found),
            Command::Launch(args) => launch::run(&args, stopped_code).map(|found| code = found),
            Command::Export(args) => export::run(&args),
            Command::Plan(args) => plan::run(&args),
        }
    });
    if ended == ExitCode::SUCCESS {
        code
    } else {
        ended
    }
}

/// The exit code of ranks that were asked to stop: 0, or that of `--stopped-code` in their command.
#[cfg(feature = "torch")]
fn stopped_code(command: &[std::ffi::OsString]) -> u8 {
    let program = std::ffi::OsString::from("sky-train");
    // A wrong command is no error here: the ranks report it.
    let parsed = Args::try_parse_from([&program].into_iter().chain(command));
    match parsed.map(|args| args.command) {
        Ok(Command::Train(args)) => args.stopped_code,
        _ => 0,
    }
}

#[cfg(not(feature = "torch"))]
fn main() -> ExitCode {
    sky_cli::main(|| match sky_cli::parse::<Args>().command {
        Command::Plan(args) => plan::run(&args),
    })
}
