//! `sky-verify exec`: runs one program in the sandbox.

use std::io::{IsTerminal, Read, Write};
use std::path::PathBuf;

use sky_cli::UserError;
use sky_sandbox::{Exit, Limits, MAX_MEMORY, Outcome};

#[derive(clap::Args)]
pub(crate) struct ExecArgs {
    /// The program's file; `-` reads the program from standard input and gives it an empty one.
    program: PathBuf,
    /// Print the whole outcome as one line of JSON.
    #[arg(long)]
    json: bool,
    /// Limit in seconds of a native interpreter, counted in instructions.
    #[arg(long, default_value_t = 10.0, value_name = "S")]
    seconds: f64,
    /// Limit in MiB of memory.
    #[arg(long, default_value_t = 256, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=(MAX_MEMORY >> 20)))]
    memory: u64,
    /// Number of runs, each in a new sandbox; prints median and 90th percentile of the wall time.
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
        // Reading a terminal would block until the person ends the input.
        if !std::io::stdin().is_terminal() {
            std::io::stdin().read_to_end(&mut stdin)?;
        }
        sky_files::read_text(&args.program)?
    };
    if !args.seconds.is_finite() || args.seconds <= 0.0 {
        return Err(UserError(format!("--seconds {}: use a number above 0", args.seconds)).into());
    }
    let limits = Limits {
        memory: args.memory << 20,
        ..Limits::seconds(args.seconds)
    };
    let sandbox = crate::sandbox()?;
    let mut outcome = sandbox.run(&program, &stdin, &limits)?;
    let mut wall_times = vec![outcome.wall];
    for _ in 1..args.repeat {
        outcome = sandbox.run(&program, &stdin, &limits)?;
        wall_times.push(outcome.wall);
    }
    wall_times.sort_unstable();
    let percentile = |percent| wall_times[wall_times.len() * percent / 100];
    let (median, p90) = (percentile(50), percentile(90));
    if args.json {
        let mut json = json(&outcome);
        json["wall_s_median"] = median.as_secs_f64().into();
        json["wall_s_p90"] = p90.as_secs_f64().into();
        sky_cli::outln!("{json}");
        return Ok(());
    }
    if args.repeat > 1 {
        eprintln!(
            "{} runs: median {median:.3?}, 90 % within {p90:.3?}",
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

/// The outcome as JSON, with its outputs as text.
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
