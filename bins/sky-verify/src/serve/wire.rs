//! What goes over the wire: the shape of SandboxFusion's `POST /run_code`, so that its clients work unchanged.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sky_verify::python::{Exit, Limits, Outcome};

/// Seconds of a native interpreter when a request names none; SandboxFusion's default.
const DEFAULT_SECONDS: f64 = 10.0;

/// The body of `POST /run_code`. Fields of other services that mean nothing here are let pass.
#[derive(Debug, Deserialize)]
pub(super) struct RunCode {
    pub(super) code: String,
    #[serde(default = "python")]
    language: String,
    #[serde(default)]
    pub(super) stdin: Option<String>,
    #[serde(default)]
    run_timeout: Option<f64>,
    /// -1 means the default.
    #[serde(rename = "memory_limit_MB", default)]
    memory_limit_mb: Option<i64>,
    #[serde(default)]
    files: BTreeMap<String, serde_json::Value>,
    #[serde(default)]
    fetch_files: Vec<String>,
}

fn python() -> String {
    "python".to_owned()
}

impl RunCode {
    /// The limits asked for, within those of the server; or what about the request cannot be done.
    pub(super) fn limits(&self, most: &Limits, most_seconds: f64) -> Result<Limits, String> {
        if !["python", "python3"].contains(&self.language.as_str()) {
            return Err(format!(
                "language `{}` is not there; this sandbox runs `python`",
                self.language
            ));
        }
        if !self.files.is_empty() || !self.fetch_files.is_empty() {
            return Err("a program here has no files: `files` and `fetch_files` must be empty, input goes through `stdin`".to_owned());
        }
        let seconds = self.run_timeout.unwrap_or(DEFAULT_SECONDS);
        if !seconds.is_finite() || seconds <= 0.0 {
            return Err(format!("run_timeout {seconds} is not a time in seconds"));
        }
        let memory = match self.memory_limit_mb {
            None | Some(..=0) => most.memory,
            Some(mib) => (mib as u64).saturating_mul(1 << 20).min(most.memory),
        };
        Ok(Limits {
            memory,
            output: most.output,
            ..Limits::seconds(seconds.min(most_seconds))
        })
    }
}

/// The answer to it.
#[derive(Debug, Serialize)]
pub(super) struct Ran {
    status: &'static str,
    message: String,
    /// Python has no step of its own for this.
    compile_result: Option<()>,
    run_result: RunResult,
    executor_pod_name: Option<()>,
    files: BTreeMap<String, String>,
    /// What SandboxFusion does not know: the exact end, and figures that are the same on any machine.
    sky: Figures,
}

#[derive(Debug, Serialize)]
struct RunResult {
    status: &'static str,
    execution_time: f64,
    return_code: Option<i32>,
    stdout: String,
    stderr: String,
}

#[derive(Debug, Serialize)]
struct Figures {
    exit: Exit,
    instructions: u64,
    peak_memory: u64,
}

impl Ran {
    pub(super) fn new(outcome: Outcome) -> Self {
        // As a shell sees such an end: 1 for an exception, 137 for killed, 139 for a crash.
        let (status, return_code) = match &outcome.exit {
            Exit::Exited(code) => ("Finished", Some(*code)),
            Exit::Raised { .. } | Exit::CompileError { .. } => ("Finished", Some(1)),
            Exit::OutOfMemory | Exit::OutputLimit => ("Finished", Some(137)),
            Exit::StackOverflow | Exit::Crashed { .. } => ("Finished", Some(139)),
            Exit::OutOfInstructions | Exit::OutOfTime => ("TimeLimitExceeded", None),
        };
        let mut stderr = String::from_utf8_lossy(&outcome.stderr).into_owned();
        match &outcome.exit {
            Exit::CompileError { message } if stderr.is_empty() => stderr.clone_from(message),
            Exit::OutOfMemory | Exit::OutputLimit | Exit::StackOverflow | Exit::Crashed { .. } => {
                stderr.push_str(&format!("{:?}\n", outcome.exit));
            }
            _ => {}
        }
        Self {
            status: if return_code == Some(0) {
                "Success"
            } else {
                "Failed"
            },
            message: String::new(),
            compile_result: None,
            run_result: RunResult {
                status,
                execution_time: outcome.wall.as_secs_f64(),
                return_code,
                stdout: String::from_utf8_lossy(&outcome.stdout).into_owned(),
                stderr,
            },
            executor_pod_name: None,
            files: BTreeMap::new(),
            sky: Figures {
                exit: outcome.exit,
                instructions: outcome.instructions,
                peak_memory: outcome.peak_memory,
            },
        }
    }
}

/// The answer of `GET /healthz`.
#[derive(Debug, Serialize)]
pub(super) struct Health {
    pub(super) status: &'static str,
    /// Requests accepted and not yet answered to the last byte, waiting ones included.
    pub(super) in_flight: usize,
    /// Most of them at once.
    pub(super) capacity: usize,
}

/// The body of an error.
#[derive(Debug, Serialize)]
pub(super) struct Complaint {
    pub(super) detail: String,
}
