//! One fresh guest, from its start to its end.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use wasmtime::Trap;

use crate::SandboxError;
use crate::cancel::Cancel;
use crate::driver_report::{self, DriverReport};
use crate::fuel;
use crate::guest::{Guest, Guests};
use crate::host::{Heap, Host, Stream};
use crate::host_trap::HostTrap;
use crate::layout::Layout;
use crate::limits::{Exit, Limits, Outcome};

/// What a run is for: which parts of a program's life the driver goes through.
pub enum Job<'a> {
    /// A program of its own that reads standard input.
    Script(&'a str),
    /// A program, then a test that shares its names and its interpreter: what it defines, then what
    /// it runs.
    Test {
        /// The program's source.
        program: &'a str,
        /// Source that runs first, for what it defines.
        define: Option<&'a str>,
        /// Source that runs after that: the test itself.
        run: &'a str,
    },
    /// A program, then a call of one of its functions.
    Call {
        /// The program's source.
        program: &'a str,
        /// The function, or the method of `class Solution`.
        name: &'a str,
        /// A JSON array.
        arguments: &'a str,
        /// The program is a problem's own judge.
        judge: bool,
    },
}

/// How a [`Job`] ended, besides its outcome.
pub struct Finished {
    /// What the run left behind.
    pub outcome: Outcome,
    /// The test ran to its end: the host's own call into it returned.
    pub passed: bool,
    /// What the function returned, as far as the guest can be believed: JSON as Python writes it.
    pub returned: Option<String>,
    /// Whether the program itself had ended when this happened.
    pub in_test: bool,
}

/// One fresh guest, while it runs.
pub(crate) struct Session {
    guest: Guest,
    guests: Arc<Guests>,
    /// Every call into it has returned.
    sound: bool,
}

/// Why a phase did not give a value.
pub(crate) enum Broken {
    Exit(Exit),
    /// The driver's call failed inside the interpreter.
    Null,
}

impl Session {
    pub(crate) fn start(
        guests: &Arc<Guests>,
        stdin: &[u8],
        limits: &Limits,
        cancel: Option<Cancel>,
    ) -> Result<Self, SandboxError> {
        let heap = Heap::new((guests.layout.memory + limits.memory) as usize);
        let mut host = Host::new(stdin.to_vec(), limits.output, limits.instructions, heap);
        host.fuel.deadline = Instant::now().checked_add(limits.wall());
        host.fuel.cancel = cancel;
        Ok(Self {
            guest: guests.take(host)?,
            guests: Arc::clone(guests),
            sound: true,
        })
    }

    pub(crate) fn go(mut self, job: &Job<'_>) -> Finished {
        let mut passed = false;
        let mut in_test = false;
        let mut returned = None;
        let exit = self
            .phases(job, &mut passed, &mut in_test, &mut returned)
            .unwrap_or_else(|broken| self.exit(broken));
        Finished {
            outcome: self.end(exit),
            passed,
            returned,
            in_test,
        }
    }

    /// How a guest that broke off has ended.
    pub(crate) fn exit(&self, broken: Broken) -> Exit {
        match broken {
            Broken::Exit(exit) => exit,
            // The driver itself found no memory.
            Broken::Null if self.guest.store.data().heap.refused => Exit::OutOfMemory,
            Broken::Null => Exit::Crashed {
                trap: "the interpreter gave up".to_owned(),
            },
        }
    }

    /// What it leaves behind.
    pub(crate) fn end(mut self, exit: Exit) -> Outcome {
        let instructions = fuel::used(&mut self.guest.store);
        let host = self.guest.store.data_mut();
        let outcome = Outcome {
            stdout: std::mem::take(&mut host.stdout),
            stderr: std::mem::take(&mut host.stderr),
            exit,
            instructions,
            peak_memory: (host.heap.peak as u64).saturating_sub(self.guests.layout.memory),
            wall: std::time::Duration::ZERO,
        };
        if self.sound {
            self.guests.give_back(self.guest);
        }
        outcome
    }

    pub(crate) fn host(&mut self) -> &mut Host {
        self.guest.store.data_mut()
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.guests.layout
    }

    /// The phases of one run. Each is a call from the host; between them no program code runs.
    fn phases(
        &mut self,
        job: &Job<'_>,
        passed: &mut bool,
        in_test: &mut bool,
        returned: &mut Option<String>,
    ) -> Result<Exit, Broken> {
        let functions = self.layout().functions;
        let (kind, program) = match job {
            Job::Script(program) => ("script", program),
            Job::Test { program, .. } => ("test", program),
            Job::Call { program, judge, .. } => (if *judge { "judge" } else { "call" }, program),
        };
        self.send(format!("{kind}\n{program}").into_bytes());
        if let Some(exit) = self.prepare_and_run(functions.prepare)? {
            return Ok(exit);
        }
        match job {
            Job::Script(_) => {}
            Job::Test { define, run, .. } => {
                *in_test = true;
                let parts = define.map(|source| ("define", source));
                for (kind, source) in parts.into_iter().chain([("run", *run)]) {
                    self.send(format!("{kind}\n{source}").into_bytes());
                    if let Some(exit) = self.prepare_and_run(functions.prepare_test)? {
                        return Ok(exit);
                    }
                }
                // Nothing after this counts: exit handlers and the like are not run.
                *passed = true;
                return Ok(Exit::Exited(0));
            }
            Job::Call {
                name,
                arguments,
                judge,
                ..
            } => {
                *in_test = true;
                let name = serde_json::Value::from(*name);
                self.send(format!("[{name},{arguments},{judge}]").into_bytes());
                if let Some(exit) = self.prepare_and_run(functions.prepare_call)? {
                    return Ok(exit);
                }
                if let DriverReport::Returned(value) = self.take_report() {
                    *returned = Some(value);
                }
                return Ok(Exit::Exited(0));
            }
        }
        self.finish(self.layout().none)
    }

    /// Calls the driver's function `prepare` on what was sent, then runs the function that it
    /// gives, as [`Session::run_prepared`] does. `None` when it returned; how it ended otherwise.
    pub(crate) fn prepare_and_run(&mut self, prepare: u32) -> Result<Option<Exit>, Broken> {
        let program = self.call(prepare, self.layout().no_arguments)?;
        if program == self.layout().none {
            let message = match self.take_report() {
                DriverReport::CompileError(message) => message,
                _ => "it does not compile".to_owned(),
            };
            return Ok(Some(Exit::CompileError { message }));
        }
        self.run_prepared(program)
    }

    /// Runs a function that is prepared already, the one in this tuple, under the driver's `guard`,
    /// which catches exceptions. `None` when it returned; how it ended otherwise.
    pub(crate) fn run_prepared(&mut self, program: u32) -> Result<Option<Exit>, Broken> {
        self.guest.store.data_mut().control_out.clear();
        let error = self.call(self.layout().functions.guard, program)?;
        if error == self.layout().none {
            return Ok(None);
        }
        self.finish(error).map(Some)
    }

    /// The end of a program that ended with this exception, or None.
    fn finish(&mut self, error: u32) -> Result<Exit, Broken> {
        // The first item of the driver's one-item tuple.
        let item = self.layout().cell as usize + 12;
        let guest = &mut self.guest;
        if guest
            .memory
            .write(&mut guest.store, item, &error.to_le_bytes())
            .is_err()
        {
            return Err(Broken::Null);
        }
        self.guest.store.data_mut().control_out.clear();
        self.call(self.layout().functions.finish, self.layout().no_arguments)?;
        Ok(match self.take_report() {
            DriverReport::Exited(code) => Exit::Exited(code),
            DriverReport::Raised { kind, .. } if kind == "MemoryError" => Exit::OutOfMemory,
            DriverReport::Raised { kind, message } => Exit::Raised { kind, message },
            _ => Exit::Crashed {
                trap: "the driver's last word was lost".to_owned(),
            },
        })
    }

    pub(crate) fn send(&mut self, bytes: Vec<u8>) {
        self.guest.store.data_mut().control_in = Stream::new(bytes);
    }

    /// What the driver reported last; a second call finds nothing.
    pub(crate) fn take_report(&mut self) -> DriverReport {
        driver_report::parse(&std::mem::take(
            &mut self.guest.store.data_mut().control_out,
        ))
    }

    /// Calls a function of the driver with a tuple of arguments; gives the address of what it
    /// returns.
    fn call(&mut self, function: u32, arguments: u32) -> Result<u32, Broken> {
        let guest = &mut self.guest;
        self.sound = false;
        let call = guest
            .call
            .call_async(&mut guest.store, (function, arguments, 0));
        let mut context = Context::from_waker(Waker::noop());
        // It is asynchronous for the deep stack it runs on; nothing in it ever waits.
        let Poll::Ready(ended) = std::pin::pin!(call).poll(&mut context) else {
            return Err(Broken::Exit(Exit::OutOfTime));
        };
        match ended {
            Ok(0) => Err(Broken::Null),
            Ok(value) => {
                self.sound = true;
                Ok(value)
            }
            Err(error) => {
                // What stands in front of the end of the guest's stack leaves this mark.
                let full = guest.stack_pointer.get(&mut guest.store).i32() == Some(0);
                if full {
                    return Err(Broken::Exit(Exit::StackOverflow));
                }
                let refused = guest.store.data().heap.refused;
                Err(Broken::Exit(exit_of(&error, refused)))
            }
        }
    }
}

/// What a guest that did not return ended with.
fn exit_of(error: &wasmtime::Error, refused: bool) -> Exit {
    if let Some(trap) = error.downcast_ref::<HostTrap>() {
        return match trap {
            HostTrap::Exit(code) => Exit::Exited(*code & 0xff),
            HostTrap::OutputLimit => Exit::OutputLimit,
            HostTrap::OutOfInstructions => Exit::OutOfInstructions,
            HostTrap::OutOfTime => Exit::OutOfTime,
            HostTrap::ProgramEnded => Exit::Crashed {
                trap: "the program it asks has ended".to_owned(),
            },
            HostTrap::Snapshot => Exit::Crashed {
                trap: "it stopped for a snapshot".to_owned(),
            },
        };
    }
    match error.downcast_ref::<Trap>() {
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
