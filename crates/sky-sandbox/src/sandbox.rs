use std::num::NonZero;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

use sky_types::Harness;
use wasmtime::Engine;

use crate::SandboxError;
use crate::bake::{GuestPaths, Source};
use crate::cache::{BakeReason, Cache};
use crate::cancel::Cancel;
use crate::engine::{self, THREAD_STACK};
use crate::guest::Guests;
use crate::isolated_test::{IsolatedResult, IsolatedTest};
use crate::limits::{Limits, Outcome};
use crate::session::{Finished, Job, Session};

/// A baked Python interpreter that runs programs, each in a fresh copy of it that sees nothing but
/// its input.
///
/// Share one between threads. It runs as many programs at once as there are cores, at most 256.
/// Further calls wait, which bounds the memory of the host.
///
/// ```no_run
/// use sky_sandbox::{Exit, Limits, Sandbox};
///
/// let sandbox = Sandbox::open(".sky".as_ref())?;
/// let outcome = sandbox.run("print(int(input()) * 2)", b"21\n", &Limits::default())?;
/// assert_eq!((outcome.stdout.as_slice(), outcome.exit), (&b"42\n"[..], Exit::Exited(0)));
/// # Ok::<(), sky_sandbox::SandboxError>(())
/// ```
pub struct Sandbox {
    pub(crate) guests: Arc<Guests>,
    /// Runs that may begin now.
    free: Mutex<usize>,
    /// Wakes one waiting call when a run ends.
    freed: Condvar,
}

/// A guest that was found and hashed, but not opened: nothing of it has run yet.
///
/// A caller that knows which files to expect can compare them before [`Found::open`] runs them.
pub struct Found {
    /// Runs at once that the engine is made for.
    at_once: usize,
    engine: Engine,
    source: Source,
    cache: Cache,
}

impl Found {
    /// Whether exactly these files were baked before, by this build for this kind of processor. If
    /// so, opening takes milliseconds; if not, about 30 s. A damaged cache entry counts as baked.
    pub fn is_baked(&self) -> bool {
        self.cache.holds(&self.source)
    }

    /// Opens the sandbox. Bakes the guest first when the cache does not hold it.
    ///
    /// # Errors
    /// As [`Sandbox::open`].
    pub fn open(self) -> Result<Sandbox, SandboxError> {
        self.open_with(|_| {})
    }

    /// Opens the sandbox and calls `on_bake` right before it bakes the guest: once, or not at all
    /// when the cache holds it. A caller can tell its user about the wait.
    ///
    /// # Errors
    /// As [`Sandbox::open`].
    pub fn open_with(
        self,
        on_bake: impl FnOnce(&BakeReason) + Send,
    ) -> Result<Sandbox, SandboxError> {
        let Self {
            at_once,
            engine,
            source,
            cache,
        } = self;
        let loaded = big_thread(|| cache.load(&engine, source, on_bake))??;
        Ok(Sandbox {
            guests: Arc::new(Guests::new(engine, &loaded.module, loaded.layout)?),
            free: Mutex::new(at_once),
            freed: Condvar::new(),
        })
    }
}

impl Sandbox {
    /// Opens the sandbox with the guest that `cargo xtask setup` put under `sky_home`. The first
    /// call bakes the guest, which takes about 30 s; later ones load it from the cache.
    ///
    /// # Errors
    /// - [`SandboxError::Guest`]: the guest is missing or unreadable.
    /// - [`SandboxError::Unsuitable`]: it is not the CPython that this build can bake.
    /// - [`SandboxError::Cache`]: another user owns the cache folder.
    /// - [`SandboxError::File`]: the cache cannot be read or written.
    /// - [`SandboxError::Engine`]: the engine or a thread does not start.
    pub fn open(sky_home: &Path) -> Result<Self, SandboxError> {
        Self::with_paths(&GuestPaths::new(sky_home))
    }

    /// Opens the sandbox with the guest and the cache in these folders.
    ///
    /// # Errors
    /// As [`Sandbox::open`].
    pub fn with_paths(paths: &GuestPaths) -> Result<Self, SandboxError> {
        Self::find(paths)?.open()
    }

    /// Finds and hashes the guest's files without running them: see [`Found`].
    ///
    /// # Errors
    /// As [`Sandbox::open`], except [`SandboxError::Unsuitable`]: only baking finds that.
    pub fn find(paths: &GuestPaths) -> Result<Found, SandboxError> {
        let at_once = std::thread::available_parallelism()
            .map_or(1, NonZero::get)
            .min(256);
        let engine = engine::engine(at_once as u32)?;
        let source = Source::find(paths, &engine)?;
        let cache = Cache::open(&paths.cache)?;
        Ok(Found {
            at_once,
            engine,
            source,
            cache,
        })
    }

    /// Runs one program with `stdin` as its standard input; returns when it has ended.
    ///
    /// # Errors
    /// [`SandboxError::Limit`] for a limit above its maximum, [`SandboxError::Engine`] when the
    /// host fails. Never for what the program does.
    pub fn run(
        &self,
        program: &str,
        stdin: &[u8],
        limits: &Limits,
    ) -> Result<Outcome, SandboxError> {
        let script = Job::Script {
            program,
            harness: Harness::Plain,
        };
        Ok(self.execute(&script, stdin, limits, None)?.outcome)
    }

    /// Runs one [`Job`] with `stdin` as its standard input; returns when it has ended. `cancel` can
    /// end it earlier.
    ///
    /// # Errors
    /// As [`Sandbox::run`].
    pub fn execute(
        &self,
        job: &Job<'_>,
        stdin: &[u8],
        limits: &Limits,
        cancel: Option<Cancel>,
    ) -> Result<Finished, SandboxError> {
        limits.validate()?;
        let _turn = self.wait_turn();
        let started = Instant::now();
        let mut finished = Session::start(&self.guests, stdin, limits, cancel)?.go(job);
        finished.outcome.wall = started.elapsed();
        Ok(finished)
    }

    /// Runs a program and its test in two interpreters; returns when the test has ended. Each of
    /// the two has the whole of `limits`, and both have an empty standard input.
    ///
    /// # Errors
    /// As [`Sandbox::run`].
    pub fn run_isolated_test(
        &self,
        test: &IsolatedTest<'_>,
        limits: &Limits,
    ) -> Result<IsolatedResult, SandboxError> {
        limits.validate()?;
        let _turn = self.wait_turn();
        test.run(&self.guests, limits)
    }

    /// Whether another run could begin without waiting. Another thread may begin one before the
    /// caller does.
    pub fn is_idle(&self) -> bool {
        *self.free.lock().unwrap_or_else(PoisonError::into_inner) > 0
    }

    fn wait_turn(&self) -> Turn<'_> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        while *free == 0 {
            free = self
                .freed
                .wait(free)
                .unwrap_or_else(PoisonError::into_inner);
        }
        *free -= 1;
        Turn(self)
    }
}

/// The right to run one job now. Dropping it lets a waiting call begin.
struct Turn<'a>(&'a Sandbox);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}

/// Runs `work` on a thread with a deep stack. Baking runs the guest on the caller's stack, and the
/// engine takes for granted that `NATIVE_STACK` bytes of it are there.
fn big_thread<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, SandboxError> {
    let failed = |reason: String| SandboxError::Engine {
        action: "start a thread",
        reason,
    };
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .name("sky-sandbox".to_owned())
            .stack_size(THREAD_STACK)
            .spawn_scoped(scope, work)
            .map_err(|error| {
                failed(format!(
                    "{error} (it needs {} MiB of address space)",
                    THREAD_STACK >> 20
                ))
            })?
            .join()
            .map_err(|_| failed("it panicked".to_owned()))
    })
}
