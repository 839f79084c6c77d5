//! The value that a text without announcement ends with: a formula between delimiters, or a number
//! together with all that is written around it.
//!
//! A number is never cut out of a formula: `5 cm^2` does not end with 2, nor `\frac{2}{5}` with 5.
//! Alternatives stay together (`2 or 3`), and what a sentence excludes is not its value.

use super::{
    Rule,
    formula::around,
    spans::{Span, math_spans, numbers},
};
use crate::{units, wording::negation};

/// Numbers looked at from the end.
const MAX_ATOMS: usize = 24;
/// Longest statement with an exception, in bytes.
const MAX_STATEMENT: usize = 200;

/// A value in a text.
#[derive(Clone, Debug)]
struct Atom {
    /// Where it begins, with the name of `n = 3`.
    head: usize,
    start: usize,
    end: usize,
    /// Between delimiters.
    formula: bool,
    text: String,
}

/// The value that a text ends with, and which rule it falls under.
pub(super) fn last_value(text: &str) -> Option<(String, Rule)> {
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
    if let Some(answer) = signed_in_words(&text[..atom.head], &atom.text) {
        return answer.map(|answer| (answer, rule));
    }
    if excluded(text, &text[..atom.head]) {
        return exception(text, atom.end).map(|answer| (answer, rule));
    }
    if let Some(answer) = last
        .checked_sub(1)
        .and_then(|before| compound(text, &atoms[before], atom))
    {
        return Some((answer, rule));
    }
    match joined(text, &atoms, last) {
        Joined::No => {}
        Joined::List(answer) => return Some((answer, rule)),
        Joined::Unread => return None,
    }
    if let Some(before) = last.checked_sub(1).and_then(|i| atoms.get(i))
        && let Some(answer) = under_condition(text, before, atom)
    {
        return Some((answer, rule));
    }
    Some((atom.text.clone(), rule))
}

/// Formulas and numbers, in order.
fn atoms(text: &str, spans: &[Span]) -> Vec<Atom> {
    let mut found: Vec<Atom> = Vec::new();
    // From the end, so that a number inside a longer formula is met after its end.
    let mut limit = text.len();
    for number in numbers(text).into_iter().rev().take(MAX_ATOMS) {
        let inside = spans
            .iter()
            .any(|s| s.start < number.end && number.start < s.end);
        if inside || number.end > limit {
            continue;
        }
        let floor = spans
            .iter()
            .rev()
            .find(|s| s.end <= number.start)
            .map_or(0, |s| s.end);
        let Some(formula) = around(text, &number, floor) else {
            continue;
        };
        // The left side of an equality is no value of its own.
        if formula.end > limit {
            continue;
        }
        limit = formula.head;
        found.push(Atom {
            head: formula.head,
            start: formula.start,
            end: formula.end,
            formula: false,
            text: formula.text,
        });
    }
    for span in spans.iter().rev().take(MAX_ATOMS) {
        found.push(Atom {
            head: span.start,
            start: span.start,
            end: span.end,
            formula: true,
            text: span.inner(text).to_owned(),
        });
    }
    found.sort_by_key(|atom| atom.start);
    found
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

/// What stands around the last of some values.
enum Joined {
    No,
    List(String),
    /// They belong together and cannot be told: `between 5 and 7`.
    Unread,
}

/// The list that the last value is part of: `2 or 3`, `12, or 18, or perhaps 35`, `2 and 3`.
fn joined(text: &str, atoms: &[Atom], last: usize) -> Joined {
    let mut first = last;
    let mut words = 0;
    while first > 0 {
        let (a, b) = (&atoms[first - 1], &atoms[first]);
        let or = alternative(text, a, b) || range(text, a, b);
        let hedged = || comma(text, a, b) && hedges(&text[..b.head]);
        if !or
            && !(first == last && listed(text, a, b))
            && !(words > 0 && comma(text, a, b))
            && !hedged()
        {
            break;
        }
        words += 1;
        first -= 1;
    }
    let head = text[..atoms[first].head]
        .trim_end_matches([' ', '$', '*', '\\'])
        .to_ascii_lowercase();
    let after = |word: &str| {
        head.strip_suffix(word)
            .is_some_and(|rest| !rest.ends_with(char::is_alphanumeric))
    };
    if words == 0 {
        // An alternative that is no value: `something() or 0`; behind a comma the same in other
        // words: `all of them, or 5`.
        let or = !head.ends_with(", or")
            && [
                "or",
                "or even",
                "or perhaps",
                "or maybe",
                "or possibly",
                "或",
            ]
            .iter()
            .any(|word| after(word) || word.starts_with('或') && head.ends_with('或'));
        let doubt = text[atoms[last].end..].trim_start_matches([' ', '$', ',', '?', '.']);
        let other = doubt
            .get(..3)
            .is_some_and(|word| word.eq_ignore_ascii_case("or "))
            && !bounds(&doubt[3..]);
        return if or || other {
            Joined::Unread
        } else {
            Joined::No
        };
    }
    if [
        "between", "of", "from", "neither", "zwischen", "entre", "among",
    ]
    .iter()
    .any(|word| after(word))
    {
        return Joined::Unread;
    }
    let parts: Vec<&str> = atoms[first..=last]
        .iter()
        .map(|a| a.text.as_str())
        .collect();
    let pairs = || (first..last).map(|i| (&atoms[i], &atoms[i + 1]));
    let link = if pairs().any(|(a, b)| range(text, a, b)) {
        " to "
    } else if pairs().any(|(a, b)| alternative(text, a, b)) || hedges(&text[..atoms[last].head]) {
        " or "
    } else {
        ", "
    };
    Joined::List(parts.join(link))
}

/// `2 hours and 30 minutes`, `6 feet 2 inches`: one quantity in two units.
fn compound(text: &str, a: &Atom, b: &Atom) -> Option<String> {
    let between = text.get(a.end..b.head)?;
    let word = |text: &str| -> usize {
        text.find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(text.len())
    };
    let unit = between.trim_start();
    let unit = &unit[..word(unit)];
    let link = between.trim_start()[unit.len()..].trim_matches([' ', ',']);
    let behind = &text[b.end..];
    let gap = behind.len() - behind.trim_start_matches(' ').len();
    let end = b.end + gap + word(&behind[gap..]);
    let second = &text[b.end + gap..end];
    let (x, y) = (units::read(unit), units::read(second));
    let same = x.is_known() && y.is_known() && x.dimension == y.dimension && x.size > y.size;
    (same && matches!(link, "" | "and")).then(|| text[a.start..end].to_owned())
}

/// `5 or more` is one value.
fn bounds(behind: &str) -> bool {
    [
        "more", "less", "fewer", "greater", "above", "below", "over", "under", "higher", "lower",
        "larger", "smaller", "later", "earlier", "so",
    ]
    .iter()
    .any(|word| behind.to_ascii_lowercase().starts_with(word))
}

/// What stands between two values, without marks and hedges.
fn glue(text: &str, a: &Atom, b: &Atom) -> Option<String> {
    const HEDGES: [&str; 9] = [
        "perhaps", "maybe", "possibly", "even", "else", "probably", "also", "x", "it's",
    ];
    let between = text.get(a.end..b.head)?;
    if between.len() > 60 || between.contains('\n') {
        return None;
    }
    let plain = between.to_lowercase();
    let words: Vec<&str> = plain
        .split([' ', '$', '*', '(', ')', '\\', '?', '.'])
        .filter(|word| !word.is_empty() && !HEDGES.contains(&word.trim_matches(',')))
        .collect();
    Some(words.join(" "))
}

/// `2 or 3`.
fn alternative(text: &str, a: &Atom, b: &Atom) -> bool {
    let Some(glue) = glue(text, a, b) else {
        return false;
    };
    // `360 + 2x = 600, or x = 120` says the same again.
    let left = |atom: &Atom| {
        let side = match atom.text.split_once('=') {
            Some((side, _)) => side,
            None => &text[atom.head..atom.start],
        };
        side.trim_matches([' ', '=', '$', '*']).to_owned()
    };
    let parted = glue == ", or" || glue == "or" && a.text.ends_with(',');
    if parted && !left(b).is_empty() && left(a) != left(b) {
        return false;
    }
    let glue = glue.trim_matches(',');
    if matches!(
        glue,
        "or" | "and/or" | "ou" | "oder" | "或" | "或者" | "或是" | "还是"
    ) {
        return true;
    }
    // `2 apples or 3`, `180 rings, or 180`.
    matches!(
        glue.split_once(' '),
        Some((noun, "or"))
            if noun.len() <= 16 && noun.trim_end_matches(',').chars().all(char::is_alphabetic)
    )
}

/// `10 to 12`; not what goes from 10 to 12.
fn range(text: &str, a: &Atom, b: &Atom) -> bool {
    let from = text[..a.head]
        .trim_end_matches([' ', '$'])
        .ends_with("from");
    !from
        && b.head == b.start
        && glue(text, a, b).is_some_and(|glue| matches!(glue.as_str(), "to" | "through"))
}

/// Whether the sentence that ends here only offers values.
fn hedges(before: &str) -> bool {
    let lower = sentence(before).to_ascii_lowercase();
    lower.split(|c: char| !c.is_alphabetic()).any(|word| {
        matches!(
            word,
            "maybe" | "perhaps" | "possibly" | "might" | "could" | "either"
        )
    })
}

/// `2 and 3` without a name that is given.
fn listed(text: &str, a: &Atom, b: &Atom) -> bool {
    let bare = |atom: &Atom| !states(atom) && atom.head == atom.start;
    matches!(
        glue(text, a, b)
            .as_deref()
            .map(|glue| glue.trim_matches(',')),
        Some("and" | "und" | "et" | "和" | "与")
    ) && bare(a)
        && bare(b)
}

/// `1, 2 and 3`: the commas before the last link.
fn comma(text: &str, a: &Atom, b: &Atom) -> bool {
    glue(text, a, b).is_some_and(|glue| glue == ",")
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

/// Whether a value is a statement: it relates something.
fn states(atom: &Atom) -> bool {
    atom.text.contains(['=', '<', '>', '≤', '≥', '≠'])
        || ["\\le", "\\ge", "\\ne", "\\in", "\\lt", "\\gt"]
            .iter()
            .any(|name| atom.text.contains(name))
}

/// The sentence that ends here.
fn sentence(before: &str) -> &str {
    let from = [". ", "! ", "? ", "\n", "。"]
        .iter()
        .filter_map(|mark| before.rfind(mark).map(|at| at + mark.len()))
        .max();
    &before[from.unwrap_or(0)..]
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
