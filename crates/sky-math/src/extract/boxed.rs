//! Boxes: `\boxed{...}`, `\fbox{...}`, `\boxed 5`, and several side by side.

use std::ops::Range;

/// Boxes joined into one list at most.
const MAX_JOINED: usize = 16;
/// Longest text between two boxes of one list, in bytes.
const MAX_GLUE: usize = 60;

/// The content of the last box, or of the last few when only glue stands between them.
pub(super) fn last(text: &str) -> Option<String> {
    if !text.contains("boxed") && !text.contains("\\fbox") {
        return None;
    }
    let boxes = outermost(text);
    let mut at = boxes.len().checked_sub(1)?;
    let last = &boxes[at];
    let mut contents = vec![inner(&text[last.content.clone()])];
    while at > 0
        && contents.len() < MAX_JOINED
        && is_glue(&text[boxes[at - 1].whole.end..boxes[at].whole.start])
    {
        at -= 1;
        contents.push(inner(&text[boxes[at].content.clone()]));
    }
    contents.reverse();
    // The same answer boxed twice is one answer.
    contents.dedup();
    let mut answer = contents.join(", ");
    if contents.len() == 1 {
        // `x \in \boxed{...}` and `\boxed{20}\%`: the percent sign belongs to the answer.
        let behind = text[last.whole.end..].trim_start_matches(['}', ' ']);
        if behind.starts_with("\\%") || behind.starts_with('%') {
            answer.push_str("\\%");
        }
    }
    Some(answer)
}

/// Whether the last box was begun and never ended: the response was cut off in its answer, whatever
/// was boxed before.
pub(super) fn is_open(text: &str) -> bool {
    let last = ["\\boxed", "\\fbox"]
        .into_iter()
        .filter_map(|name| text.rfind(name).map(|at| (at, at + name.len())))
        .max();
    let Some((at, end)) = last else {
        return false;
    };
    text[end..].trim_start().starts_with('{')
        && !outermost(text)
            .iter()
            .any(|found| found.whole.contains(&at))
}

struct BoxSpan {
    whole: Range<usize>,
    content: Range<usize>,
}

/// Boxes that stand in no other box.
fn outermost(text: &str) -> Vec<BoxSpan> {
    let bytes = text.as_bytes();
    // Where each brace closes, in one pass.
    let mut stack = Vec::new();
    let mut closes: Vec<(usize, usize)> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if matches!(bytes.get(at + 1), Some(b'{' | b'}' | b'\\')) => at += 1,
            b'{' => stack.push(at),
            b'}' => {
                if let Some(open) = stack.pop() {
                    closes.push((open, at));
                }
            }
            _ => {}
        }
        at += 1;
    }
    closes.sort_unstable();
    let close_of = |open: usize| {
        closes
            .binary_search_by_key(&open, |c| c.0)
            .ok()
            .map(|i| closes[i].1)
    };

    let mut found: Vec<BoxSpan> = Vec::new();
    let mut from = 0;
    while let Some(start) = next_box(text, from) {
        let name_end = start
            + if text[start..].starts_with("\\boxed") {
                6
            } else {
                5
            };
        let open = name_end
            + text[name_end..]
                .bytes()
                .take_while(|b| *b == b' ' || *b == b'\n')
                .count();
        match bytes.get(open) {
            Some(b'{') => match close_of(open) {
                Some(close) => {
                    found.push(BoxSpan {
                        whole: start..close + 1,
                        content: open + 1..close,
                    });
                    from = close + 1;
                }
                // It never closes: the response was cut off, or the box before is the last whole
                // one.
                None => from = open + 1,
            },
            Some(b) if open > name_end && !b.is_ascii_whitespace() => {
                // `\boxed 5$`: up to the next space or delimiter.
                let len = text[open..]
                    .find(['$', ' ', '\n', ',', ';'])
                    .unwrap_or(text.len() - open);
                let len = text[open..open + len].trim_end_matches('.').len();
                found.push(BoxSpan {
                    whole: start..open + len,
                    content: open..open + len,
                });
                from = (open + len).max(name_end);
            }
            _ => from = name_end,
        }
    }
    found
}

fn next_box(text: &str, from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        let hit = at + text.get(at..)?.find("box")?;
        let start = if text[..hit].ends_with("\\f") {
            Some(hit - 2)
        } else if text[..hit].ends_with('\\') && text[hit..].starts_with("boxed") {
            Some(hit - 1)
        } else {
            None
        };
        if let Some(start) = start.filter(|&s| s >= from) {
            return Some(start);
        }
        at = hit + 3;
    }
}

/// The content without boxes around all of it.
fn inner(content: &str) -> String {
    let mut content = content.trim();
    for _ in 0..64 {
        let stripped = content
            .strip_prefix("\\boxed{")
            .or_else(|| content.strip_prefix("\\fbox{"))
            .and_then(|c| c.strip_suffix('}'));
        match stripped {
            Some(inner) => content = inner.trim(),
            None => break,
        }
    }
    content.trim_matches('$').to_owned()
}

/// Whether two boxes with this between them are parts of one answer.
fn is_glue(between: &str) -> bool {
    if between.len() > MAX_GLUE || between.contains("\n\n") {
        return false;
    }
    let mut words = Vec::new();
    let mut word = String::new();
    let mut command = false;
    for c in between.chars().chain([' ']) {
        if c.is_alphabetic() {
            word.push(c.to_ascii_lowercase());
        } else {
            if !word.is_empty() && !command {
                words.push(std::mem::take(&mut word));
            }
            word.clear();
            command = c == '\\';
            if c.is_ascii_digit() || c == '=' {
                return false;
            }
        }
    }
    words.retain(|w| !matches!(w.as_str(), "quad" | "qquad" | "text"));
    let joins = words.iter().any(|w| w == "and" || w == "or");
    let parts = between.contains([',', ';', '&', '+']);
    words.len() <= 6
        && (joins
            || words.is_empty() && (parts || between.len() <= 12)
            || words.len() <= 2 && parts && words.iter().all(|w| w.len() <= 2))
}
