//! Whether an output is the expected one.

use sky_types::Compare;

/// Relative and absolute tolerance of numbers with a fraction where a problem names none; integers
/// are compared exactly.
pub(super) const TOLERANCE: f64 = 1e-6;

/// Compares standard output with what is expected. Numbers with a fraction are compared by value,
/// within `tolerance`.
pub(super) fn same_output(found: &str, expected: &str, compare: Compare, tolerance: f64) -> bool {
    let same = |found: &[&str], expected: &[&str], same: &dyn Fn(&str, &str) -> bool| {
        found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| same(a, b))
    };
    let line = |a: &str, b: &str| same_line(a, b, tolerance);
    let word = |a: &str, b: &str| same_word(a, b, tolerance);
    let (a, b) = (found, expected);
    match compare {
        Compare::Exact => a.trim_end() == b.trim_end(),
        Compare::Lines => same(&lines(a), &lines(b), &line),
        Compare::LinesAnyOrder => same(&sorted(lines(a)), &sorted(lines(b)), &line),
        Compare::Words => same(&words(a), &words(b), &word),
        Compare::WordsAnyOrder => same(&sorted(words(a)), &sorted(words(b)), &word),
        Compare::WordsAnyCase => {
            let (a, b) = (a.to_lowercase(), b.to_lowercase());
            same(&words(&a), &words(&b), &word)
        }
    }
}

/// Lines or words in sorted order. Numbers go by value, so that `.9` and `0.9` stand at the
/// same place; only items of equal values go by how they are written.
fn sorted(mut items: Vec<&str>) -> Vec<&str> {
    items.sort_by_cached_key(|item| {
        let words = item.split_whitespace().map(|word| match number(word) {
            // The bits of a float in the order of its values.
            Some(value) => {
                let bits = value.to_bits() as i64;
                (0, bits ^ (((bits >> 63) as u64) >> 1) as i64, "")
            }
            None => (1, 0, word),
        });
        (words.collect::<Vec<_>>(), *item)
    });
    items
}

/// The value of a word that is a number.
fn number(word: &str) -> Option<f64> {
    let plain = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
    word.bytes()
        .all(plain)
        .then(|| word.parse().ok())
        .flatten()
        // Negative zero is zero.
        .map(|value: f64| value + 0.0)
}

fn lines(text: &str) -> Vec<&str> {
    text.trim().lines().map(str::trim).collect()
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

fn same_line(found: &str, expected: &str, tolerance: f64) -> bool {
    if found == expected {
        return true;
    }
    let mut found = found.split_whitespace();
    let mut expected = expected.split_whitespace();
    loop {
        match (found.next(), expected.next()) {
            (None, None) => return true,
            (Some(found), Some(expected)) if same_word(found, expected, tolerance) => {}
            _ => return false,
        }
    }
}

fn same_word(found: &str, expected: &str, tolerance: f64) -> bool {
    if found == expected {
        return true;
    }
    let (Some(a), Some(b)) = (number(found), number(expected)) else {
        return false;
    };
    // An integer is an integer, however it is written: only a fraction may be off by a little.
    if tolerance == 0.0 || !expected.contains(['.', 'e', 'E']) {
        return decimal(found).is_some_and(|found| Some(found) == decimal(expected));
    }
    close(a, b, tolerance)
}

/// A decimal number's sign, digits without zeros at either end, and power of ten: equal for equal
/// values.
fn decimal(word: &str) -> Option<(bool, String, i64)> {
    let (mantissa, exponent) = word.split_once(['e', 'E']).unwrap_or((word, "0"));
    let mut exponent: i64 = exponent.parse().ok()?;
    let negative = mantissa.starts_with('-');
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    exponent = exponent.checked_sub(fraction.len() as i64)?;
    let digits = format!("{}{fraction}", whole.trim_start_matches(['+', '-']));
    let digits = digits.trim_start_matches('0');
    let kept = digits.trim_end_matches('0');
    if kept.is_empty() {
        return Some((false, String::new(), 0));
    }
    exponent = exponent.checked_add((digits.len() - kept.len()) as i64)?;
    Some((negative, kept.to_owned(), exponent))
}

pub(super) fn close(a: f64, b: f64, tolerance: f64) -> bool {
    a.is_finite() && b.is_finite() && (a - b).abs() <= tolerance * b.abs().max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_alike(found: &str, expected: &str) -> bool {
        same_output(found, expected, Compare::Lines, TOLERANCE)
    }

    #[test]
    fn blanks_at_the_ends_do_not_count() {
        assert!(lines_alike("1 2 \n3\n\n", "1 2\n3"));
        assert!(lines_alike("  1  2\r\n3", "1 2\n3\n"));
        assert!(!lines_alike("1 2 3", "1 2\n3"));
        assert!(!lines_alike("1\n\n2", "1\n2"));
        assert!(!lines_alike("", "0"));
        assert!(!lines_alike("yes", "YES"));
    }

    #[test]
    fn fractions_by_value_and_integers_exactly() {
        assert!(lines_alike("0.3333333", "0.33333333333"));
        assert!(lines_alike("2.0", "2"));
        assert!(!lines_alike("1000000007", "1000000008"));
        assert!(!lines_alike("0.34", "0.33"));
        assert!(!lines_alike("nan", "0.0"));
        assert!(!lines_alike("1e400", "2.5"));
        assert!(!lines_alike("inf", "1.0"));
        assert!(!lines_alike("9e999", "1e400"));
        assert!(!lines_alike("1000000000000000006.0", "1000000000000000007"));
        assert!(!lines_alike("7.0000001", "7"));
    }

    #[test]
    fn each_way_of_comparing_takes_what_it_says_and_no_more() {
        use Compare::{Exact, Lines, LinesAnyOrder, Words, WordsAnyCase, WordsAnyOrder};
        for (compare, found, expected, same) in [
            (Exact, "1.0\n", "1.0", true),
            (Exact, "1.00", "1.0", false),
            (Exact, " 1", "1", false),
            (Lines, "a\nb", "a b", false),
            (Words, "a\nb", "a b", true),
            (Words, "1 2", "1 2 3", false),
            (Words, "YES", "yes", false),
            (WordsAnyCase, "YES 1.5", "yes 1.50", true),
            (WordsAnyCase, "no", "yes", false),
            (LinesAnyOrder, "b\na 1", "a 1\nb", true),
            (LinesAnyOrder, "a b", "b a", false),
            (LinesAnyOrder, "a\na\nb", "a\nb\nb", false),
            (WordsAnyOrder, "3 1\n2", "1 2 3", true),
            (WordsAnyOrder, "1 1 2", "1 2 2", false),
            (WordsAnyOrder, ".9 0.7", "0.9 0.7", true),
            (WordsAnyOrder, "10 9 -3", "-3.0 9.0 1e1", true),
            (LinesAnyOrder, "10 a\n9 b", "9 b\n10 a", true),
            (LinesAnyOrder, ".9 2\n0.9 1", "0.9 2\n0.9 1", true),
            (
                WordsAnyOrder,
                "9007199254740993 9007199254740992",
                "9007199254740992 9007199254740993",
                true,
            ),
        ] {
            let found_same = same_output(found, expected, compare, TOLERANCE);
            assert_eq!(found_same, same, "{compare:?} {found:?} {expected:?}");
        }
    }

    #[test]
    fn without_a_tolerance_numbers_have_the_same_value() {
        let same = |found, expected| same_output(found, expected, Compare::Lines, 0.0);
        for (found, expected) in [
            ("2.0", "2"),
            ("-0.0", "0"),
            ("1e3", "1000"),
            ("+07", "7"),
            (".5", "0.50"),
        ] {
            assert!(same(found, expected), "{found} {expected}");
        }
        for (found, expected) in [
            ("0.3333333", "0.33333333333"),
            ("1000000000000000000001.0", "1000000000000000000002"),
            ("-1", "1"),
            ("1e9223372036854775807", "0.1e9223372036854775807"),
            ("1e", "1"),
        ] {
            assert!(!same(found, expected), "{found} {expected}");
        }
    }
}
