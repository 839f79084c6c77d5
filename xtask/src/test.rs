//! Every test of the workspace with the seconds of each suite, every example, and at the end what
//! was skipped and why.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result};

use crate::{Exit, bench, build, examples, setup, workspace::Workspace};

/// What TensorBoard's own reader needs.
const TENSORBOARD: &[u8] = include_bytes!("tensorboard.txt");

/// How many of the slowest suites are listed.
const SLOWEST: usize = 15;

pub(crate) fn run(workspace: &Workspace, quick: bool) -> Result<()> {
    setup::run(workspace, false)?;
    if quick {
        let mut cargo = workspace.cargo();
        cargo.args(["test", "--workspace", "--lib", "--no-fail-fast"]);
        return suites(cargo);
    }
    // The tests of the pipeline as a whole start the programs; built here, so that their time
    // limits count tests alone.
    let programs = build::programs(workspace)?;
    let folder = programs
        .values()
        .next()
        .and_then(|path| path.parent())
        .context("no program was built")?;
    let mut cargo = workspace.cargo();
    // Without it the one test that reads with it says so.
    let requirements = workspace.root.join("xtask/src/tensorboard.txt");
    match bench::venv(workspace, "test", TENSORBOARD, &requirements) {
        Ok(python) => {
            cargo.env("SKY_TENSORBOARD_PYTHON", python);
        }
        Err(error) => eprintln!("no tensorboard to read with: {error:#}"),
    }
    // Too large to install for tests; there once `cargo xtask bench train` has been run.
    if let Some(python) = bench::python(workspace, "train") {
        cargo.env("SKY_TRANSFORMERS_PYTHON", python);
    }
    cargo
        .args(["test", "--workspace", "--no-fail-fast"])
        .env("SKY_BIN_DIR", folder);
    let tested = suites(cargo);
    let ran = examples::run(workspace, &programs);
    tested.and(ran)
}

/// Builds the suites, runs them, prints what took longest and what was skipped.
fn suites(mut cargo: Command) -> Result<()> {
    // libtorch's threads spin while they wait for work. Tests run side by side, so that spinning
    // takes another test's core.
    if std::env::var_os("GOMP_SPINCOUNT").is_none() {
        cargo.env("GOMP_SPINCOUNT", "1000");
    }
    cargo.stdin(Stdio::null());
    // Built first, with cargo's progress on the terminal, so that the seconds below count tests
    // alone.
    let started = Instant::now();
    let mut build = Command::new(cargo.get_program());
    build.args(cargo.get_args()).arg("--no-run");
    if let Some(folder) = cargo.get_current_dir() {
        build.current_dir(folder);
    }
    for (name, value) in cargo.get_envs() {
        match value {
            Some(value) => build.env(name, value),
            None => build.env_remove(name),
        };
    }
    if !build.stdin(Stdio::null()).status()?.success() {
        return Err(Exit::failed("the tests do not build, see above"));
    }
    let built = started.elapsed().as_secs_f64();

    // Both streams through one pipe: their order tells which suite a line belongs to.
    let (reader, writer) = std::io::pipe()?;
    let started = Instant::now();
    let mut child = cargo
        .args(["--", "--show-output"])
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .spawn()
        .context("cargo does not start")?;
    // The command holds the pipe's other end; while it lives there is no end of file.
    drop(cargo);
    let mut output = Output::default();
    let mut times = Times::default();
    for line in BufReader::new(reader).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        times.read(&line, started.elapsed().as_secs_f64());
        if let Some(line) = output.show(line) {
            println!("{line}");
        }
    }
    let status = child.wait()?;
    times.end(started.elapsed().as_secs_f64());
    println!("built in {built:.0} s");
    print!("{}", times.table());
    if output.skipped.is_empty() {
        println!("nothing was skipped");
    } else {
        println!("parts of {} tests were skipped:", output.skipped.len());
        output.skipped.iter().for_each(|line| println!("  {line}"));
    }
    if status.success() {
        return Ok(());
    }
    Err(Exit::failed("tests failed, see above"))
}

/// The seconds of each suite, by cargo's announcements: `Running tests/zero.rs (...)`, `Doc-tests
/// sky_math`.
#[derive(Debug, Default)]
struct Times {
    /// The suite that runs, and when it started.
    current: Option<(String, f64)>,
    suites: Vec<(String, f64)>,
}

impl Times {
    /// Takes a line of cargo's output that came at `now`, in seconds.
    fn read(&mut self, line: &str, now: f64) {
        let Some(name) = suite(line) else {
            return;
        };
        self.end(now);
        self.current = Some((name, now));
    }

    /// Ends the suite that runs.
    fn end(&mut self, now: f64) {
        if let Some((name, start)) = self.current.take() {
            self.suites.push((name, now - start));
        }
    }

    /// The total and the slowest suites.
    fn table(&self) -> String {
        let total: f64 = self.suites.iter().map(|(_, seconds)| seconds).sum();
        let mut slowest: Vec<&(String, f64)> = self.suites.iter().collect();
        slowest.sort_by(|left, right| right.1.total_cmp(&left.1));
        let rows = slowest
            .iter()
            .take(SLOWEST)
            .map(|(name, seconds)| format!("{seconds:8.1} s  {name}\n"));
        let head = format!(
            "{} suites in {total:.0} s; the slowest:\n",
            self.suites.len()
        );
        std::iter::once(head).chain(rows).collect()
    }
}

/// The suite that a line of cargo's announces.
fn suite(line: &str) -> Option<String> {
    let line = line.trim_start();
    if let Some(library) = line.strip_prefix("Doc-tests ") {
        return Some(format!("{library} (documentation)"));
    }
    // unittests src/lib.rs (target/debug/deps/sky_math-0123456789abcdef)
    let (source, binary) = line.strip_prefix("Running ")?.split_once(" (")?;
    let binary = binary.strip_suffix(')')?.rsplit('/').next()?;
    let name = binary.rsplit_once('-').map_or(binary, |(name, _)| name);
    Some(match source.strip_prefix("unittests ") {
        Some(_) => format!("{name} (unit tests)"),
        None => format!("{name} ({source})"),
    })
}

/// The tests' output, without what passing tests said but for the lines that tell of something
/// skipped.
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
            // What a test writes past the harness, so that plain `cargo test` shows it too.
            if let Some((_, why)) = line.split_once("SKIPPED: ") {
                self.skipped.insert(format!("SKIPPED: {why}"));
            }
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
        let text = "running 2 tests\nSKIPPED: no guest\ntest a ... ok\n\nsuccesses:\n\n---- a stdout ----\nhello\nskipped: no data\n\n\
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
            ["SKIPPED: no guest", "a: skipped: no data"]
        );
    }

    #[test]
    fn seconds_go_to_the_suite_that_cargo_announced() {
        let mut times = Times::default();
        for (line, now) in [
            ("   Compiling sky-math v0.1.0", 0.0),
            (
                "     Running unittests src/lib.rs (target/debug/deps/sky_math-0123abcd)",
                1.0,
            ),
            ("test result: ok. 3 passed", 2.0),
            (
                "     Running tests/zero.rs (target/debug/deps/zero-0123abcd)",
                3.0,
            ),
            ("Running late", 4.0),
            ("   Doc-tests sky_math", 7.5),
        ] {
            times.read(line, now);
        }
        times.end(8.0);
        assert_eq!(
            times.table(),
            "3 suites in 7 s; the slowest:\n     4.5 s  zero (tests/zero.rs)\n     2.0 s  sky_math (unit tests)\n     \
             0.5 s  sky_math (documentation)\n"
        );
    }
}
