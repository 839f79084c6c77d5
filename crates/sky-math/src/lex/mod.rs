//! Tokens of mathematical text, numbers read with their separators.

mod command;
mod group;
mod number;
mod token;
mod word;

use super::budget::{Budget, OutOfBudget};
pub(crate) use group::group_end;
use number::{long_list, read_number};
pub(crate) use token::{Commas, Digits, Spelling, Tok, Token};

/// Takes a text apart. The last token is [`Tok::End`].
pub(crate) fn lex<'a>(
    text: &'a str,
    spelling: Spelling,
    budget: &Budget,
) -> Result<Vec<Token<'a>>, OutOfBudget> {
    let mut lexer = Lexer {
        text,
        at: 0,
        space: false,
        depth: 0,
        spelling,
        lists_until: 0,
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
    spelling: Spelling,
    /// Up to here numbers stand in a list too long for one number.
    lists_until: usize,
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

    /// The end of the group that opens at `open`. Looking for it is paid for; a spent budget ends
    /// the next step.
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
            '.' if rest.starts_with("...") => {
                let dots = rest.bytes().take_while(|b| *b == b'.').count();
                self.push(Tok::Cmd("ldots"), self.at + dots);
            }
            // `1..` is no number, nor the end of a sentence.
            '.' if rest.starts_with("..") => self.push(Tok::Ch('\u{2025}'), self.at + 2),
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

    fn number(&mut self) {
        if self.at >= self.lists_until {
            self.lists_until = self.at + long_list(self.rest()).unwrap_or(0);
        }
        let top = self.depth == 0 && self.at >= self.lists_until;
        // `\log_2 128`: what stands behind the index is another number.
        let index = matches!(self.out.last().map(|t| &t.tok), Some(Tok::Ch('_')));
        let rest = self.rest();
        let run = rest.find(|c: char| !c.is_ascii_digit()).filter(|_| index);
        // `2^6 300`: and what stands behind a power.
        let power = matches!(self.out.last().map(|t| &t.tok), Some(Tok::Ch('^')));
        // Not looked for in the whole rest of a long text.
        let space = || rest.bytes().take(64).position(|b| b == b' ');
        let run = if power { run.or_else(space) } else { run };
        let literal = read_number(
            &rest[..run.unwrap_or(rest.len())],
            self.spelling.commas,
            top,
        );
        self.push(Tok::Num(literal.digits), self.at + literal.len);
    }
}

fn unescaped_dollars(text: &str) -> usize {
    text.match_indices('$')
        .filter(|(at, _)| !text[..*at].ends_with('\\'))
        .count()
}
