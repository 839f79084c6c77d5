//! Every test of the workspace, and at the end what was skipped and why.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader},
    process::Stdio,
};

use anyhow::{Context, Result};

use crate::{Exit, bench, build, place::Place, setup};

/// What TensorBoard's own reader needs.
const TENSORBOARD: &[u8] = include_bytes!("tensorboard.txt");

pub(crate) fn run(place: &Place) -> Result<()> {
    setup::run(place, false)?;
    // The tests of the pipeline as a whole start the programs; built here, so that their time limits count tests alone.
    let programs = build::programs(place)?;
    let folder = programs
        .values()
        .next()
        .and_then(|path| path.parent())
        .context("no program was built")?;
    let mut cargo = place.cargo();
    // Without it the one test that reads with it says so.
    let requirements = place.root.join("xtask/src/tensorboard.txt");
    match bench::venv(place, "test", TENSORBOARD, &requirements) {
        Ok(python) => {
            cargo.env("SKY_TENSORBOARD_PYTHON", python);
        }
        Err(error) => eprintln!("no tensorboard to read with: {error:#}"),
    }
    // Too large to install for tests; there once `cargo xtask bench train` has been run.
    if let Some(python) = bench::python(place, "train") {
        cargo.env("SKY_TRANSFORMERS_PYTHON", python);
    }
    let mut child = cargo
        .args([
            "test",
            "--workspace",
            "--no-fail-fast",
            "--",
            "--show-output",
        ])
        .env("SKY_BIN_DIR", folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cargo does not start")?;
    let mut output = Output::default();
    if let Some(lines) = child.stdout.take() {
        for line in BufReader::new(lines).lines() {
            if let Some(line) = output.show(line?) {
                println!("{line}");
            }
        }
    }
    let status = child.wait()?;
    if output.skipped.is_empty() {
        println!("nothing was skipped");
    } else {
        println!("parts of {} tests were skipped:", output.skipped.len());
        output.skipped.iter().for_each(|line| println!("  {line}"));
    }
    if status.success() {
        return Ok(());
    }
    Err(Exit {
        code: 1,
        message: Some("tests failed, see above".into()),
    }
    .into())
}

/// The tests' output, without what passing tests said but for the lines that tell of something skipped.
#[derive(Debug, Default)]
struct Output {
    in_passed: bool,
    test: String,
    skipped: BTreeSet<String>,
}

impl Output {
    /// The line, when it is to be printed.
    fn show(&mut self, line: String) -> Option<String> {
        if line == "successes:" {
            self.in_passed = true;
            return None;
        }
        if line == "failures:" || line.starts_with("test result:") {
            self.in_passed = false;
        }
        if !self.in_passed {
            return Some(line);
        }
        if let Some(test) = line
            .strip_prefix("---- ")
            .and_then(|line| line.strip_suffix(" stdout ----"))
        {
            self.test = test.to_owned();
        } else if line.to_lowercase().trim_start().starts_with("skip") {
            self.skipped
                .insert(format!("{}: {}", self.test, line.trim()));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passing_tests_say_is_dropped_but_for_what_they_skipped() {
        let text = "running 2 tests\ntest a ... ok\n\nsuccesses:\n\n---- a stdout ----\nhello\nskipped: no data\n\n\
                    successes:\n    a\n\nfailures:\n\n---- b stdout ----\nskipping is no excuse here\n\ntest result: FAILED. 1";
        let mut output = Output::default();
        let shown: Vec<String> = text
            .lines()
            .filter_map(|line| output.show(line.to_owned()))
            .collect();
        assert!(
            shown.contains(&"skipping is no excuse here".to_owned())
                && !shown.contains(&"hello".to_owned())
        );
        assert!(
            shown
                .last()
                .is_some_and(|line| line.starts_with("test result"))
        );
        assert_eq!(
            output.skipped.into_iter().collect::<Vec<_>>(),
            ["a: skipped: no data"]
        );
    }
}
