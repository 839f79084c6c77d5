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
    writing: Option<JoinHandle<Result<(), TrainError>>>,
    abandoned: Arc<AtomicBool>,
}

impl Saver {
    /// Writes a draft while this thread goes on.
    pub(crate) fn begin(&mut self, mut draft: Draft) -> Result<(), TrainError> {
        self.finish()?;
        draft.copy()?;
        let abandoned = Arc::clone(&self.abandoned);
        let thread = thread::Builder::new()
            .name("checkpoint".into())
            .spawn(move || draft.write(&abandoned))
            .map_err(|error| failed(&error.to_string()))?;
        self.writing = Some(thread);
        Ok(())
    }

    /// Whatever went wrong with a draft that has been written meanwhile.
    pub(crate) fn check(&mut self) -> Result<(), TrainError> {
        if self.writing.as_ref().is_some_and(JoinHandle::is_finished) {
            return self.finish();
        }
        Ok(())
    }

    /// Waits until nothing is being written.
    pub(crate) fn finish(&mut self) -> Result<(), TrainError> {
        match self.writing.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(written)) => written,
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
    TrainError::Collective {
        what: "checkpoint",
        reason: reason.into(),
    }
}
