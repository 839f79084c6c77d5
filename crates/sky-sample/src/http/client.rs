use std::{
    collections::HashSet,
    fmt,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use serde_json::{Map, Value};
use sky_types::{FinishReason, Generate, GenerateError, Reply, Request, Sink};
use tracing::warn;
use ureq::{Agent, http::StatusCode};

use super::{
    retry,
    wire::{ChatRequest, chat_url, error_message, is_refusal, read_reply, room_for_reply},
};

/// An OpenAI-style server, and how many requests it gets.
#[derive(Clone)]
pub struct Endpoint {
    /// Base URL, up to and including `/v1`. A query stays behind the path of each request.
    pub url: String,
    /// The model's name at the server.
    pub model: String,
    /// The key sent as `Authorization: Bearer`; empty for none.
    pub api_key: String,
    /// Further headers: names and values.
    pub headers: Vec<(String, String)>,
    /// Further fields of each request's body (`top_k`, `min_p`, `chat_template_kwargs`).
    pub extra_body: Map<String, Value>,
    /// Concurrent requests.
    pub concurrency: usize,
    /// Most requests begun per second, retries included; 0 for no limit.
    pub requests_per_second: f64,
    /// Longest time of one try, from the connection to the last byte.
    pub timeout: Duration,
    /// Most tries after the first one of a request that the server fails on.
    pub retries: u32,
    /// How long a server may be down or busy for everyone before the generation ends.
    pub patience: Duration,
    /// The wait before the second try. It doubles with each try, up to two minutes.
    pub backoff: Duration,
    /// Largest reply read, in bytes.
    pub max_body: u64,
}

impl Endpoint {
    /// A server with these defaults: 16 concurrent requests, no limit per second, 30 minutes per
    /// try (a busy server needs many of them for 32k tokens), 8 retries that start with a wait of
    /// 1 s, an hour's patience with a server that is down, and 64 MiB per reply.
    pub fn new(url: impl Into<String>, model: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            model: model.into(),
            api_key: String::new(),
            headers: Vec::new(),
            extra_body: Map::new(),
            concurrency: 16,
            requests_per_second: 0.0,
            timeout: Duration::from_secs(1800),
            retries: 8,
            patience: Duration::from_secs(3600),
            backoff: Duration::from_secs(1),
            max_body: 64 << 20,
        }
    }
}

impl fmt::Debug for Endpoint {
    /// Leaves the key out, so that it reaches no log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("url", &self.url)
            .field("model", &self.model)
            .field("concurrency", &self.concurrency)
            .finish_non_exhaustive()
    }
}

/// Gets replies from an OpenAI-style server over a pool of connections.
///
/// - A server that is down or busy for everyone (no connection, 429, 502, 503, 504, 529) is asked
///   again until `patience` is used up. The wait grows with each try, or is what the server's
///   `Retry-After` says.
/// - A request that the server fails on (another 5xx, a timeout, an unreadable reply) is tried
///   again `retries` times. Then, and at once after a refused request (400, 422), it gets a reply
///   of [`FinishReason::Failed`] with the reason, and the others continue.
/// - A request that is longer than the server's context is asked again for as many tokens as the
///   context leaves.
/// - A content filter gives a [`FinishReason::Refused`] reply.
/// - What concerns every request (401, 403, 404) ends the generation with an error, once the
///   requests under way have ended.
pub struct HttpGenerator {
    endpoint: Endpoint,
    agent: Agent,
    /// The server's unknown words for a reply's end that have been warned of.
    unknown_ends: Mutex<HashSet<String>>,
}

impl fmt::Debug for HttpGenerator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HttpGenerator")
            .field(&self.endpoint)
            .finish()
    }
}

/// The last error of a request, with the number of its tries.
#[derive(Debug, thiserror::Error)]
#[error("{url}: {reason}{}", if *tries > 1 { format!(" (after {tries} tries)") } else { String::new() })]
struct ServerError {
    url: String,
    reason: String,
    tries: u32,
}

/// Why one try gave no reply.
enum Failure {
    /// The server is down or busy, for every request; the wait that it asked for, if any.
    Busy(String, Option<Duration>),
    /// The server failed on this request; another try may succeed.
    Broken(String),
    /// The request is too long for the server's context, which leaves this many tokens for the
    /// reply.
    TooLong(String, u32),
    /// This request can never be answered.
    Request(String),
    /// No request can be answered.
    Server(String),
}

/// What the workers of one generation share.
struct Pool {
    pace: Pace,
    /// Ends the waits.
    stop: AtomicBool,
    /// When the server last answered anything, or the generation began.
    last_answer: Mutex<Instant>,
    /// When the user was last told that the server does not answer.
    last_warning: Mutex<Option<Instant>>,
}

impl Pool {
    fn new(requests_per_second: f64) -> Self {
        Self {
            pace: Pace::new(requests_per_second),
            stop: AtomicBool::new(false),
            last_answer: Mutex::new(Instant::now()),
            last_warning: Mutex::new(None),
        }
    }

    fn answered(&self) {
        *locked(&self.last_answer) = Instant::now();
    }

    /// Tells the user, at most every few seconds for all workers together.
    fn warn(&self, url: &str, reason: &str, wait: Duration) {
        const INTERVAL: Duration = Duration::from_secs(10);
        let mut last = locked(&self.last_warning);
        if last.is_none_or(|last| last.elapsed() >= INTERVAL) {
            *last = Some(Instant::now());
            warn!(
                "{url}: {reason}; trying again in {:.0} s",
                wait.as_secs_f64().ceil()
            );
        }
    }
}

/// The value behind a lock. After a panic in another thread it is still usable.
fn locked<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

impl HttpGenerator {
    /// Creates a client. It connects with its first request.
    pub fn new(endpoint: Endpoint) -> Self {
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(endpoint.timeout))
            .timeout_connect(Some(Duration::from_secs(30)))
            .max_redirects(0)
            .max_idle_connections_per_host(endpoint.concurrency);
        if is_local(&endpoint.url) {
            config = config.proxy(None);
        }
        Self {
            agent: config.build().new_agent(),
            endpoint,
            unknown_ends: Mutex::default(),
        }
    }

    /// The reply to a request, one that says why there is none, or what ends the generation.
    fn answer(&self, request: &Request, pool: &Pool) -> Result<Reply, ServerError> {
        let _span = tracing::debug_span!("request", key = request.key).entered();
        let url = chat_url(&self.endpoint.url);
        let mut max_tokens = request.params.max_tokens;
        // Tries in all, and those that the server failed on.
        let (mut tries, mut broken) = (0_u32, 0_u32);
        let began = Instant::now();
        loop {
            pool.pace.wait(&pool.stop);
            tries += 1;
            let server_error = |reason| ServerError {
                url: url.clone(),
                reason,
                tries,
            };
            let stopped = || pool.stop.load(Ordering::Relaxed);
            let (reason, retry_after) = match self.try_once(&url, request, max_tokens) {
                Ok(reply) => {
                    pool.answered();
                    return Ok(reply);
                }
                Err(Failure::Request(reason)) => {
                    pool.answered();
                    return Ok(Reply::failed(request.key, reason));
                }
                Err(Failure::TooLong(reason, room)) => {
                    pool.answered();
                    if room >= max_tokens {
                        return Ok(Reply::failed(request.key, reason));
                    }
                    max_tokens = room;
                    continue;
                }
                Err(Failure::Server(reason)) => return Err(server_error(reason)),
                Err(Failure::Broken(reason)) => {
                    broken += 1;
                    if broken > self.endpoint.retries {
                        pool.answered();
                        let reason = format!("{reason} (after {tries} tries)");
                        return Ok(Reply::failed(request.key, reason));
                    }
                    (reason, None)
                }
                Err(Failure::Busy(reason, retry_after)) => {
                    let waited = began.elapsed();
                    if waited >= self.endpoint.patience {
                        let seconds = waited.as_secs_f64();
                        // Others were answered meanwhile: it is this request that is not.
                        return if *locked(&pool.last_answer) > began {
                            let reason = format!("{reason} (for {seconds:.0} s)");
                            Ok(Reply::failed(request.key, reason))
                        } else {
                            Err(server_error(format!(
                                "{reason}; no answer for {seconds:.0} s (`patience_s`): run the \
                                 same command again once the server answers"
                            )))
                        };
                    }
                    (reason, retry_after)
                }
            };
            if stopped() {
                return Err(server_error(reason));
            }
            let wait = retry::wait(self.endpoint.backoff, tries - 1, retry_after, request.seed);
            pool.warn(&url, &reason, wait);
            sleep(wait, &pool.stop);
        }
    }

    fn try_once(&self, url: &str, request: &Request, max_tokens: u32) -> Result<Reply, Failure> {
        let endpoint = &self.endpoint;
        let body = ChatRequest::new(&endpoint.model, request, max_tokens, &endpoint.extra_body);
        let body =
            serde_json::to_vec(&body).map_err(|error| Failure::Request(error.to_string()))?;
        let mut post = self.agent.post(url).content_type("application/json");
        if !endpoint.api_key.is_empty() {
            post = post.header("Authorization", format!("Bearer {}", endpoint.api_key));
        }
        for (name, value) in &endpoint.headers {
            post = post.header(name, value);
        }
        let mut response = post.send(&body[..]).map_err(|error| from_ureq(&error))?;
        let status = response.status();
        let retry_after = response
            .headers()
            .get("retry-after")
            .and_then(|value| value.to_str().ok())
            .and_then(|value| retry::retry_after(value, SystemTime::now()));
        let body = response
            .body_mut()
            .with_config()
            .limit(endpoint.max_body)
            .read_to_vec()
            .map_err(|error| from_ureq(&error))?;
        if status == StatusCode::OK {
            let read = read_reply(request.key, &body).map_err(Failure::Broken)?;
            if let Some(word) = read.unknown_end {
                self.warn_of_end(&word);
            }
            return Ok(read.reply);
        }
        if status.is_client_error() && is_refusal(&body) {
            return Ok(Reply {
                finish_reason: FinishReason::Refused,
                failure: None,
                ..Reply::failed(request.key, "")
            });
        }
        let said = error_message(&body);
        let reason = format!("status {}: {said}", status.as_u16());
        Err(match status.as_u16() {
            401 | 403 => Failure::Server(format!("{reason}; check the key's environment variable")),
            404 => Failure::Server(format!("{reason}; check the endpoint and the model's name")),
            425 | 429 | 502 | 503 | 504 | 529 => Failure::Busy(reason, retry_after),
            408 | 409 | 500.. => Failure::Broken(reason),
            _ => match room_for_reply(&said) {
                Some(room) => Failure::TooLong(reason, room),
                None => Failure::Request(reason),
            },
        })
    }

    /// The next result; tells the user when a server takes long without a word. `None` when no more
    /// will come.
    fn next_result<T>(&self, results: &mpsc::Receiver<T>, under_way: usize) -> Option<T> {
        const FIRST: Duration = Duration::from_secs(60);
        let began = Instant::now();
        let mut wait = FIRST;
        loop {
            match results.recv_timeout(wait) {
                Ok(result) => return Some(result),
                Err(mpsc::RecvTimeoutError::Disconnected) => return None,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    warn!(
                        "{}: {under_way} requests under way, no reply for {:.0} s",
                        self.endpoint.url,
                        began.elapsed().as_secs_f64()
                    );
                    // Each silence twice as long as the one before.
                    wait = began.elapsed();
                }
            }
        }
    }

    /// Once for each word: a reply that ended for it counts as finished.
    fn warn_of_end(&self, word: &str) {
        if locked(&self.unknown_ends).insert(word.to_owned()) {
            warn!("the server ends replies with finish_reason {word}; taken for an end");
        }
    }
}

fn from_ureq(error: &ureq::Error) -> Failure {
    match error {
        ureq::Error::BadUri(_) | ureq::Error::Http(_) | ureq::Error::TooManyRedirects => {
            Failure::Server(error.to_string())
        }
        ureq::Error::BodyExceedsLimit(_) => Failure::Request(error.to_string()),
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => {
            Failure::Busy(error.to_string(), None)
        }
        ureq::Error::Io(source) if is_refused(source) => Failure::Busy(error.to_string(), None),
        ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => {
            Failure::Busy(error.to_string(), None)
        }
        _ => Failure::Broken(error.to_string()),
    }
}

/// Whether no connection came about.
fn is_refused(error: &std::io::Error) -> bool {
    use std::io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::ConnectionRefused | Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::NotFound
    )
}

/// Whether the server is on this machine: then no proxy is used.
fn is_local(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    ["localhost", "127.0.0.1", "[::1]"].iter().any(|local| {
        host.strip_prefix(local)
            .is_some_and(|port| port.is_empty() || port.starts_with(':'))
    })
}

/// Waits, but ends early when `stop` is set.
fn sleep(wait: Duration, stop: &AtomicBool) {
    let until = Instant::now() + wait;
    while !stop.load(Ordering::Relaxed) {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        thread::sleep(left.min(Duration::from_millis(50)));
    }
}

/// Limits how many tries begin per second.
struct Pace {
    interval: Duration,
    next: Mutex<Instant>,
}

impl Pace {
    fn new(per_second: f64) -> Self {
        let limited = per_second > 0.0 && per_second.is_finite();
        let seconds = if limited { 1.0 / per_second } else { 0.0 };
        Self {
            interval: Duration::from_secs_f64(seconds.min(3600.0)),
            next: Mutex::new(Instant::now()),
        }
    }

    fn wait(&self, stop: &AtomicBool) {
        if self.interval.is_zero() {
            return;
        }
        let now = Instant::now();
        let mut next = locked(&self.next);
        let mine = (*next).max(now);
        *next = mine + self.interval;
        drop(next);
        sleep(mine - now, stop);
    }
}

impl Generate for HttpGenerator {
    fn model(&self) -> &str {
        &self.endpoint.model
    }

    fn generate(
        &mut self,
        requests: &mut dyn Iterator<Item = Request>,
        sink: &mut Sink<'_>,
    ) -> Result<(), GenerateError> {
        let workers = self.endpoint.concurrency.max(1);
        let pool = Pool::new(self.endpoint.requests_per_second);
        let (work, waiting) = mpsc::channel::<Request>();
        let waiting = Mutex::new(waiting);
        let (done, results) = mpsc::channel();
        let client = &*self;
        thread::scope(|scope| {
            let mut started = 0;
            let mut under_way = 0_usize;
            let mut failed = None;
            let mut more = true;
            loop {
                while more && failed.is_none() && under_way < workers {
                    let Some(request) = requests.next() else {
                        more = false;
                        break;
                    };
                    under_way += 1;
                    if started < workers {
                        started += 1;
                        let (done, waiting, pool) = (done.clone(), &waiting, &pool);
                        scope.spawn(move || {
                            while let Some(request) = take(waiting) {
                                if done.send(client.answer(&request, pool)).is_err() {
                                    return;
                                }
                            }
                        });
                    }
                    if work.send(request).is_err() {
                        // Unreachable: `waiting` outlives the scope.
                        under_way -= 1;
                    }
                }
                if under_way == 0 {
                    break;
                }
                let Some(result) = client.next_result(&results, under_way) else {
                    break;
                };
                under_way -= 1;
                let delivered = match result {
                    Ok(reply) if matches!(failed, Some(GenerateError::Sink(_))) => {
                        drop(reply);
                        Ok(())
                    }
                    Ok(reply) => sink(reply).map_err(GenerateError::Sink),
                    Err(error) => Err(GenerateError::Backend(error.into())),
                };
                if let Err(error) = delivered {
                    pool.stop.store(true, Ordering::Relaxed);
                    failed.get_or_insert(error);
                }
            }
            drop(work);
            failed.map_or(Ok(()), Err)
        })
    }
}

/// Takes the next request; `None` when no more will come.
fn take(waiting: &Mutex<mpsc::Receiver<Request>>) -> Option<Request> {
    locked(waiting).recv().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_local() {
        for url in [
            "http://127.0.0.1:8000/v1",
            "http://localhost/v1",
            "http://[::1]:1/v1",
        ] {
            assert!(is_local(url), "{url}");
        }
        for url in [
            "http://127.0.0.1.evil.org/v1",
            "https://localhosts/v1",
            "https://api/?localhost",
        ] {
            assert!(!is_local(url), "{url}");
        }
    }

    #[test]
    fn the_key_is_not_shown() {
        let mut endpoint = Endpoint::new("http://localhost/v1", "m");
        endpoint.api_key = "sk-secret".into();
        assert!(!format!("{:?}", HttpGenerator::new(endpoint)).contains("secret"));
    }
}
