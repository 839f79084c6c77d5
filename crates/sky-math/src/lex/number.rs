//! Numbers of every shape: separators of several places, repeating decimals, powers of ten.

use super::token::{Commas, Digits};

fn digit_run(bytes: &[u8], from: usize) -> usize {
    bytes[from.min(bytes.len())..]
        .iter()
        .take_while(|b| b.is_ascii_digit())
        .count()
}

/// Separators of digit groups, the longer before the shorter.
const GROUPERS: [&str; 15] = [
    "{,}\\! ", ",\\! ", "{,}\\!", "{,}", ",\\!", ",\\,", ",\\ ", "\\,", "\\;", "\\:", "\\ ", ",",
    "'", "_", " ",
];

/// A number that a text begins with.
pub(super) struct Literal {
    pub(super) digits: Digits,
    /// Bytes of the text that it takes.
    pub(super) len: usize,
}

/// Reads the number that `text` begins with. At the `top`, outside brackets, a comma may part
/// groups of digits.
pub(super) fn read_number(text: &str, commas: Commas, top: bool) -> Literal {
    let bytes = text.as_bytes();
    let mut at = digit_run(bytes, 0);
    let mut whole = text[..at].to_owned();
    let mut fraction = None;
    if let Some((grouped, end)) = grouped(text, at, commas, top) {
        whole = grouped;
        at = end;
    } else if let Some((grouped, decimals, end)) = dotted(text, at, top) {
        return finish(text, grouped, decimals, end);
    }
    let point = match bytes.get(at) {
        Some(b'.') => true,
        Some(b',') => commas == Commas::Decimal && digit_run(bytes, at + 1) > 0,
        _ => false,
    };
    if point {
        let run = digit_run(bytes, at + 1);
        let tail = &text[at + 1..];
        if run > 0 {
            let digits = tail[..run].to_owned();
            let mut end = at + 1 + run;
            // A space or thin space between groups of three decimals.
            if run == 3 {
                while text[end..].starts_with("\\,") && digit_run(bytes, end + 2) == 3 {
                    end += 5;
                }
            }
            let digits = if end > at + 1 + run {
                tail[..end - at - 1]
                    .chars()
                    .filter(char::is_ascii_digit)
                    .collect()
            } else {
                digits
            };
            fraction = Some(digits);
            at = end;
        } else if tail.starts_with("\\overline")
            || tail.starts_with("\\bar")
            || tail.starts_with("\\dot")
            || repeating_group(tail).is_some()
        {
            fraction = Some(String::new());
            at += 1;
        } else if tail.is_empty() || tail.starts_with(['/', '*', ')', '}', '+', '-', '^']) {
            // "5." at the end of a sentence.
            at += 1;
        }
    }
    finish(text, whole, fraction, at)
}

/// Repeating decimals and the power of ten.
fn finish(text: &str, whole: String, fraction: Option<String>, mut at: usize) -> Literal {
    let bytes = text.as_bytes();
    let mut digits = Digits {
        whole,
        fraction,
        repeating: None,
        exponent: 0,
    };
    if digits.fraction.is_some() {
        if let Some((group, len)) = repeating_group(&text[at..]) {
            digits.repeating = Some(group.to_owned());
            at += len;
        } else if let Some(len) = ellipsis(&text[at..]) {
            let fraction = digits.fraction.take().unwrap_or_default();
            let period = (1..=fraction.len() / 2).find(|&p| {
                let n = fraction.len();
                let repeats = fraction.as_bytes()[n - p..] == fraction.as_bytes()[n - 2 * p..n - p];
                repeats
                    && (p > 1 || n >= 3 && fraction.as_bytes()[n - 3] == fraction.as_bytes()[n - 1])
            });
            if let Some(period) = period {
                let (head, tail) = fraction.split_at(fraction.len() - period);
                digits.repeating = Some(tail.to_owned());
                digits.fraction = Some(head.to_owned());
            } else {
                digits.fraction = Some(fraction);
            }
            at += len;
        }
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        let run = digit_run(bytes, at + 1 + sign);
        if (1..=9).contains(&run)
            && let Ok(exponent) = text[at + 1..at + 1 + sign + run]
                .trim_start_matches('+')
                .parse()
        {
            digits.exponent = exponent;
            at += 1 + sign + run;
        }
    }
    Literal { digits, len: at }
}

/// `(3)` after `0.`: the digits that repeat.
fn repeating_group(text: &str) -> Option<(&str, usize)> {
    let inner = text.strip_prefix('(')?;
    let run = digit_run(inner.as_bytes(), 0);
    (run > 0 && inner[run..].starts_with(')')).then(|| (&inner[..run], run + 2))
}

fn ellipsis(text: &str) -> Option<usize> {
    ["...", "\\ldots", "\\dots", "\\cdots"]
        .into_iter()
        .find(|mark| text.starts_with(mark))
        .map(str::len)
}

/// Groups of digits in a number at most, so that a long list is not read again from each of its
/// numbers.
const MAX_GROUPS: usize = 64;

/// Where the list of integers that `text` begins with ends, when it is too long for the groups of
/// one number.
pub(super) fn long_list(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = digit_run(bytes, 0);
    let mut runs = 1;
    while bytes.get(at) == Some(&b',') {
        let run = digit_run(bytes, at + 1);
        if run == 0 {
            break;
        }
        at += 1 + run;
        runs += 1;
    }
    (runs > MAX_GROUPS).then_some(at)
}

/// Digits in groups: `1,000`, `1{,}000`, `1\,000`, `1 000`, and India's `12,34,567`.
fn grouped(text: &str, first: usize, commas: Commas, top: bool) -> Option<(String, usize)> {
    if first == 0 || first > 3 {
        return None;
    }
    let bytes = text.as_bytes();
    let separator = GROUPERS
        .into_iter()
        .find(|s| text[first..].starts_with(s))?;
    let explicit = separator.len() > 1;
    let parts = match commas {
        Commas::Auto => false,
        Commas::Separators => true,
        Commas::Decimal => separator == ",",
    };
    if !explicit && (parts || !top) {
        return None;
    }
    let mut whole = text[..first].to_owned();
    let mut at = first;
    let mut runs = Vec::new();
    while text[at..].starts_with(separator) {
        let from = at + separator.len();
        let run = digit_run(bytes, from);
        if run == 0 {
            break;
        }
        if run > 3 || run == 1 || runs.len() == MAX_GROUPS {
            return None;
        }
        runs.push(run);
        whole.push_str(&text[from..from + run]);
        at = from + run;
    }
    let (last, init) = runs.split_last()?;
    let threes = *last == 3 && init.iter().all(|&r| r == 3);
    let indian = separator == ","
        && *last == 3
        && !init.is_empty()
        && first <= 2
        && init.iter().all(|&r| r == 2);
    // `0,123` is no thousand; `3 100/7` is a mixed number, not 3100/7.
    let leading_zero = bytes[0] == b'0';
    let mixed = separator == " " && text[at..].trim_start().starts_with('/');
    ((threes || indian) && !leading_zero && !mixed).then_some((whole, at))
}

/// Points between groups and a comma before the decimals: `1.234.567` and `1.234,56`.
fn dotted(text: &str, first: usize, top: bool) -> Option<(String, Option<String>, usize)> {
    if !top || first == 0 || first > 3 || text.starts_with('0') {
        return None;
    }
    let bytes = text.as_bytes();
    let mut whole = text[..first].to_owned();
    let mut at = first;
    let mut groups = 0;
    while groups < MAX_GROUPS && bytes.get(at) == Some(&b'.') && digit_run(bytes, at + 1) == 3 {
        whole.push_str(&text[at + 1..at + 4]);
        at += 4;
        groups += 1;
    }
    let decimals = (bytes.get(at) == Some(&b','))
        .then(|| digit_run(bytes, at + 1))
        .filter(|&n| n > 0);
    match (groups, decimals) {
        (1.., Some(n)) => Some((whole, Some(text[at + 1..at + 1 + n].to_owned()), at + 1 + n)),
        (2.., None) if bytes.get(at) != Some(&b'.') => Some((whole, None, at)),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn number(text: &str) -> (String, usize) {
        let Literal { digits: d, len } = read_number(text, Commas::Auto, true);
        let mut s = d.whole;
        if let Some(f) = d.fraction {
            s = s + "." + &f;
        }
        if let Some(r) = d.repeating {
            s = s + "(" + &r + ")";
        }
        if d.exponent != 0 {
            s = s + "e" + &d.exponent.to_string();
        }
        (s, len)
    }

    #[test]
    fn separators_of_many_places() {
        for (text, value) in [
            ("1,000", "1000"),
            ("7,425,000", "7425000"),
            ("1 000", "1000"),
            (r"6{,}600", "6600"),
            (r"10,\!080", "10080"),
            (r"12\,000", "12000"),
            ("1.234.567", "1234567"),
            ("1.234,56", "1234.56"),
            ("12,34,567", "1234567"),
            ("5.3e3", "5.3e3"),
            ("2.88e-19", "2.88e-19"),
            ("0.(3)", "0.(3)"),
            ("0.333...", "0.33(3)"),
            (".5", ".5"),
            ("1'000'000", "1000000"),
        ] {
            assert_eq!(number(text), (value.to_owned(), text.len()), "{text}");
        }
    }

    #[test]
    fn what_is_not_one_number() {
        assert_eq!(number("1,22").0, "1");
        assert_eq!(number("1,2345").0, "1");
        assert_eq!(number("1,234,5").0, "1");
        assert_eq!(number("2e^t").0, "2");
        assert_eq!(number("0,123").0, "0");
    }
}
