//! The report in headless Chromium: its script runs, its filters work, hostile text does nothing.
//!
//! They use the program in `CHROMIUM`, else `chromium` on the path. Without one they print SKIPPED
//! and pass.
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    env,
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

const TIMEOUT: Duration = Duration::from_secs(120);

fn chromium() -> Option<PathBuf> {
    let named = env::var_os("CHROMIUM").map(PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path)
        .flat_map(|folder| {
            ["chromium", "chromium-browser", "google-chrome"].map(|name| folder.join(name))
        })
        .find(|program| program.is_file());
    let program = named.or(found);
    if program.is_none() {
        // Not `eprintln!`: libtest shows what it captures only for tests that fail.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: the browser tests of the report; set CHROMIUM to a Chromium program or put `chromium` on the path"
        );
    }
    program
}

/// What the browser made of a page.
struct Seen {
    /// The document after its script ran.
    dom: String,
    /// What was written to the console, one message a line.
    console: Vec<String>,
}

fn open(program: &Path, page: &Path, hash: &str) -> Seen {
    let scratch = tempfile::tempdir().unwrap();
    let (out, err) = (scratch.path().join("out"), scratch.path().join("err"));
    let mut child = Command::new(program)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
        ])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ])
        .args([
            "--enable-logging=stderr",
            "--virtual-time-budget=10000",
            "--dump-dom",
        ])
        .arg(format!(
            "--user-data-dir={}",
            scratch.path().join("profile").display()
        ))
        .arg(format!("file://{}{hash}", page.display()))
        .stdin(Stdio::null())
        .stdout(File::create(&out).unwrap())
        .stderr(File::create(&err).unwrap())
        .spawn()
        .unwrap();
    let started = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if started.elapsed() > TIMEOUT {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("the browser did not end within {TIMEOUT:?}");
        }
        thread::sleep(Duration::from_millis(20));
    }
    let log = String::from_utf8_lossy(&fs::read(&err).unwrap()).into_owned();
    Seen {
        dom: String::from_utf8_lossy(&fs::read(&out).unwrap()).into_owned(),
        console: log
            .lines()
            .filter(|line| line.contains("CONSOLE"))
            .map(ToOwned::to_owned)
            .collect(),
    }
}

/// The document without the data it was made from.
fn visible(dom: &str) -> String {
    dom.split("<script")
        .map(|part| part.split_once("</script>").map_or(part, |(_, rest)| rest))
        .collect()
}

/// The id of the held-out problem whose replies begin with hostile text.
fn hostile_problem(run: &Path) -> String {
    let samples = fs::read_to_string(run.join("eval-after/samples.jsonl")).unwrap();
    let row = samples
        .lines()
        .find(|line| line.contains("-heldout-9\""))
        .unwrap();
    let row: serde_json::Value = serde_json::from_str(row).unwrap();
    row["problem_id"].as_str().unwrap().to_owned()
}

fn rows(dom: &str) -> usize {
    dom.matches("<details class=\"row\"").count()
}

#[test]
fn the_explorer_works_and_hostile_text_is_inert() {
    let Some(program) = chromium() else { return };
    let dir = tempfile::tempdir().unwrap();
    common::page(dir.path(), "eval-after");
    let page = dir.path().join("report.html");

    let all = open(&program, &page, "");
    assert_eq!(all.console, Vec::<String>::new());
    assert_eq!(rows(&all.dom), 25, "the first page of rows");
    assert!(
        all.dom.contains("448 of 448 replies"),
        "{}",
        &visible(&all.dom)[..2000]
    );
    assert!(!all.dom.contains("<title>broken"));
    assert!(!visible(&all.dom).contains("<img"));

    // The address chooses the rows; the counts are those of the files.
    let verdicts = fs::read_to_string(dir.path().join("eval-after/verdicts.jsonl")).unwrap();
    let wrong = verdicts
        .lines()
        .filter(|line| line.contains("\"verdict\":\"wrong\""))
        .count();
    assert!(wrong > 0 && wrong < 25);
    let some = open(&program, &page, "#stage=after&verdict=wrong");
    assert_eq!(some.console, Vec::<String>::new());
    assert_eq!(rows(&some.dom), wrong);
    assert!(some.dom.contains(&format!("{wrong} of 448 replies")));

    // The hostile problem's own words, found and marked, still do nothing.
    let hostile = open(&program, &page, "#q=%3Cscript%3Edocument");
    assert_eq!(hostile.console, Vec::<String>::new());
    assert!(rows(&hostile.dom) >= 4);
    let shown = visible(&hostile.dom);
    assert!(shown.contains("<mark>&lt;script&gt;document</mark>"));
    assert!(!shown.contains("<img") && !hostile.dom.contains("<title>broken"));

    // A single row is opened; what the model said is in it, as text.
    let one = open(
        &program,
        &page,
        &format!("#stage=after&problem={}", hostile_problem(dir.path())),
    );
    assert_eq!(one.console, Vec::<String>::new());
    assert!(one.dom.contains("<details class=\"row\" open"), "opened");
    let shown = visible(&one.dom);
    assert!(shown.contains("&lt;img src=x onerror=") && !shown.contains("<img"));
    assert!(shown.contains("<span class=\"section\">&lt;|begin_of_solution|&gt;</span>"));

    let none = open(&program, &page, "#q=no+such+words+anywhere");
    assert_eq!(rows(&none.dom), 0);
    assert!(none.dom.contains("Nothing fits"));
}

#[test]
fn a_run_without_samples_has_no_errors_either() {
    let Some(program) = chromium() else { return };
    let dir = tempfile::tempdir().unwrap();
    common::page(dir.path(), "problems");
    let seen = open(&program, &dir.path().join("report.html"), "");
    assert_eq!(seen.console, Vec::<String>::new());
    assert!(seen.dom.contains("There is no sample to show yet."));
}

#[test]
fn these_tests_would_see_an_error_and_the_policy_stops_foreign_scripts() {
    let Some(program) = chromium() else { return };
    let dir = tempfile::tempdir().unwrap();
    let html = common::page(dir.path(), "problems");
    let page = dir.path().join("injected.html");
    // As if escaping had failed: the browser itself refuses to run it, and says so.
    common::put(
        &page,
        &html.replace("</main>", "<script>document.title='broken'</script></main>"),
    );
    let seen = open(&program, &page, "");
    assert!(!seen.dom.contains("<title>broken"));
    assert!(
        seen.console
            .iter()
            .any(|line| line.contains("Content Security Policy")),
        "{:?}",
        seen.console
    );
}
