use std::{
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::Duration,
};

use crate::TorchError;

/// How many parts a wait is made of: a host that stands still for a while, with all its processes,
/// uses up one of them.
const PARTS: u32 = 20;

/// How much longer than its own time limit, whose error says more, what may hang is waited for.
const AFTER: Duration = Duration::from_secs(5);

/// Receives a value within `limit`, if one comes.
pub(crate) fn wait<T>(answers: &Receiver<T>, limit: Duration) -> Option<T> {
    for _ in 0..PARTS {
        match answers.recv_timeout(limit / PARTS) {
            Ok(answer) => return Some(answer),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return None,
        }
    }
    None
}

/// Runs something that may hang although it has a time limit, in its own thread, which is abandoned
/// after the limit.
pub(crate) fn within<T: Send + 'static>(
    what: &'static str,
    limit: Duration,
    run: impl FnOnce() -> Result<T, TorchError> + Send + 'static,
) -> Result<T, TorchError> {
    let (answer, answers) = mpsc::channel();
    spawn(what, move || drop(answer.send(run())))?;
    wait(&answers, limit + AFTER).unwrap_or_else(|| Err(unanswered(what, limit)))
}

/// Starts a thread.
pub(crate) fn spawn(
    what: &'static str,
    run: impl FnOnce() + Send + 'static,
) -> Result<thread::JoinHandle<()>, TorchError> {
    let thread = thread::Builder::new().name(what.into()).spawn(run);
    thread.map_err(|error| TorchError::Op {
        what,
        reason: error.to_string(),
    })
}

/// The error of a wait that timed out.
pub(crate) fn unanswered(what: &'static str, limit: Duration) -> TorchError {
    TorchError::Op {
        what,
        reason: format!("no answer for {:.0} s", limit.as_secs_f64()),
    }
}
