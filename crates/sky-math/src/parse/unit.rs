//! What stands behind a value: units, percent and degree words, money.

use super::{MAX_POSTFIXES, Parsed, Parser};
use crate::{
    expr::{Expr, Kind},
    lex::Tok,
    units, wording,
};

/// Longest words for a unit, in bytes.
const MAX_WORDS: usize = 200;

impl<'a> Parser<'a> {
    /// A unit in plain letters behind a number (`35 cm`, `18 dollars`): takes it.
    pub(super) fn unit_behind(&mut self, below: bool) -> Option<String> {
        let run = match (self.peek(), self.ahead(1)) {
            (Tok::Letter(_, run), _) => *run,
            // `30 min` is no minimum.
            (
                Tok::Word(word @ ("min" | "sec")),
                Tok::End | Tok::Ch(',' | ';' | ')' | '.') | Tok::Word("and" | "or"),
            ) => word,
            _ => return None,
        };
        let plain = units::is_plain_unit(run)
            || matches!(run, "th" | "st" | "nd" | "rd")
            || self.token().space && (self.rate_ahead() || self.single_letter_ahead());
        let worded = self.token().space && units::is_wordlike(run);
        // `1/2 cup`, where `1/2 x` would be ambiguous.
        let fraction = self.token().space && units::is_plain_unit(run);
        if run.is_empty() || self.depth > self.top + 8 || below && !fraction || !(plain || worded) {
            return None;
        }
        // Behind a number, a closing bracket or a root; everything up to the end, a comma or the
        // next number has to be words.
        let rest = &self.text[self.start()..];
        let rest = rest.get(..words_end(rest))?;
        // Words for a unit are few.
        let worded = rest.len() <= MAX_WORDS
            && rest.bytes().all(|b| {
                b.is_ascii_alphabetic()
                    || b.is_ascii_digit()
                    || matches!(
                        b,
                        b' ' | b'^' | b'{' | b'}' | b'.' | b'/' | b'-' | b'\'' | b'*' | b'(' | b')'
                    )
            })
            && rest.matches('(').count() == rest.matches("^(").count();
        let before = self.at.checked_sub(1).map(|i| &self.tokens[i].tok);
        let valued = matches!(
            before,
            Some(Tok::Num(_) | Tok::Ch(')' | '}') | Tok::Cmd("pi"))
        );
        if !worded || !valued {
            return None;
        }
        let end = self.start() + rest.len();
        while self.start() < end && !matches!(self.peek(), Tok::End) {
            self.at += 1;
        }
        Some(rest.trim().to_owned())
    }

    /// `\frac{\text{m}}{\text{s}^2}` behind a value: takes it.
    pub(super) fn unit_fraction(&mut self) -> Option<String> {
        if !matches!(self.peek(), Tok::Cmd("frac" | "dfrac" | "tfrac" | "cfrac")) {
            return None;
        }
        let middle = self.group_end_token(self.at + 1)?;
        let end = self.group_end_token(middle)?;
        let words = |from: usize, to: usize| {
            let group = &self.text[self.tokens[from].start..self.tokens[to - 1].end];
            let marked = group.contains("\\text") || group.contains("\\mathrm");
            let inner = group.strip_prefix('{')?.strip_suffix('}')?;
            let unit = wording::flat(inner);
            (marked && inner.len() <= MAX_WORDS && units::is_unit_text(&unit)).then_some(unit)
        };
        let unit = format!("{}/{}", words(self.at + 1, middle)?, words(middle, end)?);
        self.at = end;
        Some(unit)
    }

    /// `2 hours 30 minutes`: the quantity that was just read, and smaller ones of its kind behind
    /// it.
    pub(super) fn compound(&mut self, first: Expr, start: usize) -> Parsed {
        if !matches!(self.peek(), Tok::Num(_)) {
            return Ok(first);
        }
        let next = self.nested(Self::product)?;
        match compound(&[first, next]) {
            Some(terms) => Ok(Kind::Add(terms).at(self.since(start))),
            None => self.fail("two quantities side by side"),
        }
    }

    /// Whether `h 30 min` comes: a unit of one letter, then a smaller quantity.
    fn single_letter_ahead(&self) -> bool {
        matches!(self.peek(), Tok::Letter('h' | 'm' | 'd', run) if run.len() == 1)
            && matches!(self.ahead(1), Tok::Num(_))
            && matches!(self.ahead(2), Tok::Letter(_, run) | Tok::Word(run) if units::is_plain_unit(run))
    }

    /// Whether `m/s^2` comes and nothing behind it.
    fn rate_ahead(&self) -> bool {
        let rest = &self.text[self.start()..];
        let rest = rest.get(..words_end(rest)).unwrap_or("");
        let rest = rest.trim_end_matches([' ', '.']);
        let rate = rest.split_once('/').is_some_and(|(above, below)| {
            let word = |t: &str| t.starts_with(|c: char| c.is_ascii_alphabetic());
            let signs = rest.matches('-').count() == rest.matches("^-").count();
            word(above) && word(below.trim_start()) && signs && !rest.contains('.')
        });
        rest.len() <= 40 && rate && units::is_unit_text(rest)
    }

    /// `\text{...}` behind a value: a unit, a percent or degree word, or something to ignore.
    pub(super) fn text_behind(&mut self, value: Expr, start: usize) -> Parsed {
        let mut words = String::new();
        let mut value = value;
        let mut marks = 0;
        loop {
            marks += 1;
            if marks > MAX_POSTFIXES {
                return self.fail("too many words behind a value");
            }
            match self.peek() {
                Tok::Text(text) => {
                    if !self.word_behind(text, &mut words, &mut value, start) {
                        break;
                    }
                }
                // `\text{ m}^2`, `\text{km}/\text{h}`, and loose letters between.
                Tok::Ch('^') if !words.is_empty() => {
                    self.at += 1;
                    words.push_str(&self.unit_power()?);
                }
                Tok::Ch('/') if !words.is_empty() && matches!(self.ahead(1), Tok::Text(_)) => {
                    words.push('/');
                    self.at += 1;
                }
                // `\text{ k}\Omega`: a prefix and its unit.
                Tok::Cmd("Omega") if words.ends_with(['m', 'k', 'M']) => {
                    words.push_str("Omega");
                    self.at += 1;
                }
                Tok::Cmd("cdot") if !words.is_empty() && matches!(self.ahead(1), Tok::Text(_)) => {
                    words.push('*');
                    self.at += 1;
                }
                _ => break,
            }
        }
        if words.trim().is_empty() {
            return Ok(value);
        }
        let quantity = Kind::Quantity(Box::new(value), words.trim().to_owned());
        let quantity = quantity.at(self.since(start));
        self.compound(quantity, start)
    }
}

impl<'a> Parser<'a> {
    /// Takes one `\text{...}` behind a value into its unit, or a percent or degree word into the
    /// value. False where the text joins or separates values: that is left to the caller.
    fn word_behind(
        &mut self,
        text: &'a str,
        words: &mut String,
        value: &mut Expr,
        start: usize,
    ) -> bool {
        let lower = text.trim().to_ascii_lowercase();
        if lower.is_empty() && !text.contains(',') {
            self.at += 1;
            return true;
        }
        let separates = lower.ends_with("and") || lower.ends_with("or") || lower.ends_with(',');
        if separates && !words.is_empty() || matches!(lower.as_str(), "and" | "or" | "," | "") {
            return false;
        }
        // `\text{ hours and }`: the unit is taken, the word left.
        let joined = [" and", " or"].into_iter().find(|w| lower.ends_with(w));
        if let Some(word) = joined {
            let text = text.trim();
            let (unit, word) = text.split_at(text.len() - word.len());
            if units::read(unit).is_known() {
                words.push(' ');
                words.push_str(unit.trim());
                let at = self.at;
                self.tokens[at].tok = Tok::Text(word);
            }
            return false;
        }
        self.at += 1;
        let span = self.since(start);
        let wrap: fn(Box<Expr>) -> Kind = match lower.trim_end_matches('.') {
            "percent" | "%" | "\\%" | "per cent" => Kind::Percent,
            "degrees" | "degree" | "deg" | "°" | "^\\circ" => Kind::Degree,
            _ => {
                words.push(' ');
                words.push_str(text.trim());
                return true;
            }
        };
        let inner = std::mem::replace(value, Kind::int(0).at(0..0));
        *value = wrap(Box::new(inner)).at(span);
        true
    }

    /// The power of a unit, as it is written: `^2`, `^-1`.
    fn unit_power(&mut self) -> Parsed<String> {
        let power = self.script()?;
        let (sign, size) = match &power.kind {
            Kind::Neg(inner) => ("-", &inner.kind),
            kind => ("", kind),
        };
        match size {
            Kind::Num { value, .. } => Ok(format!("^{sign}{value}")),
            _ => self.fail("a power of a unit that is no number"),
        }
    }
}

/// Where the words behind a number end: before a comma, or before a number with its own unit and
/// the `and` in front.
fn words_end(rest: &str) -> usize {
    let bytes = &rest.as_bytes()[..rest.len().min(MAX_WORDS + 1)];
    let mut open = 0_u32;
    let mut bracketed = false;
    let ends = bytes.iter().position(|b| match b {
        b'{' => {
            open += 1;
            false
        }
        b'}' => {
            open = open.wrapping_sub(1);
            open == u32::MAX
        }
        // `s^(-2)`.
        b'(' => {
            bracketed = true;
            false
        }
        b')' => !std::mem::take(&mut bracketed),
        b',' | b';' | b']' => true,
        _ => false,
    });
    let stops = ends.unwrap_or(bytes.len());
    let next = (1..stops).find(|&i| {
        let mut behind = bytes[i..stops]
            .iter()
            .skip_while(|b| b.is_ascii_digit() || **b == b'.');
        bytes[i].is_ascii_digit()
            && bytes[i - 1] == b' '
            && behind
                .find(|b| **b != b' ')
                .is_some_and(u8::is_ascii_alphabetic)
    });
    match next {
        Some(next) => {
            let head = rest[..next].trim_end();
            head.strip_suffix(" and").unwrap_or(head).len()
        }
        None => stops,
    }
}

/// The terms of one quantity in several units: of one dimension, each unit smaller than the one
/// before.
pub(super) fn compound(items: &[Expr]) -> Option<Vec<Expr>> {
    let mut terms = Vec::new();
    for item in items {
        match &item.kind {
            Kind::Add(more) => terms.extend(more.iter().cloned()),
            _ => terms.push(item.clone()),
        }
    }
    let units: Vec<units::Unit> = terms
        .iter()
        .map(|term| match &term.kind {
            Kind::Quantity(_, unit) => Some(units::read(unit)).filter(units::Unit::is_known),
            _ => None,
        })
        .collect::<Option<_>>()?;
    units
        .windows(2)
        .all(|pair| pair[0].dimension == pair[1].dimension && pair[0].size > pair[1].size)
        .then_some(terms)
}

pub(super) fn money(tok: &Tok<'_>) -> &'static str {
    match tok {
        Tok::Cmd("euro") => "euro",
        Tok::Cmd("pounds") => "GBP",
        Tok::Cmd("yen") => "yen",
        Tok::Cmd("cent") => "cents",
        _ => "dollars",
    }
}
