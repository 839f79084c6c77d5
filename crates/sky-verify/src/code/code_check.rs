use std::path::Path;

use sky_sandbox::{
    Exit, Harness, INSTRUCTIONS_PER_SECOND, IsolatedResult, IsolatedTest, Job, Limits, Sandbox,
    SandboxError,
};
use sky_types::{
    Answer, Check, CheckError, CheckOutcome, Domain, FinishReason, Problem, Program, Verdict,
};

use crate::CodeOptions;

use super::extract::{Extracted, defines, defines_somewhere, definitions, extract};
use super::io_tests::IoTests;
use super::loop_depth::loop_depth;
use super::run_verdict::{failed, host, limits, right, unsupported};

/// Judges programs in replies by running them: [`Check`] for [`Domain::Code`].
pub struct CodeCheck {
    sandbox: Sandbox,
    options: CodeOptions,
}

impl CodeCheck {
    /// A checker that runs programs in `sandbox`.
    pub fn new(sandbox: Sandbox, options: CodeOptions) -> Self {
        Self { sandbox, options }
    }

    /// A checker with the default options, in the sandbox of what `cargo xtask setup` put under
    /// `sky_home`.
    ///
    /// # Errors
    /// As [`Sandbox::open`].
    pub fn open(sky_home: &Path) -> Result<Self, SandboxError> {
        Ok(Self::new(Sandbox::open(sky_home)?, CodeOptions::default()))
    }

    /// The sandbox it runs them in.
    pub fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    fn program(
        &self,
        problem: &Problem,
        answer: &Program,
        found: &Extracted,
    ) -> Result<CheckOutcome, CheckError> {
        let limits = limits(
            &self.options,
            answer.timeout_s,
            self.options.program_seconds,
        );
        let program = assemble(answer, found);
        let replaced = replaced(answer, &found.code);
        let test = IsolatedTest {
            program: &program,
            test: &answer.test,
            prefix: answer.prefix.as_deref(),
            replaced: &replaced,
            entry: answer.entry_point.as_deref(),
        };
        let isolated = self
            .sandbox
            .run_isolated_test(&test, &limits)
            .map_err(host)?;
        let finished = match isolated {
            IsolatedResult::Finished(finished) => finished,
            IsolatedResult::NeedsSharedInterpreter => {
                return self.run_in_shared_interpreter(problem, answer, &program, &limits);
            }
            IsolatedResult::Unsupported(reason) => return Err(unsupported(problem, reason)),
        };
        if finished.passed {
            let own = replaced.iter().filter(|name| answer.test.contains(*name));
            let own: Vec<_> = own.map(|name| format!("`{name}`")).collect();
            let detail = "the test ran to its end".to_owned();
            return Ok(right(if own.is_empty() {
                detail
            } else {
                format!("{detail}, with the program's own {}", own.join(", "))
            }));
        }
        let checked = failed(&finished);
        if finished.in_test && checked.verdict == Verdict::CompileError {
            // Nothing of the program's was there.
            return Err(unsupported(problem, checked.detail));
        }
        Ok(checked)
    }

    /// Runs program and test in one interpreter, for tests that hand over what cannot leave theirs.
    fn run_in_shared_interpreter(
        &self,
        problem: &Problem,
        answer: &Program,
        program: &str,
        limits: &Limits,
    ) -> Result<CheckOutcome, CheckError> {
        let call = answer
            .entry_point
            .as_ref()
            .map(|name| format!("check({name})\n"));
        let (define, run) = match &call {
            Some(call) => (Some(answer.test.as_str()), call.as_str()),
            None => (None, answer.test.as_str()),
        };
        let job = Job::Test {
            program,
            define,
            run,
        };
        let run = |job: &Job<'_>, limits: &Limits| {
            self.sandbox.execute(job, b"", limits, None).map_err(host)
        };
        let finished = run(&job, limits)?;
        // Only the host's own call into the test says that it passed; what the guest printed or
        // reported does not count.
        if finished.passed {
            return Ok(right("the test ran to its end".to_owned()));
        }
        if finished.in_test && matches!(finished.outcome.exit, Exit::CompileError { .. }) {
            // The program may be to blame: only a test that does not compile where none has run is
            // the problem's own fault.
            let alone = Limits {
                instructions: limits.instructions.min(INSTRUCTIONS_PER_SECOND / 10),
                ..limits.clone()
            };
            let script = Job::Script {
                program: &answer.test,
                harness: Harness::Plain,
            };
            let alone = run(&script, &alone)?;
            if matches!(alone.outcome.exit, Exit::CompileError { .. }) {
                return Err(unsupported(problem, failed(&alone).detail));
            }
            return Ok(CheckOutcome {
                verdict: Verdict::RuntimeError,
                detail: format!(
                    "the program broke its interpreter: {}",
                    failed(&finished).detail
                ),
            });
        }
        Ok(failed(&finished))
    }
}

impl Check for CodeCheck {
    fn check(
        &self,
        problem: &Problem,
        reply: &str,
        finish_reason: FinishReason,
    ) -> Result<CheckOutcome, CheckError> {
        if problem.domain != Domain::Code {
            return Err(unsupported(problem, "it is no code problem".to_owned()));
        }
        let none = match finish_reason {
            FinishReason::Refused => Some(Verdict::Refused),
            FinishReason::Failed => Some(Verdict::NoReply),
            FinishReason::Stop | FinishReason::Length => None,
        };
        if let Some(verdict) = none {
            return Ok(CheckOutcome {
                verdict,
                detail: String::new(),
            });
        }
        let entry_point = match &problem.answer {
            Answer::Tests(tests) => tests.fn_name.as_deref(),
            Answer::Program(program) => program.entry_point.as_deref().map(function_name),
            Answer::Math(_) | Answer::Choice(_) => {
                return Err(unsupported(
                    problem,
                    "its answer is neither tests nor a test program".to_owned(),
                ));
            }
        };
        let cut_off = finish_reason == FinishReason::Length;
        let nothing = |detail: &str| CheckOutcome {
            verdict: if cut_off {
                Verdict::Truncated
            } else {
                Verdict::Unparsed
            },
            detail: detail.to_owned(),
        };
        let Some(found) = extract(reply, entry_point) else {
            return Ok(nothing("there is no program in the reply"));
        };
        if cut_off && !found.closed {
            return Ok(nothing("the reply ends inside its program"));
        }
        let checked = match &problem.answer {
            Answer::Tests(tests) => {
                IoTests::new(&self.sandbox, &self.options, problem, tests, &found.code)?
                    .verdict()?
            }
            Answer::Program(program) => self.program(problem, program, &found)?,
            Answer::Math(_) | Answer::Choice(_) => return Ok(nothing("")),
        };
        if !found.fenced && checked.verdict == Verdict::CompileError {
            return Ok(nothing("nothing is fenced, and the text is no program"));
        }
        Ok(checked)
    }

    fn estimated_cost(&self, reply: &str) -> usize {
        loop_depth(reply)
    }
}

/// The program that a test is run against: the reply's own, after the problem's opening, or as its
/// continuation.
fn assemble(answer: &Program, found: &Extracted) -> String {
    let code = &found.code;
    let Some(prefix) = &answer.prefix else {
        return code.clone();
    };
    let indented = code
        .lines()
        .find(|line| !line.trim().is_empty())
        .is_some_and(|line| line.starts_with([' ', '\t']));
    if indented {
        return format!("{prefix}{code}");
    }
    let complete = answer
        .entry_point
        .as_deref()
        .map(function_name)
        .is_none_or(|name| defines_somewhere(code, name));
    if complete {
        // The opening may define helpers and import names that the program relies on. What the
        // program defines again, it replaces, for itself and for its test. A `__future__` import
        // has to stand first.
        return if begins_with_future_import(code) {
            code.clone()
        } else {
            format!("{prefix}\n{code}")
        };
    }
    let body = code
        .lines()
        .map(|line| format!("    {line}\n"))
        .collect::<String>();
    format!("{prefix}{body}")
}

/// The function that an entry point names: `add` of `add` and of `Solution().add`.
fn function_name(entry_point: &str) -> &str {
    let last = entry_point.rsplit('.').next();
    last.map_or(entry_point, str::trim)
}

/// Whether an expression begins with this name.
fn begins_with_name(expression: &str, name: &str) -> bool {
    let rest = expression.trim_start().strip_prefix(name);
    rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
}

/// Whether the first statement, after comments and the text that documents the program, is a
/// `__future__` import.
fn begins_with_future_import(code: &str) -> bool {
    let mut rest = code.trim_start();
    loop {
        if rest.starts_with('#') {
            rest = rest.split_once('\n').map_or("", |(_, after)| after);
        } else if let Some(quote) = ["\"\"\"", "'''", "\"", "'"]
            .iter()
            .find(|quote| rest.starts_with(**quote))
        {
            rest = rest[quote.len()..]
                .split_once(*quote)
                .map_or("", |(_, after)| after);
        } else {
            return rest.starts_with("from __future__ ");
        }
        rest = rest.trim_start();
    }
}

/// What the problem's opening defines and the reply defines again, besides the function that is
/// asked for: as HumanEval is defined, one text after the other, the reply's is what the test
/// meets.
fn replaced<'a>(answer: &'a Program, code: &str) -> Vec<&'a str> {
    let prefix = answer.prefix.as_deref().unwrap_or_default();
    let mut names: Vec<&str> = definitions(prefix)
        .filter(|name| {
            let entry = answer.entry_point.as_deref();
            // `Solution().add` begins with a name of the program's too.
            !entry.is_some_and(|entry| begins_with_name(entry, name)) && defines(code, name)
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}
