//! NCCL's communicator, the operations in flight on it, and its end.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use cudarc::nccl::sys as nccl;

use super::{
    gpu::{Event, Gpu, Stream, failed},
    library::check,
};
use crate::TorchError;

/// How often an operation that NCCL begins in the background is looked at.
const POLL: Duration = Duration::from_micros(200);

/// A communicator with its GPU and its stream. The group and its pending collectives share it.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) gpu: Gpu,
    pub(super) stream: Stream,
    pub(super) comm: Mutex<Option<Comm>>,
    pub(super) in_flight: Mutex<VecDeque<InFlight>>,
    pub(super) aborted: AtomicBool,
    pub(super) timeout: Duration,
}

/// An owned `ncclComm_t`.
#[derive(Debug)]
pub(super) struct Comm(pub(super) nccl::ncclComm_t);

// SAFETY: NCCL's communicators may be used from any thread, one at a time: `Shared` keeps this one
// behind a lock.
unsafe impl Send for Comm {}

/// An operation that was begun and is not known to be done.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) started: Event,
    pub(super) done: Arc<Event>,
    pub(super) since: Option<Instant>,
}

impl Shared {
    /// Waits until NCCL has taken an operation, which it does in the background.
    pub(super) fn wait_enqueued(
        &self,
        what: &'static str,
        status: nccl::ncclResult_t,
    ) -> Result<(), TorchError> {
        let began = Instant::now();
        let mut state = status;
        while state == nccl::ncclResult_t::ncclInProgress {
            if began.elapsed() > self.timeout {
                let seconds = self.timeout.as_secs_f64();
                return Err(failed(what, format!("not begun after {seconds:.0} s")));
            }
            thread::sleep(POLL);
            let comm = lock(&self.comm);
            let Some(comm) = comm.as_ref() else {
                return Err(failed(what, "the group has failed".into()));
            };
            // SAFETY: the communicator is alive while the lock is held.
            let asked = unsafe { nccl::ncclCommGetAsyncError(comm.0, &raw mut state) };
            check(what, asked)?;
        }
        check(what, state)
    }

    /// Ends every operation in flight; later ones are refused.
    pub(super) fn abort(&self) {
        self.aborted.store(true, Ordering::Release);
        let Some(comm) = lock(&self.comm).take() else {
            return;
        };
        let _ = self.gpu.make_current();
        // SAFETY: taken out of the lock, so nobody else can use it. Nothing can be done about an
        // error.
        let _ = unsafe { nccl::ncclCommAbort(comm.0) };
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // The group and every work are gone. An abort frees a communicator without talking to the
        // peers: an orderly end would wait for ever when one of them is dead.
        self.abort();
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
