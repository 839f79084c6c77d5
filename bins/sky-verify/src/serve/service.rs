//! Answers requests.

use std::{convert::Infallible, sync::Arc, time::Duration};

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{
    Request, Response, StatusCode,
    body::{Body, Bytes, Incoming},
    header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER},
};
use serde::{Serialize, de::DeserializeOwned};
use sky_sandbox::{Limits, Outcome};
use sky_types::{Answer, Check, CheckError, CheckOutcome, Verdict};
use sky_verify::{CodeCheck, MathCheck};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::spawn_blocking,
    time::timeout,
};

use super::{
    access::Access,
    memory_budget::MemoryBudget,
    metrics::Metrics,
    submit::{SubmitRequest, SubmitResponse},
    wire::{
        CheckJob, ErrorBody, Health, RunCodeRequest, RunCodeResponse, VerifyRequest,
        VerifyResponse, check_size,
    },
};

/// Bytes of memory for each byte of a request's body: the body, its text, the copy for the guest.
const REQUEST_COPIES: u64 = 3;
/// Most bytes of memory for each byte of output while its answer is built: the output, its text,
/// and its JSON, which is six times as long for control characters.
const ANSWER_COPIES: u64 = 10;
/// Bytes of memory for the rest of an answer.
const ANSWER_FRAME: u64 = 64 << 10;

const JSON: &str = "application/json";

/// What the service answers: method and path.
const PATHS: [(&str, &str); 5] = [
    ("POST", "/run_code"),
    ("POST", "/submit"),
    ("POST", "/verify"),
    ("GET", "/healthz"),
    ("GET", "/metrics"),
];

/// The bytes of an answer. Until they are sent or dropped they hold memory and the request's slot.
struct ResponseBytes {
    bytes: Vec<u8>,
    _memory: OwnedSemaphorePermit,
    _slot: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for ResponseBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// What a client sent.
struct Received<T> {
    content: T,
    /// Reserved for the body and its copies.
    memory: OwnedSemaphorePermit,
}

/// A job that was done.
struct CheckedReply {
    job: CheckJob,
    outcome: CheckOutcome,
}

/// The state that all connections share.
pub(super) struct Service {
    /// Judges programs; its sandbox runs them.
    pub(super) code: CodeCheck,
    pub(super) math: MathCheck,
    pub(super) metrics: Metrics,
    pub(super) access: Access,
    /// The most memory and output of one program.
    pub(super) max_limits: Limits,
    pub(super) max_seconds: f64,
    /// In bytes.
    pub(super) max_body: u64,
    /// Time limit for a client to send its request and to read its answer.
    pub(super) client_timeout: Duration,
    pub(super) memory: MemoryBudget,
    /// Most requests for a run at once: those that wait, run or are being answered.
    pub(super) capacity: usize,
    /// A permit for each of `capacity`.
    pub(super) slots: Arc<Semaphore>,
}

type HttpResponse = Response<Full<Bytes>>;

impl Service {
    pub(super) async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<HttpResponse, Infallible> {
        let known = PATHS.iter().find(|(_, path)| *path == request.uri().path());
        let counted = known.map_or("other", |(_, path)| path);
        let answer = match (self.access.refuse(&request), known) {
            (Some(refusal), _) => error_response(refusal.status, &refusal.detail),
            (None, None) => {
                let known = PATHS.map(|(method, path)| format!("{method} {path}"));
                let detail = format!(
                    "no {}; there are {}",
                    request.uri().path(),
                    known.join(", ")
                );
                error_response(StatusCode::NOT_FOUND, &detail)
            }
            (None, Some((method, _))) if *method != request.method().as_str() => {
                let mut answer = error_response(StatusCode::METHOD_NOT_ALLOWED, "another method");
                answer
                    .headers_mut()
                    .insert(ALLOW, HeaderValue::from_static(method));
                answer
            }
            (None, Some((_, "/run_code"))) => Arc::clone(&self).run_code(request.into_body()).await,
            (None, Some((_, "/submit"))) => Arc::clone(&self).submit(request.into_body()).await,
            (None, Some((_, "/verify"))) => Arc::clone(&self).verify(request.into_body()).await,
            (None, Some((_, "/metrics"))) => {
                let page = self.metrics.page(self.in_flight(), self.capacity);
                respond(StatusCode::OK, "text/plain; version=0.0.4", page.into())
            }
            (None, Some(_)) => self.health(),
        };
        self.metrics.count(counted, answer.status().as_u16());
        Ok(answer)
    }

    fn health(&self) -> HttpResponse {
        let health = Health {
            status: "ok",
            in_flight: self.in_flight(),
            capacity: self.capacity,
        };
        json(StatusCode::OK, &health)
    }

    fn in_flight(&self) -> usize {
        self.capacity - self.slots.available_permits().min(self.capacity)
    }

    /// A place among the requests that wait, run or are being answered.
    fn take_slot(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.slots).try_acquire_owned().ok()
    }

    fn no_slot(&self) -> HttpResponse {
        busy(&format!(
            "all {} places for requests are taken",
            self.capacity
        ))
    }

    /// Gives a reply its verdict.
    async fn verify(self: Arc<Self>, body: Incoming) -> HttpResponse {
        match self.try_verify(body).await {
            Ok(answer) | Err(answer) => answer,
        }
    }

    async fn try_verify(self: Arc<Self>, body: Incoming) -> Result<HttpResponse, HttpResponse> {
        let Received { content, memory } = self.read_json::<VerifyRequest>(body).await?;
        let checked = self.check(content.into_job(), memory).await?;
        Ok(json(StatusCode::OK, &VerifyResponse::new(checked.outcome)))
    }

    /// Gives a reply to a problem of one of SandboxFusion's data sets its verdict.
    async fn submit(self: Arc<Self>, body: Incoming) -> HttpResponse {
        match self.try_submit(body).await {
            Ok(answer) | Err(answer) => answer,
        }
    }

    async fn try_submit(self: Arc<Self>, body: Incoming) -> Result<HttpResponse, HttpResponse> {
        let Received { content, memory } = self.read_json::<SubmitRequest>(body).await?;
        let submission = content
            .into_submission(self.max_seconds)
            .map_err(|detail| error_response(StatusCode::UNPROCESSABLE_ENTITY, &detail))?;
        let checked = self.check(submission.job, memory).await?;
        Ok(json(
            StatusCode::OK,
            &SubmitResponse::new(submission.id, &checked.job, checked.outcome),
        ))
    }

    /// Checks a reply on a thread that may block.
    async fn check(
        self: Arc<Self>,
        job: CheckJob,
        memory: OwnedSemaphorePermit,
    ) -> Result<CheckedReply, HttpResponse> {
        check_size(&job.problem, self.max_seconds)
            .map_err(|detail| error_response(StatusCode::UNPROCESSABLE_ENTITY, &detail))?;
        let slot = self.take_slot().ok_or_else(|| self.no_slot())?;
        let service = Arc::clone(&self);
        let check = move || {
            let _held = (slot, memory);
            let CheckJob {
                problem,
                reply,
                finish_reason,
            } = &job;
            let check: &dyn Check = match problem.answer {
                Answer::Tests(_) | Answer::Program(_) => &service.code,
                Answer::Math(_) | Answer::Choice(_) => &service.math,
            };
            let checked = check.check(problem, reply, *finish_reason);
            (job, checked)
        };
        let failed = |error: String| error_response(StatusCode::INTERNAL_SERVER_ERROR, &error);
        let (job, checked) = spawn_blocking(check)
            .await
            .map_err(|error| failed(error.to_string()))?;
        let outcome = match checked {
            Err(CheckError::Unsupported { reason, .. }) => CheckOutcome {
                verdict: Verdict::Unsupported,
                detail: reason,
            },
            checked => checked.map_err(|error| failed(error.to_string()))?,
        };
        Ok(CheckedReply { job, outcome })
    }

    async fn run_code(self: Arc<Self>, body: Incoming) -> HttpResponse {
        match self.try_run_code(body).await {
            Ok(answer) | Err(answer) => answer,
        }
    }

    async fn try_run_code(self: Arc<Self>, body: Incoming) -> Result<HttpResponse, HttpResponse> {
        // What a client declares costs nobody else anything: memory is taken as bytes arrive, and a
        // place once the request is there.
        let Received {
            content: request,
            memory,
        } = self.read_json::<RunCodeRequest>(body).await?;
        let limits = request
            .limits(&self.max_limits, self.max_seconds)
            .map_err(|detail| error_response(StatusCode::UNPROCESSABLE_ENTITY, &detail))?;
        let slot = self.take_slot().ok_or_else(|| self.no_slot())?;
        let service = Arc::clone(&self);
        let run = move || {
            // Held until the program ends, even when its client disconnects before.
            let (slot, _memory) = (slot, memory);
            let stdin = request.stdin.unwrap_or_default();
            let outcome = service
                .code
                .sandbox()
                .run(&request.code, stdin.as_bytes(), &limits);
            (outcome, slot)
        };
        let failed = |error: String| error_response(StatusCode::INTERNAL_SERVER_ERROR, &error);
        let (outcome, slot) = spawn_blocking(run)
            .await
            .map_err(|error| failed(error.to_string()))?;
        let outcome = outcome.map_err(|error| failed(error.to_string()))?;
        Ok(self.answer_outcome(outcome, slot).await)
    }

    /// The request in a body, or the answer that refuses it.
    async fn read_json<T: DeserializeOwned>(
        &self,
        body: Incoming,
    ) -> Result<Received<T>, HttpResponse> {
        if body.size_hint().lower() > self.max_body {
            return Err(too_large(self.max_body));
        }
        let read = timeout(self.client_timeout, self.read_body(body)).await;
        let late = |_| error_response(StatusCode::REQUEST_TIMEOUT, "the body took too long");
        let Received { content, memory } = read.map_err(late)??;
        // 422 is what web frameworks answer, and clients expect, for a body of another shape.
        let content = serde_json::from_slice(&content).map_err(|error| {
            error_response(StatusCode::UNPROCESSABLE_ENTITY, &error.to_string())
        })?;
        Ok(Received { content, memory })
    }

    /// The bytes of a body.
    async fn read_body(&self, body: Incoming) -> Result<Received<Vec<u8>>, HttpResponse> {
        let most = usize::try_from(self.max_body).unwrap_or(usize::MAX);
        let mut body = Limited::new(body, most);
        let mut bytes = Vec::new();
        let full = || busy("requests and answers take all the memory that --max-buffered allows");
        let mut memory = self.memory.try_reserve(ANSWER_FRAME).ok_or_else(full)?;
        let mut reserved = ANSWER_FRAME;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| {
                if error.is::<LengthLimitError>() {
                    return too_large(self.max_body);
                }
                error_response(StatusCode::BAD_REQUEST, &error.to_string())
            })?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            bytes.extend_from_slice(&data);
            let needed = REQUEST_COPIES * bytes.len() as u64;
            if needed > reserved {
                // Twice what is there, so that a long body is not reserved piece by piece.
                let more = needed.max(2 * reserved) - reserved;
                memory.merge(self.memory.try_reserve(more).ok_or_else(full)?);
                reserved += more;
            }
        }
        Ok(Received {
            content: bytes,
            memory,
        })
    }

    async fn answer_outcome(&self, outcome: Outcome, slot: OwnedSemaphorePermit) -> HttpResponse {
        self.metrics.add_instructions(outcome.instructions);
        let output = (outcome.stdout.len() + outcome.stderr.len()) as u64;
        let most = ANSWER_COPIES * output + ANSWER_FRAME;
        let Some(mut memory) = self.memory.reserve(most, self.client_timeout).await else {
            return busy("answers wait for slow clients (--max-buffered)");
        };
        let bytes = serde_json::to_vec(&RunCodeResponse::new(outcome)).unwrap_or_default();
        self.memory.shrink(&mut memory, bytes.len() as u64);
        let answer = ResponseBytes {
            bytes,
            _memory: memory,
            _slot: slot,
        };
        respond(StatusCode::OK, JSON, Bytes::from_owner(answer))
    }
}

fn busy(detail: &str) -> HttpResponse {
    let mut answer = error_response(StatusCode::SERVICE_UNAVAILABLE, detail);
    answer
        .headers_mut()
        .insert(RETRY_AFTER, HeaderValue::from_static("1"));
    answer
}

fn too_large(most: u64) -> HttpResponse {
    let detail = format!("the request is larger than {most} bytes (--max-body)");
    error_response(StatusCode::PAYLOAD_TOO_LARGE, &detail)
}

fn error_response(status: StatusCode, detail: &str) -> HttpResponse {
    let detail = detail.to_owned();
    json(status, &ErrorBody { detail })
}

fn json(status: StatusCode, body: &impl Serialize) -> HttpResponse {
    // Serializing structs of strings and finite numbers cannot fail.
    let body = serde_json::to_vec(body).unwrap_or_default();
    respond(status, JSON, body.into())
}

fn respond(status: StatusCode, content_type: &'static str, body: Bytes) -> HttpResponse {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}
