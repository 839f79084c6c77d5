//! Tokens of mathematical text, numbers read with their separators.

use super::{
    budget::{Budget, Spent},
    clean::letters,
    names, units,
};

/// How a comma between digits reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Commas {
    /// Groups of three digits outside brackets make one number, as in `1,000`; any other comma parts items.
    #[default]
    Auto,
    /// Every comma parts items.
    Parting,
    /// A comma between digits is the decimal point, as in `1,22`.
    Decimal,
}

/// The digits of a literal, separators taken out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Digits {
    pub(super) whole: String,
    pub(super) fraction: Option<String>,
    /// Digits that repeat for ever, after `fraction`.
    pub(super) repeating: Option<String>,
    /// Power of ten.
    pub(super) exponent: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tok<'a> {
    Num(Digits),
    /// One letter; the second part is the whole run of letters it stands in when it is the first of them.
    Letter(char, &'a str),
    /// A run of letters that has a meaning as a whole.
    Word(&'a str),
    Cmd(&'a str),
    Text(&'a str),
    Ch(char),
    /// `\\`: a row ends.
    Row,
    End,
}

#[derive(Clone, Debug)]
pub(super) struct Token<'a> {
    pub(super) tok: Tok<'a>,
    pub(super) start: usize,
    pub(super) end: usize,
    /// Whether white space stood before it.
    pub(super) space: bool,
}

pub(super) fn lex<'a>(
    text: &'a str,
    commas: Commas,
    budget: &Budget,
) -> Result<Vec<Token<'a>>, Spent> {
    let mut lexer = Lexer {
        text,
        at: 0,
        space: false,
        depth: 0,
        commas,
        paired: unescaped_dollars(text).is_multiple_of(2),
        budget,
        out: Vec::with_capacity(text.len() / 2 + 2),
    };
    while lexer.at < text.len() {
        // Names of commands and words are looked up.
        let named = lexer
            .rest()
            .starts_with(|c: char| c == '\\' || c.is_ascii_alphabetic());
        budget.take(if named { 100 } else { 10 })?;
        lexer.step();
    }
    lexer.push(Tok::End, text.len());
    Ok(lexer.out)
}

struct Lexer<'a, 'b> {
    text: &'a str,
    at: usize,
    space: bool,
    /// Brackets open, in which a comma parts items.
    depth: u32,
    commas: Commas,
    /// Dollar signs come in pairs: they delimit formulas, and none is money.
    paired: bool,
    budget: &'b Budget,
    out: Vec<Token<'a>>,
}

impl<'a> Lexer<'a, '_> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn push(&mut self, tok: Tok<'a>, end: usize) {
        self.out.push(Token {
            tok,
            start: self.at,
            end,
            space: self.space,
        });
        self.space = false;
        self.at = end;
    }

    /// The end of the group that opens at `open`. Looking for it is paid for; a spent budget ends the next step.
    fn group(&self, open: usize) -> Option<usize> {
        if self.text.as_bytes().get(open) != Some(&b'{') {
            return None;
        }
        let end = group_end(self.text, open);
        let seen = end.unwrap_or(self.text.len()) - open;
        let _ = self.budget.take(seen as u64 / 2);
        end
    }

    fn skip(&mut self, bytes: usize) {
        self.at += bytes;
        self.space = true;
    }

    fn step(&mut self) {
        let rest = self.rest();
        let Some(c) = rest.chars().next() else {
            return;
        };
        match c {
            '\\' => self.command(),
            ' ' | '\n' | '\t' | '\r' | '~' => self.skip(1),
            '0'..='9' => self.number(),
            '.' if rest.as_bytes().get(1).is_some_and(u8::is_ascii_digit) => self.number(),
            'a'..='z' | 'A'..='Z' => self.word(),
            '%' if rest.starts_with("%%") => self.skip(1),
            '$' if self.paired || !rest[1..].starts_with(|c: char| c.is_ascii_digit()) => {
                self.skip(1);
            }
            '$' => self.push(Tok::Cmd("$"), self.at + 1),
            _ => {
                match c {
                    '(' | '[' => self.depth += 1,
                    ')' | ']' => self.depth = self.depth.saturating_sub(1),
                    _ => {}
                }
                self.push(Tok::Ch(c), self.at + c.len_utf8());
            }
        }
    }

    fn command(&mut self) {
        let rest = &self.rest()[1..];
        let name = letters(rest);
        let Some(next) = rest.chars().next() else {
            self.at += 1;
            return;
        };
        if name.is_empty() {
            let end = self.at + 1 + next.len_utf8();
            match next {
                '\\' => self.push(Tok::Row, end),
                '{' | '}' => {
                    self.depth = if next == '{' {
                        self.depth + 1
                    } else {
                        self.depth.saturating_sub(1)
                    };
                    self.push(Tok::Cmd(&rest[..1]), end);
                }
                '%' | '&' | '#' => self.push(Tok::Ch(next), end),
                '|' => self.push(Tok::Ch('|'), end),
                '$' | '_' => self.push(Tok::Cmd(&rest[..1]), end),
                // `\(`, `\[` and spacing.
                _ => self.skip(1 + next.len_utf8()),
            }
            return;
        }
        let name = known_prefix(name);
        let end = self.at + 1 + name.len();
        if names::is_layout(name) {
            let invisible = matches!(name, "left" | "right" | "middle")
                && self.text[end..].trim_start().starts_with('.');
            let dot = if invisible {
                self.text[end..].find('.').map_or(0, |i| i + 1)
            } else {
                0
            };
            let spaced = matches!(name, "quad" | "qquad" | "space" | "enspace") || self.space;
            self.at = end + dot;
            self.space = spaced;
            return;
        }
        if matches!(name, "hspace" | "vspace" | "tag" | "label") {
            let group = self.group(end).unwrap_or(end);
            self.at = group;
            self.space = true;
            return;
        }
        if names::is_text(name) {
            let open = end + (self.text[end..].len() - self.text[end..].trim_start().len());
            if let Some(close) = self.group(open) {
                let content = &self.text[open + 1..close - 1];
                let money = matches!(content.trim(), "\\$" | "$");
                self.push(
                    if money {
                        Tok::Cmd("$")
                    } else {
                        Tok::Text(content)
                    },
                    close,
                );
            } else {
                self.at = end;
            }
            return;
        }
        if names::is_alphabet(name) {
            // `\mathrm{lcm}` is a word, `\mathbf{105}` is its content.
            if let Some(close) = self.group(end) {
                let content = self.text[end + 1..close - 1].trim();
                let wordy = content
                    .bytes()
                    .all(|b| b.is_ascii_alphabetic() || b == b' ' || b == b'~' || b == b'-')
                    && content.len() >= 2;
                let after_number = matches!(
                    self.out.last().map(|t| &t.tok),
                    Some(Tok::Num(_) | Tok::Ch(')' | '}'))
                );
                if wordy || after_number && units::is_unit_text(content) {
                    self.push(Tok::Text(content), close);
                    return;
                }
            }
            self.at = end;
            return;
        }
        if matches!(name, "mathbb" | "Bbb") {
            let after = self.text[end..]
                .trim_start()
                .trim_start_matches('{')
                .trim_start();
            if let Some(letter) = after.chars().next().filter(char::is_ascii_alphabetic) {
                let from = self.text.len() - after.len();
                let mut to = from + 1;
                if self.text[end..from].contains('{') {
                    to = self.text[to..].find('}').map_or(to, |i| to + i + 1);
                }
                let set = match letter {
                    'R' => "Reals",
                    'Z' => "Integers",
                    'N' => "Naturals",
                    'Q' => "Rationals",
                    'C' => "Complexes",
                    _ => &self.text[from..from + 1],
                };
                self.push(Tok::Cmd(set), to);
                return;
            }
        }
        self.push(Tok::Cmd(name), end);
    }

    fn word(&mut self) {
        let run = letters(self.rest());
        let known = |w: &str| {
            names::function(w).is_some()
                || names::constant(w).is_some()
                || matches!(
                    w,
                    "sqrt"
                        | "cbrt"
                        | "and"
                        | "or"
                        | "mod"
                        | "union"
                        | "percent"
                        | "degrees"
                        | "degree"
                        | "NaN"
                        | "nan"
                        | "Matrix"
                        | "FiniteSet"
                        | "Rational"
                )
                || (w.len() >= 4 && names::is_symbol(w))
                || matches!(w, "phi" | "psi" | "rho" | "tau" | "eta" | "chi")
        };
        let behind = &self.text[self.at + run.len()..];
        if run == "US" && (behind.starts_with("\\$") || behind.starts_with('$')) {
            self.skip(run.len());
            return;
        }
        let before = self.text[..self.at].bytes().next_back();
        if known(run) && before != Some(b'\\') {
            self.push(Tok::Word(run), self.at + run.len());
            return;
        }
        // `sinx` in plain text.
        if let Some(name) = run
            .strip_suffix('x')
            .filter(|n| names::function(n).is_some() && !matches!(*n, "re" | "im" | "Re" | "Im"))
            && before != Some(b'\\')
        {
            self.push(Tok::Word(name), self.at + name.len());
            self.push(Tok::Letter('x', "x"), self.at + 1);
            return;
        }
        for (i, letter) in run.char_indices() {
            let whole = if i == 0 { run } else { "" };
            self.push(Tok::Letter(letter, whole), self.at + 1);
        }
    }

    fn number(&mut self) {
        let (digits, len) = read_number(self.rest(), self.commas, self.depth == 0);
        self.push(Tok::Num(digits), self.at + len);
    }
}

fn unescaped_dollars(text: &str) -> usize {
    text.match_indices('$')
        .filter(|(at, _)| !text[..*at].ends_with('\\'))
        .count()
}

/// The longest known command that an unknown one begins with: `\quadx` is `\quad x`. A name without one stays whole.
fn known_prefix(name: &str) -> &str {
    if names::is_command(name) || name.len() > 40 {
        return name;
    }
    (2..name.len())
        .rev()
        .map(|n| &name[..n])
        .find(|prefix| {
            names::is_command(prefix)
                && !matches!(
                    *prefix,
                    "in" | "to" | "le" | "ge" | "ne" | "lt" | "gt" | "re" | "ni"
                )
        })
        .unwrap_or(name)
}

/// The end (past the closing brace) of the group that opens at `open`, or `None` when none does or it does not end.
pub(super) fn group_end(text: &str, open: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    if bytes.get(open) != Some(&b'{') {
        return None;
    }
    let mut depth = 0_usize;
    let mut at = open;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            b'{' => depth += 1,
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

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

/// Reads the literal that `text` begins with, and its length in bytes.
fn read_number(text: &str, commas: Commas, top: bool) -> (Digits, usize) {
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
fn finish(text: &str, whole: String, fraction: Option<String>, mut at: usize) -> (Digits, usize) {
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
    (digits, at)
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

/// Groups of digits in a number at most, so that a long list is not read again from each of its numbers.
const MAX_GROUPS: usize = 64;

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
        Commas::Parting => true,
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
        let (d, n) = read_number(text, Commas::Auto, true);
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
        (s, n)
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
