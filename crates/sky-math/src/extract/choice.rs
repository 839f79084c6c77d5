//! The letter of a choice that a sentence settles on: `I would go with (B)`, `not (A), rather (C)`.

use super::phrase::tail;
use crate::glyphs::is_cjk;

/// How far back from the end a letter counts, in bytes.
const WINDOW: usize = 1500;
/// Letters looked at.
const MAX_MENTIONS: usize = 40;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Said {
    /// It is said to be the answer.
    Settled,
    /// It is said not to be.
    Denied,
    /// `maybe C`.
    Doubted,
    /// It only occurs.
    Neutral,
}

struct Mention {
    /// In upper case.
    letter: char,
    start: usize,
    end: usize,
    bracketed: bool,
}

/// A letter of a text and what is said of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct SaidOf {
    /// In upper case.
    pub(super) letter: char,
    /// Where it stands.
    pub(super) start: usize,
    pub(super) bracketed: bool,
    pub(super) said: Said,
    /// Whether the clause speaks of an answer, an option or a choice by name.
    pub(super) named: bool,
    /// Whether the text ends with the letter's sentence.
    pub(super) open: bool,
}

/// What a reply to a multiple-choice problem says of each letter up to `last`. Lower-case letters
/// count where they are set apart.
pub(super) fn said(text: &str, last: char) -> Vec<SaidOf> {
    let text = tail(text, usize::MAX);
    let mentions = mentions(text, last, true);
    (0..mentions.len())
        .map(|i| {
            let mention = &mentions[i];
            let before = clause(&text[..mention.start]).to_lowercase();
            let behind: String = text[mention.end..].chars().take(60).collect();
            let behind = behind.to_lowercase();
            let sentence = behind.split(['.', '\n', ';']).next().unwrap_or_default();
            let names = ["answer", "option", "choice", "correct", "答案", "réponse"];
            SaidOf {
                letter: mention.letter,
                start: mention.start,
                bracketed: mention.bracketed,
                said: match judge(text, &mentions, i) {
                    Said::Neutral if concludes(text, mention) => Said::Settled,
                    said => said,
                },
                named: names
                    .iter()
                    .any(|name| before.contains(name) || sentence.contains(name)),
                open: text[mention.end..].len() <= 80,
            }
        })
        .collect()
}

/// `Therefore, C.`: a sentence that is a conclusion and a letter.
fn concludes(text: &str, mention: &Mention) -> bool {
    const WORDS: [&str; 11] = [
        "therefore",
        "thus",
        "hence",
        "so",
        "consequently",
        "accordingly",
        "finally",
        "i take",
        "i would take",
        "i'd take",
        "i'll take",
    ];
    let head = &text[..mention.start];
    let from = head
        .rfind(['.', '\n', '!', '?', ';', '。'])
        .map_or(0, |at| {
            at + head[at..].chars().next().map_or(1, char::len_utf8)
        });
    let plain = |head: &str| {
        head.trim_matches(|c: char| !c.is_alphanumeric())
            .to_lowercase()
            .replace('’', "'")
    };
    // "A is too small, so C."
    let sentence = &head[from..];
    let clause = sentence.trim_end_matches([' ', ',', '(', '*', '"']);
    let clause = clause.rfind(',').map_or(clause, |at| &clause[at + 1..]);
    let behind = text[mention.end..].trim_start_matches([')', ']', '*', '$', '}', '"', '`']);
    let ends = behind.is_empty()
        || behind.starts_with(['.', '\n', '!', ';', '。'])
        || behind.starts_with(" -")
        || behind.trim().is_empty();
    ends && [plain(sentence), plain(clause)]
        .iter()
        .any(|head| WORDS.contains(&head.as_str()))
}

/// The choice that the text settles on; none when it leaves two.
pub(super) fn settled(text: &str) -> Option<char> {
    let text = tail(text, WINDOW);
    let mentions = mentions(text, 'J', false);
    let said: Vec<Said> = (0..mentions.len())
        .map(|i| judge(text, &mentions, i))
        .collect();
    let last = said.iter().rposition(|s| *s == Said::Settled);
    let open = |from: usize, letter: char| {
        (from..mentions.len()).any(|i| mentions[i].letter != letter && said[i] != Said::Denied)
    };
    if let Some(last) = last {
        let letter = mentions[last].letter;
        return (!open(last + 1, letter)).then_some(letter);
    }
    // Only one is left: `B, not A`.
    let denied = said.contains(&Said::Denied);
    let left = (0..mentions.len()).find(|i| said[*i] == Said::Neutral)?;
    let letter = mentions[left].letter;
    let leads = mentions[left].start <= 2;
    (denied && (leads || mentions[left].bracketed) && text.len() <= 200 && !open(0, letter))
        .then_some(letter)
}

/// Capital letters that stand alone and, with `any_case`, small ones that are set apart.
fn mentions(text: &str, last: char, any_case: bool) -> Vec<Mention> {
    let mut found = Vec::new();
    for (at, c) in text.char_indices() {
        let letter = if any_case { c.to_ascii_uppercase() } else { c };
        if !('A'..=last).contains(&letter) {
            continue;
        }
        let before = text[..at].chars().next_back();
        let mut behind = text[at + 1..].chars();
        let (next, then) = (behind.next(), behind.next());
        let in_word = |c: Option<char>| {
            c.is_some_and(|c| c.is_alphanumeric() && !is_cjk(c) || "\\_-+='’^<>/&".contains(c))
        };
        if in_word(before) || in_word(next) {
            continue;
        }
        let bracketed = matches!(before, Some('(' | '[' | '{')) || matches!(next, Some(')' | ']'));
        // "A triangle", "I think".
        let word: String = text[at + 1..]
            .trim_start()
            .chars()
            .take_while(|c| c.is_alphabetic())
            .collect();
        let goes_on = [
            "is", "was", "or", "and", "seems", "looks", "must", "because", "since", "as", "here",
            "est", "ou", "et", "but", "not", "then", "instead", "now",
        ]
        .contains(&word.as_str());
        let article = next == Some(' ') && then.is_some_and(char::is_lowercase) && !goes_on;
        // An article in capitals begins a sentence; elsewhere a capital A is a letter.
        let begins = text[..at].trim_end_matches([' ', '*', '"']);
        let begins = begins.is_empty() || begins.ends_with(['.', '!', '?', '\n', ':', ';']);
        let article = article && (begins || !any_case);
        if !bracketed && (c == 'I' || c == 'A' && article) {
            continue;
        }
        if any_case && (in_formula(text, at) || c != letter && !set_apart(text, at, bracketed)) {
            continue;
        }
        found.push(Mention {
            letter,
            start: at,
            end: at + 1,
            bracketed,
        });
    }
    let from = found.len().saturating_sub(MAX_MENTIONS);
    found.split_off(from)
}

/// Whether the letter is a variable: `ΔE`, `\Delta E`, `E = 5`.
fn in_formula(text: &str, at: usize) -> bool {
    let before = text[..at].trim_end_matches(' ');
    let command = before.rfind('\\').is_some_and(|i| {
        before.len() - i > 1 && before[i + 1..].bytes().all(|b| b.is_ascii_alphabetic())
    });
    let behind = text[at + 1..].trim_start_matches(' ');
    let operator = behind.starts_with(['=', '+', '^', '_', '<', '>', '≈', '≤', '≥', '×', '·']);
    command || operator || before.ends_with(['Δ', '∆', '∂', '∇', '=', '+', '×', '·'])
}

/// Whether a small letter is set apart as a choice: `(d)`, `**d**`, `answer: d.`.
fn set_apart(text: &str, at: usize, bracketed: bool) -> bool {
    let before = tail(&text[..at], 40).trim_end_matches([' ', '"', '\'', '`']);
    let behind = &text[at + 1..];
    let next = behind.trim_start_matches(['"', '\'', '`']);
    let ends =
        next.trim().is_empty() || next.starts_with(['.', ',', '\n', ')', '!', ';', ':', '。']);
    let both = before.ends_with(['(', '[', '*']) && behind.starts_with([')', ']', '*']);
    let lower = before.to_lowercase().replace('*', "");
    let announced = [
        "answer is",
        "answer:",
        "answer :",
        "option",
        "choice",
        "option:",
        "choice:",
        "option is",
        "choice is",
        "letter",
        "答案是",
        "答案为",
        "答案:",
        "选",
    ]
    .iter()
    .any(|cue| lower.trim_end_matches(['*', ' ']).ends_with(cue));
    both || bracketed && ends
        || announced && ends
        || announced && behind.trim_start().starts_with(['-', '–', '—'])
}

fn judge(text: &str, mentions: &[Mention], at: usize) -> Said {
    // `A or B` is said of both.
    let (mut first, mut last) = (at, at);
    while first > 0 && together(text, &mentions[first - 1], &mentions[first]) {
        first -= 1;
    }
    while last + 1 < mentions.len() && together(text, &mentions[last], &mentions[last + 1]) {
        last += 1;
    }
    let several = mentions[first..=last]
        .iter()
        .any(|m| m.letter != mentions[at].letter);
    let before = clause(&text[..mentions[first].start]);
    let behind: String = text[mentions[last].end..]
        .trim_start_matches([')', ']', '}', '*', '"', '`', '$'])
        .chars()
        .take(60)
        .collect();
    let behind = behind.to_lowercase().replace('’', "'");
    let before = before.to_lowercase().replace('’', "'");
    let question = behind
        .find(['.', '!', '?', '\n', '。'])
        .is_some_and(|i| behind[i..].starts_with('?'));
    if denies(&before) || denied_behind(&behind) {
        return Said::Denied;
    }
    if question || doubts(&before) || several {
        return Said::Doubted;
    }
    if settles(&before) || settled_behind(&behind) {
        return Said::Settled;
    }
    Said::Neutral
}

/// Whether two letters are parts of one list.
fn together(text: &str, a: &Mention, b: &Mention) -> bool {
    let between = text[a.end..b.start].trim_matches([' ', '(', ')', '[', ']', '*', '$']);
    matches!(
        between.to_lowercase().as_str(),
        "or" | "and"
            | ","
            | ", or"
            | ", and"
            | "/"
            | "nor"
            | "ou"
            | "et"
            | "或"
            | "和"
            | "、"
            | "&"
    )
}

/// The clause that ends here.
fn clause(before: &str) -> &str {
    let marks = [
        ". ", ", ", "; ", "! ", "? ", ": ", "\n", "。", "，", "；", ",", " but ", " so ", " while ",
    ];
    let from = marks
        .iter()
        .filter_map(|mark| before.rfind(mark).map(|at| at + mark.len()))
        .max()
        .unwrap_or(0);
    // The colon of "The answer: D" belongs to what it announces.
    let clause = &before[from..];
    if clause.trim_matches([' ', '(', '*', '[']).is_empty() {
        let head = before[..from].trim_end();
        if let Some(head) = head.strip_suffix([':', ',']) {
            let from = head
                .rfind(['.', '\n', '!', '?', ';'])
                .map_or(0, |at| at + 1);
            return &before[from..];
        }
    }
    clause
}

fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let in_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() && !is_cjk(c));
        let glued = word.starts_with("n'");
        (glued || !in_word(text[..at].chars().next_back()))
            && !in_word(text[at + word.len()..].chars().next())
    })
}

fn denies(before: &str) -> bool {
    const WORDS: [&str; 26] = [
        "not",
        "n't",
        "cannot",
        "never",
        "neither",
        "nor",
        "rather than",
        "instead of",
        "eliminate",
        "eliminated",
        "eliminates",
        "rule out",
        "rules out",
        "ruled out",
        "exclude",
        "discard",
        "reject",
        "unlike",
        "than",
        "不是",
        "不选",
        "不能",
        "排除",
        "而非",
        "pas",
        "plutôt que",
    ];
    WORDS
        .iter()
        .any(|word| has_word(before, word) || !word.is_ascii() && before.contains(word))
}

fn doubts(before: &str) -> bool {
    const WORDS: [&str; 13] = [
        "maybe",
        "perhaps",
        "possibly",
        "might",
        "could",
        "may",
        "if",
        "whether",
        "either",
        "between",
        "peut-être",
        "可能",
        "或许",
    ];
    WORDS
        .iter()
        .any(|word| has_word(before, word) || !word.is_ascii() && before.contains(word))
}

/// Whether what follows a letter denies it.
fn denied_behind(behind: &str) -> bool {
    const SAID: [&str; 22] = [
        "is not",
        "isn't",
        "is wrong",
        "is incorrect",
        "is false",
        "is impossible",
        "is ruled out",
        "is eliminated",
        "is out",
        "is too",
        "are not",
        "aren't",
        "are wrong",
        "are incorrect",
        "are false",
        "are too",
        "are impossible",
        "cannot",
        "can't",
        "doesn't",
        "does not",
        "n'est pas",
    ];
    let behind = behind.trim_start_matches([' ', ',']);
    let contrast = ["不是", "不"]
        .iter()
        .find_map(|word| behind.strip_prefix(word))
        .is_some_and(|rest| {
            let rest = rest.trim_start();
            !rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '(')
        });
    contrast
        || ["错", "排除"].iter().any(|word| behind.starts_with(word))
        || SAID.iter().any(|words| behind.starts_with(words))
}

/// Words in front of the letter that is settled on.
const CUES: [&str; 64] = [
    "answer is",
    "answer:",
    "answer",
    "choice is",
    "option is",
    "one is",
    "letter is",
    "solution is",
    "it is",
    "it's",
    "its",
    "that's",
    "that is",
    "this is",
    "must be",
    "would be",
    "should be",
    "has to be",
    "will be",
    "go with",
    "going with",
    "went with",
    "settle on",
    "choose",
    "chose",
    "choosing",
    "pick",
    "picking",
    "select",
    "selecting",
    "finalize",
    "finalise",
    "say",
    "rather",
    "instead",
    "bet on",
    "correct option",
    "correct choice",
    "right option",
    "right choice",
    "best option",
    "best choice",
    "final choice",
    "my choice",
    "selection",
    "would take",
    "'d take",
    "'ll take",
    "opt for",
    "my pick",
    "my pick:",
    "pick:",
    "réponse est",
    "réponse",
    "réponse:",
    "c'est",
    "choisis",
    "opte pour",
    "选",
    "选择",
    "答案是",
    "答案为",
    "答案",
    "是",
];
/// How many of the adverbs are sure of what follows; the others only name it.
const CERTAIN: usize = 12;
/// Words between a cue and its letter.
const ADVERBS: [&str; 22] = [
    "for sure",
    "definitely",
    "clearly",
    "certainly",
    "surely",
    "simply",
    "obviously",
    "thus",
    "therefore",
    "most likely",
    "likely",
    "probably",
    "option",
    "choice",
    "letter",
    "the",
    "answer choice",
    "la",
    "l'option",
    "lettre",
    "选项",
    "now",
];

/// Whether the words before a letter settle on it.
fn settles(before: &str) -> bool {
    let mut rest = before.trim_end_matches([' ', '(', '[', '*', '"', '`', '$', '{', '\u{1}']);
    for _ in 0..4 {
        let cut = ADVERBS.iter().find_map(|word| {
            let head = rest.strip_suffix(word)?;
            (!head.ends_with(char::is_alphanumeric) || !word.is_ascii()).then_some(head)
        });
        match cut {
            Some(head) => rest = head.trim_end_matches([' ', '*', ':']),
            None => break,
        }
    }
    let bare = rest.trim_end_matches([':', ' ', '*', '-', '\u{2013}', '\u{2014}', '=', '→']);
    // "Definitely B".
    let sure = |word: &&&str| before.trim_start().starts_with(**word);
    if bare.is_empty() && ADVERBS[..CERTAIN].iter().any(|word| sure(&word)) {
        return true;
    }
    [rest, bare].iter().any(|rest| {
        CUES.iter().any(|cue| {
            rest.strip_suffix(cue)
                .is_some_and(|head| !cue.is_ascii() || !head.ends_with(char::is_alphanumeric))
        })
    })
}

/// Whether what follows a letter says that it is the answer.
fn settled_behind(behind: &str) -> bool {
    const SAID: [&str; 20] = [
        "is correct",
        "is right",
        "is the correct",
        "is the right",
        "is the best",
        "is the answer",
        "is my answer",
        "is true",
        "must be right",
        "must be correct",
        "is clearly correct",
        "it is",
        "seems right",
        "est correct",
        "est la bonne",
        "est juste",
        "正确",
        "是正确",
        "是对",
        "is indeed correct",
    ];
    let behind = behind.trim_start_matches([' ', ',']);
    SAID.iter().any(|words| behind.starts_with(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_in_sentences() {
        for (text, letter) in [
            ("It has to be for sure E, it cannot be B or C", Some('E')),
            ("I'll pick (C) then", Some('C')),
            ("not (D), rather (A)", Some('A')),
            ("B is correct. Or maybe D. No, I choose B", Some('B')),
            ("La réponse est D", Some('D')),
            ("C'est la réponse E.", Some('E')),
            ("选C", Some('C')),
            ("正确答案是D。", Some('D')),
            ("C不是 A", Some('C')),
            ("It could be B or C.", None),
            ("I would choose B, or maybe C", None),
            ("(B) is wrong", None),
            ("A triangle has three sides", None),
            ("Is it B?", None),
            ("Option B gives 5, option C gives 7", None),
        ] {
            assert_eq!(settled(text), letter, "{text}");
        }
    }
}
