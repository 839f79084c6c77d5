use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use crate::{TrainError, checkpoint::Draft};

/// Writes checkpoints, in a thread of its own when asked to; at most one at a time.
#[derive(Debug, Default)]
pub(crate) struct Saver {
    writing: Option<JoinHandle<Result<u64, TrainError>>>,
    abandoned: Arc<AtomicBool>,
}

impl Saver {
    /// Writes a draft while this thread goes on; nothing may be being written.
    pub(crate) fn begin(&mut self, mut draft: Draft) -> Result<(), TrainError> {
        draft.copy()?;
        let abandoned = Arc::clone(&self.abandoned);
        let needed = move || match abandoned.load(Ordering::Relaxed) {
            true => Err(failed("the run has ended")),
            false => Ok(()),
        };
        let thread = thread::Builder::new()
            .name("checkpoint".into())
            .spawn(move || draft.write(&needed))
            .map_err(|error| failed(&error.to_string()))?;
        self.writing = Some(thread);
        Ok(())
    }

    /// The step of a draft that has been written meanwhile, or what went wrong with it.
    pub(crate) fn check(&mut self) -> Result<Option<u64>, TrainError> {
        if self.writing.as_ref().is_some_and(JoinHandle::is_finished) {
            return self.finish();
        }
        Ok(None)
    }

    /// Waits until nothing is being written; gives the step of what was.
    pub(crate) fn finish(&mut self) -> Result<Option<u64>, TrainError> {
        match self.writing.take().map(JoinHandle::join) {
            None => Ok(None),
            Some(Ok(written)) => written.map(Some),
            Some(Err(_)) => Err(failed("its thread panicked")),
        }
    }
}

impl Drop for Saver {
    fn drop(&mut self) {
        // The run has failed: the other ranks' parts may never come.
        self.abandoned.store(true, Ordering::Relaxed);
        if let Some(thread) = self.writing.take() {
            let _ = thread.join();
        }
    }
}

fn failed(reason: &str) -> TrainError {
    TrainError::Thread {
        what: "checkpoint",
        reason: reason.into(),
    }
}
