//! `sky-train launch`: several processes of this program on this host.

use std::{
    ffi::OsString,
    os::unix::process::{CommandExt, ExitStatusExt},
    path::PathBuf,
    process::{Child, Command, ExitCode, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};
use sky_cli::StopSignal;
use sky_train::session::LAUNCHER;

/// Time between two looks at the children.
const POLL: Duration = Duration::from_millis(20);
/// How long the other ranks may run on after one has failed: time to report what they saw.
const GRACE: Duration = Duration::from_secs(3);

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Number of ranks, 1 to 1024; each is a process on this host.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    num: u16,
    /// TCP port of the rendezvous on 127.0.0.1; default: a free one from 20000 to 32000.
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// Program to start as each rank, such as your own trainer; default: this program.
    #[arg(long, value_name = "PATH")]
    program: Option<PathBuf>,
    /// Arguments of each rank, such as `train --recipe FILE --run DIR`.
    #[arg(
        last = true,
        required_unless_present = "program",
        value_name = "ARGUMENTS"
    )]
    command: Vec<OsString>,
}

/// Starts the ranks and waits for them. A signal to this process is passed on to all of them. When
/// a rank fails, it is named, the others are ended, and its exit code becomes that of this program:
/// 128 plus the signal's number when a signal ended it. `stopped_code` is the exit code of ranks of
/// this program that were stopped, for their command.
pub(crate) fn run(args: &Args, stopped_code: fn(&[OsString]) -> u8) -> anyhow::Result<ExitCode> {
    // A second signal ends this process, and with it the children.
    let stop = StopSignal::listen()?;
    let port = match args.port {
        Some(port) => port,
        None => sky_train::free_port().context("no port from 20000 to 32000 is free")?,
    };
    let mut ranks = Ranks(Vec::new());
    for rank in 0..args.num {
        ranks.0.push(Some(start(args, rank, port)?));
    }
    let mut passed_on = false;
    let stopped_code = match args.program {
        Some(_) => 0,
        None => stopped_code(&args.command),
    };
    let mut code = 0;
    let mut failed: Option<(Instant, u8)> = None;
    while ranks.0.iter().any(Option::is_some) {
        for (rank, slot) in ranks.0.iter_mut().enumerate() {
            let Some(status) = slot.as_mut().map(Child::try_wait).transpose()?.flatten() else {
                continue;
            };
            *slot = None;
            if status.code() == Some(i32::from(stopped_code)) {
                code = stopped_code;
                continue;
            }
            if status.success() || failed.is_some() {
                continue;
            }
            if passed_on && status.signal() == Some(Signal::TERM.as_raw()) {
                // The signal came before this rank listened for it. No rank can have begun without
                // this one.
                eprintln!("launch: stopped before the run had begun");
                failed = Some((Instant::now(), stopped_code));
                continue;
            }
            eprintln!(
                "launch: rank {rank} {}; the others are ended",
                words(status)
            );
            failed = Some((Instant::now(), code_of(status)));
        }
        if !passed_on && stop.raised() {
            passed_on = true;
            ranks.signal(Signal::TERM);
        }
        if failed.is_some_and(|(since, _)| since.elapsed() > GRACE) {
            ranks.signal(Signal::KILL);
        }
        thread::sleep(POLL);
    }
    Ok(ExitCode::from(failed.map_or(code, |(_, code)| code)))
}

/// The started ranks. Dropping this ends them, so that none outlives an error in this process.
struct Ranks(Vec<Option<Child>>);

impl Ranks {
    fn signal(&self, signal: Signal) {
        for child in self.0.iter().flatten() {
            let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
            // A rank may have just ended; the next look at it finds out.
            let _ = pid.map(|pid| kill_process(pid, signal));
        }
    }
}

impl Drop for Ranks {
    fn drop(&mut self) {
        for child in self.0.iter_mut().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn start(args: &Args, rank: u16, port: u16) -> anyhow::Result<Child> {
    let program = match &args.program {
        Some(program) => program.clone(),
        None => std::env::current_exe().context("this program's own path")?,
    };
    Command::new(&program)
        .args(&args.command)
        .env("RANK", rank.to_string())
        .env("LOCAL_RANK", rank.to_string())
        .env("WORLD_SIZE", args.num.to_string())
        .env("LOCAL_WORLD_SIZE", args.num.to_string())
        .env("MASTER_ADDR", "127.0.0.1")
        .env("MASTER_PORT", port.to_string())
        .env_remove("TORCHELASTIC_USE_AGENT_STORE")
        .env(LAUNCHER, std::process::id().to_string())
        // Ctrl-C reaches this process alone, which passes it on once.
        .process_group(0)
        .stdin(Stdio::null())
        .spawn()
        .with_context(|| format!("rank {rank}: {} does not start", program.display()))
}

fn code_of(status: ExitStatus) -> u8 {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .unwrap_or(1);
    u8::try_from(code).unwrap_or(1)
}

fn words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("failed with code {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "failed".into(),
    }
}
