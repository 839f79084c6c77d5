//! Sets of numbers in words, and ways to say that there is no value.

use super::number::is_value;

/// Sets that are spoken of in words.
const SETS: [(&str, &str); 26] = [
    ("all real numbers", r"\mathbb{R}"),
    ("all reals", r"\mathbb{R}"),
    ("all real x", r"\mathbb{R}"),
    ("all real values", r"\mathbb{R}"),
    ("all real values of x", r"\mathbb{R}"),
    ("any real number", r"\mathbb{R}"),
    ("every real number", r"\mathbb{R}"),
    ("the real numbers", r"\mathbb{R}"),
    ("real numbers", r"\mathbb{R}"),
    ("the set of all real numbers", r"\mathbb{R}"),
    ("the set of real numbers", r"\mathbb{R}"),
    ("all integers", r"\mathbb{Z}"),
    ("any integer", r"\mathbb{Z}"),
    ("the set of all integers", r"\mathbb{Z}"),
    ("all natural numbers", r"\mathbb{N}"),
    ("no solution", r"\emptyset"),
    ("no solutions", r"\emptyset"),
    ("no solution exists", r"\emptyset"),
    ("no solutions exist", r"\emptyset"),
    ("there is no solution", r"\emptyset"),
    ("there are no solutions", r"\emptyset"),
    ("has no solution", r"\emptyset"),
    ("no real solution", r"\emptyset"),
    ("no real solutions", r"\emptyset"),
    ("empty set", r"\emptyset"),
    ("the empty set", r"\emptyset"),
];

/// Ways to say that there is no such value.
const NO_VALUE: [&str; 14] = [
    "dne",
    "d.n.e",
    "does not exist",
    "doesn't exist",
    "it does not exist",
    "the limit does not exist",
    "limit does not exist",
    "no limit",
    "no limit exists",
    "undefined",
    "is undefined",
    "it is undefined",
    "not defined",
    "is not defined",
];

/// The set that a text in lower case names.
pub(super) fn set(plain: &str) -> Option<&'static str> {
    let found = SETS.iter().find(|(words, _)| *words == plain);
    found.map(|(_, set)| *set)
}

/// Whether a text in lower case says that there is no such value.
pub(super) fn is_no_value(plain: &str) -> bool {
    NO_VALUE.contains(&plain)
}

/// `all real numbers except 0`.
pub(super) fn all_but(flat: &str, plain: &str) -> Option<String> {
    let (words, set) = SETS
        .iter()
        .find(|(words, set)| !set.ends_with("emptyset") && plain.starts_with(words))?;
    let rest = flat[words.len()..].trim();
    let rest = ["except for", "except", "but", "other than", "excluding"]
        .into_iter()
        .find_map(|word| rest.strip_prefix(word))?;
    let rest = rest
        .trim()
        .trim_start_matches("x = ")
        .trim_start_matches("x=");
    let items = rest
        .replace(" and ", ", ")
        .replace(" or ", ", ")
        .replace(",,", ",");
    (!items.is_empty() && is_value(&items)).then(|| format!(r"{set} \setminus \{{{items}\}}"))
}
