//! Runs untrusted programs on one input and compares their output: `cargo run -p
//! example-judge-programs`.
//!
//! Needs the Python guest; `cargo xtask setup` fetches it. The first run compiles it, for about 30
//! s.
#![forbid(unsafe_code)]

use std::{env, path::PathBuf, process::ExitCode};

use sky_sandbox::{Exit, Limits, Sandbox};

/// The task: add the numbers of a line.
const INPUT: &[u8] = b"3 4 5\n";
const EXPECTED: &str = "12";

/// What four models wrote.
const PROGRAMS: [(&str, &str); 4] = [
    ("right", "print(sum(map(int, input().split())))"),
    ("wrong", "print(max(map(int, input().split())))"),
    ("endless", "while True: pass"),
    ("curious", "print(open('/etc/passwd').read())"),
];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let home = env::var_os("SKY_HOME").map_or_else(|| PathBuf::from(".sky"), PathBuf::from);
    let sandbox = Sandbox::open(&home)?;
    // A time limit counts instructions, so the verdict is the same on every machine.
    let limits = Limits::seconds(0.1);
    for (name, program) in PROGRAMS {
        let outcome = sandbox.run(program, INPUT, &limits)?;
        let output = String::from_utf8_lossy(&outcome.stdout);
        let passes = outcome.exit == Exit::Exited(0) && output.trim() == EXPECTED;
        println!(
            "{name}: {} ({:?}, {:.1} million instructions)",
            if passes { "passes" } else { "fails" },
            outcome.exit,
            outcome.instructions as f64 / 1e6
        );
    }
    Ok(())
}
