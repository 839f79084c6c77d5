//! The value that a text without announcement ends with: a formula between delimiters, or a number
//! together with all that is written around it.
//!
//! A number is never cut out of a formula: `5 cm^2` does not end with 2, nor `\frac{2}{5}` with 5.
//! Alternatives stay together (`2 or 3`), and what a sentence excludes is not its value.

use super::{
    atom::{Atom, atoms, sentence, states},
    extraction::{Extraction, Rule},
    joined::{Joined, alternative, compound, joined},
    spans::math_spans,
};
use crate::negation;

/// Longest statement with an exception, in bytes.
const MAX_STATEMENT: usize = 200;

/// The value that a text ends with.
pub(super) fn last_value(text: &str) -> Option<Extraction> {
    let spans = math_spans(text);
    let atoms = atoms(text, &spans);
    let last = chosen(text, &atoms)?;
    let atom = &atoms[last];
    if negation::before(&text[..atom.head]) || negation::after(&text[atom.end..]) {
        return None;
    }
    if denied(&text[..atom.head]) {
        return None;
    }
    let rule = if atom.formula {
        Rule::LastMath
    } else {
        Rule::LastNumber
    };
    let by_rule = |answer: String| Extraction { answer, rule };
    if let Some(answer) = signed_in_words(&text[..atom.head], &atom.text) {
        return answer.map(by_rule);
    }
    if excluded(text, &text[..atom.head]) {
        return exception(text, atom.end).map(by_rule);
    }
    if let Some(answer) = last
        .checked_sub(1)
        .and_then(|before| compound(text, &atoms[before], atom))
    {
        return Some(by_rule(answer));
    }
    match joined(text, &atoms, last) {
        Joined::No => {}
        Joined::List(answer) => return Some(by_rule(answer)),
        Joined::Unread => return None,
    }
    if let Some(before) = last.checked_sub(1).and_then(|i| atoms.get(i))
        && let Some(answer) = under_condition(text, before, atom)
    {
        return Some(by_rule(answer));
    }
    Some(by_rule(atom.text.clone()))
}

/// The last formula, unless a number behind it is what a verb leads to.
fn chosen(text: &str, atoms: &[Atom]) -> Option<usize> {
    let last = atoms.len().checked_sub(1)?;
    let formula = atoms.iter().rposition(|atom| atom.formula);
    match formula {
        Some(at) if at < last => {
            let number = &atoms[last];
            let led = number.head < number.start || after_verb(text, number.start);
            let or = alternative(text, &atoms[last - 1], number) && at + 1 == last;
            Some(if led || or { last } else { at })
        }
        _ => Some(last),
    }
    .map(|at| before_duration(text, atoms, result_before(text, atoms, at)))
}

/// `He pays \$4 x 6 = \$24 for the 6 shirts`: the result of the sum, not what it is for.
fn result_before(text: &str, atoms: &[Atom], last: usize) -> usize {
    const LINKS: [&str; 10] = [
        "for", "from", "in", "after", "per", "on", "with", "than", "to", "of",
    ];
    if atoms[last].formula || atoms[last].head < atoms[last].start {
        return last;
    }
    for at in (last.saturating_sub(3)..last).rev() {
        let atom = &atoms[at];
        let between = text.get(atom.end..atoms[last].head).unwrap_or("\n");
        if between.contains(['.', ',', ';', ':', '\n', '?', '!', '=']) || between.len() > 120 {
            break;
        }
        // "which rounds to 14".
        if between.contains("round") {
            break;
        }
        let linked = between
            .split([' ', '$', '*'])
            .any(|word| LINKS.contains(&word));
        let verb = after_verb(text, atoms[last].start)
            && !between.trim_end().ends_with(" of")
            && !between.trim_end().ends_with(" to");
        if atom.head < atom.start && !atom.formula && linked && !verb {
            return at;
        }
    }
    last
}

/// `He saves \$220 in 12 months`: an amount of money, not the time that it takes.
fn before_duration(text: &str, atoms: &[Atom], last: usize) -> usize {
    const TIMES: [&str; 14] = [
        "second", "minute", "hour", "day", "week", "month", "year", "seconde", "heure", "jour",
        "semaine", "mois", "an", "ans",
    ];
    const LEADS: [&str; 12] = [
        "in", "within", "after", "over", "for", "d'ici", "dans", "en", "pendant", "every", "per",
        "next",
    ];
    let Some(before) = last.checked_sub(1).and_then(|i| atoms.get(i)) else {
        return last;
    };
    let atom = &atoms[last];
    let word = text[atom.end..]
        .trim_start()
        .split(|c: char| !c.is_alphabetic())
        .next()
        .unwrap_or("")
        .to_lowercase();
    let time = TIMES.contains(&word.as_str())
        || word
            .strip_suffix('s')
            .is_some_and(|one| TIMES.contains(&one));
    let between = text.get(before.end..atom.head).unwrap_or("");
    let lead = between.split_whitespace().next_back().unwrap_or("");
    let signs = ['$', '€', '£', '¥'];
    let money = text[..before.start].ends_with(signs)
        || before.text.contains(signs)
        || text[before.end..].trim_start().starts_with(signs);
    let one_sentence = !between.contains(['.', '\n', '?', '!']);
    if time && money && one_sentence && LEADS.contains(&lead) {
        last - 1
    } else {
        last
    }
}

/// Whether the words before a value deny it at once: `is not `.
fn denied(before: &str) -> bool {
    const WORDS: [&str; 13] = [
        "不是",
        "不为",
        "不等于",
        "不能是",
        "不可能是",
        " not",
        " not be",
        " cannot be",
        " can't be",
        " isn't",
        " never",
        " never be",
        " n't be",
    ];
    let before = before
        .trim_end_matches([' ', '$', '*', '(', '\\'])
        .to_ascii_lowercase()
        .replace('’', "'");
    WORDS.iter().any(|words| before.ends_with(words))
}

/// Whether the words before a value exclude it: `all integers except `.
fn excluded(text: &str, before: &str) -> bool {
    const WORDS: [&str; 12] = [
        "except",
        "excepting",
        "excluding",
        "other than",
        "apart from",
        "aside from",
        "besides",
        "unless",
        "with the exception of",
        "with exception of",
        "anything but",
        "but not",
    ];
    let lower = sentence(before).to_ascii_lowercase();
    let mut lower = lower.trim_end_matches([' ', '$', '*', ':']);
    for tail in [
        " possibly",
        " at",
        " when",
        " where",
        " if",
        " for",
        " the value",
        " the number",
    ] {
        lower = lower.strip_suffix(tail).unwrap_or(lower);
    }
    let ends = |word: &str| {
        lower
            .strip_suffix(word)
            .is_some_and(|rest| !rest.ends_with(char::is_alphanumeric))
    };
    // `every integer but 3`.
    let all = [
        "all",
        "any",
        "every",
        "everything",
        "each",
        "none",
        "nothing",
    ];
    let but = ends("but")
        && lower
            .split(|c: char| !c.is_alphabetic())
            .any(|word| all.contains(&word));
    let cjk = ["除了", "除去", "除"]
        .iter()
        .any(|word| lower.ends_with(word))
        && text[before.len()..].contains('外');
    but || cjk || WORDS.iter().any(|word| ends(word))
}

/// `all real numbers except 3`, from the word that takes in everything to the value.
fn exception(text: &str, end: usize) -> Option<String> {
    const ALL: [&str; 5] = ["all ", "any ", "every ", "the set of ", "anything "];
    let begins = text[..end].len() - sentence(&text[..end]).len();
    let lower = text[begins..end].to_ascii_lowercase();
    let at = ALL.iter().filter_map(|word| lower.find(word)).min()?;
    let said = text[begins + at..end].trim();
    (said.len() <= MAX_STATEMENT)
        .then(|| format!("\\text{{{}}}", said.replace(['$', '{', '}'], "")))
}

/// `negative 5` is another number, and `price minus 5` a sum in words, which is not read.
fn signed_in_words(before: &str, value: &str) -> Option<Option<String>> {
    let lower = sentence(before).trim_end().to_ascii_lowercase();
    let (rest, word) = lower.rsplit_once(' ').unwrap_or(("", &lower));
    // `more than 5` is no 5.
    if word == "than" {
        let bound = rest.split(' ').next_back().unwrap_or("");
        let known = [
            "more", "less", "greater", "fewer", "larger", "smaller", "bigger",
        ];
        return known
            .contains(&bound)
            .then(|| Some(format!("{bound} than {value}")));
    }
    match word {
        "negative" => Some(Some(format!("-{value}"))),
        "minus" | "plus" | "times" => {
            const LEADS: [&str; 8] = ["is", "of", "to", "by", "was", "are", "be", "equals"];
            let last = rest.split(' ').next_back().unwrap_or("");
            let sign = word == "minus" && (last.is_empty() || LEADS.contains(&last));
            Some(sign.then(|| format!("-{value}")))
        }
        _ => None,
    }
}

/// `$x^2$ for $x > 0$`, `$5$ if $n$ is odd`: the value that a condition follows.
fn under_condition(text: &str, value: &Atom, condition: &Atom) -> Option<String> {
    const WHERE: [&str; 14] = [
        "for",
        "for all",
        "for every",
        "for any",
        "for each",
        "for some",
        "where",
        "when",
        "with",
        "whenever",
        "at",
        "since",
        "because",
        "as",
    ];
    const IF: [&str; 9] = [
        "if",
        "only if",
        "iff",
        "unless",
        "provided",
        "provided that",
        "as long as",
        "assuming",
        "given that",
    ];
    // A condition is a statement, and of a name.
    let left = text[condition.head..condition.start]
        .chars()
        .filter(|c| c.is_alphabetic());
    let states = (1..=2).contains(&left.count()) || states(condition);
    let name = value
        .text
        .trim()
        .chars()
        .filter(|c| c.is_alphanumeric())
        .count()
        <= 1
        && !value.text.contains(|c: char| c.is_ascii_digit());
    if name {
        return None;
    }
    let between = text.get(value.end..condition.head)?.to_ascii_lowercase();
    let between = between.trim_matches([' ', ',', '$', '*', '\n']);
    if !states {
        return None;
    }
    if WHERE.contains(&between) {
        return Some(value.text.clone());
    }
    IF.contains(&between).then(|| {
        format!(
            "{} \\text{{ {between} {}}}",
            value.text,
            condition.text.replace(['{', '}'], " ")
        )
    })
}

/// Whether a verb or a sign leads to the value here.
pub(super) fn after_verb(text: &str, at: usize) -> bool {
    let before = text[..at]
        .trim_end_matches([' ', '$', '~', '€', '£', '*'])
        .to_ascii_lowercase();
    [
        "is",
        "are",
        "=",
        "by",
        "be",
        "was",
        "were",
        "equals",
        "approximately",
        "about",
        "exactly",
        "pays",
        "has",
        "have",
        "to",
        "of",
        ":",
    ]
    .iter()
    .any(|verb| before.ends_with(verb))
}
