//! Input/output tests: one run for each, side by side where cores are idle.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::de::IgnoredAny;
use serde_json::Value;
use sky_sandbox::{Cancel, Exit, Finished, Job, Limits, Sandbox, Signature};
use sky_types::{CheckError, CheckOutcome, Json, Problem, Tests};

use crate::CodeOptions;

use super::compare::{TOLERANCE, same_output};
use super::result::{Expected, is_one_value, same_result};
use super::run_verdict::{failed, host, limits, right, unsupported, wrong};
use super::starter_code::signature;

/// One program on one problem's tests.
pub(super) struct IoTests<'a> {
    sandbox: &'a Sandbox,
    all_tests: bool,
    problem: &'a Problem,
    tests: &'a Tests,
    program: &'a str,
    /// What the problem's starter code says of its function.
    signature: Option<Signature>,
    limits: Limits,
    next: AtomicUsize,
    passed: AtomicUsize,
    /// The first test in order that is known not to have passed; what comes after it is not waited
    /// for.
    first_failed: Arc<AtomicUsize>,
    failure: Mutex<Option<(usize, Result<CheckOutcome, CheckError>)>>,
}

impl<'a> IoTests<'a> {
    /// # Errors
    /// A problem whose tests cannot be run.
    pub(super) fn new(
        sandbox: &'a Sandbox,
        options: &CodeOptions,
        problem: &'a Problem,
        tests: &'a Tests,
        program: &'a str,
    ) -> Result<Self, CheckError> {
        let count = tests.inputs.len();
        let lists = [tests.outputs.len(), tests.accepted.len()];
        if count == 0 || count != lists[0] || ![0, count].contains(&lists[1]) {
            let reason = format!(
                "{count} inputs, {} outputs, {} lists of accepted ones",
                lists[0], lists[1]
            );
            return Err(unsupported(problem, reason));
        }
        let signature = match (&tests.starter_code, &tests.fn_name) {
            (Some(code), Some(name)) => {
                signature(code, name).map_err(|reason| unsupported(problem, reason))?
            }
            _ => None,
        };
        Ok(Self {
            signature,
            limits: limits(options, tests.timeout_s, options.test_seconds),
            sandbox,
            all_tests: options.all_tests,
            problem,
            tests,
            program,
            next: AtomicUsize::new(0),
            passed: AtomicUsize::new(0),
            first_failed: Arc::new(AtomicUsize::new(usize::MAX)),
            failure: Mutex::new(None),
        })
    }

    /// The verdict: that of the first test in order that does not pass, however many run at once.
    pub(super) fn verdict(self) -> Result<CheckOutcome, CheckError> {
        let count = self.tests.inputs.len();
        std::thread::scope(|scope| {
            // The first test alone: most programs that fail do so here.
            let mut helpers = 0;
            while self.one() {
                let left = count.saturating_sub(self.next.load(Ordering::Relaxed));
                if left > 1 && helpers < left && self.sandbox.is_idle() {
                    // No thread is no trouble: this one continues.
                    let helper = std::thread::Builder::new().name("sky-tests".to_owned());
                    let work = || while self.sandbox.is_idle() && self.one() {};
                    helpers += usize::from(helper.spawn_scoped(scope, work).is_ok());
                }
            }
        });
        let all = self.all_tests;
        let passed = self.passed.into_inner();
        let failure = self.failure.into_inner();
        Ok(match failure.unwrap_or_else(PoisonError::into_inner) {
            None => right(format!("{count} tests passed")),
            Some((_, Err(error))) => return Err(error),
            Some((index, Ok(mut checked))) => {
                checked.detail = format!("test {} of {count}: {}", index + 1, checked.detail);
                if all {
                    checked.detail =
                        format!("{passed} of {count} tests passed; {}", checked.detail);
                }
                checked
            }
        })
    }

    /// Runs the next test; false when there is none left to run.
    fn one(&self) -> bool {
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        if index >= self.tests.inputs.len() || index > self.first_failed.load(Ordering::Relaxed) {
            return false;
        }
        let result = match &self.tests.fn_name {
            Some(name) => self.call(name, index),
            None => self.script(index),
        };
        if matches!(&result, Ok(checked) if checked.verdict.is_correct()) {
            self.passed.fetch_add(1, Ordering::Relaxed);
            return true;
        }
        // Without an early stop, all run; but nothing counts after trouble of the host's.
        let all = self.all_tests;
        let stops = !all || result.is_err();
        let rank = |index: usize, result: &Result<CheckOutcome, CheckError>| {
            (all && result.is_ok(), index)
        };
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        let known = failure.as_ref().map(|(index, result)| rank(*index, result));
        if known.is_none_or(|known| rank(index, &result) < known) {
            *failure = Some((index, result));
        }
        if stops {
            self.first_failed.fetch_min(index, Ordering::Relaxed);
        }
        true
    }

    fn execute(&self, job: &Job<'_>, stdin: &[u8], index: usize) -> Result<Finished, CheckError> {
        let cancel = Cancel::new(Arc::clone(&self.first_failed), index);
        self.sandbox
            .execute(job, stdin, &self.limits, Some(cancel))
            .map_err(host)
    }

    fn script(&self, index: usize) -> Result<CheckOutcome, CheckError> {
        let mut stdin = lines(&self.tests.inputs[index]);
        if !stdin.is_empty() && !stdin.ends_with('\n') {
            stdin.push('\n');
        }
        let job = Job::Script {
            program: self.program,
            harness: self.tests.harness,
        };
        let finished = self.execute(&job, stdin.as_bytes(), index)?;
        if finished.outcome.exit != Exit::Exited(0) {
            return Ok(failed(&finished));
        }
        let found = String::from_utf8_lossy(&finished.outcome.stdout);
        if self.tests.judge.is_some() {
            return self.ask_judge(index, &Value::from(found.as_ref()).to_string(), &found);
        }
        let (compare, tolerance) = (self.tests.compare, self.tolerance());
        let same = |expected: &Json| same_output(&found, &lines(expected), compare, tolerance);
        if self.expected(index).any(same) {
            return Ok(right(String::new()));
        }
        Ok(wrong(format!(
            "expected {}, printed {}",
            short(&lines(&self.tests.outputs[index])),
            short(&found)
        )))
    }

    fn call(&self, name: &str, index: usize) -> Result<CheckOutcome, CheckError> {
        // LiveCodeBench writes values as JSON inside a text, arguments one a line.
        let value = |line: &str| match Expected::read(line) {
            Some(_) => line.trim().to_owned(),
            None => Value::from(line).to_string(),
        };
        let input = &self.tests.inputs[index];
        let text = input.as_string();
        let arguments = match &text {
            Some(text) => {
                let filled = text.lines().filter(|line| !line.trim().is_empty());
                format!("[{}]", filled.map(value).collect::<Vec<_>>().join(","))
            }
            None if input.text().starts_with('[') || self.is_by_name(name, input.text()) => {
                input.text().to_owned()
            }
            None => format!("[{input}]", input = input.text()),
        };
        let expected = |expected: &Json| match expected.as_string() {
            Some(within) if text.is_some() => value(&within),
            _ => expected.text().to_owned(),
        };
        let job = Job::Call {
            program: self.program,
            name,
            arguments: &arguments,
            signature: self.signature.as_ref(),
            harness: self.tests.harness,
        };
        let finished = self.execute(&job, b"", index)?;
        let found = match (&finished.outcome.exit, &finished.returned) {
            (Exit::Exited(0), Some(found)) => found,
            (Exit::Exited(0), None) => {
                return Ok(wrong(
                    "the program ended before its function returned".to_owned(),
                ));
            }
            _ => return Ok(failed(&finished)),
        };
        if self.tests.judge.is_some() {
            return self.ask_judge(index, found, found);
        }
        let mut readable = true;
        for other in self.expected(index).map(expected) {
            let Some(other) = Expected::read(&other) else {
                return Err(unsupported(
                    self.problem,
                    format!("no value: {}", short(&other)),
                ));
            };
            match same_result(found, &other, self.tolerance()) {
                Some(true) => return Ok(right(String::new())),
                Some(false) => {}
                None => readable = false,
            }
        }
        if !readable {
            return Ok(wrong(format!(
                "what came back is no value: {}",
                short(found)
            )));
        }
        Ok(wrong(format!(
            "expected {}, returned {}",
            short(&expected(&self.tests.outputs[index])),
            short(found)
        )))
    }

    /// Whether an input is an object of arguments by name: the starter code has a parameter for each
    /// of its keys. Any other object is an argument itself.
    fn is_by_name(&self, name: &str, input: &str) -> bool {
        let method = self
            .signature
            .as_ref()
            .and_then(|signature| signature.methods.get(name));
        let (Some(method), Ok(keys)) = (
            method,
            serde_json::from_str::<BTreeMap<String, IgnoredAny>>(input),
        ) else {
            return false;
        };
        let known = |key: &String| method.parameters.iter().any(|it| it.name == *key);
        keys.keys().all(known)
    }

    /// Asks the problem's own judge, in an interpreter that has never seen the program: to the
    /// judge its output is data. `found` is JSON as Python reads it.
    fn ask_judge(
        &self,
        index: usize,
        found: &str,
        shown: &str,
    ) -> Result<CheckOutcome, CheckError> {
        // The program may have written this text itself: more than one value in it would be more
        // arguments for the judge.
        if !is_one_value(found) {
            return Ok(wrong(format!(
                "what came back is no value: {}",
                short(shown)
            )));
        }
        let tests = self.tests;
        let (input, output) = (tests.inputs[index].text(), tests.outputs[index].text());
        let job = Job::Judge {
            judge: tests.judge.as_deref().unwrap_or_default(),
            name: "accepts",
            arguments: &format!("[{input},{output},{found}]"),
        };
        let finished = self.execute(&job, b"", index)?;
        match finished.returned.as_deref() {
            Some("true") => return Ok(right(String::new())),
            Some(_) => {
                return Ok(wrong(format!("the judge does not accept {}", short(shown))));
            }
            None => {}
        }
        let detail = failed(&finished).detail;
        if matches!(finished.outcome.exit, Exit::CompileError { .. }) || !finished.in_test {
            return Err(unsupported(self.problem, format!("its judge: {detail}")));
        }
        Ok(wrong(format!("the judge gave up: {detail}")))
    }

    /// Everything that is right.
    fn expected(&self, index: usize) -> impl Iterator<Item = &Json> {
        let more = self.tests.accepted.get(index);
        std::iter::once(&self.tests.outputs[index]).chain(more.into_iter().flatten())
    }

    fn tolerance(&self) -> f64 {
        self.tests.tolerance.unwrap_or(TOLERANCE)
    }
}

/// An input or output of a program: a text, or lines of one.
fn lines(json: &Json) -> String {
    if let Some(text) = json.as_string() {
        return text;
    }
    match serde_json::from_str::<Vec<Json>>(json.text()) {
        Ok(items) => items.iter().map(lines).collect::<Vec<_>>().join("\n"),
        Err(_) if json.text() == "null" => String::new(),
        Err(_) => json.text().to_owned(),
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
