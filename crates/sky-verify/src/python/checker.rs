use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sky_types::{
    Answer, Check, CheckError, Checked, Domain, FinishReason, Problem, Program, Tests, Verdict,
};

use super::SandboxError;
use super::compare::{TOLERANCE, same_output, same_result};
use super::extract::{Extracted, defines, extract};
use super::limits::{Exit, INSTRUCTIONS_PER_SECOND, Limits};
use super::sandbox::{Finished, Job, Sandbox};

/// How code is judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CodeOptions {
    /// Native seconds for one input/output test that names no limit: APPS and TACO give 4 s.
    pub test_seconds: f64,
    /// Native seconds for a whole test program that names no limit: HumanEval's harness gives 3 s.
    pub program_seconds: f64,
    /// Bytes of heap for one run.
    pub memory: u64,
    /// Bytes of output of one run.
    pub output: u64,
    /// Run every test and count, instead of stopping at the first that fails.
    pub all_tests: bool,
}

impl Default for CodeOptions {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            test_seconds: 4.0,
            program_seconds: 3.0,
            memory: limits.memory,
            output: limits.output,
            all_tests: false,
        }
    }
}

/// Judges programs in replies by running them: [`Check`] for [`Domain::Code`].
pub struct CodeChecker {
    sandbox: Sandbox,
    options: CodeOptions,
}

impl CodeChecker {
    /// A checker that runs programs in `sandbox`.
    pub fn new(sandbox: Sandbox, options: CodeOptions) -> Self {
        Self { sandbox, options }
    }

    /// A checker with the default options, in the sandbox of what `cargo xtask setup` put under `sky_home`.
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

    fn limits(&self, seconds: Option<f64>, default: f64) -> Limits {
        Limits {
            memory: self.options.memory,
            output: self.options.output,
            ..Limits::seconds(seconds.unwrap_or(default))
        }
    }

    fn run(&self, job: &Job<'_>, stdin: &[u8], limits: &Limits) -> Result<Finished, CheckError> {
        self.sandbox
            .execute(job, stdin, limits)
            .map_err(|error| CheckError::Host(Box::new(error)))
    }

    fn tests(
        &self,
        problem: &Problem,
        tests: &Tests,
        program: &str,
    ) -> Result<Checked, CheckError> {
        let limits = self.limits(tests.timeout_s, self.options.test_seconds);
        let count = tests.inputs.len();
        let lists = [tests.outputs.len(), tests.accepted.len()];
        if count == 0 || count != lists[0] || ![0, count].contains(&lists[1]) {
            let reason = format!(
                "{count} inputs, {} outputs, {} lists of accepted ones",
                lists[0], lists[1]
            );
            return Err(unsupported(problem, reason));
        }
        let mut first_failure = None;
        let mut passed = 0;
        for index in 0..count {
            let test = Test {
                problem,
                tests,
                index,
                limits: &limits,
            };
            let checked = match &tests.fn_name {
                Some(name) => self.call(program, name, &test)?,
                None => self.script(program, &test)?,
            };
            if checked.verdict.is_correct() {
                passed += 1;
                continue;
            }
            let detail = format!("test {} of {count}: {}", index + 1, checked.detail);
            first_failure.get_or_insert(Checked { detail, ..checked });
            if !self.options.all_tests {
                break;
            }
        }
        Ok(match first_failure {
            None => right(format!("{count} tests passed")),
            Some(mut failure) => {
                if self.options.all_tests {
                    failure.detail =
                        format!("{passed} of {count} tests passed; {}", failure.detail);
                }
                failure
            }
        })
    }

    fn script(&self, program: &str, test: &Test<'_>) -> Result<Checked, CheckError> {
        let mut stdin = lines(test.input());
        if !stdin.is_empty() && !stdin.ends_with('\n') {
            stdin.push('\n');
        }
        let finished = self.run(&Job::Script(program), stdin.as_bytes(), test.limits)?;
        if finished.outcome.exit != Exit::Exited(0) {
            return Ok(failed(&finished));
        }
        let found = String::from_utf8_lossy(&finished.outcome.stdout);
        if test.tests.judge.is_some() {
            return self.ask_judge(test, &Value::from(found.as_ref()));
        }
        let (compare, tolerance) = (test.tests.compare, test.tolerance());
        let same = |expected: &Value| same_output(&found, &lines(expected), compare, tolerance);
        if test.expected().any(same) {
            return Ok(right(String::new()));
        }
        Ok(wrong(format!(
            "expected {}, printed {}",
            short(&lines(test.output())),
            short(&found)
        )))
    }

    fn call(&self, program: &str, name: &str, test: &Test<'_>) -> Result<Checked, CheckError> {
        // LiveCodeBench writes values as JSON inside a text, arguments one a line.
        let value = |line: &str| {
            serde_json::from_str(line).unwrap_or_else(|_| Value::String(line.to_owned()))
        };
        let input = test.input();
        let arguments: Vec<Value> = match input {
            Value::Array(arguments) => arguments.clone(),
            Value::String(text) => text
                .lines()
                .filter(|line| !line.trim().is_empty())
                .map(value)
                .collect(),
            other => vec![other.clone()],
        };
        let expected = |expected: &Value| match expected {
            Value::String(text) if input.is_string() => value(text),
            other => other.clone(),
        };
        let job = Job::Call {
            program,
            name,
            arguments: &arguments,
        };
        let finished = self.run(&job, b"", test.limits)?;
        let found = match (&finished.outcome.exit, &finished.returned) {
            (Exit::Exited(0), Some(found)) => found,
            (Exit::Exited(0), None) => {
                return Ok(wrong(
                    "the program ended before its function returned".to_owned(),
                ));
            }
            _ => return Ok(failed(&finished)),
        };
        if test.tests.judge.is_some() {
            return self.ask_judge(test, found);
        }
        let same = |other: &Value| same_result(found, &expected(other), test.tolerance());
        if test.expected().any(same) {
            return Ok(right(String::new()));
        }
        Ok(wrong(format!(
            "expected {}, returned {}",
            short(&expected(test.output()).to_string()),
            short(&found.to_string())
        )))
    }

    /// Asks the problem's own judge, in an interpreter that has never seen the program: to the judge its output is data.
    fn ask_judge(&self, test: &Test<'_>, found: &Value) -> Result<Checked, CheckError> {
        let judge = test.tests.judge.as_deref().unwrap_or_default();
        let arguments = [test.input().clone(), test.output().clone(), found.clone()];
        let job = Job::Call {
            program: judge,
            name: "accepts",
            arguments: &arguments,
        };
        let finished = self.run(&job, b"", test.limits)?;
        if finished.returned == Some(Value::Bool(true)) {
            return Ok(right(String::new()));
        }
        if finished.returned.is_some() {
            return Ok(wrong(format!(
                "the judge does not accept {}",
                short(&lines(found))
            )));
        }
        let detail = failed(&finished).detail;
        if matches!(finished.outcome.exit, Exit::CompileError { .. }) || !finished.in_test {
            return Err(unsupported(test.problem, format!("its judge: {detail}")));
        }
        Ok(wrong(format!("the judge gave up: {detail}")))
    }

    fn program(
        &self,
        problem: &Problem,
        answer: &Program,
        found: &Extracted,
    ) -> Result<Checked, CheckError> {
        let limits = self.limits(answer.timeout_s, self.options.program_seconds);
        let program = assemble(answer, found);
        let call = answer
            .entry_point
            .as_ref()
            .map(|name| format!("check({name})\n"));
        let (define, run) = match &call {
            Some(call) => (Some(answer.test.as_str()), call.as_str()),
            None => (None, answer.test.as_str()),
        };
        let job = Job::Test {
            program: &program,
            define,
            run,
        };
        let finished = self.run(&job, b"", &limits)?;
        // Only the host's own call into the test says that it passed; what the guest printed or reported does not count.
        if finished.passed {
            return Ok(right("the test ran to its end".to_owned()));
        }
        if finished.in_test && matches!(finished.outcome.exit, Exit::CompileError { .. }) {
            // The program may be to blame: only a test that does not compile where none has run is the problem's own fault.
            let alone = Limits {
                instructions: limits.instructions.min(INSTRUCTIONS_PER_SECOND / 10),
                ..limits
            };
            let alone = self.run(&Job::Script(&answer.test), b"", &alone)?;
            if matches!(alone.outcome.exit, Exit::CompileError { .. }) {
                return Err(unsupported(problem, failed(&alone).detail));
            }
            return Ok(Checked {
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

/// One test of a problem.
struct Test<'a> {
    problem: &'a Problem,
    tests: &'a Tests,
    index: usize,
    limits: &'a Limits,
}

impl Test<'_> {
    fn input(&self) -> &Value {
        &self.tests.inputs[self.index]
    }

    /// What the problem gives as the output.
    fn output(&self) -> &Value {
        &self.tests.outputs[self.index]
    }

    /// Everything that is right.
    fn expected(&self) -> impl Iterator<Item = &Value> {
        let more = self.tests.accepted.get(self.index);
        std::iter::once(self.output()).chain(more.into_iter().flatten())
    }

    fn tolerance(&self) -> f64 {
        self.tests.tolerance.unwrap_or(TOLERANCE)
    }
}

impl Check for CodeChecker {
    fn check(
        &self,
        problem: &Problem,
        reply: &str,
        finish_reason: FinishReason,
    ) -> Result<Checked, CheckError> {
        if problem.domain != Domain::Code {
            return Err(unsupported(problem, "it is no code problem".to_owned()));
        }
        if finish_reason == FinishReason::Refused {
            return Ok(Checked {
                verdict: Verdict::Refused,
                detail: String::new(),
            });
        }
        let entry_point = match &problem.answer {
            Answer::Tests(tests) => tests.fn_name.as_deref(),
            Answer::Program(program) => program.entry_point.as_deref(),
            Answer::Math(_) | Answer::Choice(_) => {
                return Err(unsupported(
                    problem,
                    "its answer is neither tests nor a test program".to_owned(),
                ));
            }
        };
        let cut_off = finish_reason == FinishReason::Length;
        let nothing = |detail: &str| Checked {
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
            Answer::Tests(tests) => self.tests(problem, tests, &found.code)?,
            Answer::Program(program) => self.program(problem, program, &found)?,
            Answer::Math(_) | Answer::Choice(_) => return Ok(nothing("")),
        };
        if !found.fenced && checked.verdict == Verdict::CompileError {
            return Ok(nothing("nothing is fenced, and the text is no program"));
        }
        Ok(checked)
    }
}

/// The program that a test is run against: the reply's own, after the problem's opening, or as its continuation.
fn assemble(answer: &Program, found: &Extracted) -> String {
    let code = &found.code;
    let Some(prefix) = &answer.prefix else {
        return code.clone();
    };
    let complete = answer
        .entry_point
        .as_deref()
        .is_none_or(|name| defines(code, name));
    if complete {
        // The opening may define helpers and import names that the program relies on; what it defines, the program replaces.
        // A `__future__` import has to stand first.
        return if code.contains("from __future__") {
            code.clone()
        } else {
            format!("{prefix}\n{code}")
        };
    }
    let indented = code
        .lines()
        .find(|line| !line.trim().is_empty())
        .is_some_and(|line| line.starts_with([' ', '\t']));
    if indented {
        return format!("{prefix}{code}");
    }
    let body = code
        .lines()
        .map(|line| format!("    {line}\n"))
        .collect::<String>();
    format!("{prefix}{body}")
}

/// An input or output: a text, or lines of one.
fn lines(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(lines).collect::<Vec<_>>().join("\n"),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn right(detail: String) -> Checked {
    Checked {
        verdict: Verdict::Correct,
        detail,
    }
}

fn wrong(detail: String) -> Checked {
    Checked {
        verdict: Verdict::Wrong,
        detail,
    }
}

/// What a run that did not end well is called.
fn failed(finished: &Finished) -> Checked {
    let (verdict, detail) = match &finished.outcome.exit {
        Exit::Exited(code) => (
            Verdict::RuntimeError,
            format!("the program left with code {code}"),
        ),
        Exit::Raised { kind, message } if kind == "AssertionError" && finished.in_test => {
            (Verdict::Wrong, format!("AssertionError: {message}"))
        }
        Exit::Raised { kind, message } => (Verdict::RuntimeError, format!("{kind}: {message}")),
        Exit::CompileError { message } => (Verdict::CompileError, message.clone()),
        Exit::OutOfInstructions => (Verdict::TimedOut, "out of instructions".to_owned()),
        Exit::OutOfTime => (
            Verdict::TimedOut,
            "out of time by the wall: the host is too busy".to_owned(),
        ),
        Exit::OutOfMemory => (Verdict::OutOfMemory, "out of memory".to_owned()),
        Exit::OutputLimit => (Verdict::OutputLimit, "too much output".to_owned()),
        Exit::StackOverflow => (Verdict::RuntimeError, "the stack overflowed".to_owned()),
        Exit::Crashed { trap } => (
            Verdict::RuntimeError,
            format!("the interpreter crashed: {trap}"),
        ),
    };
    Checked { verdict, detail }
}

fn unsupported(problem: &Problem, reason: String) -> CheckError {
    CheckError::Unsupported {
        id: problem.id.clone(),
        checker: "the Python checker",
        domain: format!("{:?}", problem.domain).to_lowercase(),
        reason,
    }
}

/// A text short enough to be read, quoted.
fn short(text: &str) -> String {
    const MOST: usize = 120;
    let end = text.floor_char_boundary(MOST);
    if end < text.len() {
        format!("{:?}...", &text[..end])
    } else {
        format!("{text:?}")
    }
}
