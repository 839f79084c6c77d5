use serde::{Deserialize, Serialize};
use serde_json::Value;
use sky_types::{FinishReason, Message, Reply, Request};

/// The body of `POST /chat/completions`.
#[derive(Serialize)]
pub(super) struct ChatRequest<'a> {
    model: &'a str,
    messages: &'a [Message],
    temperature: f64,
    top_p: f64,
    max_tokens: u32,
    seed: u64,
}

impl<'a> ChatRequest<'a> {
    pub(super) fn new(model: &'a str, request: &'a Request) -> Self {
        Self {
            model,
            messages: &request.messages,
            temperature: request.params.temperature,
            top_p: request.params.top_p,
            max_tokens: request.params.max_tokens,
            // Servers keep seeds in signed 64-bit integers, some in 32 bits' worth of JSON-safe
            // ones.
            seed: request.seed & 0x7fff_ffff,
        }
    }
}

/// What we read of a reply; servers send much more.
#[derive(Deserialize)]
struct ChatResponse {
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Choice {
    message: Said,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    refusal: Option<String>,
    /// Thinking that the server parted from the answer (vLLM, DeepSeek).
    #[serde(default, alias = "reasoning")]
    reasoning_content: Option<String>,
}

#[derive(Default, Deserialize)]
struct Usage {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
}

/// Reads a reply with status 200; the error says what is wrong with it.
pub(super) fn read_reply(key: u64, body: &[u8]) -> Result<Reply, String> {
    let response: ChatResponse =
        serde_json::from_slice(body).map_err(|error| format!("not a chat completion: {error}"))?;
    let choice = response
        .choices
        .into_iter()
        .next()
        .ok_or("a chat completion without choices")?;
    let Said {
        content,
        refusal,
        reasoning_content,
    } = choice.message;
    let finish_reason = match choice.finish_reason.as_deref() {
        Some("stop" | "eos" | "end_turn") => FinishReason::Stop,
        Some("length" | "max_tokens") => FinishReason::Length,
        Some("content_filter") => FinishReason::Refused,
        Some(other) => return Err(format!("a chat completion that ended for {other:?}")),
        None => return Err("a chat completion without a finish_reason".into()),
    };
    let refused =
        finish_reason == FinishReason::Refused || (content.is_none() && refusal.is_some());
    let answer = content.or(refusal).unwrap_or_default();
    let text = match reasoning_content.filter(|thought| !thought.trim().is_empty()) {
        // An unfinished thought has no end.
        Some(thought) if finish_reason == FinishReason::Length && answer.is_empty() => {
            format!("<think>\n{thought}")
        }
        Some(thought) => format!("<think>\n{}\n</think>\n\n{answer}", thought.trim()),
        None => answer,
    };
    let usage = response.usage.unwrap_or_default();
    let tokens = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
    Ok(Reply {
        key,
        text,
        finish_reason: if refused {
            FinishReason::Refused
        } else {
            finish_reason
        },
        prompt_tokens: tokens(usage.prompt_tokens),
        completion_tokens: tokens(usage.completion_tokens),
    })
}

/// Whether an error reply says that a content filter stopped the prompt, which is an answer and not
/// a failure.
pub(super) fn is_refusal(body: &[u8]) -> bool {
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        return false;
    };
    let error = &body["error"];
    ["code", "type"]
        .iter()
        .any(|key| error[*key].as_str() == Some("content_filter"))
}

/// The beginning of an error's message, on one line.
pub(super) fn error_message(body: &[u8]) -> String {
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    let message = [&json["error"]["message"], &json["message"], &json["error"]]
        .into_iter()
        .find_map(Value::as_str)
        .map_or_else(|| String::from_utf8_lossy(body).into_owned(), str::to_owned);
    let line: String = message
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(300)
        .collect();
    line.trim().to_owned()
}
