//! Boxes: `\boxed{...}`, `\fbox{...}`, `\boxed 5`, and several side by side.

use std::ops::Range;

use super::located::Located;

/// Boxes joined into one list at most.
const MAX_JOINED: usize = 16;
/// Longest text between two boxes of one list, in bytes.
const MAX_GLUE: usize = 60;

/// The content of the last box, or of the last few when only glue stands between them.
pub(super) fn last(text: &str) -> Option<Located<String>> {
    if !text.contains("boxed") && !text.contains("\\fbox") {
        return None;
    }
    let mut boxes = outermost(text);
    // "I put it in \boxed{}" behind the box.
    while boxes.len() > 1
        && boxes
            .last()
            .is_some_and(|last| is_placeholder(&text[last.content.clone()]))
    {
        boxes.pop();
    }
    let Some(mut at) = boxes.len().checked_sub(1) else {
        return bracketed(text);
    };
    let last = &boxes[at];
    let end = last.whole.end;
    let mut contents = vec![inner(&text[last.content.clone()])];
    while at > 0 && contents.len() < MAX_JOINED {
        let between = &text[boxes[at - 1].whole.end..boxes[at].whole.start];
        let before = inner(&text[boxes[at - 1].content.clone()]);
        // `\boxed{\sqrt2}, numerically \boxed{1.414}`: one value, and what it comes to.
        if contents.len() == 1 && approximates(between, &contents[0]) {
            let rough = contents[0].trim_start_matches("\\approx").trim_start();
            return Some(Located {
                answer: format!("{before} \\approx {rough}"),
                end,
            });
        }
        if !is_glue(between) {
            break;
        }
        at -= 1;
        contents.push(before);
    }
    contents.reverse();
    contents.retain(|content| !content.is_empty());
    // The same answer boxed twice is one answer.
    contents.dedup();
    let mut answer = contents.join(", ");
    if contents.len() == 1 {
        // `x \in \boxed{...}` and `\boxed{20}\%`: the percent sign belongs to the answer.
        let behind = text[end..].trim_start_matches(['}', ' ']);
        if behind.starts_with("\\%") || behind.starts_with('%') {
            answer.push_str("\\%");
        }
    }
    Some(Located { answer, end })
}

/// `boxed(42)` and `boxed{42}` without a backslash, where no box is.
fn bracketed(text: &str) -> Option<Located<String>> {
    let at = text.rfind("boxed")?;
    let named = text[..at].ends_with(char::is_alphanumeric);
    let open = at + "boxed".len();
    let close = match text[open..].chars().next()? {
        '(' => ')',
        '{' => '}',
        '[' => ']',
        _ => return None,
    };
    let first = text.as_bytes()[open];
    let mut depth = 0;
    for (i, b) in text.bytes().enumerate().skip(open) {
        if b == first {
            depth += 1;
        } else if b == close as u8 {
            depth -= 1;
            if depth == 0 {
                let content = text[open + 1..i].trim();
                // `boxed(2, 3)` is a point.
                let whole = content.contains(',') && first == b'(';
                let answer = if whole { &text[open..=i] } else { content };
                return (!named && !is_placeholder(content)).then(|| Located {
                    answer: answer.to_owned(),
                    end: i + 1,
                });
            }
        } else if b == b'\n' {
            return None;
        }
    }
    None
}

/// What stands in a box that is only spoken of.
fn is_placeholder(content: &str) -> bool {
    let plain = content
        .replace("\\text", "")
        .replace("\\ldots", "")
        .replace("\\dots", "")
        .replace("\\cdot", "");
    let plain = plain.trim_matches(|c: char| !c.is_alphanumeric() && !"-+\\∅∞".contains(c));
    plain.is_empty() && !content.contains('\\')
        || plain.is_empty() && content.contains("dots")
        || matches!(
            plain.to_ascii_lowercase().as_str(),
            "answer" | "your answer" | "final answer" | "the answer" | "your final answer"
        )
}

/// Whether a box holds only the decimals of the one before.
fn approximates(between: &str, content: &str) -> bool {
    if between.len() > MAX_GLUE || between.contains("\n\n") {
        return false;
    }
    let rough = content.starts_with("\\approx") || content.starts_with('≈');
    let digits = content
        .trim_start_matches("\\approx")
        .trim_start_matches(['≈', '~', ' ', '-', '$']);
    let decimal = digits.contains('.')
        && digits
            .trim_end_matches("\\ldots")
            .bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b','));
    let lower = between.to_ascii_lowercase();
    let said = [
        "approx",
        "≈",
        "numerically",
        "roughly",
        "about",
        "decimal",
        "rounded",
    ]
    .iter()
    .any(|word| lower.contains(word));
    decimal && (rough || said)
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

/// Words between two boxes of which the second replaces the first.
const CORRECTIONS: [&str; 34] = [
    "actually",
    "become",
    "becomes",
    "better",
    "but",
    "correct",
    "corrected",
    "correction",
    "correctly",
    "finally",
    "gives",
    "hence",
    "instead",
    "mean",
    "meant",
    "mistake",
    "next",
    "no",
    "not",
    "now",
    "oh",
    "oops",
    "rather",
    "really",
    "should",
    "simplified",
    "simplifies",
    "so",
    "sorry",
    "then",
    "therefore",
    "thus",
    "wait",
    "wrong",
];

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
            Some(b) if open > name_end && !b.is_ascii_whitespace() && is_bare(&text[open..]) => {
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

/// Whether what stands behind `\boxed ` is its content, not the next word of a sentence.
fn is_bare(behind: &str) -> bool {
    let letters = behind.len() - behind.trim_start_matches(char::is_alphabetic).len();
    let one = behind
        .chars()
        .next()
        .is_some_and(|c| c.len_utf8() == letters);
    // "a \boxed a reader can find": an article.
    let article = behind.starts_with(['a', 'A', 'I'])
        && behind[1..]
            .trim_start_matches(' ')
            .starts_with(char::is_alphabetic);
    letters == 0 && !behind.starts_with([',', '.', ';', ':', ')', '`', '"', '?', '!', '*'])
        || one && !article
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
    // `... no, \boxed{2}` and `? \boxed{2}` take the first one back.
    if between.contains("...")
        || between.contains("->")
        || between.contains(['?', '!', '→', '⇒'])
        || between.contains("arrow")
    {
        return false;
    }
    if words.iter().any(|w| CORRECTIONS.contains(&w.as_str())) {
        return false;
    }
    let joins = words.iter().any(|w| w == "and" || w == "or");
    let parts = between.contains([',', ';', '&', '+']);
    words.len() <= 6
        && (joins
            || words.is_empty() && (parts || between.len() <= 12)
            || words.len() <= 2 && parts && words.iter().all(|w| w.len() <= 2))
}
