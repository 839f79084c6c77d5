//! What stands behind a value: units, percent and degree words, money.

use super::{MAX_MARKS, Parsed, Parser};
use crate::math::{
    expr::{Expr, Kind},
    lex::Tok,
    units,
};

impl<'a> Parser<'a> {
    /// A unit in plain letters behind a number (`35 cm`, `18 dollars`): takes it.
    pub(super) fn unit_behind(&mut self, below: bool) -> Option<String> {
        let Tok::Letter(_, run) = *self.peek() else {
            return None;
        };
        let plain = units::is_plain_unit(run)
            || matches!(run, "th" | "st" | "nd" | "rd")
            || self.token().space && self.rate_ahead();
        let worded = self.token().space && units::is_wordlike(run);
        if run.is_empty() || self.depth > self.top + 3 || below || !(plain || worded) {
            return None;
        }
        // Behind a number, a closing bracket or a root; everything up to the end has to be words.
        let rest = &self.text[self.start()..];
        // Words for a unit are few.
        let worded = rest.len() <= 200
            && rest.bytes().all(|b| {
                b.is_ascii_alphabetic()
                    || b.is_ascii_digit()
                    || matches!(b, b' ' | b'^' | b'{' | b'}' | b'.' | b'/' | b'-' | b'\'')
            });
        let before = self.at.checked_sub(1).map(|i| &self.tokens[i].tok);
        let valued = matches!(
            before,
            Some(Tok::Num(_) | Tok::Ch(')' | '}') | Tok::Cmd("pi"))
        );
        if !worded || !valued {
            return None;
        }
        self.at = self.tokens.len() - 1;
        Some(rest.trim().to_owned())
    }

    /// Whether `m/s^2` comes and nothing behind it.
    fn rate_ahead(&self) -> bool {
        let rest = &self.text[self.start()..];
        let rate = rest.split_once('/').is_some_and(|(above, below)| {
            let word = |t: &str| t.starts_with(|c: char| c.is_ascii_alphabetic());
            word(above) && word(below) && !rest.contains(['-', ' ', '.'])
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
            if marks > MAX_MARKS {
                return self.fail("too many words behind a value");
            }
            match self.peek() {
                Tok::Text(text) => {
                    let lower = text.trim().to_ascii_lowercase();
                    let separates =
                        lower.ends_with("and") || lower.ends_with("or") || lower.ends_with(',');
                    if separates && !words.is_empty()
                        || matches!(lower.as_str(), "and" | "or" | "," | "")
                    {
                        if lower.is_empty() && !text.contains(',') {
                            self.at += 1;
                            continue;
                        }
                        break;
                    }
                    if lower.ends_with(" and") || lower.ends_with(" or") {
                        break;
                    }
                    match lower.trim_end_matches('.') {
                        "percent" | "%" | "\\%" | "per cent" => {
                            self.at += 1;
                            let span = self.since(start);
                            value = Kind::Percent(Box::new(value)).at(span);
                            continue;
                        }
                        "degrees" | "degree" | "deg" | "°" | "^\\circ" => {
                            self.at += 1;
                            let span = self.since(start);
                            value = Kind::Degree(Box::new(value)).at(span);
                            continue;
                        }
                        _ => {}
                    }
                    words.push(' ');
                    words.push_str(text.trim());
                    self.at += 1;
                }
                // `\text{ m}^2`, `\text{km}/\text{h}`, and loose letters between.
                Tok::Ch('^') if !words.is_empty() => {
                    self.at += 1;
                    let power = self.script()?;
                    if let Kind::Num { value, .. } = &power.kind {
                        words.push('^');
                        words.push_str(&value.to_string());
                    } else {
                        return self.fail("a power of a unit that is no number");
                    }
                }
                Tok::Ch('/') if !words.is_empty() && matches!(self.ahead(1), Tok::Text(_)) => {
                    words.push('/');
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
        Ok(Kind::Quantity(Box::new(value), words.trim().to_owned()).at(self.since(start)))
    }
}

pub(super) fn money(tok: &Tok<'_>) -> &'static str {
    match tok {
        Tok::Cmd("euro") => "euro",
        Tok::Cmd("pounds") => "pounds sterling",
        Tok::Cmd("yen") => "yen",
        Tok::Cmd("cent") => "cents",
        _ => "dollars",
    }
}
