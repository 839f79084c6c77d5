//! `sky-verify exec`: one program, one run.

use std::io::{IsTerminal, Read, Write};
use std::path::PathBuf;

use sky_cli::{Invalid, sky_home};
use sky_verify::python::{Exit, Limits, MAX_MEMORY, Outcome, Sandbox};

#[derive(clap::Args)]
pub(crate) struct ExecArgs {
    /// The program; `-` reads it from standard input, and leaves the program none.
    program: PathBuf,
    /// Print the whole outcome as one line of JSON.
    #[arg(long)]
    json: bool,
    /// Seconds of a native interpreter that it may use, counted in instructions.
    #[arg(long, default_value_t = 10.0, value_name = "S")]
    seconds: f64,
    /// MiB of memory that it may use.
    #[arg(long, default_value_t = 256, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=(MAX_MEMORY >> 20)))]
    memory: u64,
}

pub(crate) fn run(args: &ExecArgs) -> anyhow::Result<()> {
    let mut stdin = Vec::new();
    let program = if args.program.as_os_str() == "-" {
        let mut program = String::new();
        std::io::stdin().read_to_string(&mut program)?;
        program
    } else {
        // A person at a terminal who gives no input means none.
        if !std::io::stdin().is_terminal() {
            std::io::stdin().read_to_end(&mut stdin)?;
        }
        sky_files::read_text(&args.program)?
    };
    if !args.seconds.is_finite() || args.seconds <= 0.0 {
        return Err(Invalid(format!("--seconds {}: not a time", args.seconds)).into());
    }
    let limits = Limits {
        memory: args.memory << 20,
        ..Limits::seconds(args.seconds)
    };
    let outcome = Sandbox::open(&sky_home())?.run(&program, &stdin, &limits)?;
    if args.json {
        println!("{}", json(&outcome));
        return Ok(());
    }
    std::io::stdout().write_all(&outcome.stdout)?;
    std::io::stderr().write_all(&outcome.stderr)?;
    match outcome.exit {
        Exit::Exited(0) => Ok(()),
        exit => Err(anyhow::anyhow!("the program ended with {}", serde_json::to_string(&exit)?)),
    }
}

/// The outcome with its outputs as text.
fn json(outcome: &Outcome) -> serde_json::Value {
    serde_json::json!({
        "stdout": String::from_utf8_lossy(&outcome.stdout),
        "stderr": String::from_utf8_lossy(&outcome.stderr),
        "exit": outcome.exit,
        "instructions": outcome.instructions,
        "peak_memory": outcome.peak_memory,
        "wall_s": outcome.wall.as_secs_f64(),
    })
}
