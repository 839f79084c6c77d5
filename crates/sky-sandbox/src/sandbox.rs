use std::num::NonZero;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

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

/// A baked Python that any number of programs can be run in, each in a fresh copy of it that sees
/// nothing but its input.
///
/// Cheap to share between threads. As many programs run at once as there are cores; further calls
/// wait their turn, so memory stays bounded however many ask.
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
    free: Mutex<usize>,
    freed: Condvar,
}

/// A guest that was found: its files are hashed, and whether they have been baked is known.
pub struct Found {
    at_once: usize,
    engine: Engine,
    source: Source,
    cache: Cache,
}

impl Found {
    /// Whether these very files have been baked before. If not, a caller who knows what they should
    /// be can compare them first.
    pub fn is_baked(&self) -> bool {
        self.cache.holds(&self.source)
    }

    /// Opens the sandbox.
    ///
    /// # Errors
    /// As [`Sandbox::open`].
    pub fn open(self) -> Result<Sandbox, SandboxError> {
        self.open_with(|_| {})
    }

    /// Opens the sandbox, and calls `on_bake` before it bakes the guest: once, or not at all.
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
        let (module, layout) = big_thread(|| cache.load(&engine, source, on_bake))??;
        Ok(Sandbox {
            guests: Arc::new(Guests::new(engine, &module, layout)?),
            free: Mutex::new(at_once),
            freed: Condvar::new(),
        })
    }
}

impl Sandbox {
    /// Opens the sandbox of what `cargo xtask setup` put under `sky_home`; bakes the guest the
    /// first time, for some 30 s.
    ///
    /// # Errors
    /// When the guest is not there or not the right one, or the cache folder cannot be trusted or
    /// written.
    pub fn open(sky_home: &Path) -> Result<Self, SandboxError> {
        Self::with_paths(&GuestPaths::new(sky_home))
    }

    /// Opens the sandbox from folders of the caller's choice.
    ///
    /// # Errors
    /// As [`Sandbox::open`].
    pub fn with_paths(paths: &GuestPaths) -> Result<Self, SandboxError> {
        Self::find(paths)?.open()
    }

    /// Finds the guest without baking it yet: see [`Found`].
    ///
    /// # Errors
    /// When the guest is not there, or the cache folder cannot be trusted or written.
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

    /// Runs one program with `stdin` as its standard input.
    ///
    /// # Errors
    /// When the host fails, never for what the program does.
    pub fn run(
        &self,
        program: &str,
        stdin: &[u8],
        limits: &Limits,
    ) -> Result<Outcome, SandboxError> {
        Ok(self
            .execute(&Job::Script(program), stdin, limits, None)?
            .outcome)
    }

    /// Runs one job: a program, a program and its test, or a call of a program's function.
    ///
    /// # Errors
    /// When the host fails, never for what the program does.
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

    /// Runs a test in an interpreter of its own, beside the program's.
    ///
    /// # Errors
    /// When the host fails, never for what the program or the test does.
    pub fn run_isolated_test(
        &self,
        test: &IsolatedTest<'_>,
        limits: &Limits,
    ) -> Result<IsolatedResult, SandboxError> {
        limits.validate()?;
        let _turn = self.wait_turn();
        test.run(&self.guests, limits)
    }

    /// Whether another run could begin at once.
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

/// The right to run one program now.
struct Turn<'a>(&'a Sandbox);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}

/// Runs `work` on a thread with room for deep recursion.
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
