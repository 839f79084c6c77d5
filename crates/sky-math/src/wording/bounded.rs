//! Words that bound, deny or turn a value: `negative 5`, `at least 5`, `5 or less`.

use super::number::{is_value, number};

/// Words in front of a value: what they make of it, as words behind it; a sign where they are one.
const HEADS: [(&str, &str); 30] = [
    ("negative", "-"),
    ("minus", "-"),
    ("positive", ""),
    ("at least", "at least"),
    ("no less than", "at least"),
    ("not less than", "at least"),
    ("no fewer than", "at least"),
    ("a minimum of", "at least"),
    ("at most", "at most"),
    ("no more than", "at most"),
    ("not more than", "at most"),
    ("up to", "at most"),
    ("a maximum of", "at most"),
    ("more than", "more than"),
    ("greater than", "more than"),
    ("larger than", "more than"),
    ("bigger than", "more than"),
    ("above", "more than"),
    ("over", "more than"),
    ("less than", "less than"),
    ("fewer than", "less than"),
    ("smaller than", "less than"),
    ("below", "less than"),
    ("under", "less than"),
    ("not equal to", "not"),
    ("not", "not"),
    ("is not", "not"),
    ("isn't", "not"),
    ("anything but", "not"),
    ("square root of", "root"),
];

/// Words behind a value that bound it.
const TAILS: [&str; 14] = [
    "less", "fewer", "below", "under", "lower", "smaller", "earlier", "more", "greater", "above",
    "over", "higher", "larger", "later",
];

/// `negative 5`, `at least 5`, `5 or less`.
pub(super) fn bounded(flat: &str, lower: &str) -> Option<String> {
    let mut heads: Vec<_> = HEADS
        .iter()
        .filter(|(head, _)| lower.starts_with(head))
        .collect();
    heads.sort_by_key(|(head, _)| std::cmp::Reverse(head.len()));
    for (head, meaning) in heads {
        let rest = &flat[head.len()..];
        let rest = rest
            .strip_prefix(' ')
            .map(str::trim)
            .filter(|rest| is_value(rest))
            // `not (x < 2)` denies a condition.
            .filter(|rest| {
                !(*head == "not" && rest.starts_with('(') && rest.contains(['<', '>', '=']))
            });
        let Some(rest) = rest else { continue };
        let value = match number(rest) {
            Some(n) => format!("{{{n}}}"),
            None => rest.to_owned(),
        };
        return Some(match *meaning {
            "" => value,
            "-" => format!("-{value}"),
            "root" => format!(r"\sqrt{{{value}}}"),
            words => format!(r"{value}\text{{ {words}}}"),
        });
    }
    let (value, tail) = flat.rsplit_once(' ')?;
    let value = value.strip_suffix(" or")?;
    (is_value(value) && TAILS.contains(&tail.to_ascii_lowercase().trim_end_matches('.')))
        .then(|| format!(r"{value}\text{{ or {tail}}}"))
}
