//! `sky-eval run` against a server, killed in the middle, and the report of what it leaves.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use sky_files::{read_json, write_jsonl};
use sky_types::{Answer, Domain, Problem};

const PROBLEMS: u64 = 120;

/// A server that adds; one sum in four is wrong. It delays answers, so that a test can kill the
/// client between them.
fn server() -> String {
    server_until(usize::MAX)
}

/// The same, that fails for good after this many answers.
fn server_until(answers: usize) -> String {
    let left = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(answers));
    let server = tiny_http::Server::http("127.0.0.1:0").unwrap();
    let address = format!("http://{}/v1", server.server_addr().to_ip().unwrap());
    let server = std::sync::Arc::new(server);
    for _ in 0..4 {
        let server = std::sync::Arc::clone(&server);
        let left = std::sync::Arc::clone(&left);
        thread::spawn(move || {
            while let Ok(mut request) = server.recv() {
                use std::sync::atomic::Ordering::Relaxed;
                let one_less = |left: usize| left.checked_sub(1);
                if left.fetch_update(Relaxed, Relaxed, one_less).is_err() {
                    let _ = request.respond(tiny_http::Response::empty(503));
                    continue;
                }
                let body: Value = serde_json::from_reader(request.as_reader()).unwrap();
                let asked = body["messages"][0]["content"].as_str().unwrap();
                let numbers: Vec<u64> = asked
                    .split(|c: char| !c.is_ascii_digit())
                    .filter_map(|digits| digits.parse().ok())
                    .collect();
                let sum = numbers[0] + numbers[1] + u64::from(numbers[0].is_multiple_of(4));
                thread::sleep(Duration::from_millis(40));
                let reply = json!({
                    "choices": [{"message": {"content": format!("That is \\boxed{{{sum}}}.")}, "finish_reason": "stop"}],
                    "usage": {"prompt_tokens": 12, "completion_tokens": 7},
                });
                let _ = request.respond(tiny_http::Response::from_string(reply.to_string()));
            }
        });
    }
    address
}

fn set_up(run: &Path, address: &str) {
    let rows = (0..PROBLEMS).map(|n| {
        let prompt = format!("What is {n} + {}?", 2 * n);
        Problem::new(
            format!("sum-{n}"),
            "sum",
            Domain::Math,
            prompt,
            Answer::Math((3 * n).to_string()),
        )
    });
    write_jsonl(&run.join("problems/heldout.jsonl"), rows).unwrap();
    let recipe = format!(
        "v = 1\nseed = 3\n[student]\nendpoint = \"{address}\"\nname = \"adder\"\nconcurrency = 2\n[eval]\nmax_tokens = 64\n"
    );
    fs::write(run.join("recipe.toml"), recipe).unwrap();
}

fn command(run: &Path, stage: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sky-eval"));
    command
        .args(stage)
        .arg("--recipe")
        .arg(run.join("recipe.toml"))
        .arg("--run")
        .arg(run);
    command
}

fn finish(run: &Path, stage: &[&str]) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = command(run, stage).output().unwrap();
    let said = String::from_utf8(stdout).unwrap();
    assert!(
        status.success(),
        "{said}{}",
        String::from_utf8_lossy(&stderr)
    );
    said
}

fn lines(path: &Path) -> usize {
    fs::read_to_string(path).map_or(0, |text| text.lines().count())
}

#[test]
fn killed_twice_it_ends_in_the_same_bytes() {
    let address = server();
    let (calm, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    set_up(calm.path(), &address);
    set_up(killed.path(), &address);
    let before = ["run", "--which", "before"];
    let said = finish(calm.path(), &before);
    assert!(
        said.contains("eval-before") && said.contains(&format!("{PROBLEMS} in, {PROBLEMS} out")),
        "{said}"
    );
    assert!(finish(calm.path(), &before).contains("done before"));

    let journal = killed.path().join("eval-before/samples.journal");
    for rows in [5, 20] {
        let mut child = command(killed.path(), &before).spawn().unwrap();
        let started = Instant::now();
        while lines(&journal) < rows {
            assert!(
                started.elapsed() < Duration::from_secs(60) && child.try_wait().unwrap().is_none()
            );
            thread::sleep(Duration::from_millis(5));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(lines(&journal) < PROBLEMS as usize);
    }
    assert!(finish(killed.path(), &before).contains("(resumed)"));
    for file in [
        "samples.jsonl",
        "verdicts.jsonl",
        "results.json",
        "summary.json",
    ] {
        let [one, other] = [&calm, &killed]
            .map(|dir| fs::read(dir.path().join("eval-before").join(file)).unwrap());
        assert_eq!(one, other, "{file}");
    }
    let summary: Value = read_json(&calm.path().join("eval-before/summary.json")).unwrap();
    assert_eq!(summary["accuracy"], 0.75);
    assert!(!journal.exists(), "nothing is left of the work");
}

#[test]
fn what_was_finished_before_the_endpoint_died_is_scored_and_resumes() {
    let run = tempfile::tempdir().unwrap();
    set_up(run.path(), &server_until(40));
    let recipe = run.path().join("recipe.toml");
    let text = fs::read_to_string(&recipe).unwrap();
    let patient = "concurrency = 2\nretries = 1\npatience_s = 0.5\n";
    fs::write(&recipe, text.replace("concurrency = 2\n", patient)).unwrap();
    let before = ["run", "--which", "before"];
    let Output { status, stderr, .. } = command(run.path(), &before).output().unwrap();
    let said = String::from_utf8(stderr).unwrap();
    assert!(!status.success(), "{said}");
    assert!(said.contains("of 120 problems are finished"), "{said}");
    let partial = run.path().join("eval-before/partial");
    let summary: Value = read_json(&partial.join("summary.json")).unwrap();
    let n = summary["n"].as_u64().unwrap();
    assert!((30..=40).contains(&n), "{n}");
    assert_eq!(summary["of"], PROBLEMS);
    assert_eq!(summary["rates"]["no_reply"], 0.0);
    assert_eq!(lines(&partial.join("verdicts.jsonl")) as u64, n);

    set_up(run.path(), &server());
    assert!(finish(run.path(), &before).contains("(resumed)"));
    let summary: Value = read_json(&run.path().join("eval-before/summary.json")).unwrap();
    assert_eq!(
        (&summary["n"], &summary["of"]),
        (&json!(PROBLEMS), &json!(PROBLEMS))
    );
    assert_eq!(summary["accuracy"], 0.75);
    assert!(!partial.exists(), "the partial score is no longer there");
}

#[test]
fn mistakes_are_found_before_anything_runs() {
    let run = tempfile::tempdir().unwrap();
    set_up(run.path(), "http://127.0.0.1:9/v1");
    let recipe = fs::read_to_string(run.path().join("recipe.toml")).unwrap();
    for (from, to, complaint) in [
        (
            "max_tokens = 64",
            "max_token = 64",
            "recipe.toml:8: eval.max_token: unknown key `max_token`; did you mean `max_tokens`?",
        ),
        (
            "max_tokens = 64",
            "max_tokens = -1",
            "recipe.toml:8: eval.max_tokens: ",
        ),
        (
            "max_tokens = 64",
            "n = 4",
            "recipe.toml:8: eval.n: greedy replies are all the same",
        ),
        ("name = \"adder\"\n", "", "student.name"),
        (
            "endpoint = ",
            "path = \"m\"\nendpoint = ",
            "student.endpoint",
        ),
    ] {
        fs::write(run.path().join("recipe.toml"), recipe.replace(from, to)).unwrap();
        for dry in [true, false] {
            let mut command = command(run.path(), &["run", "--which", "before"]);
            if dry {
                command.arg("--dry-run");
            }
            let Output { status, stderr, .. } = command.output().unwrap();
            let said = String::from_utf8(stderr).unwrap();
            assert_eq!(status.code(), Some(2), "{said}");
            assert!(
                said.contains(complaint) && said.lines().count() == 1,
                "{said}"
            );
        }
    }
    assert!(!run.path().join("eval-before").exists());
}

#[test]
fn the_report_is_written_from_whatever_is_there() {
    let run = tempfile::tempdir().unwrap();
    set_up(run.path(), "http://127.0.0.1:9/v1");
    let summary = || read_json::<Value>(&run.path().join("summary.json")).unwrap();
    assert!(finish(run.path(), &["report"]).contains("report"));
    assert_eq!(
        (
            &summary()["before"],
            &summary()["recipe"],
            &summary()["seed"]
        ),
        (&Value::Null, &json!("recipe"), &json!(3))
    );

    let address = server();
    set_up(run.path(), &address);
    finish(run.path(), &["run", "--which", "before"]);
    // The stage `problems` belongs to another program; a manifest marks it as complete.
    let manifest = fs::read_to_string(run.path().join("eval-before/manifest.json")).unwrap();
    fs::write(run.path().join("problems/train.jsonl"), "").unwrap();
    fs::write(run.path().join("problems/manifest.json"), manifest).unwrap();
    finish(run.path(), &["report"]);
    assert_eq!(summary()["before"]["accuracy"], 0.75);
    assert_eq!(summary()["before"]["n"], PROBLEMS);
    let page = fs::read_to_string(run.path().join("report.html")).unwrap();
    assert!(page.contains("75.0") && page.contains("not measured"));
    assert!(
        !page.contains("75</b>"),
        "nothing after training was measured"
    );
    assert!(page.len() > 20_000);
}
