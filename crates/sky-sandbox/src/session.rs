//! A session: one job in one fresh guest, from its start to its end.
//!
//! The host calls the driver's functions (`guest/driver.py`) by their addresses, one for each phase
//! of the run. Whatever the guest writes may be forged by the program. The host trusts one thing:
//! which of its own calls returned, and with what.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use sky_types::Harness;
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
use crate::signature::Signature;

/// What [`Sandbox::execute`](crate::Sandbox::execute) runs in one interpreter.
pub enum Job<'a> {
    /// A program that reads standard input, run as `__main__`.
    Script {
        /// The program's source.
        program: &'a str,
        /// What surrounds it.
        harness: Harness,
    },
    /// A program, then a test in the same interpreter and with the program's names. The program can
    /// fool such a test; [`IsolatedTest`](crate::IsolatedTest) keeps the two apart.
    Test {
        /// The program's source.
        program: &'a str,
        /// Source that runs before the test and defines names for it. These definitions see the
        /// original builtins, whatever the program did to them.
        define: Option<&'a str>,
        /// The test's source.
        run: &'a str,
    },
    /// A program, then a call of one of its functions.
    Call {
        /// The program's source.
        program: &'a str,
        /// The function, or the method of `class Solution`.
        name: &'a str,
        /// The arguments: a JSON array, or a JSON object of arguments by name.
        arguments: &'a str,
        /// What the problem says about the function.
        signature: Option<&'a Signature>,
        /// What surrounds the program.
        harness: Harness,
    },
    /// A problem's own judge, then a call of one of its functions. It reads integers of any length
    /// and gets its arguments unchanged.
    Judge {
        /// The judge's source.
        judge: &'a str,
        /// The function.
        name: &'a str,
        /// The arguments: a JSON array.
        arguments: &'a str,
    },
}

/// How a [`Job`] or an [`IsolatedTest`](crate::IsolatedTest) ended.
pub struct Finished {
    /// What the run leaves behind.
    pub outcome: Outcome,
    /// Whether the test ran to its end. True only when the host's own call into the test returned:
    /// no output, exit code or exit handler can forge that. False for jobs without a test.
    pub passed: bool,
    /// The value that the function of a [`Job::Call`] returned, as JSON in Python's spelling: `NaN`
    /// and integers of any length occur. It comes from the guest, so a program can forge it.
    pub returned: Option<String>,
    /// Whether the program itself had ended well, so that the outcome is that of its test or call.
    /// False for a [`Job::Script`].
    pub in_test: bool,
}

/// One fresh guest, while it runs.
pub(crate) struct Session {
    guest: Guest,
    guests: Arc<Guests>,
    /// Whether every call into the guest has returned. Only then can the guest be used again.
    sound: bool,
}

/// Why a call into the guest gave no value.
pub(crate) enum Broken {
    /// The call did not return; the run ended so.
    Exit(Exit),
    /// The driver's function returned no object: it failed inside the interpreter.
    Null,
}

impl Session {
    /// Takes a fresh guest. The wall clock runs from here.
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

    /// Runs the job to its end.
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

    /// How a run ended whose guest gave no value.
    pub(crate) fn exit(&self, broken: Broken) -> Exit {
        match broken {
            Broken::Exit(exit) => exit,
            // The driver itself ran out of memory.
            Broken::Null if self.guest.store.data().heap.refused => Exit::OutOfMemory,
            Broken::Null => Exit::Crashed {
                trap: "the interpreter failed inside the driver".to_owned(),
            },
        }
    }

    /// Ends the session: takes what the run leaves behind and gives the guest back for reuse.
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
            self.guests.release(self.guest);
        }
        outcome
    }

    pub(crate) fn host(&mut self) -> &mut Host {
        self.guest.store.data_mut()
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.guests.layout
    }

    /// The phases of one run. Each is a call from the host; between them no program code runs. What
    /// was reached is written through the references, since a phase may end the run with an error.
    fn phases(
        &mut self,
        job: &Job<'_>,
        passed: &mut bool,
        in_test: &mut bool,
        returned: &mut Option<String>,
    ) -> Result<Exit, Broken> {
        let functions = self.layout().functions;
        let (kind, harness, program) = match job {
            Job::Script { program, harness } => ("script", *harness, program),
            Job::Test { program, .. } => ("test", Harness::Plain, program),
            Job::Call {
                program, harness, ..
            } => ("call", *harness, program),
            Job::Judge { judge, .. } => ("judge", Harness::Plain, judge),
        };
        let harness = match harness {
            Harness::Plain => "plain",
            Harness::LiveCodeBench => "live_code_bench",
        };
        self.send(format!("{kind} {harness}\n{program}").into_bytes());
        if let Some(exit) = self.prepare_and_run(functions.prepare)? {
            return Ok(exit);
        }
        match job {
            Job::Script { .. } => {}
            Job::Test { define, run, .. } => {
                *in_test = true;
                let parts = define.map(|source| ("define", source));
                for (kind, source) in parts.into_iter().chain([("run", *run)]) {
                    self.send(format!("{kind}\n{source}").into_bytes());
                    if let Some(exit) = self.prepare_and_run(functions.prepare_test)? {
                        return Ok(exit);
                    }
                }
                // The verdict is known. Exit handlers are not run: nothing after this counts.
                *passed = true;
                return Ok(Exit::Exited(0));
            }
            Job::Call {
                name, arguments, ..
            }
            | Job::Judge {
                name, arguments, ..
            } => {
                *in_test = true;
                let signature = match job {
                    Job::Call { signature, .. } => *signature,
                    _ => None,
                };
                // Escaped as JSON; `arguments` is JSON already.
                let name = serde_json::Value::from(*name);
                let signature = serde_json::json!(signature);
                let judge = matches!(job, Job::Judge { .. });
                let request = format!(
                    "{{\"name\":{name},\"judge\":{judge},\"signature\":{signature},\"arguments\":{arguments}}}"
                );
                self.send(request.into_bytes());
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

    /// Has the driver's function `prepare` compile what was sent, then runs the function that it
    /// returns with [`Session::run_prepared`]. `None` when that returned, else how it ended.
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

    /// Runs a prepared function under the driver's `guard`, which catches exceptions. `program` is
    /// the address of a one-item tuple with the function. `None` when it returned, else how it
    /// ended.
    pub(crate) fn run_prepared(&mut self, program: u32) -> Result<Option<Exit>, Broken> {
        // What the program wrote there before may be forged.
        self.guest.store.data_mut().control_out.clear();
        let error = self.call(self.layout().functions.guard, program)?;
        if error == self.layout().none {
            return Ok(None);
        }
        self.finish(error).map(Some)
    }

    /// Has the driver end the program: traceback, exit handlers, unwritten output. `error` is the
    /// address of the exception that it ended with, or of `None`.
    fn finish(&mut self, error: u32) -> Result<Exit, Broken> {
        // The item of the driver's one-item tuple. In 32-bit CPython it follows 12 bytes: reference
        // count, type, length.
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
                trap: "the driver's report is missing or unreadable".to_owned(),
            },
        })
    }

    /// Puts bytes where the driver's next function reads them.
    pub(crate) fn send(&mut self, bytes: Vec<u8>) {
        self.guest.store.data_mut().control_in = Stream::new(bytes);
    }

    /// Takes the driver's last report; a second call finds nothing.
    pub(crate) fn take_report(&mut self) -> DriverReport {
        driver_report::parse(&std::mem::take(
            &mut self.guest.store.data_mut().control_out,
        ))
    }

    /// Calls a function of the driver with a tuple of arguments. Takes and gives the addresses of
    /// Python objects.
    fn call(&mut self, function: u32, arguments: u32) -> Result<u32, Broken> {
        let guest = &mut self.guest;
        // Until the call returns: a guest that breaks off must never be used again.
        self.sound = false;
        let call = guest
            .call
            .call_async(&mut guest.store, (function, arguments, 0));
        let mut context = Context::from_waker(Waker::noop());
        // Asynchronous only because the engine then runs the guest on its own, deep stack.
        // Nothing in the guest ever waits, so that the first poll ends the call.
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
                // `stack_check.rs` leaves this mark when the guest's own stack is full.
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

/// The exit of a guest whose call ended with this error. `refused`: it asked for more memory than
/// its limit.
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
                trap: "it asked for a snapshot in the middle of a run".to_owned(),
            },
        };
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::StackOverflow) => Exit::StackOverflow,
        // CPython aborts where it cannot raise a `MemoryError`.
        Some(Trap::UnreachableCodeReached) if refused => Exit::OutOfMemory,
        Some(trap) => Exit::Crashed {
            trap: trap.to_string(),
        },
        None => Exit::Crashed {
            trap: format!("{error:#}"),
        },
    }
}
