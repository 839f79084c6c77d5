//! The `sky-verify` program: checks replies, runs untrusted programs.

mod code;
mod conventions;
mod exec;
mod explain;
mod math;
mod output;
mod pairs;
mod samples;
mod serve;
mod stage;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use sky_cli::{check_against_receipt, sky_home};
use sky_sandbox::{GuestPaths, Sandbox};
use sky_verify::open_sandbox;

/// Check replies: math by value, programs by running them in a sandbox.
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
      the same, and print the whole outcome as JSON
  sky-verify code --problems problems.jsonl --samples samples.jsonl --out verdicts.jsonl
      judge replies to code problems
  sky-verify serve --listen 127.0.0.1:8080
      serve the sandbox over HTTP, to SandboxFusion's clients
  sky-verify verify --recipe recipes/tiny-cpu.toml --run runs/tiny-cpu
      run the pipeline stage `verify`";

#[derive(Subcommand)]
enum Command {
    /// Pipeline stage: give every rewritten sample of a run its verdict.
    Verify(stage::VerifyArgs),
    /// Run one Python program in the sandbox.
    Exec(exec::ExecArgs),
    /// Judge replies to problems of any kind: programs by running them, other answers by value.
    Code(code::CodeArgs),
    /// Run programs that arrive over HTTP, in SandboxFusion's format.
    Serve(serve::ServeArgs),
    /// Judge replies to math problems, or pairs of answers, by value.
    Math(math::MathArgs),
    /// Show how a response is read and compared with a gold answer.
    Explain(explain::ExplainArgs),
}

fn main() -> ExitCode {
    sky_cli::main(|| match sky_cli::parse::<Args>().command {
        Command::Verify(args) => stage::run(&args),
        Command::Exec(args) => exec::run(&args),
        Command::Code(args) => code::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Math(args) => math::run(&args),
        Command::Explain(args) => explain::run(&args),
    })
}

/// Opens the sandbox of the guest that `cargo xtask setup` fetched.
fn sandbox() -> anyhow::Result<Sandbox> {
    let paths = GuestPaths::new(&sky_home());
    Ok(open_sandbox(&paths, check_against_receipt)?)
}
