use std::{
    fmt,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use sky_types::{FinishReason, Generate, GenerateError, Reply, Request, Sink};
use ureq::{Agent, http::StatusCode};

use super::{
    retry,
    wire::{ChatRequest, error_message, is_refusal, read_reply},
};

/// An OpenAI-style server, and how many requests it gets.
#[derive(Clone)]
pub struct Endpoint {
    /// Base URL, up to and including `/v1`.
    pub url: String,
    /// The model's name at the server.
    pub model: String,
    /// The key sent as `Authorization: Bearer`; empty for none.
    pub api_key: String,
    /// Concurrent requests.
    pub concurrency: usize,
    /// Most requests begun per second, retries included; 0 for no limit.
    pub requests_per_second: f64,
    /// Longest time of one try, from the connection to the last byte.
    pub timeout: Duration,
    /// Most tries after the first one.
    pub retries: u32,
    /// The wait before the second try. It doubles with each try, up to two minutes.
    pub backoff: Duration,
    /// Largest reply read, in bytes.
    pub max_body: u64,
}

impl Endpoint {
    /// A server with these defaults: 16 concurrent requests, no limit per second, 30 minutes per
    /// try (a busy server needs many of them for 32k tokens), 8 retries that start with a wait of
    /// 1 s, and 64 MiB per reply.
    pub fn new(url: impl Into<String>, model: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            model: model.into(),
            api_key: String::new(),
            concurrency: 16,
            requests_per_second: 0.0,
            timeout: Duration::from_secs(1800),
            retries: 8,
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
/// A request is tried again after a status of 408, 409, 425, 429 or 5xx, a broken connection, a
/// timeout or an unreadable reply. The wait grows with each try, or is what the server's
/// `Retry-After` says. When the retries are used up, or after another status, generation ends with
/// an error, once the requests under way have ended. A content filter gives a
/// [`FinishReason::Refused`] reply, which is no error.
pub struct HttpGenerator {
    endpoint: Endpoint,
    agent: Agent,
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
    /// Another try may succeed, after the wait that the server named, if any.
    Retryable(String, Option<Duration>),
    /// Another try would fail too.
    Final(String),
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
        }
    }

    fn answer(
        &self,
        request: &Request,
        pace: &Pace,
        stop: &AtomicBool,
    ) -> Result<Reply, ServerError> {
        let url = format!(
            "{}/chat/completions",
            self.endpoint.url.trim_end_matches('/')
        );
        let _span = tracing::debug_span!("request", key = request.key).entered();
        let mut tries = 0;
        loop {
            pace.wait(stop);
            tries += 1;
            let fail = |reason| ServerError {
                url: url.clone(),
                reason,
                tries,
            };
            match self.try_once(&url, request) {
                Ok(reply) => return Ok(reply),
                Err(Failure::Final(reason)) => return Err(fail(reason)),
                Err(Failure::Retryable(reason, _))
                    if tries > self.endpoint.retries || stop.load(Ordering::Relaxed) =>
                {
                    return Err(fail(reason));
                }
                Err(Failure::Retryable(reason, retry_after)) => {
                    let wait =
                        retry::wait(self.endpoint.backoff, tries - 1, retry_after, request.seed);
                    tracing::info!(
                        url,
                        tries,
                        wait_s = wait.as_secs_f64(),
                        "{reason}; trying again"
                    );
                    sleep(wait, stop);
                }
            }
        }
    }

    fn try_once(&self, url: &str, request: &Request) -> Result<Reply, Failure> {
        let body = serde_json::to_vec(&ChatRequest::new(&self.endpoint.model, request))
            .map_err(|error| Failure::Final(error.to_string()))?;
        let mut post = self.agent.post(url).content_type("application/json");
        if !self.endpoint.api_key.is_empty() {
            post = post.header("Authorization", format!("Bearer {}", self.endpoint.api_key));
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
            .limit(self.endpoint.max_body)
            .read_to_vec()
            .map_err(|error| from_ureq(&error))?;
        if status == StatusCode::OK {
            return read_reply(request.key, &body)
                .map_err(|reason| Failure::Retryable(reason, None));
        }
        if status.is_client_error() && is_refusal(&body) {
            return Ok(Reply {
                key: request.key,
                text: String::new(),
                finish_reason: FinishReason::Refused,
                prompt_tokens: 0,
                completion_tokens: 0,
            });
        }
        let reason = format!("status {}: {}", status.as_u16(), error_message(&body));
        let retryable =
            status.is_server_error() || matches!(status.as_u16(), 408 | 409 | 425 | 429);
        if retryable {
            return Err(Failure::Retryable(reason, retry_after));
        }
        let hint = match status.as_u16() {
            401 | 403 => "; check the key's environment variable",
            404 => "; check the endpoint and the model's name",
            _ => "",
        };
        Err(Failure::Final(format!("{reason}{hint}")))
    }
}

fn from_ureq(error: &ureq::Error) -> Failure {
    match error {
        ureq::Error::BadUri(_)
        | ureq::Error::Http(_)
        | ureq::Error::BodyExceedsLimit(_)
        | ureq::Error::TooManyRedirects => Failure::Final(error.to_string()),
        _ => Failure::Retryable(error.to_string(), None),
    }
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
        // After a panic in another thread the time in the lock is still usable.
        let mut next = self
            .next
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
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
        let (stop, pace) = (
            AtomicBool::new(false),
            Pace::new(self.endpoint.requests_per_second),
        );
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
                        let (done, waiting, stop, pace) = (done.clone(), &waiting, &stop, &pace);
                        scope.spawn(move || {
                            while let Some(request) = take(waiting) {
                                if done.send(client.answer(&request, pace, stop)).is_err() {
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
                let Ok(result) = results.recv() else {
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
                    stop.store(true, Ordering::Relaxed);
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
    let waiting = waiting
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    waiting.recv().ok()
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
