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

/// A server of its own on a free port; killed when dropped.
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
            eprintln!("SKIPPED: no Python guest under {}", home.display());
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
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
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

    /// Asks for a run of [`LONG`] and does not wait for the answer.
    fn begin_long(&self) -> TcpStream {
        let body = json!({"code": LONG, "run_timeout": 10}).to_string();
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(
            stream,
            "POST /run_code HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        stream
    }

    fn in_flight(&self) -> u64 {
        self.send("GET", "/healthz", b"").1["in_flight"]
            .as_u64()
            .unwrap()
    }

    fn wait_until(&self, what: impl Fn(u64) -> bool) {
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

/// A program that needs a good part of a second.
const LONG: &str = "x = 0\nfor i in range(5_000_000): x += i\nprint(x)";

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
        ("open('/etc/passwd')", "Finished", json!(1), "OSError"),
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

#[test]
fn further_requests_are_told_to_come_back_even_when_clients_have_left() {
    let Some(server) = Server::start(&["--queue", "1"]) else {
        return;
    };
    let (_, health) = server.send("GET", "/healthz", b"");
    let capacity = health["capacity"].as_u64().unwrap();
    for taken in 1..=capacity {
        let stream = server.begin_long();
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
