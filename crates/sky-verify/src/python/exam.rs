//! Assert-style tests, kept apart from the program they test: two guests, and the host between them.
//!
//! The test's guest has never seen the program. What it asks of the program's names comes to the host as data, the host hands it
//! to the program's guest and its answer back. So a program can do to a test what its values can do, and no more: it reaches
//! neither the test's builtins nor its constants, and what compares its values is not its own.

use std::sync::Arc;

use serde_json::json;

use super::SandboxError;
use super::guest::Guests;
use super::limits::{Exit, Limits};
use super::session::{Finished, Session};

/// A program and the test it has to pass.
pub(super) struct Exam<'a> {
    pub(super) program: &'a str,
    pub(super) test: &'a str,
    /// What the problem itself gives: what it defines is not taken from the program.
    pub(super) prefix: Option<&'a str>,
    /// But for these, which the program openly defines again.
    pub(super) replaced: &'a [&'a str],
    /// `check` is called with this function last.
    pub(super) entry: Option<&'a str>,
}

/// What came of it.
pub(super) enum Examined {
    /// The test ran, or something ended it.
    Finished(Finished),
    /// The test hands the program something that cannot leave its interpreter: a function, an object of a class of its own. They
    /// have to share one.
    Shared,
}

/// The program that a test asks.
pub(super) struct Partner {
    session: Session,
    /// How the program ended, when it ended in a call.
    ended: Option<Exit>,
    /// The test has asked for a shared interpreter.
    share: bool,
}

impl Partner {
    /// The answer to what the test asks; nothing when there will be no more.
    pub(super) fn answer(&mut self, question: Vec<u8>) -> Option<Vec<u8>> {
        // The test's guest is the problem's own: this word of it is true.
        if question.starts_with(b"[\"share\"") {
            self.share = true;
            return None;
        }
        self.session.send(question);
        let answering = self.session.layout().answering;
        let ended = match self.session.guard(answering) {
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

impl Exam<'_> {
    pub(super) fn run(
        &self,
        guests: &Arc<Guests>,
        limits: &Limits,
    ) -> Result<Examined, SandboxError> {
        let started = std::time::Instant::now();
        let mut program = Session::start(guests, b"", limits, None)?;
        program.send(format!("test\n{}", self.program).into_bytes());
        let prepare = program.layout().functions.prepare;
        let ended = match program.guarded(prepare) {
            Ok(exit) => exit,
            Err(broken) => Some(program.exit(broken)),
        };
        if let Some(exit) = ended {
            let mut outcome = program.end(exit);
            outcome.wall = started.elapsed();
            return Ok(Examined::Finished(Finished {
                outcome,
                passed: false,
                returned: None,
                in_test: false,
            }));
        }
        let mut test = Session::start(guests, b"", limits, None)?;
        test.host().partner = Some(Box::new(Partner {
            session: program,
            ended: None,
            share: false,
        }));
        let exam = json!([self.test, self.prefix, self.replaced, self.entry]);
        test.send(exam.to_string().into_bytes());
        let prepare = test.layout().functions.prepare_exam;
        let ended = test.guarded(prepare);
        // It is only away while it answers.
        let partner = test.host().partner.take();
        let Some(mut partner) = partner else {
            return Err(SandboxError::Engine {
                action: "run a test beside its program",
                reason: "the program's interpreter was lost".to_owned(),
            });
        };
        if partner.share {
            return Ok(Examined::Shared);
        }
        let passed = partner.ended.is_none() && matches!(ended, Ok(None));
        let exit = match (partner.ended.take(), ended) {
            (Some(exit), _) | (None, Ok(Some(exit))) => exit,
            (None, Ok(None)) => Exit::Exited(0),
            (None, Err(broken)) => test.exit(broken),
        };
        let mut outcome = partner.session.end(exit);
        let tested = test.end(Exit::Exited(0));
        outcome.instructions += tested.instructions;
        outcome.peak_memory = outcome.peak_memory.max(tested.peak_memory);
        outcome.wall = started.elapsed();
        Ok(Examined::Finished(Finished {
            outcome,
            passed,
            returned: None,
            in_test: true,
        }))
    }
}
