//! Sections of a response: thought and solution, answer tags, the marks a chat template leaves
//! behind.

use super::located::Located;

/// Ends of a thought section, each with its beginning.
const THOUGHTS: [(&str, &str); 8] = [
    ("<think>", "</think>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
];

/// Marks behind which nothing belongs to the response any more.
const ENDS: [&str; 6] = [
    "<|im_start|>",
    "<|im_end|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|eot_id|>",
    "<|end_of_solution|>",
];

/// What stands behind the thought section; `None` when the thought never ends.
pub(super) fn final_part(response: &str) -> Option<&str> {
    // Most responses have none of the marks, and looking for each costs.
    if !response.contains(['<', '[', '◁']) {
        return Some(response);
    }
    let mut text = response;
    for (open, close) in THOUGHTS {
        if let Some(at) = text.rfind(close) {
            text = &text[at + close.len()..];
        } else if text.contains(open) {
            return None;
        }
        // A new thought after the last one that ended.
        if text.contains(open) {
            return None;
        }
    }
    if let Some(at) = text.rfind("<|begin_of_solution|>") {
        text = &text[at + "<|begin_of_solution|>".len()..];
    }
    for end in ENDS {
        // A template's mark at the very beginning opens the response.
        if let Some(at) = text.find(end).filter(|&at| !text[..at].trim().is_empty()) {
            text = &text[..at];
        }
    }
    Some(text)
}

/// The content of the last `<answer>` tag.
pub(super) fn answer_tag(text: &str) -> Option<Located<&str>> {
    const CLOSE: &str = "</answer>";
    let end = text.rfind(CLOSE)?;
    let start = text[..end].rfind("<answer>")?;
    Some(Located {
        answer: &text[start + "<answer>".len()..end],
        end: end + CLOSE.len(),
    })
}
