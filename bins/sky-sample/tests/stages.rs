//! The program itself, against a server on this machine: killed again and again, it ends with the
//! bytes of an undisturbed run.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use sky_types::{Answer, Domain, Problem, Sample};

/// The problem that the server refuses to answer.
const REFUSED: &str = "What is 1000?";

/// A server whose reply depends on the request's seed and prompt alone, as an honest endpoint's
/// does.
struct Server {
    http: Arc<tiny_http::Server>,
    answered: Arc<AtomicUsize>,
    url: String,
}

impl Server {
    fn start() -> Self {
        Self::with(false)
    }

    /// `refuses_all`: not the odd problem alone.
    fn with(refuses_all: bool) -> Self {
        let http = Arc::new(tiny_http::Server::http("127.0.0.1:0").unwrap());
        let url = format!("http://{}/v1", http.server_addr());
        let answered = Arc::new(AtomicUsize::new(0));
        for _ in 0..4 {
            let (http, answered) = (http.clone(), answered.clone());
            thread::spawn(move || {
                while let Ok(mut request) = http.recv() {
                    let body: Value = serde_json::from_reader(request.as_reader()).unwrap();
                    thread::sleep(Duration::from_millis(8));
                    let prompt = body["messages"].to_string();
                    if prompt.contains(REFUSED) || refuses_all {
                        let refusal = json!({ "error": { "message": "prompt too odd" } });
                        let refusal = tiny_http::Response::from_string(refusal.to_string());
                        let _ = request.respond(refusal.with_status_code(400));
                        continue;
                    }
                    let text = format!(
                        "Seed {}, {} bytes. The answer is \\boxed{{4}}.",
                        body["seed"],
                        prompt.len()
                    );
                    let reply = json!({
                        "choices": [{ "message": { "content": text }, "finish_reason": "stop" }],
                        "usage": { "prompt_tokens": prompt.len(), "completion_tokens": 9 },
                    });
                    answered.fetch_add(1, Ordering::SeqCst);
                    let _ = request.respond(tiny_http::Response::from_string(reply.to_string()));
                }
            });
        }
        Self {
            http,
            answered,
            url,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for _ in 0..4 {
            self.http.unblock();
        }
    }
}

fn recipe(dir: &Path, url: &str) -> PathBuf {
    let path = dir.join("recipe.toml");
    let text = format!(
        "v = 1\nseed = 3\n[teacher]\nendpoint = \"{url}\"\nname = \"m\"\nconcurrency = 4\n[sample]\nn = 5\ntemperature = 1.0\n"
    );
    fs::write(&path, text).unwrap();
    path
}

fn start(stage: &str, recipe: &Path, run: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_sky-sample"))
        .args([stage, "--recipe"])
        .arg(recipe)
        .arg("--run")
        .arg(run)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn finish(stage: &str, recipe: &Path, run: &Path) -> String {
    let output = start(stage, recipe, run).wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

fn problems(run: &Path) {
    let rows = (0..40).map(|at| {
        Problem::new(
            format!("p-{at}"),
            "demo",
            Domain::Math,
            format!("What is {at}?"),
            Answer::Math("4".into()),
        )
    });
    sky_files::write_jsonl(&run.join("problems/train.jsonl"), rows).unwrap();
}

#[test]
fn killed_again_and_again_it_writes_the_same_bytes_and_asks_little_twice() {
    let server = Server::start();
    let dir = tempfile::tempdir().unwrap();
    let recipe = recipe(dir.path(), &server.url);
    let (whole, broken) = (dir.path().join("whole"), dir.path().join("broken"));
    for run in [&whole, &broken] {
        problems(run);
    }
    finish("sample", &recipe, &whole);
    assert_eq!(server.answered.swap(0, Ordering::SeqCst), 200);

    let mut kills = 0;
    for pause in [30, 120, 60, 200, 90] {
        let mut child = start("sample", &recipe, &broken);
        thread::sleep(Duration::from_millis(pause));
        let ended = child.try_wait().unwrap().is_some();
        child.kill().unwrap();
        child.wait().unwrap();
        kills += usize::from(!ended);
    }
    let line = finish("sample", &recipe, &broken);
    assert!(
        kills > 0 && line.contains("40 in, 200 out"),
        "{kills} kills: {line}"
    );
    let file = |run: &Path| fs::read(run.join("samples/samples.jsonl")).unwrap();
    assert_eq!(file(&broken), file(&whole));
    // Each kill costs the replies under way and at most one answered but not yet journaled for each
    // connection.
    let answered = server.answered.load(Ordering::SeqCst);
    assert!(
        answered <= 200 + 8 * kills,
        "{answered} replies for 200 samples, {kills} kills"
    );

    server.answered.store(0, Ordering::SeqCst);
    assert!(finish("sample", &recipe, &broken).contains("done before"));
    finish("rewrite", &recipe, &broken);
    assert_eq!(server.answered.load(Ordering::SeqCst), 0);
    let rewritten: Vec<Sample> = sky_files::read_jsonl(&broken.join("rewritten/samples.jsonl"))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(rewritten.len(), 200);
    assert!(rewritten.iter().all(|s| {
        s.text
            .ends_with("The answer is \\boxed{4}.\n\n<|end_of_solution|>")
    }));

    // A byte flipped in the output is found and the stage reruns.
    let path = broken.join("samples/samples.jsonl");
    let mut bytes = fs::read(&path).unwrap();
    bytes[1000] ^= 1;
    fs::write(&path, bytes).unwrap();
    finish("sample", &recipe, &broken);
    assert_eq!(file(&broken), file(&whole));
}

/// One problem that the server cannot answer costs its own samples and nothing else; the same model
/// at another address is the same.
#[test]
fn a_refused_problem_fails_alone_and_an_address_changes_nothing() {
    let server = Server::start();
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let rows = (0..60).map(|at| {
        let at = if at == 7 { 1000 } else { at };
        let (id, text) = (format!("p-{at}"), format!("What is {at}?"));
        Problem::new(id, "demo", Domain::Math, text, Answer::Math("4".into()))
    });
    sky_files::write_jsonl(&run.join("problems/train.jsonl"), rows).unwrap();
    let path = recipe(dir.path(), &server.url);
    let line = finish("sample", &path, &run);
    assert!(
        line.contains("60 in, 300 out") && line.contains("failed: status 400 5"),
        "{line}"
    );
    let samples: Vec<Sample> = sky_files::read_jsonl(&run.join("samples/samples.jsonl"))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let failed: Vec<_> = samples.iter().filter(|row| row.failure.is_some()).collect();
    assert_eq!(failed.len(), 5);
    for row in failed {
        assert_eq!(row.problem_id, "p-1000");
        assert_eq!(row.failure.as_deref(), Some("status 400: prompt too odd"));
    }
    // The address may change, and how many may fail.
    let text = fs::read_to_string(&path).unwrap();
    let moved = text.replace("127.0.0.1", "localhost");
    fs::write(&path, moved.replace("n = 5", "max_failed = 0.5\nn = 5")).unwrap();
    assert!(finish("sample", &path, &run).contains("done before"));
}

/// A server that refuses everything stops the stage early; what comes after its repair is asked
/// again.
#[test]
fn when_everything_fails_the_stage_stops_and_resumes() {
    let (broken, mended) = (Server::with(true), Server::start());
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    problems(&run);
    let path = recipe(dir.path(), &broken.url);
    let output = start("sample", &path, &run).wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("of 200 samples failed") && said.contains("prompt too odd"),
        "{said}"
    );
    recipe(dir.path(), &mended.url);
    let line = finish("sample", &path, &run);
    assert!(
        line.contains("40 in, 200 out") && !line.contains("failed"),
        "{line}"
    );
}

#[test]
fn mistakes_end_with_code_2_and_name_the_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("r.toml");
    for (text, says) in [
        ("[sample]\nn = 0\n", "r.toml:3: sample.n: must lie"),
        ("[sample]\ntemprature = 1.0\n", "did you mean `temperature`"),
        ("[teacher]\nname = \"m\"\n", "teacher.path: a teacher needs"),
        (
            "[teacher]\npath = \"a\"\nendpoint = \"b\"\nname = \"m\"\n",
            "keep one",
        ),
        (
            "[teacher]\npath = \"a\"\nname = \"m\"\nconcurrency = 4\n",
            "teacher.concurrency: does nothing beside `path`",
        ),
        (
            "[teacher]\nendpoint = \"http://a/v1\"\nname = \"m\"\nbatch = 4\n",
            "teacher.batch: does nothing beside `endpoint`",
        ),
        (
            "[rewrite]\ntemperature = 0.1\n",
            "rewrite.temperature: does nothing",
        ),
        ("[rewrite]\nkind = \"modle\"\n", "did you mean `model`"),
    ] {
        fs::write(&path, format!("v = 1\n{text}")).unwrap();
        let stage = if text.contains("rewrite") {
            "rewrite"
        } else {
            "sample"
        };
        let mut command = Command::new(env!("CARGO_BIN_EXE_sky-sample"));
        let output = command
            .args([stage, "--dry-run", "--run", "nowhere", "--recipe"])
            .arg(&path)
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(
            error.contains(says) && error.lines().count() == 1,
            "{error}"
        );
    }
}

#[test]
fn a_dry_run_needs_no_model_and_no_server() {
    let recipe = concat!(env!("CARGO_MANIFEST_DIR"), "/../../recipes/sky-t1-32b.toml");
    for (stage, says) in [("sample", "QwQ-32B-Preview"), ("rewrite", "gpt-4o-mini")] {
        let output = Command::new(env!("CARGO_BIN_EXE_sky-sample"))
            .args([stage, "--dry-run", "--run", "nowhere", "--recipe", recipe])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && text.contains(says), "{text}");
    }
    assert!(!Path::new("nowhere").exists());
}
