//! Whether what a function returned is what is expected: two JSON texts compared by value, with
//! every digit.
//!
//! What the guest sent is never built up as a value: it is read along with what is expected, to the
//! first difference. So a guest cannot make the host hold more than the problem itself holds.

use std::collections::{BTreeMap, BTreeSet};

/// Nesting beyond which nothing is equal. The guest sends 100 at most.
const MOST_DEEP: usize = 200;

/// An expected value. Numbers are kept as they are written.
#[derive(Debug, PartialEq)]
pub(super) enum Expected<'a> {
    Null,
    Bool(bool),
    Number(&'a str),
    Text(String),
    /// A string with half of a surrogate pair, which no text equals.
    NoText,
    List(Vec<Self>),
    Map(BTreeMap<String, Self>),
}

impl<'a> Expected<'a> {
    /// Reads a JSON text, with Python's `NaN` and `Infinity`; nothing when it is something else.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let mut reader = Reader { text, at: 0 };
        let value = reader.value(0)?;
        reader.ends().then_some(value)
    }
}

/// Whether `found`, JSON as the guest sent it, is what is expected, as Python's `==` would have it
/// after tuples became lists: integers of any size exactly; numbers with a fraction within
/// `tolerance` where the expected one has one, by exact value otherwise. NaN, infinities and
/// strings that are no text equal nothing. APPS wraps many a single result into a list, so a list
/// of one is looked into as well. `None` when it is no JSON as far as it was read.
pub(super) fn same_result(found: &str, expected: &Expected<'_>, tolerance: f64) -> Option<bool> {
    let same = |expected: &Expected<'_>| {
        let mut reader = Reader { text: found, at: 0 };
        let same = reader.same(expected, tolerance, 0)?;
        (!same || reader.ends()).then_some(same)
    };
    match (same(expected)?, expected) {
        (false, Expected::List(items)) if items.len() == 1 => same(&items[0]),
        (found, _) => Some(found),
    }
}

/// Whether a text is one JSON value, as Python writes it, and nothing else.
pub(super) fn is_one_value(text: &str) -> bool {
    let mut reader = Reader { text, at: 0 };
    reader.skip(0).is_some() && reader.ends()
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    /// The next byte that is no blank.
    fn peek(&mut self) -> Option<u8> {
        let rest = &self.text.as_bytes()[self.at..];
        let blanks = rest.iter().take_while(|b| b" \t\r\n".contains(b)).count();
        self.at += blanks;
        rest.get(blanks).copied()
    }

    fn ends(&mut self) -> bool {
        self.peek().is_none()
    }

    /// Takes this byte if it is next.
    fn takes(&mut self, byte: u8) -> bool {
        let next = self.peek() == Some(byte);
        self.at += usize::from(next);
        next
    }

    /// A number, `NaN`, `Infinity`, `true`, `false` or `null`, as it is written.
    fn word(&mut self) -> Option<&'a str> {
        self.peek()?;
        let rest = &self.text[self.at..];
        let end = rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c)))
            .unwrap_or(rest.len());
        let word = &rest[..end];
        let known = matches!(word, "null" | "true" | "false") || is_number(word);
        self.at += end;
        known.then_some(word)
    }

    /// A string; the inner `None` for one that is no text.
    fn string(&mut self) -> Option<Option<String>> {
        if !self.takes(b'"') {
            return None;
        }
        let (mut found, mut whole) = (String::new(), true);
        loop {
            let rest = &self.text[self.at..];
            let plain = rest.find(['"', '\\'])?;
            if rest[..plain].bytes().any(|byte| byte < 0x20) {
                return None;
            }
            found.push_str(&rest[..plain]);
            self.at += plain + 1;
            if rest.as_bytes()[plain] == b'"' {
                return Some(whole.then_some(found));
            }
            let escape = *self.text.as_bytes().get(self.at)?;
            self.at += 1;
            found.push(match escape {
                b'"' | b'\\' | b'/' => char::from(escape),
                b'b' => '\u{8}',
                b'f' => '\u{c}',
                b'n' => '\n',
                b'r' => '\r',
                b't' => '\t',
                b'u' => {
                    let first = self.hex()?;
                    match char::from_u32(first) {
                        Some(found) => found,
                        None => self.pair(first).unwrap_or_else(|| {
                            whole = false;
                            char::REPLACEMENT_CHARACTER
                        }),
                    }
                }
                _ => return None,
            });
        }
    }

    /// The character of a surrogate pair whose first half has been read.
    fn pair(&mut self, first: u32) -> Option<char> {
        let start = self.at;
        let second = self.text[self.at..].starts_with("\\u").then(|| {
            self.at += 2;
            self.hex()
        });
        let found = second.flatten().and_then(|second| {
            let units = [first as u16, second as u16];
            let mut found = char::decode_utf16(units);
            found.next()?.ok()
        });
        if found.is_none() {
            self.at = start;
        }
        found
    }

    fn hex(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        self.at += 4;
        digits
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit())
            .then(|| u32::from_str_radix(digits, 16).ok())?
    }

    fn value(&mut self, depth: usize) -> Option<Expected<'a>> {
        if depth > MOST_DEEP {
            return None;
        }
        Some(match self.peek()? {
            b'"' => self.string()?.map_or(Expected::NoText, Expected::Text),
            b'[' => {
                self.at += 1;
                let mut items = Vec::new();
                if !self.takes(b']') {
                    loop {
                        items.push(self.value(depth + 1)?);
                        if !self.takes(b',') {
                            break;
                        }
                    }
                    self.takes(b']').then_some(())?;
                }
                Expected::List(items)
            }
            b'{' => {
                self.at += 1;
                let mut items = BTreeMap::new();
                if !self.takes(b'}') {
                    loop {
                        let key = self.string()??;
                        self.takes(b':').then_some(())?;
                        let value = self.value(depth + 1)?;
                        items.insert(key, value);
                        if !self.takes(b',') {
                            break;
                        }
                    }
                    self.takes(b'}').then_some(())?;
                }
                Expected::Map(items)
            }
            _ => match self.word()? {
                "null" => Expected::Null,
                "true" => Expected::Bool(true),
                "false" => Expected::Bool(false),
                number => Expected::Number(number),
            },
        })
    }

    /// Reads a value and keeps nothing of it.
    fn skip(&mut self, depth: usize) -> Option<()> {
        if depth > MOST_DEEP {
            return None;
        }
        let (open, close) = match self.peek()? {
            b'"' => return self.string().map(drop),
            b'[' => (b'[', b']'),
            b'{' => (b'{', b'}'),
            _ => return self.word().map(drop),
        };
        self.at += 1;
        if self.takes(close) {
            return Some(());
        }
        loop {
            if open == b'{' {
                self.string()?;
                self.takes(b':').then_some(())?;
            }
            self.skip(depth + 1)?;
            if !self.takes(b',') {
                return self.takes(close).then_some(());
            }
        }
    }

    /// Reads a value along with the expected one. After a difference the rest is not read.
    fn same(&mut self, expected: &Expected<'_>, tolerance: f64, depth: usize) -> Option<bool> {
        if depth > MOST_DEEP {
            return None;
        }
        match self.peek()? {
            b'"' => {
                let found = self.string()?;
                Some(matches!((found, expected), (Some(a), Expected::Text(b)) if a == *b))
            }
            b'[' => {
                self.at += 1;
                let Expected::List(items) = expected else {
                    return Some(false);
                };
                let mut count = 0;
                if self.takes(b']') {
                    return Some(items.is_empty());
                }
                loop {
                    let Some(item) = items.get(count) else {
                        return Some(false);
                    };
                    if !self.same(item, tolerance, depth + 1)? {
                        return Some(false);
                    }
                    count += 1;
                    if !self.takes(b',') {
                        break;
                    }
                }
                self.takes(b']').then_some(count == items.len())
            }
            b'{' => {
                self.at += 1;
                let Expected::Map(items) = expected else {
                    return Some(false);
                };
                if self.takes(b'}') {
                    return Some(items.is_empty());
                }
                // A forged text may name a key twice: it counts once.
                let mut seen = BTreeSet::new();
                loop {
                    let key = self.string()?;
                    self.takes(b':').then_some(())?;
                    let Some((key, item)) = key.and_then(|key| items.get_key_value(&key)) else {
                        return Some(false);
                    };
                    if !seen.insert(key) || !self.same(item, tolerance, depth + 1)? {
                        return Some(false);
                    }
                    if !self.takes(b',') {
                        break;
                    }
                }
                self.takes(b'}').then_some(seen.len() == items.len())
            }
            _ => {
                let found = self.word()?;
                // True is 1 in Python.
                let number = |word| match word {
                    "true" => Some("1"),
                    "false" => Some("0"),
                    "null" => None,
                    word => Some(word),
                };
                Some(match expected {
                    Expected::Null => found == "null",
                    Expected::Bool(value) => number(found).is_some_and(|found| {
                        same_number(found, if *value { "1" } else { "0" }, 0.0)
                    }),
                    Expected::Number(value) => {
                        number(found).is_some_and(|found| same_number(found, value, tolerance))
                    }
                    _ => false,
                })
            }
        }
    }
}

/// A number of JSON, or one of the three that Python adds.
fn is_number(word: &str) -> bool {
    let digits = word.strip_prefix('-').unwrap_or(word);
    if matches!(digits, "NaN" | "Infinity") {
        return true;
    }
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (digits, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let all = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    all(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(all)
        && exponent
            .is_none_or(|exponent| all(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)))
}

fn same_number(found: &str, expected: &str, tolerance: f64) -> bool {
    let is_integer = |word: &str| word.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    let integer = |word: &str| if word == "-0" { "0" } else { word }.to_owned();
    let value = |word: &str| word.parse().unwrap_or(f64::NAN);
    let (a, b): (f64, f64) = (value(found), value(expected));
    // An integer may be larger than any double; a fraction never is.
    let not_finite = |word: &str, value: f64| !is_integer(word) && !value.is_finite();
    if not_finite(found, a) || not_finite(expected, b) {
        return false;
    }
    match (is_integer(found), is_integer(expected)) {
        (true, true) => integer(found) == integer(expected),
        // What a double that is whole says in full.
        (false, true) => a.fract() == 0.0 && integer(&format!("{a:.0}")) == integer(expected),
        (true, false) if tolerance == 0.0 => {
            b.fract() == 0.0 && integer(&format!("{b:.0}")) == integer(found)
        }
        _ => a == b || super::compare::close(a, b, tolerance),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_to_a_judge_is_one_value() {
        for one in ["0", " [1, {\"a\": NaN}] ", "\"x, y\"", "{}", "[]"] {
            assert!(is_one_value(one), "{one}");
        }
        let deep = "[".repeat(100_000);
        for other in ["0, 1e99", "", "[1", "0]", "[1,]", "{\"a\"}", "x", &deep] {
            assert!(!is_one_value(other), "{other:.20}");
        }
    }

    fn alike(found: &str, expected: &str) -> bool {
        same_result(found, &Expected::read(expected).unwrap(), 1e-6).unwrap()
    }

    #[test]
    fn results_as_python_compares_them() {
        for (found, expected) in [
            ("[1, [2, 3]]", "[1,[2,3]]"),
            ("5", "[5]"),
            ("true", "1"),
            ("0.0", "false"),
            ("2.0", "2"),
            ("-0", "0"),
            ("-0.0", "0"),
            ("0.1", "0.10000000001"),
            ("[]", "[]"),
            ("{}", "{}"),
            (
                "{\"b\": 1, \"a\": [\"\\u00e9\\ud83d\\ude00\"]}",
                "{\"a\":[\"é😀\"],\"b\":1}",
            ),
            ("\"\\\"\\\\\\n\\t\"", r#""\"\\\n\u0009""#),
            ("null", "null"),
            ("1e22", "10000000000000000000000"),
        ] {
            assert!(alike(found, expected), "{found} {expected}");
        }
        for (found, expected) in [
            ("1000000006.5", "1000000007"),
            ("0", "[0,1]"),
            ("\"1\"", "1"),
            ("1", "\"1\""),
            ("[1]", "[1,2]"),
            ("[1, 2]", "[1]"),
            ("[]", "[[]]"),
            ("null", "0"),
            ("0", "null"),
            ("false", "null"),
            ("{\"a\": 1, \"a\": 1}", "{\"a\":1,\"b\":2}"),
            ("{\"a\": 1}", "{\"a\":1,\"b\":2}"),
        ] {
            // An empty list is what a list of one empty list is looked into for.
            let same = alike(found, expected);
            assert_eq!(
                same,
                (found, expected) == ("[]", "[[]]"),
                "{found} {expected}"
            );
        }
    }

    #[test]
    fn every_digit_counts() {
        for (found, expected, same) in [
            ("18446744073709551616", "18446744073709551616", true),
            ("18446744073709551617", "18446744073709551616", false),
            ("-9223372036854775809", "-9223372036854775810", false),
            ("9007199254740993", "9007199254740992.0", true),
            ("9007199254740992.0", "9007199254740993", false),
            ("1e23", "99999999999999991611392", true),
            ("1e23", "100000000000000000000000", false),
        ] {
            assert_eq!(alike(found, expected), same, "{found} {expected}");
        }
        let long = format!("1{}", "0".repeat(10_000));
        assert!(alike(&long, &long));
        assert!(!alike(&long, &format!("{long}0")));
        let exact =
            |found, expected| same_result(found, &Expected::read(expected).unwrap(), 0.0).unwrap();
        assert!(exact("0.1", "0.1000000000000000055"));
        assert!(!exact("0.1", "0.10000000000000002"));
        assert!(!exact("9007199254740993", "9007199254740992.0"));
    }

    #[test]
    fn what_is_no_value_equals_nothing() {
        for text in [
            "NaN",
            "Infinity",
            "-Infinity",
            "1e999",
            "\"\\ud800\"",
            "\"\\udc00\\ud800\"",
        ] {
            assert!(!alike(text, text), "{text}");
            assert!(!alike(&format!("[{text}]"), "[0.0]"), "{text}");
        }
    }

    #[test]
    fn what_is_no_json_is_told_apart() {
        let one = Expected::read("[1]").unwrap();
        let deep = "[".repeat(100_000);
        for text in [
            "", "[", "[1", "[1,]", "[1] 2", "[01]", "[1.]", "[+1]", "[--1]", "[tru]",
        ] {
            // Where a difference comes first, the rest is not looked at.
            assert_ne!(same_result(text, &one, 0.0), Some(true), "{text}");
            assert_eq!(Expected::read(text), None, "{text}");
        }
        for text in [
            &deep,
            "{",
            "\"",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\n\"",
            "é",
            "{\"a\" 1}",
            "1e",
            "\"\\u+123\"",
        ] {
            assert_eq!(Expected::read(text), None, "{text}");
        }
    }
}
