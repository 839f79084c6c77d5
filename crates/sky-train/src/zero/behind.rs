use std::{
    sync::mpsc::{Receiver, channel},
    thread::{Builder, JoinHandle},
};

use super::update::{Part, Step};
use crate::TrainError;

/// An optimizer's step that a thread of its own takes, block by block, while the next forward pass begins.
///
/// Exact, not stale: the gradient's norm is known before it begins, and a block is not used before its turn is over. What it
/// hides behind is the forward pass of the next step's first micro-batch.
pub(super) struct Behind {
    results: Option<Receiver<Result<(), TrainError>>>,
    thread: Option<JoinHandle<()>>,
    next: usize,
}

impl Behind {
    /// Begins with the first part.
    pub(super) fn begin(parts: Vec<Part>, step: Step) -> Result<Self, TrainError> {
        let (sender, results) = channel();
        let thread = Builder::new()
            .name("optimizer".into())
            .spawn(move || {
                for part in parts {
                    let result = part.take(&step);
                    let failed = result.is_err();
                    // Where nobody waits any more, the run has ended.
                    if sender.send(result).is_err() || failed {
                        return;
                    }
                }
            })
            .map_err(|error| failed(&error.to_string()))?;
        Ok(Self {
            results: Some(results),
            thread: Some(thread),
            next: 0,
        })
    }

    /// The first block that is not known to be done.
    pub(super) fn next(&self) -> usize {
        self.next
    }

    /// Waits for that block, and gives its number.
    pub(super) fn wait(&mut self) -> Result<usize, TrainError> {
        let result = self
            .results
            .as_ref()
            .and_then(|results| results.recv().ok());
        result.unwrap_or_else(|| Err(failed("its thread is gone")))?;
        self.next += 1;
        Ok(self.next - 1)
    }
}

impl Drop for Behind {
    fn drop(&mut self) {
        // A thread that is not waited for ends with the block at hand.
        self.results = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn failed(reason: &str) -> TrainError {
    TrainError::Thread {
        what: "optimizer",
        reason: reason.into(),
    }
}
