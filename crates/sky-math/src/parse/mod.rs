//! From text to tree: a recursive descent with a bounded depth over a forgiving grammar of LaTeX
//! and plain mathematics.

mod application;
mod atom;
mod big_operator;
mod factor;
mod function;
mod group;
mod literal;
mod product;
mod relation;
mod script;
mod text;
mod unit;

use super::{
    budget::{Budget, OutOfBudget},
    expr::{Expr, Kind, Rel, Span},
    lex::{Spelling, Tok, Token, lex},
};

/// Nesting beyond this is refused: every later pass recurses on the tree.
const MAX_DEPTH: u32 = 90;
/// Marks behind one operand (`5!!!`) and operators in a row beyond this are refused.
const MAX_POSTFIXES: usize = 16;
/// Longest text worth parsing, in bytes.
pub(super) const MAX_TEXT: usize = 1 << 16;

/// Readings of what is written ambiguously.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Reading {
    pub(super) spelling: Spelling,
    /// A bar within bars opens others where it can.
    pub(super) nested_bars: bool,
    /// `1/2x` is `1/(2x)`; otherwise `(1/2)x`.
    pub(super) juxtaposition_first: bool,
    /// `\log` without a base is decimal; otherwise natural.
    pub(super) decimal_log: bool,
}

/// Why a text has no tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ParseError {
    pub(crate) at: Span,
    pub(crate) what: &'static str,
}

pub(super) type Parsed<T = Expr> = Result<T, ParseError>;

/// A parsed text with what else it might mean.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) expr: Expr,
    /// A division is followed by a product without a sign, so that the other `tight` would read
    /// differently.
    pub(super) ambiguous_division: bool,
}

/// Parses cleaned text.
pub(super) fn parse(text: &str, reading: Reading, budget: &Budget) -> Parsed<Tree> {
    if text.len() > MAX_TEXT {
        return Err(ParseError {
            at: 0..text.len(),
            what: "longer than an answer is",
        });
    }
    let spent = |OutOfBudget| ParseError {
        at: 0..text.len(),
        what: "the work budget is spent",
    };
    let read = |nested_bars| {
        let tokens = lex(text, reading.spelling, budget).map_err(spent)?;
        read(text, tokens, reading, nested_bars, budget)
    };
    match read(reading.nested_bars) {
        Err(first) if may_nest_bars(text) => read(true).or(Err(first)),
        tree => tree,
    }
}

/// Whether groups of bars may lie within each other: four bars at least, but not so many that
/// counting them would cost.
pub(super) fn may_nest_bars(text: &str) -> bool {
    (4..=16).contains(&text.matches('|').count())
}

fn read(
    text: &str,
    tokens: Vec<Token<'_>>,
    reading: Reading,
    nested_bars: bool,
    budget: &Budget,
) -> Parsed<Tree> {
    let mut parser = Parser {
        text,
        tokens,
        at: 0,
        depth: 0,
        top: 0,
        bars: false,
        nested_bars,
        open_bars: 0,
        integrals: 0,
        bound: Vec::new(),
        reading,
        ambiguous_division: false,
        budget,
    };
    parser.trim_end();
    let expr = parser.list()?;
    if !matches!(parser.peek(), Tok::End) {
        return parser.fail("unexpected here");
    }
    Ok(Tree {
        expr,
        ambiguous_division: parser.ambiguous_division,
    })
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token<'a>>,
    at: usize,
    depth: u32,
    /// The depth at which this text begins: that of a text inside `\text{}`.
    top: u32,
    /// Inside `|...|` or a set-builder, where a bar ends the expression.
    bars: bool,
    /// A bar within bars opens others where it can.
    nested_bars: bool,
    /// Groups of bars open.
    open_bars: usize,
    /// Integrals open, in which `d x` ends the body.
    integrals: u32,
    /// Names bound by sums around here: `i` is one of them, not the imaginary unit.
    bound: Vec<String>,
    reading: Reading,
    ambiguous_division: bool,
    budget: &'a Budget,
}

/// What parts two items of a list.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Separator {
    Comma,
    And,
    Or,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> &Tok<'a> {
        &self.tokens[self.at.min(self.tokens.len() - 1)].tok
    }

    fn token(&self) -> &Token<'a> {
        &self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    fn ahead(&self, n: usize) -> &Tok<'a> {
        &self.tokens[(self.at + n).min(self.tokens.len() - 1)].tok
    }

    fn next(&mut self) -> Tok<'a> {
        let tok = self.peek().clone();
        if self.at < self.tokens.len() - 1 {
            self.at += 1;
        }
        tok
    }

    fn is(&self, c: char) -> bool {
        *self.peek() == Tok::Ch(c)
    }

    fn is_cmd(&self, name: &str) -> bool {
        matches!(self.peek(), Tok::Cmd(n) if *n == name)
    }

    fn eat(&mut self, c: char) -> bool {
        let hit = self.is(c);
        if hit {
            self.at += 1;
        }
        hit
    }

    fn eat_cmd(&mut self, name: &str) -> bool {
        let hit = self.is_cmd(name);
        if hit {
            self.at += 1;
        }
        hit
    }

    fn start(&self) -> usize {
        self.token().start
    }

    /// From `start` to the end of the token just taken.
    fn since(&self, start: usize) -> Span {
        let end = self.at.checked_sub(1).map_or(start, |i| self.tokens[i].end);
        start..end.max(start)
    }

    fn fail<T>(&self, what: &'static str) -> Parsed<T> {
        let token = self.token();
        Err(ParseError {
            at: token.start..token.end,
            what,
        })
    }

    fn nested<T>(&mut self, f: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= MAX_DEPTH {
            return self.fail("nested too deeply");
        }
        if self.budget.take(20).is_err() {
            return self.fail("the work budget is spent");
        }
        self.depth += 1;
        let result = f(self);
        self.depth -= 1;
        result
    }

    /// Drops full stops, commas and row ends behind the answer.
    fn trim_end(&mut self) {
        while self.tokens.len() >= 2 {
            let last = &self.tokens[self.tokens.len() - 2].tok;
            let tail = matches!(
                last,
                Tok::Ch('.' | ',' | ';' | ':' | '"' | '`' | '*') | Tok::Row
            ) || matches!(last, Tok::Text(t) if t.trim().is_empty() || t.trim() == ".");
            if !tail {
                break;
            }
            let at = self.tokens.len() - 2;
            self.tokens.remove(at);
        }
    }

    /// Items parted by commas, semicolons, `and`, `or`; one item is itself.
    fn list(&mut self) -> Parsed {
        self.nested(Self::list_here)
    }

    fn list_here(&mut self) -> Parsed {
        let start = self.start();
        let mut items = vec![self.relation()?];
        let mut separators = Vec::new();
        let mut signs = true;
        loop {
            let sign = matches!(self.peek(), Tok::Cmd("land" | "wedge" | "lor" | "vee"));
            let Some(separator) = self.separator() else {
                break;
            };
            signs &= sign;
            if self.ends() {
                break;
            }
            separators.push(separator);
            let item = self.relation()?;
            // `x \ne 2, 3` excludes both.
            let item = match items.last().map(|e| &e.kind) {
                Some(Kind::Relation(name, rest))
                    if matches!(rest.as_slice(), [(Rel::Ne, _)]) && item.is_scalar() =>
                {
                    let span = item.span.clone();
                    Kind::Relation(name.clone(), vec![(Rel::Ne, item)]).at(span)
                }
                _ => item,
            };
            items.push(item);
        }
        let span = self.since(start);
        if signs && let Some(statement) = relation::statement(&items, &separators) {
            return Ok(statement.at(span));
        }
        if let Some(set) = relation::conditions(&items, &separators) {
            return Ok(set.at(span));
        }
        // `2 hours and 30 minutes` is one quantity.
        if separators.iter().all(|&p| p == Separator::And)
            && items.len() > 1
            && let Some(terms) = unit::compound(&items)
        {
            return Ok(Kind::Add(terms).at(span));
        }
        Ok(match items.len() {
            1 => items.remove(0),
            _ => Kind::List(items).at(span),
        })
    }

    fn ends(&self) -> bool {
        matches!(
            self.peek(),
            Tok::End
                | Tok::Row
                | Tok::Ch(')' | ']' | '}')
                | Tok::Cmd("}" | "rangle" | "end" | "rbrace")
        )
    }

    /// Takes what parts two items: commas, semicolons, `and`, `or`, in any combination.
    fn separator(&mut self) -> Option<Separator> {
        let mut found = None;
        loop {
            let this = match self.peek() {
                Tok::Ch(',' | ';') => Separator::Comma,
                Tok::Word("and") | Tok::Cmd("land" | "wedge") | Tok::Ch('&') => Separator::And,
                Tok::Word("or") | Tok::Cmd("lor" | "vee") => Separator::Or,
                Tok::Text(text) => {
                    let words = text.trim().trim_matches(',').trim().to_ascii_lowercase();
                    let ends = |word: &str| words == word || words.ends_with(&format!(" {word}"));
                    if ends("and") || words == "&" {
                        Separator::And
                    } else if ends("or") {
                        Separator::Or
                    } else if words.is_empty() && text.contains(',') {
                        Separator::Comma
                    } else {
                        return found;
                    }
                }
                _ => return found,
            };
            self.at += 1;
            // "a, and b" parts as "and" does.
            found = Some(match (found, this) {
                (Some(before), Separator::Comma) => before,
                _ => this,
            });
        }
    }
}
