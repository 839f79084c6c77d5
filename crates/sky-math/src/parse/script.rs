//! Superscripts and subscripts.

use super::{Parsed, Parser};
use crate::{
    expr::{Expr, Kind},
    lex::Tok,
};

impl Parser<'_> {
    /// What stands after `^` or `_`: a group, or one thing with its sign.
    pub(super) fn script(&mut self) -> Parsed {
        self.nested(|p| {
            let start = p.start();
            if p.is('-') || p.is('+') {
                let negative = p.is('-');
                p.at += 1;
                let value = p.script()?;
                return Ok(if negative {
                    Kind::Neg(Box::new(value)).at(p.since(start))
                } else {
                    value
                });
            }
            if p.is('{') {
                return p.brace_group();
            }
            let base = p.atom()?;
            // 2^3^2 groups from the right, as does `e^{x}^2`.
            if p.is('^') && !matches!(p.ahead(1), Tok::Cmd("circ")) {
                p.at += 1;
                let exponent = p.script()?;
                return Ok(Kind::Pow(Box::new(base), Box::new(exponent)).at(p.since(start)));
            }
            Ok(base)
        })
    }

    /// What stands after `_`: a group or one thing, whose power is not its own: `x_1^2`,
    /// `\int_0^1`.
    pub(super) fn subscript(&mut self) -> Parsed {
        if self.is('{') || self.is('-') || self.is('+') {
            return self.script();
        }
        self.atom()
    }

    /// `x_1`, `x_{\text{red}}`: part of the name. `F_{n-1}`: a function of its index.
    pub(super) fn index(&mut self, base: Expr, start: usize) -> Parsed {
        let from = self.start();
        if matches!(self.peek(), Tok::Text(_))
            || self.is('{')
                && matches!(self.ahead(1), Tok::Text(_))
                && matches!(self.ahead(2), Tok::Ch('}'))
        {
            let len = if self.is('{') { 3 } else { 1 };
            let text = match (self.peek(), self.ahead(1)) {
                (Tok::Text(text), _) | (_, Tok::Text(text)) => text.trim().to_owned(),
                _ => String::new(),
            };
            self.at += len;
            return Ok(self.with_suffix(base, &text, start));
        }
        let before = self.at;
        let mut index = self.subscript();
        if let (Err(_), Some(end)) = (&index, self.group_end_token(before)) {
            // `m_{\max}`: whatever stands there is part of the name.
            self.at = end;
            index = Ok(Kind::Text(String::new()).at(self.since(from)));
        }
        let raw: String = self.text[from..self.since(from).end]
            .chars()
            .filter(|c| !matches!(c, '{' | '}' | ' '))
            .collect();
        let index = index?;
        let name = match &base.kind {
            Kind::Sym(name) => name.clone(),
            _ => return Ok(self.with_suffix(base, &raw, start)),
        };
        let variable = index.any(&|k| matches!(k, Kind::Sym(s) if s.chars().count() == 1 && s.chars().all(|c| c.is_ascii_lowercase())))
            && !matches!(index.kind, Kind::Mul(_) | Kind::List(_));
        if variable {
            return Ok(Kind::Apply(name + "_", vec![index]).at(self.since(start)));
        }
        Ok(Kind::Sym(format!("{name}_{raw}")).at(self.since(start)))
    }

    /// The token behind the group that opens at `open`.
    pub(super) fn group_end_token(&self, open: usize) -> Option<usize> {
        let mut depth = 0_usize;
        for (i, token) in self.tokens.iter().enumerate().skip(open).take(64) {
            match token.tok {
                Tok::Ch('{') => depth += 1,
                Tok::Ch('}') => {
                    depth = depth.checked_sub(1)?;
                    if depth == 0 {
                        return Some(i + 1);
                    }
                }
                _ if depth == 0 => return None,
                _ => {}
            }
        }
        None
    }

    fn with_suffix(&self, base: Expr, suffix: &str, start: usize) -> Expr {
        let span = self.since(start);
        match base.kind {
            Kind::Sym(name) => Kind::Sym(format!("{name}_{suffix}")).at(span),
            kind => Kind::Apply(format!("index_{suffix}"), vec![kind.at(base.span)]).at(span),
        }
    }
}
