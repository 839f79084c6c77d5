use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use crate::{TrainError, checkpoint::CheckpointWriter};

/// Writes checkpoints in a background thread, at most one at a time.
#[derive(Debug, Default)]
pub(crate) struct BackgroundWriter {
    writing: Option<JoinHandle<Result<u64, TrainError>>>,
    abandoned: Arc<AtomicBool>,
}

impl BackgroundWriter {
    /// Copies the tensors and starts to write them in the background. No other write may be
    /// running.
    pub(crate) fn begin(&mut self, mut writer: CheckpointWriter) -> Result<(), TrainError> {
        writer.copy()?;
        let abandoned = Arc::clone(&self.abandoned);
        let needed = move || match abandoned.load(Ordering::Relaxed) {
            true => Err(failed("the run has ended")),
            false => Ok(()),
        };
        let thread = thread::Builder::new()
            .name("checkpoint".into())
            .spawn(move || writer.write(&needed))
            .map_err(|error| failed(&error.to_string()))?;
        self.writing = Some(thread);
        Ok(())
    }

    /// The step of a checkpoint that has been written since, or the error of writing it.
    pub(crate) fn check(&mut self) -> Result<Option<u64>, TrainError> {
        if self.writing.as_ref().is_some_and(JoinHandle::is_finished) {
            return self.finish();
        }
        Ok(None)
    }

    /// Waits for a running write and gives its step.
    pub(crate) fn finish(&mut self) -> Result<Option<u64>, TrainError> {
        match self.writing.take().map(JoinHandle::join) {
            None => Ok(None),
            Some(Ok(written)) => written.map(Some),
            Some(Err(_)) => Err(failed("its thread panicked")),
        }
    }
}

impl Drop for BackgroundWriter {
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
