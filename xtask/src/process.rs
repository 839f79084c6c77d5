//! Child processes: ended when this one ends.

use std::{
    io::Read,
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, ExitStatus},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, getppid, kill_process, set_parent_process_death_signal};
use sky_cli::StopSignal;

/// How often a child is looked after.
const WATCH: Duration = Duration::from_millis(50);
/// How long a child may take to end by itself after Ctrl-C; the trainer saves its state first.
const GRACE: Duration = Duration::from_secs(60);

/// How a child ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) seconds: f64,
    /// What it wrote to standard output, when that was piped.
    pub(crate) said: String,
}

/// A command for `program` that dies with this process, even by kill -9: this very program sets
/// that up and then becomes it.
pub(crate) fn die_with_parent(program: &Path) -> Result<Command> {
    // Not `current_exe`: building the workspace may have put a new xtask in the place of the one
    // that runs.
    let mut command = Command::new("/proc/self/exe");
    command
        .arg("die-with-parent")
        .arg(std::process::id().to_string())
        .arg(program);
    Ok(command)
}

/// The other half of [`die_with_parent`], in the child: becomes `program`.
pub(crate) fn become_child(
    parent: u32,
    program: &Path,
    arguments: &[std::ffi::OsString],
) -> Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid().map(|pid| pid.as_raw_nonzero().get()) != i32::try_from(parent).ok() {
        bail!("the process that started this one has ended");
    }
    let error = Command::new(program).args(arguments).exec();
    Err(error).with_context(|| program.display().to_string())
}

/// Runs a command to its end, or ends it when a signal arrives.
pub(crate) fn watch(command: &mut Command, stop: &StopSignal) -> Result<Ended> {
    let started = Instant::now();
    let mut child = command
        .spawn()
        .with_context(|| format!("{:?} does not start", command.get_program()))?;
    let reader = child.stdout.take().map(|mut stdout| {
        thread::spawn(move || {
            let mut said = Vec::new();
            // What was read before an error is all there is to have.
            let _ = stdout.read_to_end(&mut said);
            String::from_utf8_lossy(&said).into_owned()
        })
    });
    let mut told: Option<Instant> = None;
    loop {
        if let Some(status) = child.try_wait()? {
            if stop.raised() {
                bail!("stopped; the same command continues");
            }
            return Ok(Ended {
                status,
                seconds: started.elapsed().as_secs_f64(),
                said: reader.map_or_else(String::new, |r| r.join().unwrap_or_default()),
            });
        }
        match told {
            None if stop.raised() => {
                told = Some(Instant::now());
                if let Ok(pid) = i32::try_from(child.id()) {
                    // A child that has just ended is no trouble: the loop's next turn finds out.
                    let _ = Pid::from_raw(pid).map(|pid| kill_process(pid, Signal::TERM));
                }
            }
            Some(since) if since.elapsed() > GRACE => child.kill()?,
            _ => {}
        }
        thread::sleep(WATCH);
    }
}
