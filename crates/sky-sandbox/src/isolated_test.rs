//! Assert-style tests, kept apart from the program they test: two guests, and the host between
//! them.
//!
//! The test's guest has never seen the program. What it asks of the program's names comes to the
//! host as data, the host hands it to the program's guest and its answer back. So a program can do
//! to a test what its values can do, and no more: it reaches neither the test's builtins nor its
//! constants, and what compares its values is not its own.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;

use crate::SandboxError;
use crate::guest::Guests;
use crate::limits::{Exit, Limits};
use crate::session::{Finished, Session};

/// A program and the test it has to pass.
pub struct IsolatedTest<'a> {
    /// The program's source.
    pub program: &'a str,
    /// The test's source.
    pub test: &'a str,
    /// What the problem itself gives: what it defines is not taken from the program.
    pub prefix: Option<&'a str>,
    /// But for these, which the program openly defines again.
    pub replaced: &'a [&'a str],
    /// `check` is called with this function last.
    pub entry: Option<&'a str>,
}

/// How an [`IsolatedTest`] ended.
pub enum IsolatedResult {
    /// The test ran, or something ended it.
    Finished(Finished),
    /// The test hands the program something that cannot leave its interpreter, such as a function
    /// or an object of a class of its own. Run both in one interpreter:
    /// [`Job::Test`](crate::Job::Test).
    NeedsSharedInterpreter,
}

/// The program that a test asks.
struct AskedProgram {
    session: Session,
    /// How the program ended, when it ended in a call.
    ended: Option<Exit>,
    /// The test has asked for a shared interpreter.
    wants_sharing: bool,
}

impl AskedProgram {
    /// The answer to what the test asks; nothing when there will be no more.
    fn answer(&mut self, question: Vec<u8>) -> Option<Vec<u8>> {
        // The test's guest is the problem's own: this word of it is true.
        if question.starts_with(b"[\"share\"") {
            self.wants_sharing = true;
            return None;
        }
        self.session.send(question);
        let answering = self.session.layout().answering;
        let ended = match self.session.run_prepared(answering) {
            Ok(None) => {
                return Some(std::mem::take(&mut self.session.host().control_out));
            }
            Ok(Some(exit)) => exit,
            Err(broken) => self.session.exit(broken),
        };
        self.ended = Some(ended);
        None
    }
}

impl IsolatedTest<'_> {
    pub(crate) fn run(
        &self,
        guests: &Arc<Guests>,
        limits: &Limits,
    ) -> Result<IsolatedResult, SandboxError> {
        let started = std::time::Instant::now();
        let mut program = Session::start(guests, b"", limits, None)?;
        program.send(format!("test\n{}", self.program).into_bytes());
        let prepare = program.layout().functions.prepare;
        let ended = match program.prepare_and_run(prepare) {
            Ok(exit) => exit,
            Err(broken) => Some(program.exit(broken)),
        };
        if let Some(exit) = ended {
            let mut outcome = program.end(exit);
            outcome.wall = started.elapsed();
            return Ok(IsolatedResult::Finished(Finished {
                outcome,
                passed: false,
                returned: None,
                in_test: false,
            }));
        }
        let program = Arc::new(Mutex::new(AskedProgram {
            session: program,
            ended: None,
            wants_sharing: false,
        }));
        let mut test = Session::start(guests, b"", limits, None)?;
        let asked = Arc::clone(&program);
        test.host().ask_program = Some(Box::new(move |question| {
            let mut program = asked.lock().unwrap_or_else(PoisonError::into_inner);
            program.answer(question)
        }));
        let request = json!([self.test, self.prefix, self.replaced, self.entry]);
        test.send(request.to_string().into_bytes());
        let prepare = test.layout().functions.prepare_isolated_test;
        let ended = test.prepare_and_run(prepare);
        // Drops the host's handle on the program, so that this is the only one.
        test.host().ask_program = None;
        let Some(program) = Arc::into_inner(program) else {
            return Err(SandboxError::Engine {
                action: "run a test beside its program",
                reason: "the program's interpreter was lost".to_owned(),
            });
        };
        let mut program = program.into_inner().unwrap_or_else(PoisonError::into_inner);
        if program.wants_sharing {
            return Ok(IsolatedResult::NeedsSharedInterpreter);
        }
        let passed = program.ended.is_none() && matches!(ended, Ok(None));
        let exit = match (program.ended.take(), ended) {
            (Some(exit), _) | (None, Ok(Some(exit))) => exit,
            (None, Ok(None)) => Exit::Exited(0),
            (None, Err(broken)) => test.exit(broken),
        };
        let mut outcome = program.session.end(exit);
        let tested = test.end(Exit::Exited(0));
        outcome.instructions += tested.instructions;
        outcome.peak_memory = outcome.peak_memory.max(tested.peak_memory);
        outcome.wall = started.elapsed();
        Ok(IsolatedResult::Finished(Finished {
            outcome,
            passed,
            returned: None,
            in_test: true,
        }))
    }
}
