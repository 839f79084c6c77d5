//! One request, one answer.

use std::{convert::Infallible, sync::Arc};

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{ALLOW, CONTENT_TYPE, RETRY_AFTER},
};
use serde::Serialize;
use sky_verify::python::{Limits, Sandbox};
use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};

use super::{
    PATIENCE,
    wire::{Complaint, Health, Ran, RunCode},
};

/// What all connections share.
pub(super) struct Service {
    pub(super) sandbox: Sandbox,
    pub(super) most: Limits,
    pub(super) most_seconds: f64,
    pub(super) most_body: u64,
    /// Requests for a run that may be here at once, running or waiting.
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
            let detail = format!("{} requests are here already", self.capacity);
            let mut answer = complain(StatusCode::SERVICE_UNAVAILABLE, &detail);
            answer
                .headers_mut()
                .insert(RETRY_AFTER, hyper::header::HeaderValue::from_static("1"));
            return answer;
        };
        let most = usize::try_from(self.most_body).unwrap_or(usize::MAX);
        let body = match timeout(PATIENCE, Limited::new(body, most).collect()).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                let detail = format!("a request has at most {most} bytes (--max-body)");
                return complain(StatusCode::PAYLOAD_TOO_LARGE, &detail);
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
            let _room = room;
            let stdin = request.stdin.unwrap_or_default();
            service
                .sandbox
                .run(&request.code, stdin.as_bytes(), &limits)
        };
        match spawn_blocking(run).await {
            Ok(Ok(outcome)) => json(StatusCode::OK, &Ran::new(outcome)),
            Ok(Err(error)) => complain(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
            Err(error) => complain(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        }
    }
}

fn complain(status: StatusCode, detail: &str) -> Answer {
    let detail = detail.to_owned();
    json(status, &Complaint { detail })
}

fn json(status: StatusCode, body: &impl Serialize) -> Answer {
    // Plain structs of texts and finite numbers always have a JSON form.
    let body = serde_json::to_vec(body).unwrap_or_default();
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(
        CONTENT_TYPE,
        hyper::header::HeaderValue::from_static("application/json"),
    );
    answer
}
