//! The choice that a reply to a multiple-choice problem states: in a box or a tag, under a heading,
//! as a field of JSON, in a sentence, or alone on a line.
//!
//! The letter is known to be a choice, so that case does not matter where the letter is set apart:
//! `\boxed{d}`, `(d)`, `**d**`, `answer: d.`. Letters in formulas and in prose state nothing.

use super::{
    boxed,
    choice::{self, Said},
    section,
    spans::math_spans,
};

/// How far back from the end a statement counts, in bytes.
const WINDOW: usize = 6000;

/// What a reply states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stated {
    /// One choice, in upper case.
    One(char),
    /// A box, a tag or a field with more than one choice: `\boxed{B, C}`.
    Several(String),
}

/// A statement and where it begins.
struct Statement {
    start: usize,
    stated: Stated,
}

/// The last statement of the text that was not taken back; `last` is the last letter that can be a
/// choice.
pub(super) fn stated(response: &str, last: char) -> Option<Stated> {
    let text = super::phrase::tail(response, WINDOW);
    let whole = lone(text, last);
    if let Some(letter) = whole {
        return Some(Stated::One(letter));
    }
    let marked = [
        in_box(text, last),
        in_tag(text, last),
        in_field(text, last),
        under_heading(text, last),
        alone_on_last_line(text, last),
    ];
    let marked = marked.into_iter().flatten().max_by_key(|it| it.start);
    let prose = without_formulas(text, last);
    let said = choice::said(&prose, last);
    // A sentence behind the mark has the last word when it speaks of the answer by name.
    let from = marked.as_ref().map_or(0, |it| it.start);
    let sentence = said
        .iter()
        .rfind(|it| it.said == Said::Settled && (marked.is_none() || it.named && it.start > from));
    let found = match (sentence, marked) {
        (Some(sentence), _) => Statement {
            start: sentence.start,
            stated: Stated::One(sentence.letter),
        },
        (None, Some(marked)) => marked,
        (None, None) => return super::phrase::leading_choice(response).map(Stated::One),
    };
    let Stated::One(letter) = found.stated else {
        return Some(found.stated);
    };
    let later = said.iter().filter(|it| it.start > found.start);
    let taken_back = later.clone().any(|it| {
        it.letter == letter && it.said == Said::Denied
            || it.letter != letter && it.said == Said::Doubted && it.open
    });
    (!taken_back).then_some(found.stated)
}

/// A letter with nothing but marks around it: `(d)`, `**B.**`, `$\text{C}$`, `Option b`.
fn lone(text: &str, last: char) -> Option<char> {
    let mut rest = text.trim();
    for _ in 0..12 {
        let before = rest;
        rest = rest
            .trim_matches([
                '(', ')', '[', ']', '{', '}', '*', '_', '`', '"', '\'', '$', ' ',
            ])
            .trim_end_matches(['.', ',', ':', ';', '!', '\\']);
        for command in [
            r"\textbf",
            r"\text",
            r"\mathrm",
            r"\mathbf",
            r"\textit",
            r"\mbox",
            r"\boxed",
            r"\bf",
            r"\rm",
            r"\(",
            r"\[",
            r"\mathsf",
            r"\displaystyle",
        ] {
            rest = rest.strip_prefix(command).unwrap_or(rest);
        }
        for word in ["option", "choice", "answer", "letter", "the"] {
            if let Some(behind) = without_head(rest, word)
                && behind.starts_with([' ', ':', '(', '*'])
            {
                rest = behind.trim_start_matches([' ', ':']);
            }
        }
        if rest == before {
            break;
        }
    }
    let mut chars = rest.chars();
    let letter = chars.next()?.to_ascii_uppercase();
    (chars.next().is_none() && ('A'..=last).contains(&letter)).then_some(letter)
}

/// The text behind a word, in any case.
fn without_head<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let head = text.get(..word.len())?;
    head.eq_ignore_ascii_case(word).then(|| &text[word.len()..])
}

/// The choice in a short text that is an answer: `d`, `(B) 18`, `c: the second`, `B, C`.
fn in_answer(text: &str, last: char) -> Option<Stated> {
    if let Some(letter) = lone(text, last) {
        return Some(Stated::One(letter));
    }
    let parts: Vec<&str> = text
        .split([',', ';', '/', '&'])
        .flat_map(|part| part.split(" and "))
        .flat_map(|part| part.split(" or "))
        .collect();
    if parts.len() > 1 && parts.iter().all(|part| lone(part, last).is_some()) {
        return Some(Stated::Several(text.trim().to_owned()));
    }
    labelled(text, last).map(Stated::One)
}

/// The letter in front of its choice's text: `(B) 18`, `c. the second`, `\text{(D)} 5`.
fn labelled(text: &str, last: char) -> Option<char> {
    let mut rest = text.trim();
    for command in [r"\textbf", r"\text", r"\mathrm", r"\mathbf"] {
        rest = rest.strip_prefix(command).unwrap_or(rest);
    }
    let bare = rest.trim_start_matches(['{', '*', '$', ' ']);
    let open = bare.starts_with(['(', '[']);
    let bare = bare.trim_start_matches(['(', '[']);
    let letter = bare.chars().next()?;
    let upper = letter.to_ascii_uppercase();
    if !('A'..=last).contains(&upper) {
        return None;
    }
    let behind = &bare[letter.len_utf8()..];
    let mark = if open {
        behind.strip_prefix([')', ']'])
    } else {
        behind.strip_prefix([')', '.', ':', '}', '*'])
    }?;
    // `(a)b` is a product and `a.b` a name.
    let parted =
        mark.is_empty() || mark.starts_with([' ', '\n', '}', '*', '.', ':', '\\', '~', '$']);
    let another = choice::said(mark, last)
        .iter()
        .any(|it| it.bracketed && it.letter != upper);
    (parted && !another && !crate::negation::after(mark)).then_some(upper)
}

fn in_box(text: &str, last: char) -> Option<Statement> {
    let found = boxed::last(text)?;
    let stated = in_answer(&found.answer, last)?;
    let start = text[..found.end].rfind("boxed").unwrap_or(0);
    Some(Statement { start, stated })
}

fn in_tag(text: &str, last: char) -> Option<Statement> {
    let tag = section::answer_tag(text)?;
    let stated = in_answer(tag.answer, last)?;
    let start = tag.end.saturating_sub(tag.answer.len());
    Some(Statement { start, stated })
}

/// `{"answer": "B"}`, also with other names of the field.
fn in_field(text: &str, last: char) -> Option<Statement> {
    const FIELDS: [&str; 7] = [
        "answer",
        "final_answer",
        "finalanswer",
        "choice",
        "option",
        "letter",
        "answer_letter",
    ];
    let lower = text.to_ascii_lowercase();
    let found = FIELDS.iter().filter_map(|field| {
        let mut all = ['"', '\''].into_iter().filter_map(|quote| {
            let key = format!("{quote}{field}{quote}");
            let at = lower.rfind(&key)?;
            let value = text[at + key.len()..]
                .trim_start()
                .strip_prefix(':')?
                .trim_start();
            let end = value.find(['\n', '}']).unwrap_or(value.len());
            let quoted = value
                .strip_prefix(['"', '\''])
                .and_then(|inner| inner.find(['"', '\'']).map(|end| &inner[..end]));
            let value = quoted.unwrap_or_else(|| value[..end].trim_end_matches(','));
            Some(Statement {
                start: at,
                stated: in_answer(value, last)?,
            })
        });
        all.next()
    });
    found.max_by_key(|it| it.start)
}

/// The line under `### Answer`, `**Final answer**` or `Final Answer:`.
fn under_heading(text: &str, last: char) -> Option<Statement> {
    let mut heading = false;
    let mut found = None;
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let bare = line.trim();
        if heading && !bare.is_empty() {
            if let Some(stated) = in_answer(bare, last) {
                found = Some(Statement { start, stated });
            }
            heading = false;
        }
        if !bare.is_empty() {
            heading = is_heading(bare);
        }
        start += line.len();
    }
    found
}

fn is_heading(line: &str) -> bool {
    const HEADINGS: [&str; 9] = [
        "answer",
        "final answer",
        "the answer",
        "the final answer",
        "correct answer",
        "correct option",
        "correct choice",
        "final choice",
        "conclusion",
    ];
    let bare = line
        .trim_matches(|c: char| !c.is_alphanumeric())
        .to_ascii_lowercase();
    HEADINGS.contains(&bare.as_str())
}

/// A last line that is a letter and nothing else.
fn alone_on_last_line(text: &str, last: char) -> Option<Statement> {
    let line = text.trim_end().lines().next_back()?;
    let letter = lone(line, last)?;
    // "i" and "A" alone on a line may be the end of a list; they are a choice too.
    Some(Statement {
        start: text.trim_end().len() - line.len(),
        stated: Stated::One(letter),
    })
}

/// The text with formulas blanked out, but for those that are one letter, which lose their dollars.
/// Positions stay.
fn without_formulas(text: &str, last: char) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for span in math_spans(text) {
        let inner = span.inner(text);
        let letter = lone(inner, last);
        bytes[span.start..span.end].fill(b' ');
        if let Some(letter) = letter
            && span.end - span.start >= 3
            && let Some(at) = (span.start..span.end)
                .rfind(|&i| text.as_bytes()[i].eq_ignore_ascii_case(&(letter as u8)))
        {
            // In brackets, so that it is set apart.
            bytes[at] = letter as u8;
            if at > span.start {
                bytes[at - 1] = b'(';
            }
            if at + 1 < span.end {
                bytes[at + 1] = b')';
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Option<char> {
        match stated(text, 'J') {
            Some(Stated::One(letter)) => Some(letter),
            _ => None,
        }
    }

    #[test]
    fn stated_choices() {
        for (text, letter) in [
            (r"\boxed{d}", 'D'),
            (r"So $\boxed{\text{b}}$.", 'B'),
            (r"\boxed{(c)}", 'C'),
            (r"\boxed{\textbf{(E)}\ 30}", 'E'),
            (r"\boxed{B. 3 m/s}", 'B'),
            (r"\boxed{\text{Option C}}", 'C'),
            ("(d)", 'D'),
            ("**d**", 'D'),
            ("d", 'D'),
            ("**Answer: (c)**", 'C'),
            (r"We get \boxed{5}. The correct option is B.", 'B'),
            (r"\boxed{12} matches choice (A), so the answer is A.", 'A'),
            ("Option C is correct.", 'C'),
            ("Thus option (c) is correct.", 'C'),
            ("Statement 1 fails. Choice D is right.", 'D'),
            ("Final Answer\n\nC", 'C'),
            ("Work.\n\n**Final Answer**\n\n(B) 12 m", 'B'),
            ("### Answer\nC", 'C'),
            ("## Final answer:\n**b**", 'B'),
            ("Therefore, C.", 'C'),
            ("Hence (B).", 'B'),
            ("So, the energy rises. Thus, D.", 'D'),
            (r#"{"answer": "B"}"#, 'B'),
            (
                "```json\n{\"reason\": \"A is too small\", \"answer\": \"c\"}\n```",
                'C',
            ),
            ("{'final_answer': 'D) 12'}", 'D'),
            ("I would take B -", 'B'),
            ("I'd take (d).", 'D'),
            ("I would opt for C", 'C'),
            ("My pick: C", 'C'),
            ("Final answer: d.", 'D'),
            ("final answer is b", 'B'),
            ("The answer is (a).", 'A'),
            ("ANSWER: C", 'C'),
            (r"The gap is $\Delta E = 3$ J, so the answer is (B).", 'B'),
            (
                r"The answer is (B), because $\Delta E$ is $A \cdot C$.",
                'B',
            ),
            ("The answer is B. ΔE grows with C = 5.", 'B'),
            (r"With \Delta E small, I pick A", 'A'),
            (r"The answer is $\mathbf{C}$.", 'C'),
            (r"The answer is \(\text{B}\).", 'B'),
            (
                "The answer is B. A uses the wrong sign, C forgets friction.",
                'B',
            ),
            (
                "A is wrong. B is wrong. D remains, so the answer is D.",
                'D',
            ),
            ("<answer>b</answer>", 'B'),
            (
                "The answer is C.\n\nWait, recheck. The correct answer is D.",
                'D',
            ),
            ("B. Because light is faster.", 'B'),
            ("The best answer is D: it is the only one that holds.", 'D'),
            ("Reasoning.\nB", 'B'),
            ("The correct answer is option b.", 'B'),
            ("Correct answer: **c) Mitochondria**", 'C'),
            ("The answer is A which is the largest.", 'A'),
            ("Correct option: C", 'C'),
            ("**Correct choice**: b", 'B'),
            ("Answer - B", 'B'),
            ("Answer → (c)", 'C'),
            ("A and B are wrong, so C.", 'C'),
            ("I choose option (b) because it fits.", 'B'),
            ("My choice: D", 'D'),
            ("答案是 d", 'D'),
        ] {
            assert_eq!(one(text), Some(letter), "{text}");
        }
    }

    #[test]
    fn nothing_is_stated() {
        for text in [
            "",
            r"\boxed{5}",
            r"So $\Delta E = 5$ and $A = B$.",
            "I do not know.",
            "It could be B or C.",
            "A triangle has three sides.",
            "The answer is a triangle.",
            "The answer is because of friction.",
            "Consider options A, B, C and D.",
            "Option B gives 5, option C gives 7.",
            "I would choose B, or maybe C",
            "The answer is B. No, B is wrong.",
            "Is it B?",
            "I think.",
            "Vitamin C and vitamin D are vitamins.",
            "Let A be a matrix. E = mc^2",
        ] {
            assert_eq!(one(text), None, "{text}");
        }
        assert_eq!(
            stated(r"\boxed{B, C}", 'J'),
            Some(Stated::Several("B, C".into()))
        );
        assert_eq!(one("<answer>A and B</answer>"), None);
    }

    #[test]
    fn hostile_texts_end_soon() {
        for unit in [
            "(A) or ",
            "\\boxed{",
            "$A$ ",
            "answer: ",
            "\"answer\":",
            "é A ",
            "\n\nAnswer\n",
        ] {
            let text = unit.repeat(200_000 / unit.len());
            let start = std::time::Instant::now();
            let _ = stated(&text, 'J');
            assert!(start.elapsed().as_secs() < 5, "{unit}");
        }
    }
}
