use std::num::NonZero;
use std::path::Path;
use std::sync::{Condvar, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use wasmtime::{Engine, InstancePre, Store, Trap, TypedFunc};

use super::bake::{GuestPaths, Layout, Source};
use super::cache::Cache;
use super::engine::{self, THREAD_STACK};
use super::host::{Heap, Host, Stop, Stream};
use super::limits::{Exit, Limits, Outcome};
use super::record::{self, Record};
use super::{SandboxError, wasi};

/// A baked Python that any number of programs can be run in, each in a fresh copy of it that sees nothing but its input.
///
/// Cheap to share between threads. As many programs run at once as there are cores; further calls wait their turn, so
/// memory stays bounded however many ask.
///
/// ```no_run
/// use sky_verify::python::{Exit, Limits, Sandbox};
///
/// let sandbox = Sandbox::open(".sky".as_ref())?;
/// let outcome = sandbox.run("print(int(input()) * 2)", b"21\n", &Limits::default())?;
/// assert_eq!((outcome.stdout.as_slice(), outcome.exit), (&b"42\n"[..], Exit::Exited(0)));
/// # Ok::<(), sky_verify::python::SandboxError>(())
/// ```
pub struct Sandbox {
    engine: Engine,
    guest: InstancePre<Host>,
    layout: Layout,
    free: Mutex<usize>,
    freed: Condvar,
}

/// What a run is for: which parts of a program's life the driver goes through.
pub(super) enum Job<'a> {
    /// A program of its own that reads standard input.
    Script(&'a str),
    /// A program, then a test that shares its names and must run to its end: what it defines, then what it runs.
    Test {
        program: &'a str,
        define: Option<&'a str>,
        run: &'a str,
    },
    /// A program, then a call of one of its functions.
    Call {
        program: &'a str,
        name: &'a str,
        arguments: &'a [serde_json::Value],
    },
}

/// How a [`Job`] ended, besides its outcome.
pub(super) struct Finished {
    pub(super) outcome: Outcome,
    /// The test ran to its end: the host's own call into it returned.
    pub(super) passed: bool,
    /// What the function returned, as far as the guest can be believed.
    pub(super) returned: Option<serde_json::Value>,
    /// Whether the program itself had ended when this happened.
    pub(super) in_test: bool,
}

impl Sandbox {
    /// Opens the sandbox of what `cargo xtask setup` put under `sky_home`; bakes the guest the first time, for some 30 s.
    ///
    /// # Errors
    /// When the guest is not there or not the right one, or the cache folder cannot be trusted or written.
    pub fn open(sky_home: &Path) -> Result<Self, SandboxError> {
        Self::with_paths(&GuestPaths::new(sky_home))
    }

    /// Opens the sandbox from folders of the caller's choice.
    ///
    /// # Errors
    /// As [`Sandbox::open`].
    pub fn with_paths(paths: &GuestPaths) -> Result<Self, SandboxError> {
        let at_once = std::thread::available_parallelism()
            .map_or(1, NonZero::get)
            .min(256);
        let engine = engine::engine(at_once as u32)?;
        let source = Source::read(paths, &engine)?;
        let cache = Cache::open(&paths.cache)?;
        let (module, layout) = big_thread(|| cache.load(&engine, source))??;
        let guest = wasi::linker(&engine, &module)
            .and_then(|linker| linker.instantiate_pre(&module))
            .map_err(SandboxError::engine("link the guest"))?;
        Ok(Self {
            engine,
            guest,
            layout,
            free: Mutex::new(at_once),
            freed: Condvar::new(),
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
        Ok(self.execute(&Job::Script(program), stdin, limits)?.outcome)
    }

    pub(super) fn execute(
        &self,
        job: &Job<'_>,
        stdin: &[u8],
        limits: &Limits,
    ) -> Result<Finished, SandboxError> {
        limits.validate()?;
        let _turn = self.wait_turn();
        let started = Instant::now();
        let mut finished = Session::start(self, stdin, limits)?.go(job);
        finished.outcome.wall = started.elapsed();
        Ok(finished)
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

/// Instructions between two looks at the clock: some tens of milliseconds.
const SLICE: u64 = 200_000_000;

/// One fresh guest.
struct Session<'a> {
    store: Store<Host>,
    memory: wasmtime::Memory,
    stack_pointer: wasmtime::Global,
    call: TypedFunc<(u32, u32, u32), u32>,
    layout: &'a Layout,
    fuel: u64,
}

/// Why a phase did not give a value.
enum Broken {
    Exit(Exit),
    /// The driver's call failed inside the interpreter.
    Null,
}

impl<'a> Session<'a> {
    fn start(sandbox: &'a Sandbox, stdin: &[u8], limits: &Limits) -> Result<Self, SandboxError> {
        let layout = &sandbox.layout;
        let heap = Heap::new((layout.memory + limits.memory) as usize);
        let fuel = limits.instructions.min(u64::MAX / 4);
        let mut host = Host::new(stdin.to_vec(), limits.output, fuel, heap);
        host.deadline = Instant::now().checked_add(limits.wall());
        let mut store = Store::new(&sandbox.engine, host);
        store.limiter(|host| &mut host.heap);
        store
            .set_fuel(fuel)
            .map_err(SandboxError::engine("set fuel"))?;
        let fail = SandboxError::engine("instantiate the guest");
        let instance = sandbox.guest.instantiate(&mut store).map_err(fail)?;
        let missing = |what: &str| SandboxError::Engine {
            action: "find the driver",
            reason: format!("the baked guest has no {what}"),
        };
        let memory = instance
            .get_memory(&mut store, "memory")
            .ok_or_else(|| missing("memory"))?;
        let stack_pointer = instance
            .get_global(&mut store, super::image::STACK_POINTER)
            .ok_or_else(|| missing("stack pointer"))?;
        let call = instance
            .get_table(&mut store, super::image::TABLE)
            .and_then(|table| table.get(&mut store, u64::from(layout.call)))
            .and_then(|slot| slot.unwrap_func().copied())
            .ok_or_else(|| missing("call slot"))?
            .typed(&store)
            .map_err(SandboxError::engine("find the driver"))?;
        // From here on the guest stops after each slice of its instructions, for the host to look at the clock.
        store
            .fuel_async_yield_interval(Some(SLICE))
            .map_err(SandboxError::engine("slice the fuel"))?;
        Ok(Self {
            store,
            memory,
            stack_pointer,
            call,
            layout,
            fuel,
        })
    }

    fn go(&mut self, job: &Job<'_>) -> Finished {
        let mut passed = false;
        let mut in_test = false;
        let mut returned = None;
        let exit = self
            .phases(job, &mut passed, &mut in_test, &mut returned)
            .unwrap_or_else(|broken| match broken {
                Broken::Exit(exit) => exit,
                // The driver itself found no memory.
                Broken::Null if self.store.data().heap.refused => Exit::OutOfMemory,
                Broken::Null => Exit::Crashed {
                    trap: "the interpreter gave up".to_owned(),
                },
            });
        let left = self.store.get_fuel().unwrap_or(0);
        let host = self.store.data_mut();
        Finished {
            outcome: Outcome {
                stdout: std::mem::take(&mut host.stdout),
                stderr: std::mem::take(&mut host.stderr),
                exit,
                instructions: self.fuel - left.min(self.fuel),
                peak_memory: (host.heap.peak as u64).saturating_sub(self.layout.memory),
                wall: std::time::Duration::ZERO,
            },
            passed,
            returned,
            in_test,
        }
    }

    /// The phases of one run. Each is a call from the host; between them no program code runs.
    fn phases(
        &mut self,
        job: &Job<'_>,
        passed: &mut bool,
        in_test: &mut bool,
        returned: &mut Option<serde_json::Value>,
    ) -> Result<Exit, Broken> {
        let functions = self.layout.functions.clone();
        let (kind, program) = match job {
            Job::Script(program) => ("script", program),
            Job::Test { program, .. } => ("test", program),
            Job::Call { program, .. } => ("call", program),
        };
        self.send(format!("{kind}\n{program}").into_bytes());
        if let Some(exit) = self.guarded(functions.prepare)? {
            return Ok(exit);
        }
        match job {
            Job::Script(_) => {}
            Job::Test { define, run, .. } => {
                *in_test = true;
                let parts = define.map(|source| ("define", source));
                for (kind, source) in parts.into_iter().chain([("run", *run)]) {
                    self.send(format!("{kind}\n{source}").into_bytes());
                    if let Some(exit) = self.guarded(functions.prepare_test)? {
                        return Ok(exit);
                    }
                }
                // Nothing after this counts: exit handlers and the like are not run.
                *passed = true;
                return Ok(Exit::Exited(0));
            }
            Job::Call {
                name, arguments, ..
            } => {
                *in_test = true;
                self.send(
                    serde_json::json!([name, arguments])
                        .to_string()
                        .into_bytes(),
                );
                if let Some(exit) = self.guarded(functions.prepare_call)? {
                    return Ok(exit);
                }
                if let Record::Returned(value) = self.received() {
                    *returned = Some(value);
                }
                return Ok(Exit::Exited(0));
            }
        }
        self.finish(self.layout.none)
    }

    /// Prepares a function and runs it under the guard. `None` when it returned; how it ended otherwise.
    fn guarded(&mut self, prepare: u32) -> Result<Option<Exit>, Broken> {
        let program = self.call(prepare, self.layout.no_arguments)?;
        if program == self.layout.none {
            let message = match self.received() {
                Record::CompileError(message) => message,
                _ => "it does not compile".to_owned(),
            };
            return Ok(Some(Exit::CompileError { message }));
        }
        self.store.data_mut().control_out.clear();
        let error = self.call(self.layout.functions.guard, program)?;
        if error == self.layout.none {
            return Ok(None);
        }
        self.finish(error).map(Some)
    }

    /// The end of a program that ended with this exception, or None.
    fn finish(&mut self, error: u32) -> Result<Exit, Broken> {
        // The first item of the driver's one-item tuple.
        let item = self.layout.cell as usize + 12;
        if self
            .memory
            .write(&mut self.store, item, &error.to_le_bytes())
            .is_err()
        {
            return Err(Broken::Null);
        }
        self.store.data_mut().control_out.clear();
        self.call(self.layout.functions.finish, self.layout.no_arguments)?;
        Ok(match self.received() {
            Record::Exited(code) => Exit::Exited(code),
            Record::Raised { kind, .. } if kind == "MemoryError" => Exit::OutOfMemory,
            Record::Raised { kind, message } => Exit::Raised { kind, message },
            _ => Exit::Crashed {
                trap: "the driver's last word was lost".to_owned(),
            },
        })
    }

    fn send(&mut self, bytes: Vec<u8>) {
        self.store.data_mut().control_in = Stream::new(bytes);
    }

    fn received(&mut self) -> Record {
        record::parse(&std::mem::take(&mut self.store.data_mut().control_out))
    }

    /// Calls a function of the driver with a tuple of arguments; gives the address of what it returns.
    fn call(&mut self, function: u32, arguments: u32) -> Result<u32, Broken> {
        let deadline = self.store.data().deadline;
        let ended = {
            let call = self
                .call
                .call_async(&mut self.store, (function, arguments, 0));
            let mut call = std::pin::pin!(call);
            let mut context = Context::from_waker(Waker::noop());
            loop {
                match call.as_mut().poll(&mut context) {
                    Poll::Ready(ended) => break ended,
                    Poll::Pending if deadline.is_none_or(|end| Instant::now() < end) => {}
                    // Dropping the call unwinds the guest.
                    Poll::Pending => return Err(Broken::Exit(Exit::OutOfTime)),
                }
            }
        };
        match ended {
            Ok(0) => Err(Broken::Null),
            Ok(value) => Ok(value),
            Err(error) => {
                // What stands in front of the end of the guest's stack leaves this mark.
                let full = self.stack_pointer.get(&mut self.store).i32() == Some(0);
                if full {
                    return Err(Broken::Exit(Exit::StackOverflow));
                }
                let refused = self.store.data().heap.refused;
                Err(Broken::Exit(exit_of(&error, refused)))
            }
        }
    }
}

/// What a guest that did not return ended with.
fn exit_of(error: &wasmtime::Error, refused: bool) -> Exit {
    if let Some(stop) = error.downcast_ref::<Stop>() {
        return match stop {
            Stop::Exit(code) => Exit::Exited(*code & 0xff),
            Stop::Output => Exit::OutputLimit,
            Stop::Fuel => Exit::OutOfInstructions,
            Stop::Time => Exit::OutOfTime,
            Stop::Snapshot => Exit::Crashed {
                trap: "it stopped for a snapshot".to_owned(),
            },
        };
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => Exit::OutOfInstructions,
        Some(Trap::StackOverflow) => Exit::StackOverflow,
        // CPython aborts where it cannot report that there is no memory.
        Some(Trap::UnreachableCodeReached) if refused => Exit::OutOfMemory,
        Some(trap) => Exit::Crashed {
            trap: trap.to_string(),
        },
        None => Exit::Crashed {
            trap: format!("{error:#}"),
        },
    }
}
