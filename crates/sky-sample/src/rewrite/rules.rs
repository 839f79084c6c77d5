use std::ops::Range;

use super::sections::{MARKERS, Sections};

/// Tags that models put around their thinking.
pub(super) const THOUGHT_TAGS: [(&str, &str); 4] = [
    (MARKERS[0], MARKERS[1]),
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
];

/// Tags that models put around their answer.
pub(super) const SOLUTION_TAGS: [(&str, &str); 3] = [
    (MARKERS[2], MARKERS[3]),
    ("<answer>", "</answer>"),
    ("<output>", "</output>"),
];

/// Beginnings of a line, marks of emphasis aside, that announce the answer.
const HEADINGS: [&str; 3] = ["final answer", "the final answer", "answer:"];

/// Splits a finished reply into thought and solution by rules. Text is moved, never made up: apart
/// from tags, the words that come out are those that went in. `None` for a reply without a
/// solution: empty, or still thinking when it ended.
///
/// Tags around the thinking decide, when there are any. Without tags the solution begins with the
/// first of these that the reply has:
/// - the last heading such as "Final Answer",
/// - the sentence or paragraph of the last box,
/// - the last code block,
/// - the last paragraph, line or sentence. A reply of one sentence is all solution.
///
/// ```
/// let sections = sky_sample::split("Add the numbers: 3 + 5 = 8. The answer is \\boxed{8}.").unwrap();
/// assert_eq!(sections.thought, "Add the numbers: 3 + 5 = 8.");
/// assert_eq!(sections.solution, "The answer is \\boxed{8}.");
/// ```
pub fn split(text: &str) -> Option<Sections> {
    if let Some(sections) = Sections::parse(text) {
        return Some(sections);
    }
    let tagged = tagged(text.trim())?;
    let found = if tagged.solution.is_empty() {
        plain(&tagged.thought)
    } else if tagged.thought.is_empty() {
        plain(&tagged.solution)
    } else {
        tagged
    };
    let sections = Sections {
        thought: without_markers(&found.thought),
        solution: without_markers(&found.solution),
    };
    (!sections.solution.is_empty()).then_some(sections)
}

/// Thought and solution where tags say so; all is solution where there are none. `None` for a
/// thought that never ends.
fn tagged(text: &str) -> Option<Sections> {
    for (open, close) in THOUGHT_TAGS {
        let (before, inside) = match strip_tag(text, open) {
            Some(rest) => ("", rest),
            // Only our own marker counts in the middle: others may be part of what is being
            // discussed.
            None if open == MARKERS[0] => match text.split_once(open) {
                Some((before, rest)) => (before, rest),
                None => continue,
            },
            None => continue,
        };
        let (thought, rest) = split_at_tag(inside, close)?;
        return Some(Sections {
            thought: join(before, thought),
            solution: unwrap_solution(rest),
        });
    }
    // Some chat templates open the thinking in the prompt, so that the reply only closes it.
    for (_, close) in THOUGHT_TAGS {
        if let Some((thought, rest)) = split_at_tag(text, close) {
            return Some(Sections {
                thought: thought.trim().into(),
                solution: unwrap_solution(rest),
            });
        }
    }
    for (open, _) in &SOLUTION_TAGS[..1] {
        if let Some((before, _)) = split_at_tag(text, open) {
            return Some(Sections {
                thought: before.trim().into(),
                solution: unwrap_solution(&text[before.len()..]),
            });
        }
    }
    Some(Sections {
        thought: String::new(),
        solution: unwrap_solution(text),
    })
}

/// A solution without the tags around it; what follows the closing tag is kept.
fn unwrap_solution(text: &str) -> String {
    let text = text.trim();
    for (open, close) in SOLUTION_TAGS {
        if let Some(rest) = strip_tag(text, open) {
            return match split_at_tag(rest, close) {
                Some((inside, after)) => join(inside, after),
                None => rest.trim().into(),
            };
        }
    }
    text.into()
}

/// Thought and solution of a text without tags.
fn plain(text: &str) -> Sections {
    let text = text.trim();
    let blocks = fenced_blocks(text);
    let after_blocks = blocks.last().map_or(0, |block| block.end);
    let parts = |at: usize| Sections {
        thought: text[..at].trim().to_owned(),
        solution: text[at..].trim().to_owned(),
    };

    if let Some(at) = last_heading(text, &blocks) {
        return parts(at);
    }
    let last_box = text.rfind("\\boxed").or_else(|| text.rfind("\\fbox"));
    if let Some(place) = last_box.filter(|&place| place >= after_blocks) {
        return parts(start_of_passage(text, after_blocks, place));
    }
    if let Some(block) = program_block(text, &blocks) {
        let before = text[..block.start].trim();
        if before.is_empty() {
            // Nothing stands before the program: what explains it is the thought.
            return Sections {
                thought: text[block.end..].trim().into(),
                solution: text[block].trim().into(),
            };
        }
        return parts(block.start);
    }
    parts(start_of_passage(text, 0, text.len()))
}

/// Where the last line begins that announces the answer and has something to say.
fn last_heading(text: &str, blocks: &[Range<usize>]) -> Option<usize> {
    let mut found = None;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let outside = !blocks.iter().any(|block| block.contains(&at));
        let bare = line.trim_start_matches(|c: char| c.is_whitespace() || "*#_".contains(c));
        let announces = HEADINGS.iter().any(|heading| {
            bare.get(..heading.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(heading))
        });
        if outside && announces {
            found = Some(at);
        }
        at += line.len();
    }
    found
}

/// Where the passage around `place` begins, not before `floor`: its paragraph, else its line, else
/// its sentence; the finest of these that leaves something before it, or the floor.
fn start_of_passage(text: &str, floor: usize, place: usize) -> usize {
    let before = &text[floor..place];
    let begin = |at: Option<usize>, len: usize| at.map_or(floor, |at| floor + at + len);
    let useful = |at: usize| !text[..at].trim().is_empty();
    let paragraph = begin(before.trim_end().rfind("\n\n"), 2);
    if useful(paragraph) {
        return paragraph;
    }
    let line = begin(before.rfind('\n'), 1);
    if useful(line) {
        return line;
    }
    let sentence = sentence_starts(text)
        .into_iter()
        .rfind(|start| (floor..place).contains(start))
        .unwrap_or(floor);
    if useful(sentence) { sentence } else { floor }
}

/// Where sentences begin, outside formulas: after a full stop, white space, and before a capital or
/// a formula.
fn sentence_starts(text: &str) -> Vec<usize> {
    let mut starts = Vec::new();
    let (mut in_formula, mut in_display) = (false, false);
    let mut ended = false;
    let (mut last, mut before_last) = (' ', ' ');
    for (at, c) in text.char_indices() {
        let begins = c.is_uppercase() || c.is_numeric() || "$\\*(\"“".contains(c);
        if ended && last.is_whitespace() && begins && !in_formula && !in_display {
            starts.push(at);
        }
        match (last, c) {
            ('\\', '[') => in_display = true,
            ('\\', ']') => in_display = false,
            ('\\', '$') => {}
            (_, '$') => in_formula = !in_formula,
            _ => {}
        }
        if !c.is_whitespace() {
            // "1. Add" numbers a step and "A. Smith" is a name: neither full stop ends a sentence.
            let lone = last.is_alphanumeric() && before_last.is_whitespace();
            let number_ends = last.is_numeric() && !starts_line(text, at, last);
            ended = "!?".contains(c) || (c == '.' && (!lone || number_ends));
        }
        before_last = last;
        last = c;
    }
    starts
}

/// Whether the character before the full stop at `at` is the first of its line.
fn starts_line(text: &str, at: usize, last: char) -> bool {
    let before = &text[..at - last.len_utf8()];
    before.trim_end_matches([' ', '\t']).is_empty()
        || before.trim_end_matches([' ', '\t']).ends_with('\n')
}

/// Fenced code blocks from the opening fence to the end of the closing one; an unclosed block runs
/// to the end.
pub(super) fn fenced_blocks(text: &str) -> Vec<Range<usize>> {
    let mut blocks = Vec::new();
    let mut open = None;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if line.trim_start().starts_with("```") {
            match open.take() {
                None => open = Some(at),
                Some(start) => blocks.push(start..at + line.trim_end().len()),
            }
        }
        at += line.len();
    }
    blocks.extend(open.map(|start| start..text.len()));
    blocks
}

/// The last block of Python; without one, the last block. An "Output:" block may follow a program.
pub(super) fn program_block(text: &str, blocks: &[Range<usize>]) -> Option<Range<usize>> {
    let is_python = |block: &&Range<usize>| {
        let tag = text[block.start..].trim_start_matches([' ', '\t', '`']);
        tag.get(..2)
            .is_some_and(|tag| tag.eq_ignore_ascii_case("py"))
    };
    let python = blocks.iter().rev().find(is_python);
    python.or_else(|| blocks.last()).cloned()
}

/// The rest of a text that begins with a tag, in any case.
fn strip_tag<'a>(text: &'a str, tag: &str) -> Option<&'a str> {
    let start = text.get(..tag.len())?;
    start.eq_ignore_ascii_case(tag).then(|| &text[tag.len()..])
}

/// The text before and after the first occurrence of a tag, in any case.
fn split_at_tag<'a>(text: &'a str, tag: &str) -> Option<(&'a str, &'a str)> {
    let at = text
        .as_bytes()
        .windows(tag.len())
        .position(|window| window.eq_ignore_ascii_case(tag.as_bytes()))?;
    // Tags are ASCII, so both places are between characters.
    Some((&text[..at], &text[at + tag.len()..]))
}

fn join(a: &str, b: &str) -> String {
    let (a, b) = (a.trim(), b.trim());
    if a.is_empty() || b.is_empty() {
        return format!("{a}{b}");
    }
    format!("{a}\n\n{b}")
}

/// A stray marker inside a section would break the form for whoever reads it.
fn without_markers(text: &str) -> String {
    let mut text = text.trim().to_owned();
    // Removing one marker may bring the halves of another together, so until none is left; each
    // round shortens the text.
    while MARKERS.iter().any(|marker| text.contains(marker)) {
        for marker in MARKERS {
            text = text.replace(marker, " ");
        }
    }
    text.trim().to_owned()
}
