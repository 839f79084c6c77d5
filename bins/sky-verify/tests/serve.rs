//! `sky-verify serve` as its clients see it.
#![allow(clippy::unwrap_used)]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

/// A server on a free port; killed when dropped.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    /// Nothing, loudly, when the guest is not set up.
    fn start(arguments: &[&str]) -> Option<Self> {
        let home = std::env::var_os("SKY_HOME").map_or_else(
            || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../.sky")),
            PathBuf::from,
        );
        if !home.join("python-guest/python3.11.wasm").exists() {
            // Not `eprintln!`: libtest shows what it captures only for tests that fail.
            let _ = writeln!(
                std::io::stderr(),
                "SKIPPED: no Python guest under {}; run `cargo xtask setup`",
                home.display()
            );
            return None;
        }
        let mut child = Command::new(env!("CARGO_BIN_EXE_sky-verify"))
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let out = child.stdout.take().unwrap();
        BufReader::new(out).read_line(&mut line).unwrap();
        let address = line.trim().rsplit("//").next().unwrap().to_owned();
        assert!(address.contains(':'), "{line:?}");
        Some(Self { child, address })
    }

    fn post(&self, body: &Value) -> (u16, Value) {
        self.send("POST", "/run_code", body.to_string().as_bytes())
    }

    /// A request by hand: no client library stands between this test and what the server says.
    fn send(&self, method: &str, path: &str, body: &[u8]) -> (u16, Value) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .unwrap();
        // The server may refuse before it has read everything.
        let _ = stream.write_all(body);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }

    /// Asks for a run and does not wait for the answer.
    fn begin(&self, request: &Value) -> TcpStream {
        let body = request.to_string();
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(
            stream,
            "POST /run_code HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        stream
    }

    /// The same of [`LONG`].
    fn begin_long(&self) -> TcpStream {
        self.begin(&json!({"code": LONG, "run_timeout": 10}))
    }

    fn in_flight(&self) -> u64 {
        self.send("GET", "/healthz", b"").1["in_flight"]
            .as_u64()
            .unwrap()
    }

    /// Memory of the server's process that is its own; a sandbox's mapped snapshot counts once.
    fn resident_mib(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status.lines().find(|line| line.starts_with("RssAnon:"));
        let kib = line.unwrap().split_whitespace().nth(1).unwrap();
        kib.parse::<u64>().unwrap() >> 10
    }

    fn wait_until(&self, mut what: impl FnMut(u64) -> bool) {
        let started = Instant::now();
        while !what(self.in_flight()) {
            assert!(started.elapsed() < Duration::from_secs(60));
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program that needs about a second.
const LONG: &str = "x = 0\nfor i in range(5_000_000): x += i\nprint(x)";

#[test]
fn a_reply_gets_its_verdict() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let verify = |answer: Value, reply: &str| {
        let body = json!({"answer": answer, "reply": reply}).to_string();
        let (status, said) = server.send("POST", "/verify", body.as_bytes());
        (
            status,
            said["verdict"].as_str().unwrap_or_default().to_owned(),
        )
    };
    let tests = json!({"tests": {"inputs": ["3"], "outputs": ["6"]}});
    for (answer, reply, verdict) in [
        (json!({"math": "1/2"}), "It is 0.5.", "correct"),
        (json!({"math": "1/2"}), "It is 0.6.", "wrong"),
        (json!({"choice": "B"}), "The answer is (B).", "correct"),
        (
            tests.clone(),
            "```python\nprint(2 * int(input()))\n```",
            "correct",
        ),
        (tests, "```python\nprint(1)\n```", "wrong"),
        (
            json!({"program": {"test": "def check(c): pass"}}),
            "```python\ndef f(): pass\n```",
            "unsupported",
        ),
    ] {
        assert_eq!(verify(answer, reply), (200, verdict.to_owned()), "{reply}");
    }
    let endless = json!({"tests": {"inputs": ["3"], "outputs": ["6"], "timeout_s": 1e9}});
    assert_eq!(verify(endless, "x").0, 422);
    assert_eq!(verify(json!({"math": 1}), "x").0, 422);
    let (status, _) = server.send("GET", "/metrics", b"");
    assert_eq!(status, 200);
}

#[test]
fn programs_run_and_their_ends_are_told_in_sandbox_fusions_words() {
    let Some(server) = Server::start(&["--max-body", "1"]) else {
        return;
    };
    let (status, ran) = server.post(&json!({
        "code": "import sys\nprint(int(input()) * 2)\nprint('note', file=sys.stderr)",
        "language": "python", "stdin": "21\n", "compile_timeout": 10, "run_timeout": 10,
        "memory_limit_MB": -1, "files": {}, "fetch_files": [],
    }));
    assert_eq!(status, 200);
    assert_eq!(ran["status"], "Success");
    assert_eq!(ran["run_result"]["status"], "Finished");
    assert_eq!(ran["run_result"]["return_code"], 0);
    assert_eq!(ran["run_result"]["stdout"], "42\n");
    assert_eq!(ran["run_result"]["stderr"], "note\n");
    assert!(ran["run_result"]["execution_time"].as_f64().unwrap() > 0.0);
    assert_eq!(ran["compile_result"], Value::Null);
    assert_eq!(ran["files"], json!({}));

    for (code, status, return_code, stderr) in [
        ("1 / 0", "Finished", json!(1), "ZeroDivisionError"),
        ("x = (", "Finished", json!(1), "SyntaxError"),
        ("import sys; sys.exit(3)", "Finished", json!(3), ""),
        ("a = [0] * 10**9", "Finished", json!(137), "OutOfMemory"),
        ("while True: pass", "TimeLimitExceeded", Value::Null, ""),
        (
            "open('/etc/passwd')",
            "Finished",
            json!(1),
            "FileNotFoundError",
        ),
    ] {
        let (http, ran) = server.post(&json!({"code": code, "run_timeout": 0.1}));
        let result = &ran["run_result"];
        assert_eq!((http, &ran["status"]), (200, &json!("Failed")), "{code}");
        assert_eq!(result["status"], status, "{code}");
        assert_eq!(result["return_code"], return_code, "{code}");
        let found = result["stderr"].as_str().unwrap();
        assert!(found.contains(stderr), "{code}: {found}");
    }

    for (body, word) in [
        (json!({"language": "python"}), "code"),
        (json!({"code": "1", "language": "cpp"}), "cpp"),
        (json!({"code": "1", "files": {"a": "YQ=="}}), "files"),
        (json!({"code": "1", "run_timeout": -1}), "run_timeout"),
        (json!([1]), ""),
    ] {
        let (status, answer) = server.post(&body);
        assert_eq!(status, 422, "{body}");
        assert!(answer["detail"].as_str().unwrap().contains(word));
    }
    let large = json!({"code": "#".repeat(2 << 20)}).to_string();
    let status = |method, path, body| server.send(method, path, body).0;
    assert_eq!(status("POST", "/run_code", large.as_bytes()), 413);
    assert_eq!(status("POST", "/run_code", b"\xff{"), 422);
    assert_eq!(status("GET", "/run_code", b""), 405);
    assert_eq!(status("GET", "/", b""), 404);
    let (status, health) = server.send("GET", "/healthz", b"");
    assert_eq!((status, &health["status"]), (200, &json!("ok")));
    assert_eq!(health["in_flight"], 0);
}

/// A problem of SandboxFusion's data sets, and a right reply.
const SUBMIT: &str = r#"{"dataset": "code_contests", "id": 7, "completion": "```python\nprint(int(input()) + 1)\n```", "config": {"language": "python", "run_timeout": 20, "provided_data": {"id": 7, "content": "Add one.", "labels": "{}", "test": "[{\"input\": {\"stdin\": \"1\"}, \"output\": {\"stdout\": \"2\"}}]"}}}"#;

#[test]
fn a_submission_is_judged() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let (status, right) = server.send("POST", "/submit", SUBMIT.as_bytes());
    assert_eq!((status, &right["accepted"]), (200, &json!(true)), "{right}");
    assert_eq!(right["id"], 7);
    assert_eq!(right["extracted_code"], "print(int(input()) + 1)\n");
    assert_eq!(right["tests"][0]["exec_info"]["status"], "Success");
    let (_, wrong) = server.send("POST", "/submit", SUBMIT.replace("+ 1", "+ 2").as_bytes());
    assert_eq!(
        (&wrong["accepted"], &wrong["extra"]["verdict"]),
        (&json!(false), &json!("wrong"))
    );
    let other = SUBMIT.replace("code_contests", "verilog_eval");
    assert_eq!(server.send("POST", "/submit", other.as_bytes()).0, 422);
}

/// SandboxFusion's own Python client, where `SKY_SANDBOX_FUSION_PYTHON` names an interpreter that
/// has the package `sandbox-fusion`.
#[test]
fn sandbox_fusions_client_passes() {
    let Some(python) = std::env::var_os("SKY_SANDBOX_FUSION_PYTHON") else {
        let why = "SKY_SANDBOX_FUSION_PYTHON names no interpreter with the package sandbox-fusion";
        let _ = std::io::stderr().write_all(format!("SKIPPED: {why}\n").as_bytes());
        return;
    };
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let program = format!(
        "import json, sys\nfrom sandbox_fusion import run_code, submit, RunCodeRequest, SubmitRequest, RunStatus\nat = 'http://{}'\nresult = run_code(RunCodeRequest(code='print(input())', stdin='x', language='python'), endpoint=at, max_attempts=1)\nassert result.status == RunStatus.Success and result.run_result.stdout == 'x\\n', result\nfailed = run_code(RunCodeRequest(code='1 // 0', language='python'), endpoint=at, max_attempts=1)\nassert failed.status == RunStatus.Failed and 'ZeroDivisionError' in failed.run_result.stderr, failed\nasked = json.loads(sys.stdin.read())\nassert submit(SubmitRequest(**asked), endpoint=at, max_attempts=1).accepted\nasked['completion'] = 'no program'\nassert not submit(SubmitRequest(**asked), endpoint=at, max_attempts=1).accepted\n",
        server.address
    );
    let mut child = Command::new(python)
        .args(["-c", &program])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(SUBMIT.as_bytes())
        .unwrap();
    let done = child.wait_with_output().unwrap();
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
}

#[test]
fn further_requests_are_told_to_come_back_even_when_clients_have_left() {
    let Some(server) = Server::start(&["--queue", "1"]) else {
        return;
    };
    let (_, health) = server.send("GET", "/healthz", b"");
    let capacity = health["capacity"].as_u64().unwrap();
    for taken in 1..=capacity {
        // They still run when the last of them is begun.
        let seconds = 4.0 + 0.3 * capacity as f64;
        let stream = server.begin(&json!({"code": "while True: pass", "run_timeout": seconds}));
        server.wait_until(|now| now == taken);
        thread::sleep(Duration::from_millis(100));
        // Gone before the answer: the program runs on, and its place stays taken.
        drop(stream);
    }
    server.wait_until(|now| now == capacity);
    let (status, answer) = server.post(&json!({"code": "1"}));
    assert_eq!(status, 503, "{answer}");
    server.wait_until(|now| now == 0);
    assert_eq!(server.post(&json!({"code": "1"})).0, 200);
}

#[test]
fn asked_to_stop_it_lets_programs_end() {
    let Some(mut server) = Server::start(&[]) else {
        return;
    };
    let mut stream = server.begin_long();
    server.wait_until(|now| now == 1);
    let id = server.child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &id])
            .status()
            .unwrap()
            .success()
    );
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("12499997500000"), "{answer}");
    assert!(server.child.wait().unwrap().success());
    assert!(TcpStream::connect(&server.address).is_err());
}

/// A program whose answer is six times as long as its output.
const FLOOD: &str = "import sys\nsys.stdout.write(chr(1) * 1_000_000)";

/// Whether the server has sent something or hung up; reads nothing.
fn was_answered(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let peeked = stream.peek(&mut [0]);
    !peeked.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
}

#[test]
fn answers_that_nobody_reads_are_bounded_and_given_up_on() {
    let Some(server) = Server::start(&[
        "--max-buffered",
        "40",
        "--client-timeout",
        "2",
        "--queue",
        "64",
    ]) else {
        return;
    };
    let flood = json!({"code": FLOOD});
    let silent: Vec<TcpStream> = (0..60).map(|_| server.begin(&flood)).collect();
    // All their answers together would be 360 MB.
    let mut most = 0;
    server.wait_until(|now| {
        most = most.max(server.resident_mib());
        now == 0 && silent.iter().all(was_answered)
    });
    assert!(most < 250, "{most} MiB");
    // Whoever reads is served all the while and afterwards.
    let (status, ran) = server.post(&json!({"code": FLOOD}));
    assert_eq!(status, 200);
    assert_eq!(
        ran["run_result"]["stdout"].as_str().unwrap().len(),
        1_000_000
    );
    drop(silent);
}

#[test]
fn slow_heads_and_bodies_are_given_up_on() {
    let Some(server) = Server::start(&["--client-timeout", "1"]) else {
        return;
    };
    for begun in [
        "POST /run_code HT",
        "POST /run_code HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
        "POST /run_code HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"c",
    ] {
        let mut stream = TcpStream::connect(&server.address).unwrap();
        stream.write_all(begun.as_bytes()).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        let mut answer = Vec::new();
        // A reset counts as an end, too.
        if let Err(error) = stream.read_to_end(&mut answer) {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{begun}");
        }
        let answer = String::from_utf8_lossy(&answer);
        assert!(
            answer.is_empty() || answer.contains(" 408 "),
            "{begun}: {answer}"
        );
    }
    assert_eq!(server.post(&json!({"code": "1"})).0, 200);
}

#[test]
fn odd_requests_are_refused_and_the_server_goes_on() {
    let Some(server) = Server::start(&["--max-body", "1", "--max-buffered", "8"]) else {
        return;
    };
    let long = "x".repeat(1 << 20);
    let deep = format!("{{\"code\": {}", "[".repeat(500_000));
    let many = "A: b\r\n".repeat(5_000);
    let chunks = format!("{:x}\r\n{long}\r\n", long.len()).repeat(4);
    for request in [
        "GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\r\n".to_owned(),
        "BREW /run_code HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\r\n".to_owned(),
        "POST /run_code HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: -1\r\n\r\n".to_owned(),
        "POST /run_code HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99999999999999999999999\r\n\r\n".to_owned(),
        "POST /run_code HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 4000000000\r\n\r\n".to_owned(),
        "POST /run_code HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n{}{}".to_owned(),
        format!("POST /run_code HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n"),
        "POST /run_code HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n".to_owned(),
        format!("POST /run_code HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{deep}", deep.len()),
        format!("GET /healthz HTTP/1.1\r\n{many}\r\n"),
        format!("GET /{long} HTTP/1.1\r\n\r\n"),
        "\0\0\0\0\r\n\r\n".to_owned(),
        "POST /run_code HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n{\"code\": \"\u{0}\"".to_owned(),
    ] {
        let mut stream = TcpStream::connect(&server.address).unwrap();
        // It may hang up before it has read everything.
        let _ = stream.write_all(request.as_bytes());
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        let shown: String = request.chars().take(80).collect();
        assert!(!answer.contains(" 200 "), "{shown:?}: {answer}");
    }
    for body in [
        json!({"code": "1", "run_timeout": 1e308}),
        json!({"code": "1", "memory_limit_MB": i64::MAX}),
        json!({"code": "1", "memory_limit_MB": i64::MIN}),
        json!({"code": "1", "stdin": "\u{0}\u{ffff}"}),
    ] {
        assert_eq!(server.post(&body).0, 200, "{body}");
    }
    server.wait_until(|now| now == 0);
}

#[test]
fn requests_sent_in_a_row_are_answered_in_order() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let mut stream = TcpStream::connect(&server.address).unwrap();
    for n in 0..20 {
        let body = json!({"code": format!("print('number', {n})")}).to_string();
        let last = if n == 19 { "Connection: close\r\n" } else { "" };
        write!(
            stream,
            "POST /run_code HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{last}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
    }
    let mut answers = String::new();
    stream.read_to_string(&mut answers).unwrap();
    let found: Vec<&str> = answers
        .split("\"stdout\":\"number ")
        .skip(1)
        .filter_map(|rest| rest.split("\\n").next())
        .collect();
    let expected: Vec<String> = (0..20).map(|n| n.to_string()).collect();
    assert_eq!(found, expected);
}
