//! What stands around an answer and is none of it: words that lead to it, remarks behind it, marks
//! of emphasis.

use super::{
    answer_like::{is_answer_like, qualifies},
    spans::math_spans,
};
use crate::glyphs::is_cjk;

/// Remarks behind an answer that add nothing to it.
const REMARKS: [&str; 24] = [
    "obviously",
    "clearly",
    "of course",
    "naturally",
    "certainly",
    "definitely",
    "evidently",
    "indeed",
    "surely",
    "undoubtedly",
    "trivially",
    "simply",
    "exactly",
    "precisely",
    "for sure",
    "in fact",
    "as required",
    "as expected",
    "as needed",
    "as claimed",
    "i think",
    "i believe",
    "right",
    "qed",
];
/// `5, obviously` without its remark.
pub(super) fn without_remark(sentence: &str) -> &str {
    let bare = sentence.trim_end_matches(['.', '!', ' ', ',']);
    let lower = bare.to_ascii_lowercase();
    let remark = REMARKS.iter().find_map(|remark| {
        let head = lower.strip_suffix(remark)?;
        // "5 exactly" and "5, of course", not "upright".
        let value = head.trim_end_matches([',', ' ', '-', '–', '(']);
        let ends = value.ends_with(|c: char| c.is_ascii_digit() || ")}]%$".contains(c));
        (head.len() > value.len() && (ends || head.trim_end().ends_with(',')))
            .then_some(value.len())
    });
    remark.map_or(sentence, |len| &bare[..len])
}

/// The text without marks of emphasis around its parts: `64 + 67 = **131**`; `2**3` is a power.
pub(super) fn without_emphasis(text: &str) -> String {
    const MAX_TEXT: usize = 2000;
    let mut out = text.to_owned();
    if text.len() > MAX_TEXT {
        return out;
    }
    for mark in ["**", "__", "`", "*"] {
        if !text.contains(mark) {
            continue;
        }
        let blank = |c: Option<char>| c.is_none_or(|c| c.is_whitespace() || is_cjk(c));
        let mut at = 0;
        while let Some(open) = out.get(at..).and_then(|t| t.find(mark)).map(|i| at + i) {
            let inside = open + mark.len();
            at = inside;
            let before = out[..open].chars().next_back();
            let lead = before == Some('=') || before == Some(':') || before == Some('$');
            if !(blank(before) || lead) || blank(out[inside..].chars().next()) {
                continue;
            }
            let Some(close) = out[inside..].find(mark).map(|i| inside + i) else {
                break;
            };
            let behind = out[close + mark.len()..].chars().next();
            let ends = blank(behind) || behind.is_some_and(|c| ".,;:!?)$=".contains(c));
            if close > inside && ends && !blank(out[..close].chars().next_back()) {
                out.replace_range(close..close + mark.len(), "");
                out.replace_range(open..inside, "");
                at = open;
            }
        }
    }
    out
}

/// `3*longName**2 + 3*longName + 5`: names of several letters between operators, not prose.
pub(super) fn is_named_sum(text: &str) -> bool {
    let signs = |c: char| "+*/^=".contains(c);
    let identifier =
        |word: &str| word.len() >= 2 && word.chars().all(|c| c.is_alphanumeric() || c == '_');
    let operands: Vec<&str> = text.split_whitespace().collect();
    // Two words side by side are prose, unless the same name occurs beside a sign too.
    let pairs_of_words = operands.windows(2).any(|pair| {
        pair.iter()
            .all(|word| identifier(word) && word.starts_with(char::is_alphabetic))
    });
    let glued = |word: &str| {
        word.contains(signs)
            || word.starts_with(|c: char| c.is_ascii_digit())
            || word.chars().all(|c| "+-−*/^=()".contains(c))
            || word.contains(['(', ')'])
    };
    let bound = operands.iter().enumerate().all(|(i, word)| {
        let sign = |at: Option<usize>| {
            at.and_then(|at| operands.get(at))
                .is_some_and(|w| w.chars().all(|c| "+-−*/^".contains(c)))
        };
        glued(word) || identifier(word) && (sign(i.checked_sub(1)) || sign(Some(i + 1)))
    });
    text.is_ascii()
        && !pairs_of_words
        && bound
        && text.contains(signs)
        && !text.contains(['=', '\\', '$', ':', '\n'])
        && !text.ends_with(['.', '!', '?'])
}

/// "Hence 3 + 4 = 7" and "Therefore, 4/7." without their first word.
pub(super) fn without_lead(text: &str) -> &str {
    const LEADS: [&str; 38] = [
        "hence",
        "thus",
        "so",
        "therefore",
        "then",
        "finally",
        "clearly",
        "consequently",
        "accordingly",
        "ergo",
        "in conclusion",
        "in total",
        "we get",
        "we have",
        "we obtain",
        "it is",
        "it's",
        "this gives",
        "that gives",
        "final",
        "final result",
        "final answer",
        "answer",
        "the answer",
        "solution",
        "the result",
        "value",
        "result",
        "total",
        "no",
        "yes",
        "well",
        "indeed",
        "donc",
        "also",
        "因此",
        "所以",
        "于是",
    ];
    /// Words in front of words: "So, we have".
    const MAX_LEADS: usize = 4;
    const MAX_TEXT: usize = 20_000;
    let lead = |text: &'_ str| -> Option<usize> {
        let lens = LEADS.iter().filter_map(|lead| {
            let head = text.get(..lead.len())?;
            let rest = &text[lead.len()..];
            let parted = rest.starts_with([' ', ',', ':']) || !lead.is_ascii();
            (head.eq_ignore_ascii_case(lead) && parted).then_some(lead.len())
        });
        lens.max()
    };
    if text.len() > MAX_TEXT {
        return text;
    }
    let mut rest = text;
    for _ in 0..MAX_LEADS {
        let Some(len) = lead(rest) else { break };
        rest = rest[len..].trim_start_matches([' ', ',', ':']);
    }
    if rest.len() == text.len() {
        return text;
    }
    let stated = rest.contains('=') && !rest.contains('$');
    let value = rest.starts_with(|c: char| c.is_ascii_digit() || "-\\(.√π".contains(c))
        && is_answer_like(rest.trim_end_matches(['.', '!']))
        && !rest.trim_end_matches('.').contains(". ");
    if stated
        || value
        || qualifies(rest)
        || math_spans(rest)
            .first()
            .is_some_and(|m| m.start == 0 && m.end == rest.trim_end_matches('.').len())
    {
        rest
    } else {
        text
    }
}
