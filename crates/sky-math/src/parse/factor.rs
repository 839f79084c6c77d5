//! Factors: what binds tighter than a product. Powers, indices, factorials, percent and degree
//! signs, units.

use std::ops::ControlFlow;

use super::{
    MAX_POSTFIXES, Parsed, Parser,
    application::{FUNCTION_LETTERS, applied, base_letter},
    unit::money,
};
use crate::{
    expr::{Expr, Func, Kind},
    latex_names,
    lex::Tok,
};

/// An operand with what was behind it (`Continue`: more may follow), or as it was (`Break`).
type Attached = ControlFlow<Expr, Expr>;

impl<'a> Parser<'a> {
    /// Whether the next token begins a factor when no sign stands before it.
    pub(super) fn starts_factor(&self) -> bool {
        match self.peek() {
            Tok::Num(_) | Tok::Ch('(' | '{') => true,
            // `[0, 1[`: an interval open on the right ends here.
            Tok::Ch('[') => !matches!(
                self.ahead(1),
                Tok::End
                    | Tok::Cmd("cup" | "cap" | "setminus")
                    | Tok::Ch(',' | ')' | '}')
                    | Tok::Text(_)
            ),
            Tok::Letter('d', _) if self.integrals > 0 && self.differential() => false,
            Tok::Letter('U', _) => !matches!(self.ahead(1), Tok::Ch('(' | '[')) || self.at == 0,
            Tok::Letter(..) => true,
            Tok::Word(word) => !matches!(*word, "and" | "or" | "mod" | "union" | "not"),
            Tok::Ch('|') => !self.bars || self.bar_nests(),
            Tok::Cmd(name) => {
                latex_names::function(name).is_some()
                    || latex_names::constant(name).is_some()
                    || latex_names::is_symbol(name)
                    || latex_names::is_accent(name)
                    || latex_names::begins_operand(name)
                    || matches!(
                        *name,
                        "{" | "mathrm"
                            | "mathbf"
                            | "mathit"
                            | "mathsf"
                            | "$"
                            | "Reals"
                            | "PositiveReals"
                            | "NonnegativeReals"
                            | "Integers"
                            | "Naturals"
                            | "Rationals"
                            | "Complexes"
                    )
            }
            Tok::Text(text) => {
                let name = text.trim();
                // `\text{ min}` behind a number is a minute.
                let unit =
                    matches!(name, "min" | "sec" | "max") && !matches!(self.ahead(1), Tok::Ch('('));
                latex_names::function(name).is_some() && !unit || name == "e" || name == "i"
            }
            _ => false,
        }
    }

    /// `d x` at the end of an integral.
    fn differential(&self) -> bool {
        matches!(self.ahead(1), Tok::Letter(..))
            || matches!(self.ahead(1), Tok::Cmd(name) if latex_names::is_symbol(name))
    }

    /// Whether `2\frac{1}{3}` or `2 1/3` comes: an integer, then a fraction of integers.
    pub(super) fn mixed_ahead(&self, last: Option<&Expr>, below: &[Expr]) -> bool {
        let whole = below.is_empty()
            && last.is_some_and(|e| {
                matches!(&e.kind, Kind::Num { value, decimals: None } if value.is_int())
                    && self.since(e.span.start).end == e.span.end
            });
        if !whole {
            return false;
        }
        match (self.ahead(0), self.ahead(1), self.ahead(2), self.ahead(3)) {
            (
                Tok::Cmd("frac" | "dfrac" | "tfrac" | "cfrac"),
                Tok::Ch('{'),
                Tok::Num(_),
                Tok::Ch('}'),
            ) => {
                matches!((self.ahead(4), self.ahead(5)), (Tok::Ch('{'), Tok::Num(_)))
                    && matches!(self.ahead(6), Tok::Ch('}'))
                    || matches!(self.ahead(4), Tok::Num(_))
            }
            (Tok::Cmd("frac" | "dfrac" | "tfrac" | "cfrac"), Tok::Num(_), _, _) => true,
            _ => false,
        }
    }

    /// The fraction of `2 1/3`, taken; two numbers side by side that are no mixed number are an
    /// error.
    pub(super) fn plain_fraction(
        &mut self,
        last: Option<&Expr>,
        below: &[Expr],
    ) -> Parsed<Option<Expr>> {
        let Tok::Num(above) = self.peek().clone() else {
            return Ok(None);
        };
        let after_number = self
            .at
            .checked_sub(1)
            .is_some_and(|i| matches!(self.tokens[i].tok, Tok::Num(_)));
        let repeats = |e: &Expr| self.text[e.span.clone()].contains("\\");
        let after_number = after_number
            || matches!(last, Some(e) if matches!(e.kind, Kind::Based { .. }))
            || matches!(last, Some(e) if matches!(e.kind, Kind::Num { .. }) && repeats(e)
                && !self.text[e.span.clone()].starts_with('\\'));
        if !after_number {
            return Ok(None);
        }
        // `2^6 3^5`: the number behind belongs to the power.
        if self.token().space && matches!(last, Some(e) if matches!(e.kind, Kind::Pow(..))) {
            return Ok(None);
        }
        let start = self.start();
        let whole = below.is_empty()
            && last.is_some_and(
                |e| matches!(&e.kind, Kind::Num { value, decimals: None } if value.is_int()),
            );
        if let (true, Tok::Ch('/'), Tok::Num(under)) =
            (whole, self.ahead(1).clone(), self.ahead(2).clone())
        {
            self.at += 1;
            let above = self.literal(&above, start)?;
            self.at += 2;
            let under = self.literal(&under, start)?;
            let span = self.since(start);
            return Ok(Some(Kind::Div(Box::new(above), Box::new(under)).at(span)));
        }
        self.fail("two numbers side by side")
    }

    /// An atom with everything that is attached to it.
    pub(super) fn factor(&mut self) -> Parsed {
        self.nested(Self::factor_here)
    }

    fn factor_here(&mut self) -> Parsed {
        let start = self.start();
        let mut base = self.atom()?;
        for _ in 0..MAX_POSTFIXES {
            base = match self.mark_behind(base, start)? {
                ControlFlow::Continue(base) => base,
                ControlFlow::Break(base) => match self.script_behind(base, start)? {
                    ControlFlow::Continue(base) => base,
                    ControlFlow::Break(base) => match self.arguments_behind(base, start)? {
                        ControlFlow::Continue(base) => base,
                        ControlFlow::Break(base) => return Ok(base),
                    },
                },
            };
        }
        self.fail("too many marks behind an operand")
    }

    /// A mark behind an operand: factorial, percent, degree, money, prime, `5^{th}`.
    fn mark_behind(&mut self, mut base: Expr, start: usize) -> Parsed<Attached> {
        match (self.peek(), self.ahead(1)) {
            (Tok::Ch('!'), Tok::Ch('=')) => return Ok(ControlFlow::Break(base)),
            (Tok::Ch('!'), Tok::Ch('!')) => {
                self.at += 2;
                base = Kind::Call(Func::DoubleFactorial, vec![base]).at(self.since(start));
            }
            (Tok::Ch('!'), _) => {
                self.at += 1;
                base = Kind::Call(Func::Factorial, vec![base]).at(self.since(start));
            }
            (Tok::Ch('%'), _) | (Tok::Word("percent"), _) => {
                self.at += 1;
                base = Kind::Percent(Box::new(base)).at(self.since(start));
            }
            (Tok::Cmd("degree"), _) | (Tok::Word("degrees" | "degree"), _) => {
                self.at += 1;
                base = Kind::Degree(Box::new(base)).at(self.since(start));
            }
            (Tok::Cmd("$" | "euro" | "pounds" | "yen" | "cent"), _)
                if matches!(base.kind, Kind::Num { .. }) =>
            {
                let unit = money(self.peek());
                self.at += 1;
                base = Kind::Quantity(Box::new(base), unit.to_owned()).at(self.since(start));
            }
            (Tok::Ch('^'), Tok::Cmd("circ")) => {
                self.at += 2;
                base = self.degrees(base, start);
            }
            (Tok::Ch('^'), Tok::Ch('{'))
                if matches!(
                    (self.ahead(2), self.ahead(3)),
                    (Tok::Cmd("circ"), Tok::Ch('}'))
                ) =>
            {
                self.at += 4;
                base = self.degrees(base, start);
            }
            // `5^{th}`, `5^{\text{th}}`.
            (Tok::Ch('^'), Tok::Ch('{')) if self.ordinal() => {
                self.at += if matches!(self.ahead(2), Tok::Text(_)) {
                    4
                } else {
                    5
                };
            }
            (Tok::Ch('\''), _)
            | (Tok::Ch('^'), Tok::Cmd("prime"))
            | (Tok::Ch('^'), Tok::Ch('{'))
                if !self.is('^')
                    || matches!(self.ahead(1), Tok::Cmd("prime"))
                    || matches!(
                        (self.ahead(2), self.ahead(3)),
                        (Tok::Cmd("prime"), Tok::Ch('}'))
                    ) =>
            {
                self.at += match (self.is('^'), self.ahead(1)) {
                    (true, Tok::Ch('{')) => 4,
                    (true, _) => 2,
                    _ => 1,
                };
                base = match base.kind {
                    Kind::Sym(name) => Kind::Sym(name + "'"),
                    Kind::Apply(name, args) => Kind::Apply(name + "'", args),
                    kind => Kind::Apply("prime".to_owned(), vec![kind.at(base.span)]),
                }
                .at(self.since(start));
            }
            _ => return Ok(ControlFlow::Break(base)),
        }
        Ok(ControlFlow::Continue(base))
    }

    /// A superscript or a subscript.
    fn script_behind(&mut self, mut base: Expr, start: usize) -> Parsed<Attached> {
        match (self.peek(), self.ahead(1)) {
            // `(1, 2)^T`.
            (Tok::Ch('^'), _) if self.transposed(&base) => {
                self.at += if self.ahead(1) == &Tok::Ch('{') { 4 } else { 2 };
                base = transpose(base).at(self.since(start));
            }
            (Tok::Ch('^'), _) => {
                self.at += 1;
                let exponent = self.script()?;
                // `f^{-1}(x)` is the inverse function.
                let inverse = matches!(&exponent.kind, Kind::Neg(one) if one.kind == Kind::int(1));
                if let Kind::Sym(name) = &base.kind
                    && inverse
                    && FUNCTION_LETTERS.contains(&name.as_str())
                    && self.is('(')
                {
                    let inverse = Kind::Sym(format!("{name}_inverse"));
                    return Ok(ControlFlow::Continue(inverse.at(self.since(start))));
                }
                base = Kind::Pow(Box::new(base), Box::new(exponent)).at(self.since(start));
            }
            (Tok::Ch('*'), Tok::Ch('*')) => {
                self.at += 2;
                let exponent = self.signed_factor()?;
                base = Kind::Pow(Box::new(base), Box::new(exponent)).at(self.since(start));
            }
            (Tok::Ch('_'), _) => {
                if matches!(&base.kind, Kind::Sym(name) if name == "C")
                    && let Some(choose) = self.choose_in_scripts(start)
                {
                    return Ok(ControlFlow::Continue(choose));
                }
                self.at += 1;
                base = self.index(base, start)?;
            }
            _ => return Ok(ControlFlow::Break(base)),
        }
        Ok(ControlFlow::Continue(base))
    }

    /// `C_n^3`, a binomial coefficient: taken, when that is what comes. `C_1^2` is a constant squared.
    fn choose_in_scripts(&mut self, start: usize) -> Option<Expr> {
        let from = self.at;
        self.at += 1;
        let chosen = self.subscript().ok().and_then(|n| {
            let raised = self.eat('^');
            let k = raised.then(|| self.script().ok()).flatten()?;
            let more = match (&n.kind, &k.kind) {
                (Kind::Num { value: n, .. }, Kind::Num { value: k, .. }) => n > k,
                _ => n.is_scalar() && k.is_scalar() && n.any(&|e| matches!(e, Kind::Sym(_))),
            };
            more.then(|| Kind::Call(Func::Binomial, vec![n, k]).at(self.since(start)))
        });
        if chosen.is_none() {
            self.at = from;
        }
        chosen
    }

    /// Arguments in brackets, where the base names a function.
    fn arguments_behind(&mut self, mut base: Expr, start: usize) -> Parsed<Attached> {
        match (self.peek(), self.ahead(1)) {
            // `f{\left(x\right)}`, as sympy prints it.
            (Tok::Ch('{'), Tok::Ch('(')) => match &base.kind {
                Kind::Sym(name)
                    if FUNCTION_LETTERS.contains(&base_letter(name)) || self.lone_argument(2) =>
                {
                    let name = name.clone();
                    self.at += 1;
                    let args = self.call_arguments()?;
                    if !self.eat('}') {
                        return self.fail("a closing brace is missing");
                    }
                    base = Kind::Apply(name, args).at(self.since(start));
                }
                _ => return Ok(ControlFlow::Break(base)),
            },
            // `E[X]`, an expectation.
            (Tok::Ch('['), _)
                if !self.token().space && matches!(&base.kind, Kind::Sym(name) if name == "E") =>
            {
                let inner = self.bracketed()?;
                base = Kind::Apply("E".to_owned(), vec![inner]).at(self.since(start));
            }
            // `f(x)`: after a letter that commonly names a function.
            (Tok::Ch('('), _) => match &base.kind {
                Kind::Sym(name)
                    if !self.token().space && !self.behind_bracket() && self.applies(name) =>
                {
                    let name = name.clone();
                    let args = self.call_arguments()?;
                    base = applied(name, args).at(self.since(start));
                }
                _ => return Ok(ControlFlow::Break(base)),
            },
            _ => return Ok(ControlFlow::Break(base)),
        }
        Ok(ControlFlow::Continue(base))
    }

    /// Whether `^T` comes behind a vector or a matrix.
    fn transposed(&self, base: &Expr) -> bool {
        let mark =
            |tok: &Tok<'_>| matches!(tok, Tok::Letter('T', _) | Tok::Cmd("top" | "intercal"));
        let vector = matches!(
            base.kind,
            Kind::Tuple(_) | Kind::Interval { .. } | Kind::Matrix(_)
        );
        vector
            && (mark(self.ahead(1))
                || *self.ahead(1) == Tok::Ch('{')
                    && mark(self.ahead(2))
                    && *self.ahead(3) == Tok::Ch('}'))
    }

    /// Degrees of an angle, or of a temperature: `25^\circ C`.
    fn degrees(&mut self, value: Expr, start: usize) -> Expr {
        let scale = |name: &str| match name.trim() {
            "C" => Some("celsius"),
            "F" => Some("fahrenheit"),
            _ => None,
        };
        let (unit, len) = match (self.peek(), self.ahead(1), self.ahead(2), self.ahead(3)) {
            (Tok::Letter(_, run), ..) => (scale(run), 1),
            (Tok::Text(text), ..) => (scale(text), 1),
            (Tok::Cmd("mathrm"), Tok::Ch('{'), Tok::Letter(_, run), Tok::Ch('}')) => {
                (scale(run), 4)
            }
            _ => (None, 0),
        };
        let Some(unit) = unit else {
            return Kind::Degree(Box::new(value)).at(self.since(start));
        };
        self.at += len;
        Kind::Quantity(Box::new(value), unit.to_owned()).at(self.since(start))
    }

    /// Whether `^{th}` comes, behind a number or a name.
    fn ordinal(&self) -> bool {
        let suffix = |s: &str| matches!(s, "th" | "st" | "nd" | "rd");
        match (self.ahead(2), self.ahead(3), self.ahead(4)) {
            (Tok::Text(text), Tok::Ch('}'), _) => suffix(text.trim()),
            (Tok::Letter(_, run), Tok::Letter(..), Tok::Ch('}')) => suffix(run),
            _ => false,
        }
    }
}

/// `45^\circ 30'`: degrees, and minutes or seconds behind them.
pub(super) fn minutes(degrees: Option<&Expr>, factor: &Expr) -> Option<Kind> {
    let (Kind::Degree(whole), Kind::Apply(mark, parts)) = (&degrees?.kind, &factor.kind) else {
        return None;
    };
    let size = match mark.as_str() {
        "prime" => 60,
        "prime'" => 3600,
        _ => return None,
    };
    let [part] = parts.as_slice() else {
        return None;
    };
    let below = Box::new(Kind::int(size).at(0..0));
    let part = Kind::Div(Box::new(part.clone()), below).at(factor.span.clone());
    let sum = Kind::Add(vec![(**whole).clone(), part]).at(factor.span.clone());
    Some(Kind::Degree(Box::new(sum)))
}

/// A row becomes a column, a matrix is turned.
fn transpose(base: Expr) -> Kind {
    let column = |entries: Vec<Expr>| entries.into_iter().map(|e| vec![e]).collect();
    Kind::Matrix(match base.kind {
        Kind::Tuple(entries) => column(entries),
        Kind::Interval { lo, hi, .. } => column(vec![*lo, *hi]),
        Kind::Matrix(rows) => {
            let width = rows.iter().map(Vec::len).min().unwrap_or(0);
            (0..width)
                .map(|k| rows.iter().map(|row| row[k].clone()).collect())
                .collect()
        }
        kind => vec![vec![kind.at(base.span)]],
    })
}
