//! Words around a number, and for one: `negative 5`, `at least 5`, `one half`, `5 R 2`, `all real
//! numbers`.
//!
//! What has a meaning is rewritten as mathematics; what bounds or denies a value becomes words
//! behind it, which [`super::units`] reads, so that it is not taken for the bare number.

mod bounded;
mod chinese;
mod clock;
mod flat;
mod label;
mod names;
mod number;
mod sets;

use std::borrow::Cow;

use super::{latex_names, unicode_to_latex::letters, units};
use bounded::bounded;
pub(super) use clock::time;
use clock::{date, time_of_day};
pub(super) use flat::flat;
pub(super) use label::{labelled, lone_letter};
pub(super) use names::named;
pub(super) use number::number;
use number::{MAX_TEXT, is_value};
use sets::{all_but, is_no_value, set};

/// Rewrites cleaned text whose words have a meaning; any other is itself.
pub(super) fn reword(text: &str) -> Cow<'_, str> {
    let same = Cow::Borrowed(text);
    if text.len() > MAX_TEXT {
        return same;
    }
    if let Some(value) = chinese::reword(text) {
        return Cow::Owned(value);
    }
    // `△5` is a loss of 5.
    let loss = text.trim().strip_prefix(['△', '▲']);
    if let Some(value) = loss.filter(|v| v.starts_with(|c: char| c.is_ascii_digit())) {
        return Cow::Owned(format!("-{value}"));
    }
    if text.trim() == "{}" {
        return Cow::Borrowed(r"\emptyset");
    }
    if !text.bytes().any(|b| b.is_ascii_alphabetic()) {
        return date(text.trim()).map_or(same, Cow::Owned);
    }
    let flat = flat(text);
    let lower = flat.to_ascii_lowercase();
    let plain = lower.trim_end_matches('.');
    if let Some(set) = set(plain) {
        return Cow::Borrowed(set);
    }
    if is_no_value(plain) {
        return Cow::Borrowed(r"\text{does not exist}");
    }
    if let Some(set) = all_but(&flat, plain) {
        return Cow::Owned(set);
    }
    for lead in [
        "the answer is ",
        "the final answer is ",
        "answer: ",
        "it is ",
        "it's ",
    ] {
        if lower.starts_with(lead) {
            let rest = flat[lead.len()..].trim();
            return Cow::Owned(match number(rest) {
                Some(_) => format!(r"\text{{{rest}}}"),
                None if is_value(rest) => reword(rest).into_owned(),
                None => format!(r"\text{{{rest}}}"),
            });
        }
    }
    let rewritten = bounded(&flat, &lower)
        .or_else(|| without_article(&flat, &lower))
        .or_else(|| imaginary(&flat))
        .or_else(|| domain(&flat))
        .or_else(|| remainder(&lower))
        .or_else(|| half_of(&flat, &lower))
        .or_else(|| chosen(&flat))
        .or_else(|| percent(&flat, &lower))
        .or_else(|| currency(&flat))
        .or_else(|| sign_in_words(&flat, &lower))
        .or_else(|| hexadecimal(&flat))
        .or_else(|| time_of_day(&lower))
        .or_else(|| in_base(&flat, &lower));
    rewritten.map_or(same, Cow::Owned)
}

/// Whether a text is `all real numbers except 3` or `1011 in base 2`, words and all.
pub(super) fn is_set_or_numeral(text: &str) -> bool {
    if text.len() > MAX_TEXT {
        return false;
    }
    let flat = flat(text.trim());
    let lower = flat.to_ascii_lowercase();
    let plain = lower.trim_end_matches('.');
    set(plain).is_some()
        || is_no_value(plain)
        || all_but(&flat, plain).is_some()
        || in_base(&flat, &lower).is_some()
}

/// Whether a text in Chinese is a value and nothing else.
pub(super) fn is_chinese_value(text: &str) -> bool {
    chinese::reword(text).is_some()
}

/// `a rhombus`: words whose article says nothing.
fn without_article(flat: &str, lower: &str) -> Option<String> {
    let article = ["a ", "an ", "the "]
        .into_iter()
        .find(|article| lower.starts_with(article))?;
    let rest = &flat[article.len()..];
    let words = rest.split_whitespace().count() <= 3
        && rest
            .bytes()
            .all(|b| b.is_ascii_alphabetic() || b == b' ' || b == b'-')
        && units::is_wordlike(rest.split(' ').next()?);
    (words && number(flat).is_none() && number(rest).is_none()).then(|| format!(r"\text{{{rest}}}"))
}

/// `2 + 3*I`, as sympy writes the imaginary unit.
fn imaginary(flat: &str) -> Option<String> {
    if !flat.contains("*I") && !flat.contains("I*") {
        return None;
    }
    let bytes = flat.as_bytes();
    let lone = |at: usize| {
        let letter = |i: Option<usize>| {
            i.and_then(|i| bytes.get(i))
                .is_some_and(u8::is_ascii_alphanumeric)
        };
        bytes[at] == b'I' && !letter(at.checked_sub(1)) && !letter(Some(at + 1))
    };
    let out: String = flat
        .char_indices()
        .map(|(at, c)| if lone(at) { 'i' } else { c })
        .collect();
    (out != flat).then_some(out)
}

/// `..., where k is an integer`, `... (k \in \mathbb{Z})`: a condition behind a comma.
fn domain(flat: &str) -> Option<String> {
    if let Some(at) = flat
        .rfind(['(', '['])
        .filter(|&at| at > 0 && flat.ends_with([')', ']']))
    {
        let inside = &flat[at + 1..flat.len() - 1];
        let name = inside.split("\\in").next().unwrap_or("").trim();
        if inside.contains("\\in ") && name.len() == 1 {
            let value = flat[..at]
                .trim_end()
                .trim_end_matches("\\quad")
                .trim_end_matches([',', ' ']);
            return Some(format!("{value}, {inside}"));
        }
    }
    let (value, words) = [", where ", " where ", ", for ", " for ", ", with ", ", "]
        .into_iter()
        .find_map(|mark| flat.rsplit_once(mark))?;
    let words: Vec<&str> = words
        .split_whitespace()
        .filter(|w| !matches!(*w, "is" | "an" | "any" | "all" | "every" | "some" | "a"))
        .collect();
    let name = match words.as_slice() {
        [name, "integer" | "integers"] | ["integer" | "integers", name] => name.trim_matches('$'),
        _ => return None,
    };
    let letter = name.len() == 1 && name.bytes().all(|b| b.is_ascii_alphabetic());
    letter.then(|| format!(r"{value}, {name} \in \mathbb{{Z}}"))
}

/// `{}^{12}C_5`, `_5P_2`, `C_{12}^5`, `12C5`: binomial coefficients and falling products.
fn chosen(flat: &str) -> Option<String> {
    let number = |text: &str| -> Option<u32> {
        let inner = text.strip_prefix('{').and_then(|t| t.strip_suffix('}'));
        let digits = inner.unwrap_or(text);
        digits
            .bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| digits.parse().ok())?
    };
    let written = |n: u32, k: u32, ordered: bool| {
        let order = if ordered {
            format!(r" \cdot {k}!")
        } else {
            String::new()
        };
        (k <= n).then(|| format!(r"\binom{{{n}}}{{{k}}}{order}"))
    };
    if let Some(rest) = flat
        .strip_prefix(['C', 'A', 'P'])
        .and_then(|t| t.strip_prefix('_'))
        && let Some((n, k)) = rest.split_once('^')
    {
        return written(number(n)?, number(k)?, !flat.starts_with('C'));
    }
    if let Some((n, k)) = flat.split_once(['C', 'P'])
        && let (Some(n), Some(k)) = (number(n), number(k))
    {
        return written(n, k, flat.contains('P'));
    }
    let rest = flat
        .strip_prefix("{}")
        .unwrap_or(flat)
        .strip_prefix(['^', '_'])?;
    let group = |text: &str| -> Option<(u32, usize)> {
        let inner = text.strip_prefix('{').unwrap_or(text);
        let digits = inner
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(inner.len());
        let braced = inner.len() != text.len();
        if braced && !inner[digits..].starts_with('}') {
            return None;
        }
        Some((
            inner[..digits].parse().ok()?,
            digits + if braced { 2 } else { 0 },
        ))
    };
    let (n, len) = group(rest)?;
    let rest = rest[len..].trim_start();
    let choice = rest.starts_with('C');
    let rest = rest.strip_prefix(['C', 'P'])?.strip_prefix('_')?;
    let (k, len) = group(rest)?;
    written(n, k, !choice).filter(|_| rest.len() == len)
}

/// `half an hour`.
fn half_of(flat: &str, lower: &str) -> Option<String> {
    let head = ["half an ", "half a "]
        .into_iter()
        .find(|head| lower.starts_with(head))?;
    let unit = &flat[head.len()..];
    units::read(unit)
        .is_known()
        .then(|| format!(r"\frac{{1}}{{2}}\text{{ {unit}}}"))
}

/// `USD 12.50`.
fn currency(flat: &str) -> Option<String> {
    let (code, value) = flat.split_once(' ')?;
    let known = matches!(code, "USD" | "EUR" | "GBP" | "US" | "Rs" | "Rs." | "INR");
    let rest = value.trim_start_matches("\\$").trim_start_matches('$');
    (known && rest.starts_with(|c: char| c.is_ascii_digit())).then(|| match code {
        "EUR" => format!(r"{rest}\text{{ euros}}"),
        "GBP" => format!(r"{rest}\text{{ GBP}}"),
        "USD" | "US" => format!(r"{rest}\text{{ dollars}}"),
        _ => rest.to_owned(),
    })
}

/// `75 per cent`, `28 pct`, `twenty-eight percent`.
fn percent(flat: &str, lower: &str) -> Option<String> {
    let words = [
        "per cent",
        "percent",
        "percents",
        "percentage",
        "pct",
        "pct.",
        "pc",
    ];
    let value = words
        .iter()
        .find_map(|word| lower.strip_suffix(word))?
        .trim_end();
    let value = &flat[..value.len()];
    match number(value) {
        Some(n) => Some(format!("{{{n}}}\\%")),
        None => value
            .ends_with(|c: char| c.is_ascii_digit() || c == '}' || c == ')')
            .then(|| format!("{value}\\%")),
    }
}

/// `3 to 4`, `1 in 4`, `3 times 10^8`, `10 mod 3`: a sign in words between two values.
fn sign_in_words(flat: &str, lower: &str) -> Option<String> {
    const WORDS: [(&str, &str, bool); 6] = [
        (" to ", ":", true),
        (" out of ", "/", true),
        (" in ", "/", true),
        (" mod ", r" \bmod ", false),
        (" times ", r" \times ", false),
        (" divided by ", "/", true),
    ];
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    WORDS.iter().find_map(|(word, sign, whole)| {
        let at = lower.find(word)?;
        let (a, b) = (&flat[..at], &flat[at + word.len()..]);
        let fits = if *whole {
            digits(a) && digits(b)
        } else {
            a.ends_with(|c: char| c.is_ascii_digit()) && b.starts_with(|c: char| c.is_ascii_digit())
        };
        fits.then(|| format!("{a}{sign}{b}"))
    })
}

/// `0x1F`.
fn hexadecimal(flat: &str) -> Option<String> {
    let digits = flat.strip_prefix("0x")?;
    (!digits.is_empty() && digits.len() < 40 && digits.bytes().all(|b| b.is_ascii_hexdigit()))
        .then(|| format!("{}_{{16}}", digits.to_ascii_uppercase()))
}

/// `5 R 2`, `5 remainder 2`.
fn remainder(lower: &str) -> Option<String> {
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit() || b == b',');
    let at = lower.find(|c: char| c.is_ascii_alphabetic())?;
    let whole = lower[..at].trim_end_matches([',', ' ']);
    let word = letters(&lower[at..]);
    let rest = lower[at + word.len()..].trim_start_matches(['.', ' ', ':']);
    let rest = rest.strip_prefix("of ").unwrap_or(rest).trim();
    let mut word = word;
    let mut rest = rest;
    if matches!(word, "with" | "and") {
        let tail = rest.strip_prefix("a ").unwrap_or(rest);
        word = letters(tail);
        rest = tail[word.len()..].trim_start_matches(['.', ' ']);
        rest = rest.strip_prefix("of ").unwrap_or(rest);
    }
    (matches!(word, "r" | "rem" | "remainder") && digits(whole) && digits(rest))
        .then(|| format!(r"{whole}\text{{ remainder {rest}}}"))
}

/// `204 in base 5`, `204 (base five)`.
fn in_base(flat: &str, lower: &str) -> Option<String> {
    let at = lower.find("base")?;
    let digits = flat[..at].trim_end_matches([' ', '(']);
    let digits = digits.strip_suffix(" in").unwrap_or(digits).trim();
    let base = lower[at + 4..].trim_matches([' ', ')', '.']);
    let base: u32 = base.parse().ok().or_else(|| {
        let n = latex_names::number_word(base)?;
        u32::try_from(n).ok()
    })?;
    let numeral = !digits.is_empty()
        && digits
            .bytes()
            .all(|b| b.is_ascii_digit() || b.is_ascii_uppercase());
    numeral.then(|| format!("{digits}_{{{base}}}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_around_a_number() {
        for (text, wanted) in [
            (r"\text{negative } 5", "-5"),
            ("minus \\frac12", "-\\frac12"),
            ("at least 5", r"5\text{ at least}"),
            ("5 or less", r"5\text{ or less}"),
            ("5 R 2", r"5\text{ remainder 2}"),
            (r"5 \text{ remainder } 2", r"5\text{ remainder 2}"),
            ("3:30 p.m.", r"210\text{ pm}"),
            ("204 in base 5", "204_{5}"),
            ("2 + 3*I", "2 + 3*i"),
            ("All real numbers", r"\mathbb{R}"),
            ("3x", "3x"),
            ("not Evelyn", "not Evelyn"),
            ("5r", "5r"),
        ] {
            assert_eq!(reword(text), wanted, "{text}");
        }
    }
}
