//! What a run in the sandbox means for the reply.

use sky_sandbox::{Exit, Finished, Limits, SandboxError};
use sky_types::{CheckError, CheckOutcome, Problem, Verdict};

use crate::CodeOptions;

/// The limits of one run: `seconds`, or `default` where the problem names no limit.
pub(super) fn limits(options: &CodeOptions, seconds: Option<f64>, default: f64) -> Limits {
    Limits {
        memory: options.memory,
        output: options.output,
        ..Limits::seconds(seconds.unwrap_or(default))
    }
}

pub(super) fn right(detail: String) -> CheckOutcome {
    CheckOutcome {
        verdict: Verdict::Correct,
        detail,
    }
}

pub(super) fn wrong(detail: String) -> CheckOutcome {
    CheckOutcome {
        verdict: Verdict::Wrong,
        detail,
    }
}

/// What a run that did not end well is called.
pub(super) fn failed(finished: &Finished) -> CheckOutcome {
    let (verdict, detail) = match &finished.outcome.exit {
        Exit::Exited(code) => (
            Verdict::RuntimeError,
            format!("the program left with code {code}"),
        ),
        Exit::Raised { kind, message } if kind == "AssertionError" && finished.in_test => {
            (Verdict::Wrong, format!("AssertionError: {message}"))
        }
        Exit::Raised { kind, message } if kind == "RecursionError" => (
            Verdict::RecursionLimit,
            format!("RecursionError: {message}"),
        ),
        Exit::Raised { kind, message } => (Verdict::RuntimeError, format!("{kind}: {message}")),
        Exit::CompileError { message } => (Verdict::CompileError, message.clone()),
        Exit::OutOfInstructions => (Verdict::TimedOut, "out of instructions".to_owned()),
        Exit::OutOfTime => (
            Verdict::TimedOut,
            "out of time by the wall: the host is too busy".to_owned(),
        ),
        Exit::OutOfMemory => (Verdict::OutOfMemory, "out of memory".to_owned()),
        Exit::OutputLimit => (Verdict::OutputLimit, "too much output".to_owned()),
        Exit::StackOverflow => (Verdict::RecursionLimit, "the stack overflowed".to_owned()),
        Exit::Crashed { trap } => (
            Verdict::RuntimeError,
            format!("the interpreter crashed: {trap}"),
        ),
    };
    CheckOutcome { verdict, detail }
}

/// The host's own trouble.
pub(super) fn host(error: SandboxError) -> CheckError {
    CheckError::Host(Box::new(error))
}

pub(super) fn unsupported(problem: &Problem, reason: String) -> CheckError {
    CheckError::Unsupported {
        id: problem.id.clone(),
        checker: "the Python checker",
        domain: format!("{:?}", problem.domain).to_lowercase(),
        reason,
    }
}
