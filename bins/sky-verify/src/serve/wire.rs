//! Request and response bodies. They are SandboxFusion's, so that its clients work unchanged.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sky_sandbox::{Exit, Limits, Outcome};
use sky_types::{Answer, CheckOutcome, Domain, FinishReason, Problem, Verdict};

/// SandboxFusion's default time limit, in seconds of a native interpreter.
const DEFAULT_SECONDS: f64 = 10.0;

/// The body of `POST /run_code`. Unknown fields are ignored: other services define more of them.
#[derive(Debug, Deserialize)]
pub(super) struct RunCodeRequest {
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

impl RunCodeRequest {
    /// The requested limits, capped by the server's.
    ///
    /// # Errors
    /// What the request asks for and the sandbox does not have.
    pub(super) fn limits(&self, max: &Limits, max_seconds: f64) -> Result<Limits, String> {
        if !["python", "python3"].contains(&self.language.as_str()) {
            return Err(format!(
                "language `{}` is not supported; use `python`",
                self.language
            ));
        }
        if !self.files.is_empty() || !self.fetch_files.is_empty() {
            return Err("programs have no files: leave `files` and `fetch_files` empty and pass input as `stdin`".to_owned());
        }
        let seconds = self.run_timeout.unwrap_or(DEFAULT_SECONDS);
        if !seconds.is_finite() || seconds <= 0.0 {
            return Err(format!("run_timeout is {seconds}; use seconds above 0"));
        }
        let memory = match self.memory_limit_mb {
            None | Some(..=0) => max.memory,
            Some(mib) => (mib as u64).saturating_mul(1 << 20).min(max.memory),
        };
        Ok(Limits {
            memory,
            output: max.output,
            ..Limits::seconds(seconds.min(max_seconds))
        })
    }
}

/// The answer to `POST /run_code`.
#[derive(Debug, Serialize)]
pub(super) struct RunCodeResponse {
    status: &'static str,
    message: String,
    /// Always null: Python has no compile step.
    compile_result: Option<()>,
    run_result: RunResult,
    executor_pod_name: Option<()>,
    files: BTreeMap<String, String>,
    /// Sky's own fields: the exact exit, and figures that are the same on any machine.
    sky: SkyFields,
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
struct SkyFields {
    exit: Exit,
    instructions: u64,
    peak_memory: u64,
}

impl RunCodeResponse {
    pub(super) fn new(outcome: Outcome) -> Self {
        // A shell's exit codes: 1 for an exception, 137 for killed, 139 for a crash.
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
            sky: SkyFields {
                exit: outcome.exit,
                instructions: outcome.instructions,
                peak_memory: outcome.peak_memory,
            },
        }
    }
}

/// The body of `POST /verify`: a problem's answer, as `problems.jsonl` has it, and a reply.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VerifyRequest {
    answer: Answer,
    reply: String,
    #[serde(default)]
    finish_reason: Option<FinishReason>,
}

/// A reply to check, with the problem that it answers.
pub(super) struct CheckJob {
    pub(super) problem: Problem,
    pub(super) reply: String,
    pub(super) finish_reason: FinishReason,
}

/// Most tests of one request.
const MOST_TESTS: usize = 1000;

impl VerifyRequest {
    /// The reply as a job.
    pub(super) fn into_job(self) -> CheckJob {
        let domain = match &self.answer {
            Answer::Math(_) => Domain::Math,
            Answer::Choice(_) => Domain::Choice,
            Answer::Tests(_) | Answer::Program(_) => Domain::Code,
        };
        CheckJob {
            problem: Problem::new("request", "request", domain, "", self.answer),
            reply: self.reply,
            finish_reason: self.finish_reason.unwrap_or(FinishReason::Stop),
        }
    }
}

/// Refuses a problem that asks for more than the server allows.
pub(super) fn check_size(problem: &Problem, max_seconds: f64) -> Result<(), String> {
    let (seconds, tests) = match &problem.answer {
        Answer::Math(_) | Answer::Choice(_) => (None, 0),
        Answer::Tests(tests) => (tests.timeout_s, tests.inputs.len()),
        Answer::Program(program) => (program.timeout_s, 1),
    };
    if tests > MOST_TESTS {
        return Err(format!("{tests} tests; at most {MOST_TESTS} are run"));
    }
    if seconds.is_some_and(|seconds| !(seconds > 0.0 && seconds <= max_seconds)) {
        return Err(format!(
            "the time limit of a test must be above 0 and at most {max_seconds} (--max-seconds)"
        ));
    }
    Ok(())
}

/// The answer to `POST /verify`.
#[derive(Debug, Serialize)]
pub(super) struct VerifyResponse {
    correct: bool,
    verdict: Verdict,
    detail: String,
}

impl VerifyResponse {
    pub(super) fn new(outcome: CheckOutcome) -> Self {
        Self {
            correct: outcome.verdict.is_correct(),
            verdict: outcome.verdict,
            detail: outcome.detail,
        }
    }
}

/// The answer of `GET /healthz`.
#[derive(Debug, Serialize)]
pub(super) struct Health {
    pub(super) status: &'static str,
    /// Requests that wait, run or are being answered.
    pub(super) in_flight: usize,
    /// Most requests in flight at once.
    pub(super) capacity: usize,
}

/// The body of an error.
#[derive(Debug, Serialize)]
pub(super) struct ErrorBody {
    pub(super) detail: String,
}
