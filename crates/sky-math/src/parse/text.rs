//! `\text{...}` where a value is expected: a number in words, a function, mathematics, an answer in
//! words.

use super::{Parsed, Parser};
use crate::{
    expr::{Expr, Kind},
    latex_names,
    lex::{Tok, lex},
    wording,
};

/// Whether words in front of a value only introduce it.
fn leads(text: &str) -> bool {
    let words = text.to_ascii_lowercase();
    let words = words.trim_end_matches(['.', ':', '=']).trim_end();
    matches!(
        words,
        "about"
            | "approximately"
            | "approx"
            | "around"
            | "roughly"
            | "exactly"
            | "rs"
            | "usd"
            | "us"
            | "inr"
            | "eur"
    ) || words.ends_with(" is")
        || words.ends_with(" are")
        || text.ends_with([':', '='])
}

impl<'a> Parser<'a> {
    /// Words: a number, a function's name, a unit alone, or an answer in words.
    pub(super) fn text_atom(&mut self, text: &'a str, start: usize) -> Parsed {
        self.at += 1;
        let trimmed = text
            .trim()
            .trim_matches(|c| matches!(c, '.' | ',' | '$'))
            .trim();
        if let Some(func) = latex_names::function(trimmed) {
            return self.function(func, trimmed, start);
        }
        let mut letters = trimmed.chars().filter(|c| !matches!(c, '(' | ')'));
        let symbol = match (letters.next(), letters.next()) {
            (Some(c), None) if c.is_ascii_alphabetic() => Some(c),
            _ => None,
        };
        if let Some(c) = symbol {
            return Ok(self.letter(c).at(self.since(start)));
        }
        if let Some(value) = wording::number(trimmed) {
            let number = Kind::Num {
                value,
                decimals: None,
            };
            return Ok(number.at(self.since(start)));
        }
        // `\text{approximately } 5`, `\text{Rs. } 500`: what stands before a value and is none of
        // it.
        if leads(trimmed) && self.starts_factor() {
            return self.factor();
        }
        let numeric = trimmed.starts_with(|c: char| {
            c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | '(' | '\\' | '$')
        }) && trimmed.len() < 200
            && trimmed.bytes().any(|b| b.is_ascii_digit());
        // `\textbf{x + 1}`: signs and no words.
        let signs = trimmed.contains(['=', '+', '^', '\\', '<', '>'])
            && !trimmed
                .split(|c: char| !c.is_alphabetic())
                .any(|word| word.len() > 2 && !latex_names::is_command(word));
        if (numeric || signs && trimmed.len() < 200)
            && let Some(inner) = self.reparse(trimmed)
        {
            return Ok(Expr {
                span: self.since(start),
                ..inner
            });
        }
        // Words that come in several pieces are one answer.
        let mut words = trimmed.to_owned();
        while let Tok::Text(more) = self.peek() {
            words.push(' ');
            words.push_str(more.trim());
            self.at += 1;
        }
        Ok(Kind::Text(words).at(self.since(start)))
    }

    /// Parses what stood inside `\text{}` as mathematics.
    fn reparse(&self, text: &str) -> Option<Expr> {
        let tokens = lex(text, self.reading.spelling, self.budget).ok()?;
        let mut inner = Parser {
            text,
            tokens,
            at: 0,
            depth: self.depth + 1,
            top: self.depth + 1,
            bars: false,
            nested_bars: false,
            open_bars: 0,
            integrals: 0,
            bound: self.bound.clone(),
            reading: self.reading,
            ambiguous_division: false,
            budget: self.budget,
        };
        let expr = inner.list().ok()?;
        matches!(inner.peek(), Tok::End).then_some(expr)
    }
}
