use std::{
    sync::mpsc::{Receiver, channel},
    thread::{Builder, JoinHandle},
};

use super::block_step::{BlockStep, StepParams};
use crate::TrainError;

/// An optimizer step that runs in its own thread, block by block, while the next forward pass
/// begins.
///
/// It is exact, not stale: the gradient norm is known before it begins, and no block is used before
/// its step is done. It overlaps the forward pass of the next step's first micro-batch.
pub(super) struct AsyncOptimizerStep {
    /// One result per block, in the order of the blocks. None tells the thread to end.
    results: Option<Receiver<Result<(), TrainError>>>,
    thread: Option<JoinHandle<()>>,
    /// Results received so far: they come in the order of the blocks.
    next: usize,
}

impl AsyncOptimizerStep {
    /// Starts the thread with the first block.
    pub(super) fn begin(parts: Vec<BlockStep>, step: StepParams) -> Result<Self, TrainError> {
        let (sender, results) = channel();
        let thread = Builder::new()
            .name("optimizer".into())
            .spawn(move || {
                // In the order in which the forward pass uses the blocks. Each part is dropped with
                // its gradient before the next block's step begins.
                for part in parts {
                    let result = part.apply(&step);
                    let failed = result.is_err();
                    // The receiver is gone: the run has ended.
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

    /// The first block whose step is not known to be done.
    pub(super) fn next(&self) -> usize {
        self.next
    }

    /// Waits for that block and gives its index.
    pub(super) fn wait(&mut self) -> Result<usize, TrainError> {
        let result = self
            .results
            .as_ref()
            .and_then(|results| results.recv().ok());
        // The channel closes before the last block only when the thread has panicked.
        result.unwrap_or_else(|| Err(failed("its thread is gone")))?;
        self.next += 1;
        Ok(self.next - 1)
    }
}

impl Drop for AsyncOptimizerStep {
    fn drop(&mut self) {
        // Without a receiver the thread ends after its present block. It is joined, since it writes
        // into tensors that the trainer frees next.
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
