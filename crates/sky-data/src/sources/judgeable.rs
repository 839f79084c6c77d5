use std::collections::BTreeSet;

use sky_types::{Answer, Problem, Tests};

/// Refuses a problem that no reply could be judged by, or that asks nothing; says which field is at
/// fault.
///
/// # Errors
/// What is wrong, in words.
pub fn check_judgeable(problem: &Problem) -> Result<(), String> {
    let blank = |text: &str| text.trim().is_empty();
    if blank(&problem.id) {
        return Err("`id` is empty".into());
    }
    if blank(&problem.prompt) {
        return Err("`prompt` is empty".into());
    }
    match &problem.answer {
        Answer::Math(answer) if blank(answer) => Err("`answer.math` is empty".into()),
        Answer::Math(_) => Ok(()),
        Answer::Choice(letter) => match letter.trim().as_bytes() {
            [b'A'..=b'Z' | b'a'..=b'z'] => Ok(()),
            _ => Err(format!(
                "`answer.choice` is {letter:?}; it has to be one letter"
            )),
        },
        Answer::Tests(tests) => tests_judge(tests),
        Answer::Program(program) => {
            // What can make a test fail. A program without any of it accepts everything.
            let can_fail = ["assert", "raise", "fail(", "exit("];
            if can_fail.iter().any(|word| program.test.contains(word)) {
                Ok(())
            } else if blank(&program.test) {
                Err("`answer.program.test` is empty".into())
            } else {
                Err("`answer.program.test` has no assertion, so that every reply passes".into())
            }
        }
    }
}

fn tests_judge(tests: &Tests) -> Result<(), String> {
    let (inputs, outputs) = (tests.inputs.len(), tests.outputs.len());
    if inputs == 0 {
        return Err("`answer.tests.inputs` is empty".into());
    }
    if inputs != outputs {
        return Err(format!("{inputs} inputs and {outputs} outputs"));
    }
    if !tests.accepted.is_empty() && tests.accepted.len() != inputs {
        return Err(format!(
            "`answer.tests.accepted` has {} lists for {inputs} tests",
            tests.accepted.len()
        ));
    }
    let bad = |value: Option<f64>, least: f64| value.is_some_and(|v| !v.is_finite() || v < least);
    if bad(tests.timeout_s, f64::MIN_POSITIVE) {
        return Err("`answer.tests.timeout_s` has to be above 0".into());
    }
    if bad(tests.tolerance, 0.0) {
        return Err("`answer.tests.tolerance` has to be 0 or more".into());
    }
    Ok(())
}

/// Finds ids that come twice.
#[derive(Debug, Default)]
pub struct SeenIds(BTreeSet<String>);

impl SeenIds {
    /// Takes note of an id.
    ///
    /// # Errors
    /// In words, when it has come before.
    pub fn insert(&mut self, id: &str) -> Result<(), String> {
        if self.0.insert(id.to_owned()) {
            return Ok(());
        }
        Err(format!("a second row with the id {id:?}"))
    }
}
