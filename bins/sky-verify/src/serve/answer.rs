//! One request, one answer.

use std::{convert::Infallible, sync::Arc, time::Duration};

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Body, Bytes, Incoming},
    header::{ALLOW, CONTENT_TYPE, RETRY_AFTER},
};
use serde::Serialize;
use sky_verify::python::{Limits, Sandbox};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::spawn_blocking,
    time::timeout,
};

use super::wire::{Complaint, Health, Ran, RunCode};

/// What a request takes for each byte of its body: the body, its text, what the guest is sent.
const REQUEST_COPIES: u64 = 3;
/// What an answer takes at most for each byte of output while it is written: the output, its text, and its JSON, which is six
/// times as long for control characters.
const ANSWER_COPIES: u64 = 10;
/// What an answer takes besides.
const ANSWER_FRAME: u64 = 64 << 10;

/// A bound on the bytes of all requests and answers that are here at once.
pub(super) struct Held {
    /// In KiB.
    free: Arc<Semaphore>,
    most: u32,
}

impl Held {
    pub(super) fn new(bytes: u64) -> Self {
        let most = u32::try_from(bytes >> 10).unwrap_or(u32::MAX).max(1);
        Self {
            free: Arc::new(Semaphore::new(most as usize)),
            most,
        }
    }

    /// What these bytes take; what is more than everything takes everything, alone.
    fn parts(&self, bytes: u64) -> u32 {
        let parts = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
        parts.clamp(1, self.most)
    }

    fn try_take(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        let free = Arc::clone(&self.free);
        free.try_acquire_many_owned(self.parts(bytes)).ok()
    }

    async fn take(&self, bytes: u64, patience: Duration) -> Option<OwnedSemaphorePermit> {
        let free = Arc::clone(&self.free);
        let taken = timeout(patience, free.acquire_many_owned(self.parts(bytes))).await;
        taken.ok()?.ok()
    }

    /// Gives back what is not needed after all.
    fn shrink(&self, taken: &mut OwnedSemaphorePermit, bytes: u64) {
        let needed = self.parts(bytes) as usize;
        drop(taken.split(taken.num_permits().saturating_sub(needed)));
    }
}

/// The bytes of an answer, and what they hold until they are sent or given up: their bytes, and the request's place.
struct Sent {
    bytes: Vec<u8>,
    _held: OwnedSemaphorePermit,
    _room: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Sent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// What all connections share.
pub(super) struct Service {
    pub(super) sandbox: Sandbox,
    pub(super) most: Limits,
    pub(super) most_seconds: f64,
    pub(super) most_body: u64,
    /// How long clients may take to send and to read.
    pub(super) patience: Duration,
    pub(super) held: Held,
    /// Requests for a run that may be here at once, waiting, running, or being answered.
    pub(super) capacity: usize,
    pub(super) room: Arc<Semaphore>,
}

type Answer = Response<Full<Bytes>>;

impl Service {
    pub(super) async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Answer, Infallible> {
        let known = ["/run_code", "/healthz"];
        Ok(match (request.method(), request.uri().path()) {
            (&Method::POST, "/run_code") => self.run_code(request.into_body()).await,
            (&Method::GET, "/healthz") => self.health(),
            (_, path) if known.contains(&path) => {
                let mut answer = complain(StatusCode::METHOD_NOT_ALLOWED, "another method");
                let allowed = if path == "/healthz" { "GET" } else { "POST" };
                answer
                    .headers_mut()
                    .insert(ALLOW, hyper::header::HeaderValue::from_static(allowed));
                answer
            }
            (_, path) => {
                let detail = format!("no {path}; there are POST /run_code and GET /healthz");
                complain(StatusCode::NOT_FOUND, &detail)
            }
        })
    }

    fn health(&self) -> Answer {
        let health = Health {
            status: "ok",
            in_flight: self.capacity - self.room.available_permits().min(self.capacity),
            capacity: self.capacity,
        };
        json(StatusCode::OK, &health)
    }

    async fn run_code(self: Arc<Self>, body: Incoming) -> Answer {
        // Before the body is read: bodies that wait take memory too.
        let Ok(room) = Arc::clone(&self.room).try_acquire_owned() else {
            return busy(&format!("{} requests are here already", self.capacity));
        };
        // As it says of itself, which is all that it can send; most of all when it says nothing.
        let bytes = body.size_hint().upper().unwrap_or(self.most_body);
        if bytes > self.most_body {
            return too_large(self.most_body);
        }
        let Some(held) = self.held.try_take(REQUEST_COPIES * bytes) else {
            return busy("requests and answers take all the memory there is for them (--held)");
        };
        let most = usize::try_from(self.most_body).unwrap_or(usize::MAX);
        let body = match timeout(self.patience, Limited::new(body, most).collect()).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                return too_large(self.most_body);
            }
            Ok(Err(error)) => return complain(StatusCode::BAD_REQUEST, &error.to_string()),
            Err(_) => return complain(StatusCode::REQUEST_TIMEOUT, "the body took too long"),
        };
        let request: RunCode = match serde_json::from_slice(&body) {
            Ok(request) => request,
            // The code that web frameworks give, and clients know, for a body of another shape.
            Err(error) => return complain(StatusCode::UNPROCESSABLE_ENTITY, &error.to_string()),
        };
        drop(body);
        let limits = match request.limits(&self.most, self.most_seconds) {
            Ok(limits) => limits,
            Err(detail) => return complain(StatusCode::UNPROCESSABLE_ENTITY, &detail),
        };
        let service = Arc::clone(&self);
        let run = move || {
            // Held until the program has ended, even when its client has not waited for that.
            let (room, _held) = (room, held);
            let stdin = request.stdin.unwrap_or_default();
            let ran = service
                .sandbox
                .run(&request.code, stdin.as_bytes(), &limits);
            (ran, room)
        };
        let (outcome, room) = match spawn_blocking(run).await {
            Ok((Ok(outcome), room)) => (outcome, room),
            Ok((Err(error), _)) => {
                return complain(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string());
            }
            Err(error) => return complain(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        };
        let output = (outcome.stdout.len() + outcome.stderr.len()) as u64;
        let most = ANSWER_COPIES * output + ANSWER_FRAME;
        let Some(mut held) = self.held.take(most, self.patience).await else {
            return busy("answers wait for slow readers (--held)");
        };
        let bytes = serde_json::to_vec(&Ran::new(outcome)).unwrap_or_default();
        self.held.shrink(&mut held, bytes.len() as u64);
        let sent = Sent {
            bytes,
            _held: held,
            _room: room,
        };
        respond(StatusCode::OK, Bytes::from_owner(sent))
    }
}

fn busy(detail: &str) -> Answer {
    let mut answer = complain(StatusCode::SERVICE_UNAVAILABLE, detail);
    answer
        .headers_mut()
        .insert(RETRY_AFTER, hyper::header::HeaderValue::from_static("1"));
    answer
}

fn too_large(most: u64) -> Answer {
    let detail = format!("a request has at most {most} bytes (--max-body)");
    complain(StatusCode::PAYLOAD_TOO_LARGE, &detail)
}

fn complain(status: StatusCode, detail: &str) -> Answer {
    let detail = detail.to_owned();
    json(status, &Complaint { detail })
}

fn json(status: StatusCode, body: &impl Serialize) -> Answer {
    // Plain structs of texts and finite numbers always have a JSON form.
    respond(status, serde_json::to_vec(body).unwrap_or_default().into())
}

fn respond(status: StatusCode, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(
        CONTENT_TYPE,
        hyper::header::HeaderValue::from_static("application/json"),
    );
    answer
}
