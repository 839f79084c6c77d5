//! The `sky-verify` program: is this reply right?

mod code;
mod exec;
mod math;
mod pairs;
mod serve;
mod stage;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use sky_cli::{check_cached, sky_home};
use sky_verify::python::{GuestPaths, Sandbox};

/// Is this reply right? Code is run in a sandbox, mathematics compared by value.
#[derive(Parser)]
#[command(name = "sky-verify", version, after_help = EXAMPLES)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  sky-verify exec prog.py < in.txt
      run an untrusted Python program in the sandbox
  sky-verify exec prog.py --json --seconds 2 < in.txt
      the same, with the whole outcome as JSON
  sky-verify code --problems problems.jsonl --samples samples.jsonl --out verdicts.jsonl
      judge replies to code problems
  sky-verify serve --listen 127.0.0.1:8080
      the sandbox over HTTP, for SandboxFusion's clients
  sky-verify verify --recipe recipes/tiny-cpu.toml --run runs/tiny-cpu
      the pipeline's stage";

#[derive(Subcommand)]
enum Command {
    /// Stage: give every rewritten sample of a recipe's run its verdict.
    Verify(stage::VerifyArgs),
    /// Run one Python program in the sandbox, standard input to standard output.
    Exec(exec::ExecArgs),
    /// Judge replies to code problems by running the programs in them.
    Code(code::CodeArgs),
    /// Run programs that come over HTTP, in the shape SandboxFusion's clients speak.
    Serve(serve::ServeArgs),
    /// Judge answers to mathematics by value.
    Math(math::MathArgs),
    /// Show how a response is read and compared with a gold answer.
    Explain(math::ExplainArgs),
}

fn main() -> ExitCode {
    sky_cli::main(|| match sky_cli::parse::<Args>().command {
        Command::Verify(args) => stage::run(&args),
        Command::Exec(args) => exec::run(&args),
        Command::Code(args) => code::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Math(args) => math::run(&args),
        Command::Explain(args) => math::explain(&args),
    })
}

/// The sandbox of the guest that set-up fetched, which has to be as it came.
fn sandbox() -> anyhow::Result<Sandbox> {
    let paths = GuestPaths::new(&sky_home());
    let found = Sandbox::find(&paths)?;
    if !found.is_baked() {
        check_cached(&paths.guest)?;
    }
    Ok(found.open()?)
}
