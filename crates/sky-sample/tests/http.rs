//! The client against a real server on this machine.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used)]

use std::{
    collections::{BTreeMap, HashMap},
    io::{Read, Write},
    net::TcpListener,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use sky_sample::{Endpoint, HttpGenerator};
use sky_types::{FinishReason, Generate, GenerateError, Message, Reply, Request, SamplingParams};

/// What the server answers: status, headers, body.
type Answer = (u16, Vec<(&'static str, String)>, String);

struct Server {
    url: String,
    http: Arc<tiny_http::Server>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Server {
    /// Answers on several threads; `answer` gets the body and how often this request (by its
    /// message) came before.
    fn start(answer: impl Fn(&Value, usize) -> Answer + Send + Sync + 'static) -> Self {
        let http = Arc::new(tiny_http::Server::http("127.0.0.1:0").unwrap());
        let url = format!("http://{}/v1/", http.server_addr());
        let answer = Arc::new(answer);
        let seen = Arc::new(Mutex::new(HashMap::<String, usize>::new()));
        let threads = (0..4)
            .map(|_| {
                let (http, answer, seen) = (http.clone(), answer.clone(), seen.clone());
                thread::spawn(move || {
                    while let Ok(mut request) = http.recv() {
                        assert_eq!(request.url(), "/v1/chat/completions");
                        let mut body = String::new();
                        request.as_reader().read_to_string(&mut body).unwrap();
                        let mut body: Value = serde_json::from_str(&body).unwrap();
                        for header in request.headers() {
                            if header.field.equiv("authorization") {
                                body["key"] = json!(header.value.as_str());
                            }
                        }
                        let asked = body["messages"][0]["content"].as_str().unwrap().to_owned();
                        let before = {
                            let mut seen = seen.lock().unwrap();
                            let count = seen.entry(asked).or_default();
                            *count += 1;
                            *count - 1
                        };
                        let (status, headers, text) = answer(&body, before);
                        let mut response =
                            tiny_http::Response::from_string(text).with_status_code(status);
                        for (name, value) in headers {
                            response.add_header(
                                tiny_http::Header::from_bytes(name, value.as_bytes()).unwrap(),
                            );
                        }
                        let _ = request.respond(response);
                    }
                })
            })
            .collect();
        Self { url, http, threads }
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint {
            backoff: Duration::from_millis(5),
            timeout: Duration::from_secs(20),
            concurrency: 4,
            ..Endpoint::new(&self.url, "m")
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for _ in &self.threads {
            self.http.unblock();
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn chat(content: &str, finish_reason: &str) -> Answer {
    let body = json!({
        "id": "x", "object": "chat.completion",
        "choices": [{ "index": 0, "message": { "role": "assistant", "content": content }, "finish_reason": finish_reason }],
        "usage": { "prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12 },
    });
    (200, Vec::new(), body.to_string())
}

fn requests(count: u64) -> Vec<Request> {
    (0..count)
        .map(|key| Request {
            key,
            messages: vec![Message::user(format!("q{key}"))],
            params: SamplingParams {
                temperature: 0.5,
                top_p: 0.9,
                max_tokens: 77,
            },
            seed: key * 1_000_000_007,
        })
        .collect()
}

fn ask(
    endpoint: Endpoint,
    requests: Vec<Request>,
) -> (BTreeMap<u64, Reply>, Result<(), GenerateError>) {
    let mut replies = BTreeMap::new();
    let result = HttpGenerator::new(endpoint).generate(&mut requests.into_iter(), &mut |reply| {
        assert!(replies.insert(reply.key, reply).is_none());
        Ok(())
    });
    (replies, result)
}

#[test]
fn every_request_is_answered_with_its_own_reply() {
    let most = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
    let counter = most.clone();
    let server = Server::start(move |body, _| {
        let now = counter.0.fetch_add(1, Ordering::SeqCst) + 1;
        counter.1.fetch_max(now, Ordering::SeqCst);
        thread::sleep(Duration::from_millis(5));
        counter.0.fetch_sub(1, Ordering::SeqCst);
        assert_eq!(body["model"], "m");
        assert_eq!(
            (&body["temperature"], &body["top_p"], &body["max_tokens"]),
            (&json!(0.5), &json!(0.9), &json!(77))
        );
        assert!(body["seed"].as_u64().unwrap() <= i32::MAX as u64);
        assert_eq!(body["key"], "Bearer sk-1");
        chat(
            &format!(
                "re {} {}",
                body["messages"][0]["content"].as_str().unwrap(),
                body["seed"]
            ),
            "stop",
        )
    });
    let mut endpoint = server.endpoint();
    endpoint.api_key = "sk-1".into();
    let (replies, result) = ask(endpoint, requests(50));
    result.unwrap();
    assert_eq!(replies.len(), 50);
    for (key, reply) in replies {
        let seed = (key * 1_000_000_007) & 0x7fff_ffff;
        assert_eq!(reply.text, format!("re q{key} {seed}"));
        assert_eq!((reply.prompt_tokens, reply.completion_tokens), (5, 7));
    }
    let most = most.1.load(Ordering::SeqCst);
    assert!((2..=4).contains(&most), "{most} at once");
}

#[test]
fn a_busy_server_is_asked_again_until_it_answers() {
    let server = Server::start(|body, before| {
        let status = [429, 503, 500, 408][body["seed"].as_u64().unwrap() as usize % 4];
        match before {
            0 => (status, vec![("Retry-After", "0".into())], "{}".into()),
            1 => (200, Vec::new(), "{\"choices\": [{\"mess".into()),
            _ => chat("at last", "stop"),
        }
    });
    let (replies, result) = ask(server.endpoint(), requests(12));
    result.unwrap();
    assert!(replies.len() == 12 && replies.values().all(|r| r.text == "at last"));
}

#[test]
fn retry_after_is_honoured() {
    let server = Server::start(|_, before| match before {
        0 => (429, vec![("Retry-After", "0.1".into())], String::new()),
        _ => chat("ok", "stop"),
    });
    let begun = Instant::now();
    ask(server.endpoint(), requests(1)).1.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(100));
}

/// Nobody is answered: the server is down, and that ends the generation.
#[test]
fn a_server_that_stays_busy_ends_the_generation() {
    let server = Server::start(|_, _| {
        let body = "{\"error\": {\"message\": \"over\\nloaded\"}}";
        (503, Vec::new(), body.into())
    });
    let mut endpoint = server.endpoint();
    endpoint.patience = Duration::from_millis(50);
    let (replies, result) = ask(endpoint, requests(1000));
    let error = result.unwrap_err().to_string();
    assert!(
        error.contains("503") && error.contains("over loaded"),
        "{error}"
    );
    assert!(replies.is_empty());
}

/// What the server never answers becomes a failed reply; the others are answered.
#[test]
fn one_request_that_cannot_be_answered_ends_nothing() {
    let tries = Arc::new(AtomicUsize::new(0));
    let counter = tries.clone();
    let server = Server::start(move |body, before| {
        let error = |text: &str| json!({ "error": { "message": text } }).to_string();
        match body["messages"][0]["content"].as_str().unwrap() {
            "q5" => (500, Vec::new(), error("cuda")),
            "q6" => (400, Vec::new(), error("bad template")),
            "q7" => (200, Vec::new(), error("out of quota")),
            "q8" if before == 0 => {
                assert_eq!(body["max_tokens"], 77);
                let said = "This model's maximum context length is 50 tokens. However, you requested 87 tokens (10 in the messages, 77 in the completion).";
                (400, Vec::new(), error(said))
            }
            "q8" => {
                counter.fetch_add(1, Ordering::SeqCst);
                assert_eq!(body["max_tokens"], 40);
                chat("short", "length")
            }
            "q9" => {
                let said = "This model's maximum context length is 50 tokens. However, you requested 187 tokens (110 in the messages, 77 in the completion).";
                (400, Vec::new(), error(said))
            }
            _ => chat("ok", "stop"),
        }
    });
    let mut endpoint = server.endpoint();
    endpoint.retries = 2;
    let (replies, result) = ask(endpoint, requests(60));
    result.unwrap();
    assert_eq!(replies.len(), 60);
    let failed: Vec<(u64, &str)> = replies
        .values()
        .filter_map(|reply| Some((reply.key, reply.failure.as_deref()?)))
        .collect();
    let expected = [
        (5, "cuda"),
        (6, "bad template"),
        (7, "out of quota"),
        (9, "context length"),
    ];
    assert_eq!(failed.len(), expected.len(), "{failed:?}");
    for ((key, reason), (expected, word)) in failed.iter().zip(expected) {
        assert!(*key == expected && reason.contains(word), "{failed:?}");
    }
    assert!(
        replies.values().all(|reply| {
            (reply.finish_reason == FinishReason::Failed) == reply.failure.is_some()
        })
    );
    assert_eq!(replies[&8].text, "short");
    assert_eq!(tries.load(Ordering::SeqCst), 1);
}

#[test]
fn headers_fields_and_a_query_reach_the_server() {
    let http = tiny_http::Server::http("127.0.0.1:0").unwrap();
    let url = format!(
        "http://{}/openai/deployments/y?api-version=1",
        http.server_addr()
    );
    let server = thread::spawn(move || {
        let mut request = http.recv().unwrap();
        let key = request
            .headers()
            .iter()
            .find(|it| it.field.equiv("api-key"));
        let key = key.unwrap().value.to_string();
        let mut body = String::new();
        request.as_reader().read_to_string(&mut body).unwrap();
        let asked = (request.url().to_owned(), key, body);
        let _ = request.respond(tiny_http::Response::from_string(chat("ok", "stop").2));
        asked
    });
    let mut endpoint = Endpoint::new(url, "m");
    endpoint.headers = vec![("api-key".into(), "k".into())];
    endpoint.extra_body.insert("top_k".into(), json!(20));
    ask(endpoint, requests(1)).1.unwrap();
    let (url, key, body) = server.join().unwrap();
    assert_eq!(url, "/openai/deployments/y/chat/completions?api-version=1");
    assert_eq!(key, "k");
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&body["top_k"], &body["top_p"]), (&json!(20), &json!(0.9)));
}

/// Its restart costs nothing but the wait.
#[test]
fn a_server_that_is_down_for_a_while_is_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut endpoint = Endpoint::new(format!("http://{address}/v1"), "m");
    endpoint.backoff = Duration::from_millis(20);
    let asked = thread::spawn(move || ask(endpoint, requests(3)));
    thread::sleep(Duration::from_millis(100));
    let http = tiny_http::Server::http(address).unwrap();
    for _ in 0..3 {
        let request = http.recv().unwrap();
        let _ = request.respond(tiny_http::Response::from_string(chat("ok", "stop").2));
    }
    let (replies, result) = asked.join().unwrap();
    result.unwrap();
    assert_eq!(replies.len(), 3);
}

#[test]
fn a_wrong_key_or_address_is_not_tried_again() {
    let tries = Arc::new(AtomicUsize::new(0));
    let counter = tries.clone();
    let server = Server::start(move |_, _| {
        counter.fetch_add(1, Ordering::SeqCst);
        (
            401,
            Vec::new(),
            "{\"error\": {\"message\": \"bad key\"}}".into(),
        )
    });
    let error = ask(server.endpoint(), requests(1))
        .1
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("bad key") && error.contains("environment variable"),
        "{error}"
    );
    assert_eq!(tries.load(Ordering::SeqCst), 1);
}

#[test]
fn ends_and_refusals_are_told_apart() {
    let server = Server::start(|body, _| {
        let with = |message: Value, reason: &str| {
            let body = json!({ "choices": [{ "message": message, "finish_reason": reason }] });
            (200, Vec::new(), body.to_string())
        };
        match body["messages"][0]["content"].as_str().unwrap() {
            "q0" => chat("done", "stop"),
            "q1" => chat("cut o", "length"),
            "q2" => with(json!({ "content": null }), "content_filter"),
            "q3" => with(json!({ "content": null, "refusal": "I will not." }), "stop"),
            "q4" => (
                400,
                Vec::new(),
                json!({ "error": { "code": "content_filter", "message": "no" } }).to_string(),
            ),
            "q5" => with(
                json!({ "content": "5", "reasoning_content": "2 + 3\n" }),
                "stop",
            ),
            _ => with(json!({ "content": null, "reasoning": "2 + " }), "length"),
        }
    });
    let (replies, result) = ask(server.endpoint(), requests(7));
    result.unwrap();
    let got: Vec<(&str, FinishReason)> = replies
        .values()
        .map(|r| (r.text.as_str(), r.finish_reason))
        .collect();
    assert_eq!(
        got,
        [
            ("done", FinishReason::Stop),
            ("cut o", FinishReason::Length),
            ("", FinishReason::Refused),
            ("I will not.", FinishReason::Refused),
            ("", FinishReason::Refused),
            ("<think>\n2 + 3\n</think>\n\n5", FinishReason::Stop),
            ("<think>\n2 + ", FinishReason::Length),
        ]
    );
}

#[test]
fn hostile_replies_fail_and_never_panic() {
    let bodies = [
        "".to_owned(),
        "[]".into(),
        "{\"choices\": []}".into(),
        "{\"choices\": [{\"message\": 3, \"finish_reason\": \"stop\"}]}".into(),
        "{\"choices\": [{\"message\": {\"content\": 7}}]}".into(),
        "{\"choices\": {\"0\": [{\"message\": {}}]}}".into(),
        "[".repeat(100_000),
        "\u{0}\u{1}".into(),
        format!(
            "{{\"choices\": [{{\"message\": {{\"content\": \"{}\"",
            "x".repeat(2_000_000)
        ),
    ];
    for body in bodies {
        let shown = body.chars().take(60).collect::<String>();
        let server = Server::start(move |_, _| (200, Vec::new(), body.clone()));
        let mut endpoint = server.endpoint();
        endpoint.retries = 1;
        endpoint.max_body = 1 << 20;
        let (replies, result) = ask(endpoint, requests(1));
        result.unwrap();
        assert_eq!(replies[&0].finish_reason, FinishReason::Failed, "{shown}");
    }
}

/// A server that breaks off: it accepts, says something that is no reply, or nothing for longer
/// than we wait.
#[test]
fn broken_and_silent_connections_are_tried_again_and_then_given_up() {
    for said in [
        &b""[..],
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{\"cho",
        b"\x00\xff\r\n\r\n",
        b"wait",
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = connections.clone();
        thread::spawn(move || {
            let mut silent = Vec::new();
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                counter.fetch_add(1, Ordering::SeqCst);
                if said == b"wait" {
                    // Open and never answered: the client's own limit is all that ends it.
                    silent.push(stream);
                    continue;
                }
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(said);
            }
        });
        let mut endpoint = Endpoint::new(format!("http://{address}/v1"), "m");
        endpoint.retries = 1;
        endpoint.backoff = Duration::from_millis(1);
        let timeout = if said == b"wait" { 200 } else { 20_000 };
        endpoint.timeout = Duration::from_millis(timeout);
        let (replies, result) = ask(endpoint, requests(1));
        result.unwrap();
        assert!(replies[&0].failure.is_some());
        if said != b"wait" {
            assert_eq!(connections.load(Ordering::SeqCst), 2);
        }
    }
}

#[test]
fn the_pace_is_kept() {
    let server = Server::start(|_, _| chat("ok", "stop"));
    let mut endpoint = server.endpoint();
    endpoint.requests_per_second = 200.0;
    let begun = Instant::now();
    ask(endpoint, requests(11)).1.unwrap();
    assert!(
        begun.elapsed() >= Duration::from_millis(49),
        "{:?}",
        begun.elapsed()
    );
}

#[test]
fn a_sink_that_stops_ends_the_generation() {
    let server = Server::start(|_, _| chat("ok", "stop"));
    let mut taken = 0;
    let mut many = requests(1000).into_iter();
    let result = HttpGenerator::new(server.endpoint()).generate(&mut many, &mut |_| {
        taken += 1;
        if taken == 3 {
            Err("enough".into())
        } else {
            Ok(())
        }
    });
    assert!(matches!(result, Err(GenerateError::Sink(_))));
    assert_eq!(taken, 3);
    assert!(many.len() > 900);
}
