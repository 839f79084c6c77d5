//! What the driver reports about a run. A program can write to the same channel, so the report is
//! read as untrusted data: no forged report can turn a wrong answer into a right one.

use serde::Deserialize;

/// The driver's report on one call.
#[derive(Debug, PartialEq)]
pub(crate) enum DriverReport {
    /// It ended with this code.
    Exited(i32),
    /// The program did not catch this exception.
    Raised { kind: String, message: String },
    /// The source does not compile.
    CompileError(String),
    /// A function returned this: a text that should be JSON in Python's spelling.
    Returned(String),
    /// Nothing that could be read.
    Unreadable,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Exited { exit: i32 },
    Raised { kind: String, message: String },
    CompileError { compile: String },
}

pub(crate) fn parse(bytes: &[u8]) -> DriverReport {
    // Not read as JSON here: Python writes `NaN` and longer integers than serde_json reads.
    let returned = bytes
        .strip_prefix(b"{\"returned\": ")
        .and_then(|rest| rest.strip_suffix(b"}"));
    if let Some(text) = returned.and_then(|text| std::str::from_utf8(text).ok()) {
        return DriverReport::Returned(text.to_owned());
    }
    match serde_json::from_slice(bytes) {
        Ok(Line::Exited { exit }) => DriverReport::Exited(exit),
        Ok(Line::Raised { kind, message }) => DriverReport::Raised {
            kind: cut(kind),
            message: cut(message),
        },
        Ok(Line::CompileError { compile }) => DriverReport::CompileError(cut(compile)),
        Err(_) => DriverReport::Unreadable,
    }
}

/// Shortens a text for a message.
fn cut(mut text: String) -> String {
    const MOST: usize = 500;
    if text.len() > MOST {
        text.truncate(text.floor_char_boundary(MOST));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_said_to_be_unreadable() {
        for bytes in [&b""[..], b"{", b"{}", b"[1]", b"\xff", b"{\"exit\": 1e99}"] {
            assert_eq!(parse(bytes), DriverReport::Unreadable);
        }
        let deep = "[".repeat(100_000);
        assert_eq!(parse(deep.as_bytes()), DriverReport::Unreadable);
        assert_eq!(parse(b"{\"exit\": 3}"), DriverReport::Exited(3));
        let returned = DriverReport::Returned("[NaN, 1]".to_owned());
        assert_eq!(parse(b"{\"returned\": [NaN, 1]}"), returned);
    }
}
