//! Sums, products, integrals, limits and derivatives.

use super::{Parsed, Parser};
use crate::{
    expr::{BigOp, Const, Expr, Kind, Rel},
    lex::Tok,
};

impl<'a> Parser<'a> {
    /// `\frac{dy}{dx}`: one name, not a quotient of products.
    pub(super) fn derivative(&mut self, start: usize) -> Option<Expr> {
        let is_d = |tok: &Tok<'_>| {
            matches!(tok, Tok::Letter('d', _) | Tok::Cmd("partial"))
                || matches!(tok, Tok::Text("d"))
        };
        if !matches!(self.peek(), Tok::Ch('{')) || !is_d(self.ahead(1)) {
            return None;
        }
        let from = self.at;
        let mut depth = 0_usize;
        let mut groups = Vec::new();
        let mut at = from;
        while groups.len() < 2 {
            match self.tokens.get(at)?.tok {
                Tok::Ch('{') => {
                    if depth == 0 {
                        groups.push(at);
                    }
                    depth += 1;
                }
                Tok::Ch('}') => depth = depth.checked_sub(1)?,
                Tok::End => return None,
                _ if depth == 0 => return None,
                _ => {}
            }
            at += 1;
        }
        let second = *groups.get(1)?;
        let variable = self.tokens.get(second + 2).map(|t| &t.tok);
        if !is_d(&self.tokens.get(second + 1)?.tok)
            || !matches!(variable, Some(Tok::Letter(..) | Tok::Cmd(_)))
        {
            return None;
        }
        while depth > 0 {
            match self.tokens.get(at)?.tok {
                Tok::Ch('{') => depth += 1,
                Tok::Ch('}') => depth -= 1,
                Tok::End => return None,
                _ => {}
            }
            at += 1;
        }
        let written = |range: std::ops::Range<usize>| -> String {
            self.text[range]
                .chars()
                .filter(|c| !matches!(c, '{' | '}' | ' ' | '(' | ')'))
                .collect()
        };
        let above = written(self.tokens[from].start..self.tokens[second].start);
        let below = written(self.tokens[second].start..self.tokens[at - 1].end);
        self.at = at;
        // `\frac{d}{dt} x` is `\frac{dx}{dt}`.
        let mut above = above;
        let bare =
            above == "d" || above == "\\partial" || above.starts_with("d^") && above.len() == 3;
        if bare && matches!(self.peek(), Tok::Letter(..) | Tok::Cmd(_)) && self.starts_factor() {
            let of = self.start();
            self.atom().ok()?;
            let end = self.since(of).end;
            above.extend(
                self.text[of..end]
                    .chars()
                    .filter(|c| !matches!(c, '{' | '}' | ' ')),
            );
        }
        let raw = above + &below;
        let span = self.since(start);
        Some(match raw.as_str() {
            "dydx" => Kind::Sym("y'".to_owned()).at(span),
            "d^2ydx^2" => Kind::Sym("y''".to_owned()).at(span),
            _ => Kind::Sym(format!("derivative:{raw}")).at(span),
        })
    }

    /// `\sum_{k=1}^{n} ...`, `\int_0^1 ... dx`, `\lim_{x \to 0} ...`.
    pub(super) fn big(&mut self, name: &str, start: usize) -> Parsed {
        let mut lo = None;
        let mut hi = None;
        let mut var = String::new();
        for _ in 0..2 {
            if self.is('_') && lo.is_none() {
                self.at += 1;
                let below = self.subscript()?;
                match below.kind {
                    Kind::Relation(first, mut rest) if rest.len() == 1 => {
                        let name = match first.kind {
                            Kind::Sym(name) => name,
                            Kind::Const(Const::I) => "i".to_owned(),
                            Kind::Const(Const::E) => "e".to_owned(),
                            _ => String::new(),
                        };
                        let (rel, value) = rest.remove(0);
                        if name.is_empty() || !matches!(rel, Rel::Eq | Rel::Arrow | Rel::In) {
                            return self.fail("bounds that are not understood");
                        }
                        var = name;
                        lo = Some(Box::new(value));
                    }
                    kind => {
                        if let Kind::Sym(name) = &kind {
                            var.clone_from(name);
                        }
                        lo = Some(Box::new(kind.at(below.span)));
                    }
                }
            } else if self.is('^') && hi.is_none() {
                self.at += 1;
                hi = Some(Box::new(self.script()?));
            }
        }
        let op = match name {
            "sum" => BigOp::Sum,
            "prod" => BigOp::Product,
            "int" => BigOp::Integral,
            _ => BigOp::Limit,
        };
        if !var.is_empty() {
            self.bound.push(var.clone());
        }
        let integral = op == BigOp::Integral;
        self.integrals += u32::from(integral);
        let body = if integral {
            self.nested(Self::sum)
        } else {
            self.nested(Self::product)
        };
        self.integrals -= u32::from(integral);
        if !var.is_empty() {
            self.bound.pop();
        }
        let body = body?;
        if integral {
            if !matches!(self.peek(), Tok::Letter('d', _)) {
                return self.fail("the d of an integral is missing");
            }
            self.at += 1;
            var = match self.next() {
                Tok::Letter(c, _) => c.to_string(),
                Tok::Cmd(name) => name.to_owned(),
                _ => return self.fail("the variable of an integral is missing"),
            };
        }
        Ok(Kind::Big {
            op,
            var,
            lo,
            hi,
            body: Box::new(body),
        }
        .at(self.since(start)))
    }
}
