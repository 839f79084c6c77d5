//! `sky-verify exec`: one program, one run.

use std::io::{IsTerminal, Read, Write};
use std::path::PathBuf;

use sky_cli::Invalid;
use sky_verify::python::{Exit, Limits, MAX_MEMORY, Outcome};

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
    /// Run it this often, each time afresh, and tell the median and the 90th percentile of the time by the wall.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
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
    let sandbox = crate::sandbox()?;
    let mut outcome = sandbox.run(&program, &stdin, &limits)?;
    let mut walls = vec![outcome.wall];
    for _ in 1..args.repeat {
        outcome = sandbox.run(&program, &stdin, &limits)?;
        walls.push(outcome.wall);
    }
    walls.sort_unstable();
    let [median, late] = [50, 90].map(|percent| walls[walls.len() * percent / 100]);
    if args.json {
        let mut json = json(&outcome);
        json["wall_s_median"] = median.as_secs_f64().into();
        json["wall_s_p90"] = late.as_secs_f64().into();
        println!("{json}");
        return Ok(());
    }
    if args.repeat > 1 {
        eprintln!(
            "{} runs: median {median:.3?}, 90 % within {late:.3?}",
            args.repeat
        );
    }
    std::io::stdout().write_all(&outcome.stdout)?;
    std::io::stderr().write_all(&outcome.stderr)?;
    match outcome.exit {
        Exit::Exited(0) => Ok(()),
        exit => Err(anyhow::anyhow!(
            "the program ended with {}",
            serde_json::to_string(&exit)?
        )),
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
