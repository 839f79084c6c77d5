//! From text to tree: a recursive descent with a bounded depth over a forgiving grammar of LaTeX and plain mathematics.

mod apply;
mod atom;
mod bounded;
mod group;
mod literal;
mod operator;
mod relation;
mod unit;

use super::{
    budget::{Budget, Spent},
    expr::{Expr, Func, Kind, Rel, Span},
    lex::{Commas, Tok, Token, lex},
};

/// Nesting beyond this is refused: every later pass recurses on the tree.
const MAX_DEPTH: u32 = 90;
/// Marks behind one operand (`5!!!`) and operators in a row beyond this are refused.
const MAX_MARKS: usize = 16;
/// Longest text worth parsing, in bytes.
pub(super) const MAX_TEXT: usize = 1 << 16;

/// Readings of what is written ambiguously.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Reading {
    pub(super) commas: Commas,
    /// `1/2x` is `1/(2x)`; otherwise `(1/2)x`.
    pub(super) tight: bool,
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
    /// A division is followed by a product without a sign, so that the other `tight` would read differently.
    pub(super) loose_division: bool,
}

/// Parses cleaned text.
pub(super) fn parse(text: &str, reading: Reading, budget: &Budget) -> Parsed<Tree> {
    if text.len() > MAX_TEXT {
        return Err(ParseError {
            at: 0..text.len(),
            what: "longer than an answer is",
        });
    }
    let spent = |Spent| ParseError {
        at: 0..text.len(),
        what: "the work budget is spent",
    };
    let tokens = lex(text, reading.commas, budget).map_err(spent)?;
    let mut parser = Parser {
        text,
        tokens,
        at: 0,
        depth: 0,
        top: 0,
        bars: false,
        integrals: 0,
        bound: Vec::new(),
        reading,
        loose_division: false,
        budget,
    };
    parser.trim_end();
    let expr = parser.list()?;
    if !matches!(parser.peek(), Tok::End) {
        return parser.fail("unexpected here");
    }
    Ok(Tree {
        expr,
        loose_division: parser.loose_division,
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
    /// Integrals open, in which `d x` ends the body.
    integrals: u32,
    /// Names bound by sums around here: `i` is one of them, not the imaginary unit.
    bound: Vec<String>,
    reading: Reading,
    loose_division: bool,
    budget: &'a Budget,
}

/// What parts two items of a list.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Parting {
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
        let mut partings = Vec::new();
        while let Some(parting) = self.parting() {
            if self.ends() {
                break;
            }
            partings.push(parting);
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
        if let Some(op) = relation::conditions(&items, &partings) {
            return Ok(Kind::Sets(op, items).at(span));
        }
        // `2 hours and 30 minutes` is one quantity.
        if partings.iter().all(|&p| p == Parting::And)
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
    fn parting(&mut self) -> Option<Parting> {
        let mut found = None;
        loop {
            let this = match self.peek() {
                Tok::Ch(',' | ';') => Parting::Comma,
                Tok::Word("and") | Tok::Cmd("land" | "wedge") | Tok::Ch('&') => Parting::And,
                Tok::Word("or") | Tok::Cmd("lor" | "vee") => Parting::Or,
                Tok::Text(text) => {
                    let words = text.trim().trim_matches(',').trim().to_ascii_lowercase();
                    let ends = |word: &str| words == word || words.ends_with(&format!(" {word}"));
                    if ends("and") || words == "&" {
                        Parting::And
                    } else if ends("or") {
                        Parting::Or
                    } else if words.is_empty() && text.contains(',') {
                        Parting::Comma
                    } else {
                        return found;
                    }
                }
                _ => return found,
            };
            self.at += 1;
            // "a, and b" parts as "and" does.
            found = Some(match (found, this) {
                (Some(before), Parting::Comma) => before,
                _ => this,
            });
        }
    }

    /// Terms with signs between them.
    fn sum(&mut self) -> Parsed {
        let start = self.start();
        let mut terms: Vec<Expr> = Vec::new();
        let mut spread: Option<(Expr, bool)> = None;
        loop {
            if self.budget.take(4).is_err() {
                return self.fail("the work budget is spent");
            }
            let at = self.start();
            let mut negative = false;
            let mut signed = false;
            loop {
                if self.eat('-') {
                    negative = !negative;
                } else if !self.eat('+') {
                    break;
                }
                signed = true;
            }
            let pm = match self.peek() {
                Tok::Cmd("pm") => Some(false),
                Tok::Cmd("mp") => Some(true),
                _ => None,
            };
            if let Some(mp) = pm {
                self.at += 1;
                let term = self.product()?;
                if spread.is_some() || (negative && !terms.is_empty()) {
                    return self.fail("more than one plus-minus");
                }
                spread = Some((term, mp));
            } else if !terms.is_empty() && !signed {
                break;
            } else {
                let term = self.product()?;
                let span = self.since(at);
                terms.push(match (negative, term.kind) {
                    // `-7 \bmod 3` is that of -7.
                    (true, Kind::Call(Func::Mod, mut args))
                        if terms.is_empty() && args.len() == 2 =>
                    {
                        let value = args.remove(0);
                        let value = Kind::Neg(Box::new(value)).at(span.clone());
                        args.insert(0, value);
                        Kind::Call(Func::Mod, args).at(span)
                    }
                    (true, kind) => Kind::Neg(Box::new(kind.at(term.span))).at(span),
                    (false, kind) => kind.at(term.span),
                });
            }
            if !(matches!(self.peek(), Tok::Ch('+' | '-'))
                || self.is_cmd("pm")
                || self.is_cmd("mp"))
            {
                break;
            }
        }
        let span = self.since(start);
        let base = match terms.len() {
            0 => None,
            1 => Some(terms.remove(0)),
            _ => Some(Kind::Add(terms).at(span.clone())),
        };
        match (base, spread) {
            (base, Some((term, mp))) => {
                Ok(Kind::PlusMinus(base.map(Box::new), Box::new(term), mp).at(span))
            }
            (Some(base), None) => Ok(base),
            (None, None) => self.fail("a value is missing here"),
        }
    }

    /// Factors, with or without a sign between them, and divisions.
    fn product(&mut self) -> Parsed {
        let start = self.start();
        let mut above = vec![self.factor()?];
        let mut below: Vec<Expr> = Vec::new();
        let mut divided = false;
        loop {
            if self.budget.take(4).is_err() {
                return self.fail("the work budget is spent");
            }
            match self.peek() {
                // Operations that do not commute, as far as is known: `f \circ g`, `\vec{a} \times \vec{b}`.
                Tok::Cmd(op @ ("circ" | "star" | "oplus" | "otimes" | "bullet" | "times"))
                    if *op != "times" || above.last().is_some_and(is_vector) =>
                {
                    let op = (*op).to_owned();
                    self.at += 1;
                    let right = self.signed_factor()?;
                    let span = self.since(start);
                    let args = above.pop().into_iter().chain([right]).collect();
                    above.push(Kind::Apply(op, args).at(span));
                }
                Tok::Ch('*') | Tok::Cmd("cdot" | "times" | "ast") => {
                    // `5 \times` at the end of a text.
                    self.at += 1;
                    above.push(self.signed_factor()?);
                    divided = false;
                }
                Tok::Ch('/') | Tok::Cmd("div") => {
                    self.at += 1;
                    below.push(self.signed_factor()?);
                    divided = true;
                }
                Tok::Cmd("bmod" | "mod") | Tok::Word("mod") => {
                    self.at += 1;
                    let modulus = self.signed_factor()?;
                    let left = quotient(above, std::mem::take(&mut below), self.since(start));
                    // `3 mod 7` has been reduced: it names a class.
                    let func = if is_reduced(&left, &modulus) {
                        Func::Residue
                    } else {
                        Func::Mod
                    };
                    let rest = Kind::Call(func, vec![left, modulus]).at(self.since(start));
                    above = vec![rest];
                    divided = false;
                }
                Tok::Cmd("pmod") => {
                    self.at += 1;
                    let modulus = self.brace_argument()?;
                    let left = quotient(above, below, self.since(start));
                    return Ok(Kind::Call(Func::Residue, vec![left, modulus]).at(self.since(start)));
                }
                Tok::Cmd("choose") => {
                    self.at += 1;
                    let low = self.product()?;
                    let left = quotient(above, below, self.since(start));
                    return Ok(Kind::Call(Func::Binomial, vec![left, low]).at(self.since(start)));
                }
                Tok::Cmd("over") => {
                    self.at += 1;
                    let low = self.nested(Self::sum)?;
                    let left = quotient(above, below, self.since(start));
                    return Ok(Kind::Div(Box::new(left), Box::new(low)).at(self.since(start)));
                }
                // `2.5 x 10^3`.
                Tok::Letter('x', "x")
                    if matches!(above.last().map(|e| &e.kind), Some(Kind::Num { .. }))
                        && matches!(self.ahead(1), Tok::Num(ten) if ten.whole == "10" && ten.fraction.is_none())
                        && matches!(self.ahead(2), Tok::Ch('^')) =>
                {
                    self.at += 1;
                    above.push(self.factor()?);
                }
                _ if self.starts_factor() => {
                    if let Some(unit) = self.unit_behind(!below.is_empty()) {
                        let value = quotient(above, below, self.since(start));
                        let quantity = Kind::Quantity(Box::new(value), unit);
                        let quantity = quantity.at(self.since(start));
                        return self.compound(quantity, start);
                    }
                    if let Some(part) = self.plain_fraction(above.last(), &below)? {
                        let whole = above.pop();
                        let span = self.since(start);
                        above.push(Kind::Add(whole.into_iter().chain([part]).collect()).at(span));
                        continue;
                    }
                    let mixed = self.mixed_ahead(above.last(), &below);
                    let factor = self.factor()?;
                    if let Some(angle) = operator::minutes(above.last(), &factor) {
                        above.pop();
                        above.push(angle.at(self.since(start)));
                        continue;
                    }
                    if mixed && let Some(part) = fraction_of(&factor) {
                        let whole = above.pop();
                        let span = self.since(start);
                        let parts = whole.into_iter().chain([part]).collect();
                        let mixed = Box::new(Kind::Add(parts).at(span.clone()));
                        above.push(match factor.kind {
                            Kind::Percent(_) => Kind::Percent(mixed).at(span),
                            Kind::Degree(_) => Kind::Degree(mixed).at(span),
                            _ => *mixed,
                        });
                    } else if divided {
                        self.loose_division = true;
                        if self.reading.tight {
                            below.push(factor);
                        } else {
                            above.push(factor);
                        }
                    } else {
                        above.push(factor);
                    }
                }
                Tok::Text(_) => {
                    let value = quotient(above, below, self.since(start));
                    return self.text_behind(value, start);
                }
                _ => return Ok(quotient(above, below, self.since(start))),
            }
        }
    }

    /// A factor after an explicit sign, which may have signs of its own: `2 \cdot -3`.
    fn signed_factor(&mut self) -> Parsed {
        let start = self.start();
        let mut negative = false;
        loop {
            if self.eat('-') {
                negative = !negative;
            } else if !self.eat('+') {
                break;
            }
        }
        let factor = self.factor()?;
        Ok(if negative {
            Kind::Neg(Box::new(factor)).at(self.since(start))
        } else {
            factor
        })
    }
}

/// `\vec{a}`.
fn is_vector(e: &Expr) -> bool {
    matches!(&e.kind, Kind::Sym(name) if name.starts_with("vec:"))
}

/// Whether a literal is a remainder of division by another.
fn is_reduced(value: &Expr, modulus: &Expr) -> bool {
    match (&value.kind, &modulus.kind) {
        (Kind::Num { value, .. }, Kind::Num { value: modulus, .. }) => value < modulus,
        _ => false,
    }
}

/// The fraction of a mixed number without a percent or degree sign behind it: in `12\frac12\%` that is the sign of the whole
/// number too.
fn fraction_of(factor: &Expr) -> Option<Expr> {
    let inner = match &factor.kind {
        Kind::Percent(inner) | Kind::Degree(inner) => inner,
        _ => factor,
    };
    matches!(inner.kind, Kind::Div(..)).then(|| inner.clone())
}

/// The product of `above` over the product of `below`.
fn quotient(mut above: Vec<Expr>, mut below: Vec<Expr>, span: Span) -> Expr {
    let product = |items: &mut Vec<Expr>| match items.len() {
        1 => items.remove(0),
        _ => Kind::Mul(std::mem::take(items)).at(span.clone()),
    };
    let top = product(&mut above);
    if below.is_empty() {
        return top;
    }
    let bottom = product(&mut below);
    Kind::Div(Box::new(top), Box::new(bottom)).at(span)
}
