//! Atoms: numbers, names, constants, fractions, roots, functions and operators with bounds.

use super::{Parsed, Parser, unit::money};
use crate::{
    expr::{Const, Expr, Func, Kind},
    latex_names,
    lex::Tok,
};

impl<'a> Parser<'a> {
    pub(super) fn atom(&mut self) -> Parsed {
        self.nested(Self::atom_here)
    }

    fn atom_here(&mut self) -> Parsed {
        let start = self.start();
        match self.peek().clone() {
            Tok::Num(digits) => {
                self.at += 1;
                self.literal(&digits, start)
            }
            Tok::Letter(c, _) => {
                if let Some(based) = self.hexadecimal(start) {
                    return Ok(based);
                }
                self.at += 1;
                Ok(self.letter(c).at(self.since(start)))
            }
            Tok::Word(word) => self.named(word, start),
            Tok::Cmd(name) => self.command(name, start),
            Tok::Text(text) => self.text_atom(text, start),
            Tok::Ch(bracket @ ('(' | '[')) => {
                if bracket == '('
                    && let Some(based) = self.bracketed_numeral(start)
                {
                    return Ok(based);
                }
                self.bracketed()
            }
            // `]1, 2]`: an interval open on the left.
            Tok::Ch(']') => self.bracketed(),
            Tok::Ch('{') => self.brace_group(),
            Tok::Ch('|') => self.bars_group(),
            _ => self.fail("a value is missing here"),
        }
    }

    pub(super) fn letter(&self, c: char) -> Kind {
        let bound = |name: &str| self.bound.iter().any(|b| b == name);
        match c {
            'e' if !bound("e") => Kind::Const(Const::E),
            'i' if !bound("i") => Kind::Const(Const::I),
            c => Kind::Sym(c.to_string()),
        }
    }

    /// A plain word with a meaning: `sqrt`, `sin`, `pi`.
    fn named(&mut self, word: &'a str, start: usize) -> Parsed {
        self.at += 1;
        match word {
            "sqrt" => return self.root(start),
            "cbrt" => {
                let value = self.argument()?;
                let span = self.since(start);
                return Ok(
                    Kind::Root(Box::new(Kind::int(3).at(span.clone())), Box::new(value)).at(span),
                );
            }
            // `Matrix([[1, 2], [3, 4]])` and the like: the brackets say what it is.
            "Matrix" | "FiniteSet" | "Rational" | "Fraction" if self.is('(') => {
                let args = self.call_arguments()?;
                let span = self.since(start);
                return match (word, <[Expr; 2]>::try_from(args)) {
                    ("Rational" | "Fraction", Ok([above, below])) => {
                        Ok(Kind::Div(Box::new(above), Box::new(below)).at(span))
                    }
                    ("FiniteSet", Ok(two)) => Ok(Kind::Set(two.into()).at(span)),
                    ("FiniteSet", Err(items)) => Ok(Kind::Set(items).at(span)),
                    ("Matrix", Err(mut one)) if one.len() == 1 => Ok(one.remove(0)),
                    _ => self.fail("arguments that are not understood"),
                };
            }
            "not" => return self.negation(start),
            "NaN" | "nan" => return Ok(Kind::Text("NaN".to_owned()).at(self.since(start))),
            _ => {}
        }
        if let Some(constant) = latex_names::constant(word) {
            return Ok(Kind::Const(constant).at(self.since(start)));
        }
        if let Some(func) = latex_names::function(word) {
            return self.function(func, word, start);
        }
        Ok(Kind::Sym(word.to_owned()).at(self.since(start)))
    }

    fn command(&mut self, name: &'a str, start: usize) -> Parsed {
        match name {
            "{" | "lbrace" | "langle" | "lfloor" | "lceil" | "lvert" | "vert" | "lVert"
            | "Vert" | "lbrack" => return self.delimited(name),
            "begin" => return self.environment(),
            _ => {}
        }
        self.at += 1;
        match name {
            "frac" | "dfrac" | "tfrac" | "cfrac" => self.fraction(start),
            "sqrt" => self.root(start),
            "binom" | "dbinom" | "tbinom" => {
                let upper = self.short_argument()?;
                let lower = self.short_argument()?;
                Ok(Kind::Call(Func::Binomial, vec![upper, lower]).at(self.since(start)))
            }
            "sum" | "prod" | "int" | "lim" => self.big(name, start),
            "neg" | "lnot" => self.negation(start),
            "boxed" | "fbox" => self.brace_argument(),
            // Alphabets around a letter or a number, and the angle sign, say nothing of the value.
            "angle" | "triangle" if self.letters_ahead() >= 3 => Ok(self.angle(name, start)),
            "angle" | "triangle" if self.starts_factor() => {
                let inner = self.factor()?;
                Ok(inner)
            }
            _ if latex_names::is_alphabet(name) => self.brace_argument(),
            "$" | "euro" | "pounds" | "yen" | "cent" => {
                let unit = money(&Tok::Cmd(name));
                let negative = self.eat('-');
                let value = self.atom()?;
                let span = self.since(start);
                let value = if negative {
                    Kind::Neg(Box::new(value)).at(span.clone())
                } else {
                    value
                };
                Ok(Kind::Quantity(Box::new(value), unit.to_owned()).at(span))
            }
            "Reals" => Ok(Kind::Const(Const::Reals).at(self.since(start))),
            "PositiveReals" | "NonnegativeReals" => Ok(Kind::Interval {
                lo: Box::new(Kind::int(0).at(self.since(start))),
                hi: Box::new(Kind::Const(Const::Infinity).at(self.since(start))),
                lo_open: name == "PositiveReals",
                hi_open: true,
            }
            .at(self.since(start))),
            "Integers" => Ok(Kind::Const(Const::Integers).at(self.since(start))),
            "Naturals" => Ok(Kind::Const(Const::Naturals).at(self.since(start))),
            "Rationals" => Ok(Kind::Const(Const::Rationals).at(self.since(start))),
            "Complexes" => Ok(Kind::Const(Const::Complexes).at(self.since(start))),
            "ldots" | "dots" | "cdots" | "dotsc" => {
                Ok(Kind::Sym("...".to_owned()).at(self.since(start)))
            }
            _ if latex_names::is_accent(name) => self.accented(name, start),
            _ => {
                if let Some(constant) = latex_names::constant(name).filter(|_| name != "Pi") {
                    return Ok(Kind::Const(constant).at(self.since(start)));
                }
                if let Some(func) = latex_names::function(name) {
                    return self.function(func, name, start);
                }
                if latex_names::is_symbol(name) || !latex_names::is_command(name) {
                    let name = name
                        .strip_prefix("var")
                        .filter(|n| latex_names::is_symbol(n))
                        .unwrap_or(name);
                    return Ok(Kind::Sym(name.to_owned()).at(self.since(start)));
                }
                self.at -= 1;
                self.fail("a value is missing here")
            }
        }
    }

    /// `\angle ABC`: a name, the same from either end.
    fn angle(&mut self, name: &str, start: usize) -> Expr {
        // The vertex stands in the middle; a triangle has no order.
        let count = self.letters_ahead();
        let mut letters: Vec<char> = Vec::new();
        for _ in 0..count {
            if let Tok::Letter(c, _) = self.next() {
                letters.push(c);
            }
        }
        if name == "triangle" {
            letters.sort_unstable();
        } else if letters.first() > letters.last() {
            letters.reverse();
        }
        let letters: String = letters.into_iter().collect();
        Kind::Sym(format!("{name}:{letters}")).at(self.since(start))
    }

    /// A name under an accent.
    fn accented(&mut self, name: &str, start: usize) -> Parsed {
        // `\overline{AB}` is one name.
        let from = self.start();
        let skip = matches!(name, "overset");
        if skip {
            self.brace_argument()?;
        }
        self.brace_argument()?;
        let raw: String = self.text[from..self.since(from).end]
            .chars()
            .filter(|c| !matches!(c, '{' | '}' | ' '))
            .collect();
        Ok(Kind::Sym(format!("{}:{raw}", latex_names::accent(name))).at(self.since(start)))
    }

    /// Capital letters that come side by side.
    fn letters_ahead(&self) -> usize {
        let letter = |n: &usize| matches!(self.ahead(*n), Tok::Letter('A'..='Z', _));
        (0..8).take_while(letter).count()
    }

    fn fraction(&mut self, start: usize) -> Parsed {
        if let Some(derivative) = self.derivative(start) {
            return Ok(derivative);
        }
        let above = self.short_argument()?;
        let below = self.short_argument()?;
        Ok(Kind::Div(Box::new(above), Box::new(below)).at(self.since(start)))
    }

    fn root(&mut self, start: usize) -> Parsed {
        let degree = if self.is('[') {
            self.at += 1;
            let degree = self.list()?;
            if !self.eat(']') {
                return self.fail("a closing bracket is missing");
            }
            degree
        } else {
            Kind::int(2).at(self.since(start))
        };
        let value = self.short_argument()?;
        Ok(Kind::Root(Box::new(degree), Box::new(value)).at(self.since(start)))
    }

    /// The argument of `\frac`, `\sqrt`: a group, or one digit or atom (`\frac12`, `\frac9{19}`,
    /// `\sqrt2`).
    pub(super) fn short_argument(&mut self) -> Parsed {
        if self.is('{') {
            return self.nested(Self::brace_group);
        }
        let start = self.start();
        if let Tok::Num(digits) = self.peek().clone() {
            let fraction = matches!(
                self.at.checked_sub(1).map(|i| &self.tokens[i].tok),
                Some(Tok::Cmd(_) | Tok::Num(_) | Tok::Ch('}'))
            );
            if fraction
                && digits.fraction.is_none()
                && digits.exponent == 0
                && digits.whole.len() > 1
                && self.token().end - start == digits.whole.len()
            {
                // LaTeX takes one digit: leave the others for the next argument.
                let after_root = matches!(
                    self.at.checked_sub(1).map(|i| &self.tokens[i].tok),
                    Some(Tok::Cmd("sqrt"))
                );
                if !after_root {
                    let (first, rest) = digits.whole.split_at(1);
                    let mut one = digits.clone();
                    one.whole = first.to_owned();
                    let mut others = digits.clone();
                    others.whole = rest.to_owned();
                    let index = self.at;
                    self.tokens[index].tok = Tok::Num(others);
                    self.tokens[index].start += 1;
                    let value = first.parse().unwrap_or(0);
                    return Ok(Kind::int(value).at(start..start + 1));
                }
            }
        }
        self.atom()
    }

    pub(super) fn brace_argument(&mut self) -> Parsed {
        if self.is('{') {
            self.nested(Self::brace_group)
        } else {
            self.atom()
        }
    }
}
