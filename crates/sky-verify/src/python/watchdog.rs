use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use wasmtime::{Engine, Store};

use super::SandboxError;
use super::host::Host;

/// How often the clock is looked at.
const TICK: Duration = Duration::from_millis(200);

/// Ends guests that have run for far too long by the wall. It ticks only while a guest runs.
pub(super) struct Watchdog {
    shared: Arc<Shared>,
    thread: Option<std::thread::JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    busy: usize,
    stop: bool,
}

impl Watchdog {
    pub(super) fn start(engine: &Engine) -> Result<Self, SandboxError> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let (ours, engine) = (shared.clone(), engine.clone());
        let thread = std::thread::Builder::new()
            .name("sky-watchdog".to_owned())
            .spawn(move || ours.watch(&engine))
            .map_err(|error| SandboxError::Engine {
                action: "start the watchdog",
                reason: error.to_string(),
            })?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Gives a guest this long.
    pub(super) fn arm(&self, store: &mut Store<Host>, wall: Duration) {
        let ticks = wall.as_millis() / TICK.as_millis() + 2;
        store.set_epoch_deadline(u64::try_from(ticks).unwrap_or(u64::MAX / 4));
        store.epoch_deadline_trap();
    }

    /// Ticks as long as what this gives lives.
    pub(super) fn busy(&self) -> Busy<'_> {
        let mut state = self.shared.lock();
        state.busy += 1;
        if state.busy == 1 {
            self.shared.changed.notify_all();
        }
        Busy(&self.shared)
    }
}

/// A guest is running.
pub(super) struct Busy<'a>(&'a Shared);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.lock().busy -= 1;
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watch(&self, engine: &Engine) {
        let mut state = self.lock();
        while !state.stop {
            if state.busy == 0 {
                state = self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let (next, waited) = self
                .changed
                .wait_timeout(state, TICK)
                .unwrap_or_else(PoisonError::into_inner);
            state = next;
            if waited.timed_out() {
                engine.increment_epoch();
            }
        }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}
