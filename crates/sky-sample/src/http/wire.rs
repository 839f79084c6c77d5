//! Requests and replies as OpenAI-style servers write them. Servers differ in what they send; what
//! was paid for is kept in whatever shape it comes.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Map, Value};
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
    /// Fields of the server's own, which may replace those above.
    #[serde(flatten)]
    extra: &'a Map<String, Value>,
}

impl<'a> ChatRequest<'a> {
    pub(super) fn new(
        model: &'a str,
        request: &'a Request,
        max_tokens: u32,
        extra: &'a Map<String, Value>,
    ) -> Self {
        Self {
            model,
            messages: &request.messages,
            temperature: request.params.temperature,
            top_p: request.params.top_p,
            max_tokens,
            // Servers keep seeds in signed 64-bit integers, some in 32 bits' worth of JSON-safe
            // ones.
            seed: request.seed & 0x7fff_ffff,
            extra,
        }
    }
}

/// A reply as it was read.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) reply: Reply,
    /// The server's word for why the reply ended, when it is not known. It counts as an end.
    pub(super) unknown_end: Option<String>,
}

/// Reads a reply with status 200; the error says what is wrong with it.
pub(super) fn read_reply(key: u64, body: &[u8]) -> Result<Read, String> {
    let response = match events(body) {
        Some(events) => joined(&events)?,
        None => json(body).map_err(|error| format!("not a chat completion: {error}"))?,
    };
    let choice = &response["choices"][0];
    if choice.is_null() {
        return Err(if response["error"].is_null() {
            "a chat completion without choices".to_owned()
        } else {
            format!("status 200 with an error: {}", message(&response))
        });
    }
    // `text`: a completion of the older kind.
    let said = &choice["message"];
    if !said.is_object() && choice["text"].is_null() {
        return Err("a chat completion without a message".to_owned());
    }
    let content = text_of(&said["content"]).or_else(|| text_of(&choice["text"]));
    let refusal = text_of(&said["refusal"]);
    let thought = ["reasoning_content", "reasoning"]
        .iter()
        .find_map(|key| text_of(&said[*key]))
        .filter(|thought| !thought.trim().is_empty());
    let (reason, unknown_end) = match &choice["finish_reason"] {
        Value::String(word) => match finish_reason(word) {
            Some(reason) => (reason, None),
            None => (FinishReason::Stop, Some(word.clone())),
        },
        other => (FinishReason::Stop, Some(other.to_string())),
    };
    let refused = reason == FinishReason::Refused || content.is_none() && refusal.is_some();
    let answer = content.or(refusal).unwrap_or_default();
    if answer.is_empty() && thought.is_none() && unknown_end.is_some() {
        return Err("a chat completion without text and without a known end".to_owned());
    }
    let usage = &response["usage"];
    Ok(Read {
        reply: Reply {
            key,
            text: with_thought(thought, answer, reason),
            finish_reason: if refused {
                FinishReason::Refused
            } else {
                reason
            },
            prompt_tokens: count(&usage["prompt_tokens"]),
            completion_tokens: count(&usage["completion_tokens"]),
            failure: None,
        },
        unknown_end,
    })
}

/// One thought and one answer. A server may send the thought apart, within the content, or both.
fn with_thought(thought: Option<String>, answer: String, reason: FinishReason) -> String {
    match thought {
        None => answer,
        Some(_) if answer.contains("</think>") || answer.trim_start().starts_with("<think>") => {
            answer
        }
        // An unfinished thought has no end.
        Some(thought) if reason == FinishReason::Length && answer.is_empty() => {
            format!("<think>\n{thought}")
        }
        Some(thought) => format!("<think>\n{}\n</think>\n\n{answer}", thought.trim()),
    }
}

/// Why a reply ended, in the words of vLLM, SGLang, TGI, llama.cpp, OpenAI, Anthropic and Google.
fn finish_reason(word: &str) -> Option<FinishReason> {
    Some(match word.to_ascii_lowercase().as_str() {
        "stop" | "eos" | "eos_token" | "stop_sequence" | "stop_token" | "end_turn" | "end"
        | "complete" | "completed" | "tool_calls" | "tool_use" | "function_call" => {
            FinishReason::Stop
        }
        "length" | "max_tokens" | "max_output_tokens" | "max_length" | "model_length" => {
            FinishReason::Length
        }
        "content_filter" | "safety" | "recitation" | "blocklist" | "prohibited_content"
        | "refusal" => FinishReason::Refused,
        _ => return None,
    })
}

/// A text, or the texts of a list of parts.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => Some(
            parts
                .iter()
                .filter_map(|part| part.as_str().or_else(|| part["text"].as_str()))
                .collect(),
        ),
        _ => None,
    }
}

/// A number of tokens, however it is written.
fn count(value: &Value) -> u32 {
    // A cast of a float saturates.
    value.as_f64().map_or(0, |count| count as u32)
}

/// The JSON of a body. Python servers write half a surrogate pair where the model cut a character;
/// it becomes U+FFFD.
fn json(body: &[u8]) -> Result<Value, serde_json::Error> {
    serde_json::from_slice(body).or_else(|error| match without_lone_surrogates(body) {
        Cow::Borrowed(_) => Err(error),
        Cow::Owned(body) => serde_json::from_slice(&body),
    })
}

/// The body with U+FFFD in place of each escape of half a surrogate pair.
fn without_lone_surrogates(body: &[u8]) -> Cow<'_, [u8]> {
    let unit = |at: usize| -> Option<u16> {
        let escape = body.get(at..at + 6)?;
        let digits = std::str::from_utf8(escape.strip_prefix(b"\\u")?).ok()?;
        u16::from_str_radix(digits, 16).ok()
    };
    let mut out = Vec::new();
    let mut at = 0;
    while at < body.len() {
        let len = match unit(at) {
            Some(0xd800..=0xdbff) if matches!(unit(at + 6), Some(0xdc00..=0xdfff)) => 12,
            Some(0xd800..=0xdfff) => {
                out.extend_from_slice(b"\\ufffd");
                at += 6;
                continue;
            }
            // Whatever is escaped belongs to its backslash: `\\ud800` is text.
            _ if body[at] == b'\\' => 2,
            _ => 1,
        };
        let end = body.len().min(at + len);
        out.extend_from_slice(&body[at..end]);
        at = end;
    }
    if out == body {
        Cow::Borrowed(body)
    } else {
        Cow::Owned(out)
    }
}

/// The data of server-sent events, which some servers send though nobody asked for a stream.
fn events(body: &[u8]) -> Option<Vec<&[u8]>> {
    let start = body.trim_ascii_start();
    let is_stream = [&b"data:"[..], b"event:", b": "]
        .iter()
        .any(|field| start.starts_with(field));
    is_stream.then(|| {
        start
            .split(|&byte| byte == b'\n')
            .filter_map(|line| Some(line.strip_prefix(b"data:")?.trim_ascii()))
            .collect()
    })
}

/// A whole completion out of the parts of a stream.
fn joined(events: &[&[u8]]) -> Result<Value, String> {
    let (mut content, mut thought, mut refusal) = (String::new(), String::new(), String::new());
    let mut whole = Map::new();
    let (mut end, mut done) = (Value::Null, false);
    for event in events.iter().filter(|event| !event.is_empty()) {
        if *event == b"[DONE]" {
            done = true;
            continue;
        }
        let part = json(event).map_err(|error| format!("not an event of a stream: {error}"))?;
        for key in ["usage", "error"] {
            if !part[key].is_null() {
                whole.insert(key.to_owned(), part[key].clone());
            }
        }
        let choice = &part["choices"][0];
        let said = [&choice["delta"], &choice["message"]];
        for said in said.into_iter().filter(|said| said.is_object()) {
            content += &text_of(&said["content"]).unwrap_or_default();
            refusal += &text_of(&said["refusal"]).unwrap_or_default();
            thought += &["reasoning_content", "reasoning"]
                .iter()
                .find_map(|key| text_of(&said[*key]))
                .unwrap_or_default();
        }
        if !choice["finish_reason"].is_null() {
            end = choice["finish_reason"].clone();
        }
    }
    if end.is_null() && !done && !whole.contains_key("error") {
        return Err("the stream broke off".to_owned());
    }
    if !(content.is_empty() && thought.is_empty() && refusal.is_empty() && end.is_null()) {
        let text = |text: String| {
            if text.is_empty() {
                Value::Null
            } else {
                Value::String(text)
            }
        };
        let mut message = Map::new();
        message.insert("content".to_owned(), text(content));
        message.insert("reasoning_content".to_owned(), text(thought));
        message.insert("refusal".to_owned(), text(refusal));
        let mut choice = Map::new();
        choice.insert("message".to_owned(), Value::Object(message));
        choice.insert("finish_reason".to_owned(), end);
        whole.insert(
            "choices".to_owned(),
            Value::Array(vec![Value::Object(choice)]),
        );
    }
    Ok(Value::Object(whole))
}

/// Whether an error reply says that a content filter stopped the prompt, which is an answer and not
/// a failure.
pub(super) fn is_refusal(body: &[u8]) -> bool {
    let Ok(body) = json(body) else {
        return false;
    };
    let error = &body["error"];
    ["code", "type"]
        .iter()
        .any(|key| error[*key].as_str() == Some("content_filter"))
}

/// The beginning of an error's message, on one line.
pub(super) fn error_message(body: &[u8]) -> String {
    match json(body) {
        Ok(json) => message(&json),
        Err(_) => one_line(&String::from_utf8_lossy(body)),
    }
}

fn message(json: &Value) -> String {
    let said = [
        &json["error"]["message"],
        &json["message"],
        &json["detail"],
        &json["error"],
    ];
    match said.into_iter().find_map(Value::as_str) {
        Some(text) => one_line(text),
        None => one_line(&json.to_string()),
    }
}

fn one_line(text: &str) -> String {
    let line: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(300)
        .collect();
    line.trim().to_owned()
}

/// How many tokens a server's context leaves for the reply, by its message that a request is too
/// long: the context's size less the prompt's.
pub(super) fn room_for_reply(message: &str) -> Option<u32> {
    let lower = message.to_ascii_lowercase();
    let (_, rest) = lower.split_once("maximum context length")?;
    let context = first_number(rest)?;
    // vLLM and OpenAI, then vLLM's newer wording, then SGLang.
    let marks = [
        " in the messages",
        " in the prompt",
        " input tokens",
        " tokens from the input",
    ];
    let prompt = marks
        .iter()
        .find_map(|mark| last_number(&lower[..lower.find(mark)?]))?;
    u32::try_from(context.checked_sub(prompt)?)
        .ok()
        .filter(|&room| room > 0)
}

fn first_number(text: &str) -> Option<u64> {
    let start = text.find(|c: char| c.is_ascii_digit())?;
    let digits = &text[start..];
    let end = digits
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(digits.len());
    digits[..end].parse().ok()
}

fn last_number(text: &str) -> Option<u64> {
    let end = text.rfind(|c: char| c.is_ascii_digit())? + 1;
    let start = text[..end]
        .rfind(|c: char| !c.is_ascii_digit())
        .map_or(0, |at| at + 1);
    text[start..end].parse().ok()
}

/// The address that requests go to: the base URL's path and `/chat/completions`, then its query.
pub(super) fn chat_url(base: &str) -> String {
    const PATH: &str = "/chat/completions";
    let (path, query) = base
        .split_once('?')
        .map_or((base, ""), |(path, query)| (path, query));
    let path = path.trim_end_matches('/');
    let path = path.strip_suffix(PATH).unwrap_or(path);
    let mark = if query.is_empty() { "" } else { "?" };
    format!("{path}{PATH}{mark}{query}")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn said(body: &str) -> (String, FinishReason) {
        let reply = read_reply(0, body.as_bytes()).unwrap().reply;
        (reply.text, reply.finish_reason)
    }

    #[test]
    fn text_is_kept_in_whatever_shape_it_comes() {
        let stop = |text: &str| (text.to_owned(), FinishReason::Stop);
        for (body, expected) in [
            (
                r#"{"choices": [{"message": {"content": "a", "reasoning": "t", "reasoning_content": "t"}, "finish_reason": "stop"}]}"#,
                stop("<think>\nt\n</think>\n\na"),
            ),
            (
                r#"{"choices": [{"message": {"content": [{"type": "text", "text": "a"}, "b"]}, "finish_reason": "eos_token"}]}"#,
                stop("ab"),
            ),
            (
                r#"{"choices": [{"message": {"content": "a"}, "finish_reason": "STOP"}], "usage": {"completion_tokens": null}}"#,
                stop("a"),
            ),
            (
                r#"{"choices": [{"message": {"content": "a"}, "finish_reason": "tool_calls"}], "usage": {"completion_tokens": 9.0}}"#,
                stop("a"),
            ),
            (
                r#"{"choices": [{"message": {"content": "a"}, "finish_reason": "whim"}]}"#,
                stop("a"),
            ),
            (
                r#"{"choices": [{"message": {"content": "a"}, "finish_reason": null}]}"#,
                stop("a"),
            ),
            (
                r#"{"choices": [{"message": {"content": "a\ud83d"}, "finish_reason": "stop"}]}"#,
                stop("a\u{fffd}"),
            ),
            (
                r#"{"choices": [{"message": {"content": "\ud83d\ude00 \\ud83d"}, "finish_reason": "stop"}]}"#,
                stop("😀 \\ud83d"),
            ),
            (
                r#"{"choices": [{"message": {"content": "<think>\nt</think>a", "reasoning_content": "t"}, "finish_reason": "stop"}]}"#,
                stop("<think>\nt</think>a"),
            ),
            (
                r#"{"choices": [{"text": "a", "finish_reason": "stop_sequence"}]}"#,
                stop("a"),
            ),
            (
                "data: {\"choices\": [{\"delta\": {\"role\": \"assistant\", \"reasoning_content\": \"t\"}}]}\n\ndata: {\"choices\": [{\"delta\": {\"content\": \"a\"}}]}\r\n\r\ndata: {\"choices\": [{\"delta\": {}, \"finish_reason\": \"stop\"}]}\n\ndata: {\"choices\": [], \"usage\": {\"completion_tokens\": 3}}\n\ndata: [DONE]\n\n",
                stop("<think>\nt\n</think>\n\na"),
            ),
            (
                ": ping\n\nevent: x\ndata: {\"choices\": [{\"delta\": {\"content\": \"a\"}, \"finish_reason\": \"length\"}]}\n",
                ("a".to_owned(), FinishReason::Length),
            ),
        ] {
            assert_eq!(said(body), expected, "{body}");
        }
        let counted = r#"{"choices": [{"message": {"content": "a"}, "finish_reason": "stop"}], "usage": {"completion_tokens": 9.0, "prompt_tokens": 1e99}}"#;
        let reply = read_reply(0, counted.as_bytes()).unwrap().reply;
        assert_eq!(
            (reply.completion_tokens, reply.prompt_tokens),
            (9, u32::MAX)
        );
    }

    #[test]
    fn what_holds_no_reply_is_an_error_with_the_servers_message() {
        for (body, word) in [
            (r#"{"error": {"message": "out of quota"}}"#, "out of quota"),
            (
                r#"{"choices": [], "usage": {"completion_tokens": 50}}"#,
                "without choices",
            ),
            (
                r#"{"choices": [{"message": {"content": ""}, "finish_reason": null}]}"#,
                "without text",
            ),
            (
                "data: {\"choices\": [{\"delta\": {\"content\": \"a\"}}]}\n\n",
                "broke off",
            ),
            (
                "data: {\"error\": {\"message\": \"overloaded\"}}\n\n",
                "overloaded",
            ),
            (
                r#"{"choices": [{"message": 3, "finish_reason": "stop"}]}"#,
                "without a message",
            ),
            ("<html>", "not a chat completion"),
            ("", "not a chat completion"),
            ("[1]", "without choices"),
            ("{\"choices\": [{\"mess", "not a chat completion"),
        ] {
            let error = read_reply(0, body.as_bytes()).unwrap_err();
            assert!(error.contains(word), "{body}: {error}");
        }
    }

    #[test]
    fn servers_say_how_much_room_is_left() {
        for (message, room) in [
            (
                "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens (1000 in the messages, 4000 in the completion). Please reduce",
                Some(3096),
            ),
            (
                "'max_tokens' or 'max_completion_tokens' is too large: 30000. This model's maximum context length is 4096 tokens and your request has 26 input tokens (30000 > 4096 - 26).",
                Some(4070),
            ),
            (
                "Requested token count exceeds the model's maximum context length of 4096 tokens. You requested a total of 5000 tokens: 1000 tokens from the input messages and 4000 tokens for the completion.",
                Some(3096),
            ),
            (
                "This model's maximum context length is 4096 tokens. However, your messages resulted in 5000 tokens.",
                None,
            ),
            (
                "maximum context length is 10 tokens (20 in the messages)",
                None,
            ),
            ("bad request", None),
        ] {
            assert_eq!(room_for_reply(message), room, "{message}");
        }
    }

    #[test]
    fn a_query_stays_behind_the_path() {
        for (base, url) in [
            ("http://a/v1", "http://a/v1/chat/completions"),
            ("http://a/v1/", "http://a/v1/chat/completions"),
            (
                "https://x/openai/deployments/y?api-version=1",
                "https://x/openai/deployments/y/chat/completions?api-version=1",
            ),
            (
                "https://x/v1/chat/completions?k=a/b",
                "https://x/v1/chat/completions?k=a/b",
            ),
        ] {
            assert_eq!(chat_url(base), url);
        }
    }
}
