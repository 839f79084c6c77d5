//! A chat-completions server that adds two numbers and gets every fourth sum wrong.

use std::{error::Error, thread};

use serde_json::{Value, json};

/// Starts the server on a free port of the loopback; returns its base URL.
pub(crate) fn start() -> Result<String, Box<dyn Error>> {
    let server = tiny_http::Server::http("127.0.0.1:0").map_err(|error| error.to_string())?;
    let address = server.server_addr().to_ip().ok_or("no address")?;
    thread::spawn(move || {
        for mut request in server.incoming_requests() {
            let body = serde_json::from_reader(request.as_reader()).unwrap_or(Value::Null);
            let reply = tiny_http::Response::from_string(answer(&body).to_string());
            // A client that has gone needs no answer.
            let _ = request.respond(reply);
        }
    });
    Ok(format!("http://{address}/v1"))
}

fn answer(body: &Value) -> Value {
    let asked = body["messages"][0]["content"].as_str().unwrap_or_default();
    let numbers: Vec<u64> = asked
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|digits| digits.parse().ok())
        .collect();
    let sum: u64 = numbers.iter().sum();
    let error = u64::from(numbers.first().is_some_and(|first| first.is_multiple_of(4)));
    json!({
        "choices": [{
            "message": {"content": format!("That is \\boxed{{{}}}.", sum + error)},
            "finish_reason": "stop",
        }],
        "usage": {"prompt_tokens": 12, "completion_tokens": 7},
    })
}
