//! Isolated tests: an assert-style test and its program in two guests, with the host between them.
//!
//! The test's guest has never seen the program. When the test uses one of the program's names, its
//! question goes to the host as data. The host passes it to the program's guest and passes the
//! answer back. So a program can influence a test by the values that it returns, and in no other
//! way: it reaches neither the test's builtins nor its constants, and its values are compared by
//! code that is not its own.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;

use crate::SandboxError;
use crate::guest::Guests;
use crate::limits::{Exit, Limits};
use crate::session::{Finished, Session};

/// A program and a test of it, to be run in two interpreters by
/// [`Sandbox::run_isolated_test`](crate::Sandbox::run_isolated_test).
pub struct IsolatedTest<'a> {
    /// The program's source.
    pub program: &'a str,
    /// The test's source.
    pub test: &'a str,
    /// Source that the problem itself gives. The test takes the names that this defines from here,
    /// not from the program.
    pub prefix: Option<&'a str>,
    /// Names of `prefix` that the test takes from the program all the same, because the program
    /// openly defines them again.
    pub replaced: &'a [&'a str],
    /// The program's function that the test's `check` is called with at the end. None: the test
    /// calls everything itself.
    pub entry: Option<&'a str>,
}

/// How an [`IsolatedTest`] ended.
pub enum IsolatedResult {
    /// The test ran to its end, or the program or the test ended before. The instructions are the
    /// sum of both interpreters', the peak memory is the larger of the two.
    Finished(Finished),
    /// The test passes the program something that cannot leave its interpreter, such as a function
    /// or an object of a class that it defines. Nothing is decided; run both in one interpreter
    /// with [`Job::Test`](crate::Job::Test).
    NeedsSharedInterpreter,
    /// The test cannot judge a program, for this reason: it asks the program nothing, or needs a
    /// module that the guest lacks. Nothing is decided.
    Unsupported(String),
}

/// The program's side: a session that answers the test's questions.
struct AskedProgram {
    session: Session,
    /// How the program ended, when it ended while it answered.
    ended: Option<Exit>,
    /// What the test has said instead of asking on: that nothing is decided.
    undecided: Option<IsolatedResult>,
}

impl AskedProgram {
    /// Answers a question of the test. None ends the test.
    fn answer(&mut self, question: Vec<u8>) -> Option<Vec<u8>> {
        // No code of the program runs in the test's guest, so these can be believed.
        if question.starts_with(b"[\"share\"") {
            self.undecided = Some(IsolatedResult::NeedsSharedInterpreter);
            return None;
        }
        if question.starts_with(b"[\"unsupported\"") {
            let said: Result<(String, String), _> = serde_json::from_slice(&question);
            let reason = said.map_or_else(|_| "its test gives up".to_owned(), |said| said.1);
            self.undecided = Some(IsolatedResult::Unsupported(reason));
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
            undecided: None,
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
        // Drops the closure's handle on the program, so that `into_inner` finds the only one.
        test.host().ask_program = None;
        let Some(program) = Arc::into_inner(program) else {
            return Err(SandboxError::Engine {
                action: "run a test beside its program",
                reason: "the program's interpreter was lost".to_owned(),
            });
        };
        let mut program = program.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(undecided) = program.undecided.take() {
            return Ok(undecided);
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
