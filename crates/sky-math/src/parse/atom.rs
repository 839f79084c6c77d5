//! Atoms: numbers, names, constants, fractions, roots, functions and operators with bounds.

use super::{Parsed, Parser, unit::money};
use crate::{
    expr::{Const, Expr, Func, Kind},
    latex_names::{self, Detour},
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
        // `\overline{AB}` is a name of its own.
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
    fn short_argument(&mut self) -> Parsed {
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

    /// A function with its power, base and argument: `\sin^2 x`, `\log_2 n`, `\ln{\left(2\right)}`.
    pub(super) fn function(&mut self, func: Func, name: &str, start: usize) -> Parsed {
        let mut power = None;
        let mut base = None;
        for _ in 0..2 {
            if self.is('^') && power.is_none() {
                self.at += 1;
                power = Some(self.script()?);
            } else if self.is('_')
                && base.is_none()
                && matches!(func, Func::Ln | Func::Max | Func::Min)
            {
                self.at += 1;
                base = Some(self.subscript()?);
            }
        }
        let inverse = matches!(&power, Some(p) if matches!(&p.kind, Kind::Neg(one) if one.kind == Kind::int(1)));
        let (func, power) = match (func, inverse) {
            (Func::Sin, true) => (Func::Asin, None),
            (Func::Cos, true) => (Func::Acos, None),
            (Func::Tan, true) => (Func::Atan, None),
            (Func::Cot, true) => (Func::Acot, None),
            (Func::Sinh, true) => (Func::Asinh, None),
            (Func::Cosh, true) => (Func::Acosh, None),
            (Func::Tanh, true) => (Func::Atanh, None),
            (Func::Sec, true) => (Func::Acos, None),
            (Func::Csc, true) => (Func::Asin, None),
            (func, _) => (func, power),
        };
        let detour = match (latex_names::detour(name), inverse) {
            // The inverse of `1/f(x)` takes `1/x` to the inverse of f.
            (Some(Detour::InverseValue), true) => Some(Detour::InverseArgument),
            (None, true) if matches!(name, "sec" | "csc" | "cosec") => {
                Some(Detour::InverseArgument)
            }
            (detour, _) => detour,
        };
        // `e^x` may be written `\exp`; `log` alone is the natural one, `lg` the decimal one.
        let mut args = self.function_arguments()?;
        let decimal =
            name == "log" && self.reading.decimal_log && base.is_none() && args.len() == 1;
        let func = if decimal { Func::Log } else { func };
        if name == "lg" || decimal {
            let ten = Kind::int(10).at(self.since(start));
            args.insert(0, ten);
        }
        let of = args.first().cloned();
        args = self.arguments_for(name, detour, args, start)?;
        let arity = args.len();
        let span = self.since(start);
        let call = match (func, base) {
            (Func::Ln, Some(base)) if arity == 1 => {
                args.insert(0, base);
                Kind::Call(Func::Log, args)
            }
            // `log(x, 2)` as sympy writes it.
            (Func::Ln, None) if arity == 2 => {
                args.reverse();
                Kind::Call(Func::Log, args)
            }
            (Func::Log, _) if arity == 2 => Kind::Call(Func::Log, args),
            (Func::Binomial | Func::Mod, _) if arity == 2 => Kind::Call(func, args),
            (Func::Gcd | Func::Lcm | Func::Max | Func::Min, _) if arity >= 1 => {
                Kind::Call(func, args)
            }
            (Func::Binomial | Func::Mod | Func::Log, _) => {
                return self.fail("this function takes two arguments");
            }
            (func, _) if arity == 1 => Kind::Call(func, args),
            _ => return self.fail("too many arguments"),
        }
        .at(span.clone());
        let call = match (detour, of) {
            (Some(Detour::InverseValue), _) => {
                Kind::Div(Box::new(Kind::int(1).at(span.clone())), Box::new(call)).at(span.clone())
            }
            (Some(Detour::Sinc), Some(of)) if of.kind == Kind::int(0) => {
                Kind::int(1).at(span.clone())
            }
            (Some(Detour::Sinc), Some(of)) => {
                Kind::Div(Box::new(call), Box::new(of)).at(span.clone())
            }
            _ => call,
        };
        Ok(match power {
            Some(power) => Kind::Pow(Box::new(call), Box::new(power)).at(span),
            None => call,
        })
    }

    /// The arguments as the function that stands for this name takes them.
    fn arguments_for(
        &self,
        name: &str,
        detour: Option<Detour>,
        mut args: Vec<Expr>,
        start: usize,
    ) -> Parsed<Vec<Expr>> {
        let at = self.since(start);
        let i = || Kind::Const(Const::I).at(at.clone());
        match (detour, args.len()) {
            (Some(Detour::InverseArgument), 1) => {
                let one = Box::new(Kind::int(1).at(at.clone()));
                let inverse = Kind::Div(one, Box::new(args.remove(0))).at(at.clone());
                args.push(inverse);
            }
            (Some(Detour::Angle), 2) => {
                let (y, x) = (args.remove(0), args.remove(0));
                let upward = Kind::Mul(vec![i(), y]).at(at.clone());
                args.push(Kind::Add(vec![x, upward]).at(at.clone()));
            }
            (Some(Detour::Angle), _) => return self.fail("this function takes two arguments"),
            (None, 1) if name == "cis" => {
                let angle = args.remove(0);
                args.push(Kind::Mul(vec![i(), angle]).at(at.clone()));
            }
            _ => {}
        }
        Ok(args)
    }

    fn function_arguments(&mut self) -> Parsed<Vec<Expr>> {
        // A text such as `\operatorname{lcm}` may be followed by an empty group.
        if self.is('(') {
            return self.call_arguments();
        }
        // `\max\{a, b\}`.
        if matches!(self.peek(), Tok::Cmd("{" | "lbrace")) {
            let inner = self.atom()?;
            return Ok(match inner.kind {
                Kind::Set(items) => items,
                kind => vec![kind.at(inner.span)],
            });
        }
        if self.is('{') {
            let inner = self.nested(Self::brace_group)?;
            return Ok(match inner.kind {
                Kind::Tuple(items) | Kind::List(items) => items,
                kind => vec![kind.at(inner.span)],
            });
        }
        Ok(vec![self.argument()?])
    }

    /// An argument without brackets: factors up to the next sign or function, as in `\sin 2x \cos
    /// y`.
    fn argument(&mut self) -> Parsed {
        self.nested(|p| {
            if p.is('(') {
                return p.bracketed();
            }
            let start = p.start();
            let mut factors = vec![p.signed_factor()?];
            while p.starts_factor() && !p.is('(') && !p.begins_function() {
                factors.push(p.factor()?);
            }
            // `\sin \pi/4`: a division belongs to the argument when what it divides is bare.
            if p.is('/') && matches!(p.ahead(1), Tok::Num(_) | Tok::Letter(..)) {
                p.at += 1;
                let below = p.factor()?;
                return Ok(super::product::quotient(
                    factors,
                    vec![below],
                    p.since(start),
                ));
            }
            Ok(super::product::quotient(
                factors,
                Vec::new(),
                p.since(start),
            ))
        })
    }

    fn begins_function(&self) -> bool {
        matches!(self.peek(), Tok::Word(name) | Tok::Cmd(name) if latex_names::function(name).is_some())
            || matches!(self.peek(), Tok::Text(name) if latex_names::function(name.trim()).is_some())
    }
}
