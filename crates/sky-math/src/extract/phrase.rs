//! Answers without a box: behind a phrase, as the whole response, in the last sentence, as the last
//! number.

use super::{
    answer_like::{is_answer_like, is_math_word, qualifies},
    extraction::Extraction,
    leads::{is_named_sum, without_lead, without_remark},
    located::Located,
    prose,
    spans::{math_spans, numbers},
};
use crate::{glyphs::is_cjk, negation, units, wording};

/// Phrases that announce an answer, in lower case.
const PHRASES: [&str; 52] = [
    "final answer is",
    "answer is",
    "answer to the question is",
    "answer to this question is",
    "answer to the problem is",
    "answer to this problem is",
    "solution is",
    "answer:",
    "answer**:",
    "answer :",
    "answer**",
    "answers are",
    "answer would be",
    "answer should be",
    "answer must be",
    "answer =",
    "solutions are",
    "option is",
    "choice is",
    "答案是",
    "答案为",
    "答案应为",
    "答案应该是",
    "答案:",
    "答案 :",
    "答案**:",
    "回答:",
    "解答:",
    "答:",
    "答**:",
    "答え:",
    "答えは",
    "정답:",
    "정답은",
    "답:",
    "답은",
    "respuesta es",
    "respuesta:",
    "respuesta :",
    "réponse est",
    "réponse:",
    "réponse :",
    "réponse**:",
    "reponse:",
    "antwort ist",
    "antwort:",
    "antwort :",
    "lösung:",
    "risposta:",
    "resposta:",
    "resposta é",
    "ответ:",
];
/// Words that end what is announced and begin a reason.
const REASONS: [&str; 11] = [
    " because ",
    " since ",
    ", since ",
    ", because ",
    ", which ",
    ", as ",
    " as desired",
    ",因为",
    ",所以",
    "因为",
    ", car ",
];
/// How far back from the end a phrase counts, in bytes.
const WINDOW: usize = 4000;

/// The line behind the last `####`.
pub(super) fn hash_marks(text: &str) -> Option<Located<&str>> {
    const MARK: &str = "####";
    let at = text.rfind(MARK)? + MARK.len();
    let rest = text[at..].trim_start_matches(':');
    let value = |c: char| c.is_ascii_digit() || "$-\\".contains(c);
    if !rest.starts_with([' ', '\t']) && !rest.starts_with(value) {
        return None;
    }
    let line = rest.lines().next()?;
    let end = text.len() - rest.len() + line.len();
    let line = line.trim_start_matches([' ', '\t', ':']).trim();
    // A markdown heading has words, an answer does not.
    (line.bytes().any(|b| b.is_ascii_digit()) && line.split_whitespace().count() <= 3)
        .then_some(Located { answer: line, end })
}

/// What the last answer phrase announces.
pub(super) fn after_phrase(text: &str) -> Option<String> {
    after_phrase_at(text).map(|found| found.answer)
}

/// The whole sentence behind the last answer phrase.
pub(super) fn announced_sentence(text: &str) -> Option<&str> {
    let tail = tail(text, WINDOW);
    let at = last_phrase(tail)?;
    Some(first_sentence(
        tail[at..].trim_start_matches([':', '*', ' ', '\n']),
    ))
}

/// Where the last answer phrase ends.
fn last_phrase(tail: &str) -> Option<usize> {
    /// Bytes of the longest phrase at most.
    const LONGEST: usize = 40;
    // Of the same length, so that an offset in one is one in the other.
    let mut lower = tail.to_ascii_lowercase();
    if !lower.is_ascii() {
        lower = lower.replace('É', "é").replace('О', "о");
    }
    let bytes = lower.as_bytes();
    let mut best: Option<usize> = None;
    // From the end, one pass: most texts have no phrase, and a search for each costs most there.
    for at in (0..bytes.len()).rev() {
        if best.is_some_and(|best| at + LONGEST <= best) {
            break;
        }
        let rest = &bytes[at..];
        if !begins_phrase(rest) {
            continue;
        }
        let ends = PHRASES.iter().filter_map(|phrase| {
            let after = at + phrase.len();
            (rest.starts_with(phrase.as_bytes()) && best.is_none_or(|best| after > best))
                .then_some(after)
        });
        let said = |after: &usize| !lower[*after..].trim().is_empty();
        if let Some(after) = ends.filter(said).max()
            && announces(&lower, at)
        {
            best = Some(after);
        }
    }
    best
}

/// Whether a phrase has the first two bytes of a text.
fn begins_phrase(text: &[u8]) -> bool {
    let &[first, second, ..] = text else {
        return false;
    };
    let pair = first as usize * 256 + second as usize;
    FIRST_TWO_BYTES[pair / 64] & (1 << (pair % 64)) != 0
}

/// A bit for each two bytes, set for those that a phrase begins with.
static FIRST_TWO_BYTES: [u64; 1024] = {
    let mut bits = [0; 1024];
    let mut at = 0;
    while at < PHRASES.len() {
        let phrase = PHRASES[at].as_bytes();
        let pair = phrase[0] as usize * 256 + phrase[1] as usize;
        bits[pair / 64] |= 1 << (pair % 64);
        at += 1;
    }
    bits
};

/// What the last answer phrase announces, with the end of its sentence.
pub(super) fn after_phrase_at(text: &str) -> Option<Located<String>> {
    let tail = tail(text, WINDOW);
    let before = text.len() - tail.len();
    if let Some(at) = last_phrase(tail)
        && let Some(answer) = announced(&tail[at..])
    {
        let rest = tail[at..].trim_start_matches(|c: char| !c.is_alphanumeric() && c != '\\');
        let end = tail.len() - rest.len() + first_sentence(rest).len();
        return Some(Located {
            answer,
            end: before + end,
        });
    }
    last_line_label(tail).map(|answer| Located {
        answer,
        end: text.len(),
    })
}

/// "I don't know the answer:" announces nothing; "answers" is another word.
fn announces(lower: &str, at: usize) -> bool {
    let before = &lower[..at];
    let boundary = before
        .chars()
        .next_back()
        .is_none_or(|c| !c.is_alphanumeric() || is_cjk(c));
    boundary
        && !["know the ", "not the ", "no longer the "]
            .iter()
            .any(|end| before.ends_with(end))
        && !negation::before(before)
}

/// `A: 18` as the last line.
fn last_line_label(text: &str) -> Option<String> {
    let line = text.trim_end().lines().next_back()?.trim();
    line.strip_prefix("A:").map(|rest| rest.trim().to_owned())
}

/// The answer in what stands behind a phrase.
fn announced(behind: &str) -> Option<String> {
    let mut text = behind.trim_start_matches([':', '：', '*', ' ', '\n', '\t', '=']);
    // A dash before a word; before a number it is its sign.
    if let Some(rest) = text.strip_prefix("- ").map(str::trim_start)
        && !rest.starts_with(|c: char| c.is_ascii_digit())
        && !["\\frac", "\\dfrac", "\\tfrac", "\\sqrt", "\\pi"]
            .iter()
            .any(|head| rest.starts_with(head))
    {
        text = rest;
    }
    for filler in [
        "the final answer is",
        "the answer is",
        "the correct answer is",
        "therefore,",
        "thus,",
        "so,",
    ] {
        let head: String = text
            .chars()
            .take(filler.len())
            .collect::<String>()
            .to_ascii_lowercase();
        if head == filler {
            text = text[filler.len()..].trim_start_matches([':', '*', ' ', '\n']);
        }
    }
    if text.is_empty() {
        return None;
    }
    // A formula at once, and perhaps others parted by commas or "and".
    if let Some(first) = math_spans(text).first().filter(|m| m.start == 0) {
        let mut answer = first.inner(text).to_owned();
        let mut end = first.end;
        for span in math_spans(text).iter().skip(1) {
            let glue = text[end..span.start].trim();
            if !matches!(glue, "," | "and" | "or" | ", and" | ", or" | ";") {
                break;
            }
            answer.push_str(", ");
            answer.push_str(span.inner(text));
            end = span.end;
        }
        let rest = text[end..].trim_start();
        if negation::after(rest) {
            return None;
        }
        // `$5$%` and `$5$ percent`.
        if rest.starts_with('%') || rest.starts_with("\\%") || rest.starts_with("percent") {
            answer.push_str("\\%");
        }
        return Some(answer);
    }
    let sentence = first_sentence(text);
    let end = REASONS.iter().filter_map(|why| sentence.find(why)).min();
    if end.is_some_and(|end| negation::after(&sentence[end..])) {
        return None;
    }
    let sentence = match end.map(|end| sentence[..end].trim()) {
        Some(head) if is_answer_like(head) => head,
        _ => sentence,
    };
    let direct = without_remark(sentence.trim_matches(['*', '_', ' ', '`']));
    if is_answer_like(direct) || wording::is_set_or_numeral(direct) {
        return Some(direct.to_owned());
    }
    // "The answer is not 5", "at least 5": the words are part of it.
    if qualifies(sentence) {
        return Some(direct.to_owned());
    }
    // "The volume of $ABCD$ is 120".
    if let Some(value) = in_sentence(sentence) {
        return Some(value);
    }
    let bytes = direct.as_bytes();
    (bytes.len() <= 80 && direct.split_whitespace().count() <= 8).then(|| direct.to_owned())
}

/// The value at the end of a sentence.
fn in_sentence(sentence: &str) -> Option<String> {
    prose::last_value(sentence).map(|found| found.answer)
}

/// The whole response, when nothing in it is prose.
pub(super) fn whole_response(text: &str) -> Option<&str> {
    let text = without_lead(text.trim());
    let lines = text.lines().filter(|l| !l.trim().is_empty()).count();
    if text.len() > 20_000 || lines > 12 {
        return None;
    }
    // "5 is not possible."
    if numbers(text)
        .first()
        .is_some_and(|number| negation::after(&text[number.end..]))
    {
        return None;
    }
    // "At least $5$": a value with the words that bound or deny it.
    if text.len() <= 60
        && text.split_whitespace().count() <= 6
        && qualifies(text)
        && !text.contains(" but ")
        || wording::is_set_or_numeral(text)
    {
        return Some(text);
    }
    let dollars = text.starts_with('$') && text.ends_with('$')
        || text.starts_with("\\[")
        || text.starts_with("\\(");
    if dollars {
        let spans = math_spans(text);
        return match spans.as_slice() {
            [one] if one.start == 0 && one.end == text.len() => Some(one.inner(text)),
            _ => None,
        };
    }
    if math_spans(text).len() == 1 && text.contains('$') {
        return None;
    }
    let numeric = text.starts_with(|c: char| {
        c.is_ascii_digit() || matches!(c, '-' | '\\' | '(' | '[' | '.' | '$')
    });
    // A unit in `\text{}` behind a number is no prose.
    let said = if text.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
        without_unit(text)
    } else {
        text
    };
    // `not(x < 2)` is a condition.
    let condition = said.replace("not(", "(").replace("not (", "(");
    let prose = condition
        .split(|c: char| !c.is_alphabetic() && c != '\\' && c != '_' && c != '{')
        .filter(|w| w.chars().count() >= 3 && !w.contains(['\\', '{', '_']) && !is_math_word(w))
        .filter(|w| !(numeric && units::is_unit(w)))
        .count();
    if prose > 0 && is_named_sum(text) {
        return Some(text);
    }
    // A sentence of Chinese with a number in it.
    if text.contains(is_cjk) && !numbers(text).is_empty() && !wording::is_chinese_value(text) {
        return None;
    }
    let short = text.len() <= 60 && said.split_whitespace().count() <= 4 && !text.contains(". ");
    (prose == 0 || numeric && prose <= 2 && short || short && text.split_whitespace().count() <= 2)
        .then_some(text)
}

/// The text without a `\text{}` at its end.
fn without_unit(text: &str) -> &str {
    let inner = text.strip_suffix('}').and_then(|t| t.rfind(r"\text{"));
    match inner {
        Some(at) if !text[at + 6..text.len() - 1].contains(['{', '}']) => &text[..at],
        _ => text,
    }
}

/// A response of a few words without a number or a formula: "cannot be determined", "Bob and
/// Alice".
pub(super) fn few_words(text: &str) -> Option<&str> {
    let text = text.trim();
    let words: Vec<&str> = text.split_whitespace().collect();
    let speaks = matches!(words.as_slice(), ["I", next, ..] if !matches!(*next, "and" | "or"));
    let inside = text.trim_end_matches('.');
    (text.len() <= 60
        && words.len() <= 4
        && !speaks
        && !inside.contains(['.', '?', '!', ':', '\n', '$'])
        && !text.contains(|c: char| c.is_ascii_digit())
        && !negation::before(text))
    .then_some(text)
}

/// The value that the text ends with.
pub(super) fn last_value(text: &str) -> Option<Extraction> {
    prose::last_value(negation::without_questions(tail(text, WINDOW)))
}

/// `A`, `B)`, `(C)`, `D.` at the beginning.
pub(super) fn leading_choice(text: &str) -> Option<char> {
    let text = text.trim_start().trim_start_matches(['(', '*', '[']);
    let mut chars = text.chars();
    let letter = chars.next().filter(char::is_ascii_uppercase)?;
    // "(C), (D)" and "A and B" are two.
    let behind = chars
        .as_str()
        .trim_start_matches([')', ']', '*', ',', '&', '/', ' ']);
    let behind = ["and ", "or "]
        .iter()
        .find_map(|word| behind.strip_prefix(word))
        .unwrap_or(behind);
    let mut next = behind.trim_start_matches(['(', '[', '*', ' ']).chars();
    if next.next().is_some_and(|c| c.is_ascii_uppercase())
        && next.next().is_none_or(|c| !c.is_alphanumeric())
    {
        return None;
    }
    match chars.next() {
        None => Some(letter),
        Some('.' | ')' | ':' | ',' | '*' | ']') => {
            let behind = chars.as_str().trim_start_matches([')', '*', ']', '.', ':']);
            (!negation::after(behind)).then_some(letter)
        }
        _ => None,
    }
}

/// The end of the text, at most `window` bytes, cut at a character.
pub(super) fn tail(text: &str, window: usize) -> &str {
    let mut from = text.len().saturating_sub(window);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    &text[from..]
}

/// The first sentence: up to a full stop before a space, a line's end, or a remark.
fn first_sentence(text: &str) -> &str {
    let bytes = text.as_bytes();
    let end = (0..bytes.len())
        .find(|&i| {
            bytes[i] == b'\n'
                || bytes[i] == b'.' && bytes.get(i + 1).is_none_or(u8::is_ascii_whitespace)
        })
        .unwrap_or(bytes.len());
    let end = text[..end].find('。').unwrap_or(end);
    text[..end].trim()
}
