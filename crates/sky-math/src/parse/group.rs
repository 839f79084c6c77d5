//! Groups: brackets of every kind, sets, intervals, bars, matrices and other environments.

use super::{Parsed, Parser};
use crate::{
    expr::{Expr, Func, Kind},
    lex::Tok,
};

impl<'a> Parser<'a> {
    /// `{...}` groups and means nothing itself.
    pub(super) fn brace_group(&mut self) -> Parsed {
        self.nested(|p| {
            let start = p.start();
            p.at += 1;
            if p.eat('}') {
                // `{}` alone is the empty set, its braces not escaped.
                if p.text.trim() == "{}" {
                    return Ok(Kind::Set(Vec::new()).at(p.since(start)));
                }
                return p.fail("an empty group");
            }
            let bars = std::mem::replace(&mut p.bars, false);
            let inner = p.list();
            p.bars = bars;
            let inner = inner?;
            if !p.eat('}') {
                return p.fail("a closing brace is missing");
            }
            Ok(Expr {
                span: p.since(start),
                ..inner
            })
        })
    }

    /// `(a)`, `(a, b)`, `[a, b)`, `]a, b]`.
    pub(super) fn bracketed(&mut self) -> Parsed {
        self.nested(|p| {
            let start = p.start();
            let open = p.next();
            let bars = std::mem::replace(&mut p.bars, false);
            let inner = p.list();
            p.bars = bars;
            let inner = inner?;
            let close = match p.peek() {
                Tok::Ch(c @ (')' | ']' | '[')) => *c,
                Tok::Cmd("rbrack") => ']',
                _ => return p.fail("a closing bracket is missing"),
            };
            p.at += 1;
            let span = p.since(start);
            let square = |tok: &Tok<'_>| matches!(tok, Tok::Ch('['));
            if square(&open)
                && close == ']'
                && let Some(rows) = p.rows(&inner)
            {
                return Ok(Kind::Matrix(rows).at(span));
            }
            let items = match inner.kind {
                Kind::List(items) => items,
                kind if open == Tok::Ch('(') && close == ')' || square(&open) && close == ']' => {
                    return Ok(Expr { kind, span });
                }
                _ => return p.fail("brackets that do not match"),
            };
            let lo_open = !square(&open);
            let hi_open = close != ']';
            if open == Tok::Ch('(') && close == ')' || items.len() != 2 {
                let fits =
                    (open == Tok::Ch('(') && close == ')') || (square(&open) && close == ']');
                return if fits {
                    Ok(Kind::Tuple(items).at(span))
                } else {
                    p.fail("brackets that do not match")
                };
            }
            let mut items = items.into_iter();
            match (items.next(), items.next()) {
                (Some(lo), Some(hi)) => Ok(Kind::Interval {
                    lo: Box::new(lo),
                    hi: Box::new(hi),
                    lo_open,
                    hi_open,
                }
                .at(span)),
                _ => p.fail("an end is missing"),
            }
        })
    }

    /// The rows of `[[1, 2], [3, 4]]`, whose outer brackets hold this.
    fn rows(&self, inner: &Expr) -> Option<Vec<Vec<Expr>>> {
        let one = std::slice::from_ref(inner);
        let items = match &inner.kind {
            Kind::List(items) => items.as_slice(),
            _ => one,
        };
        let row = |item: &Expr| {
            if !self.text[item.span.start..].starts_with('[')
                || !self.text[..item.span.end].ends_with(']')
            {
                return None;
            }
            Some(match &item.kind {
                Kind::Interval { lo, hi, .. } => vec![(**lo).clone(), (**hi).clone()],
                Kind::Tuple(entries) => entries.clone(),
                kind => vec![kind.clone().at(item.span.clone())],
            })
        };
        let rows: Vec<Vec<Expr>> = items.iter().map(row).collect::<Option<_>>()?;
        rows.windows(2)
            .all(|pair| pair[0].len() == pair[1].len())
            .then_some(rows)
    }

    /// `|x|`.
    pub(super) fn bars_group(&mut self) -> Parsed {
        self.nested(|p| {
            let start = p.start();
            p.at += 1;
            let bars = std::mem::replace(&mut p.bars, true);
            p.open_bars += 1;
            let inner = p.sum();
            p.open_bars -= 1;
            p.bars = bars;
            let inner = inner?;
            if !p.eat('|') {
                return p.fail("a closing bar is missing");
            }
            // Bars around a matrix are its determinant.
            let func = match inner.kind {
                Kind::Matrix(_) => Func::Det,
                _ => Func::Abs,
            };
            Ok(Kind::Call(func, vec![inner]).at(p.since(start)))
        })
    }

    /// Whether the bar that comes opens a group within another, as the second does in `|x + b|y||`:
    /// an operand follows, and enough bars are left to close them all. Only where a text has no
    /// other reading.
    pub(super) fn bar_nests(&self) -> bool {
        let operand = matches!(
            self.ahead(1),
            Tok::Num(_) | Tok::Letter(..) | Tok::Word(_) | Tok::Ch('(' | '-')
        );
        let left = || {
            let rest = self.tokens.iter().skip(self.at + 1);
            rest.filter(|t| t.tok == Tok::Ch('|')).count()
        };
        self.nested_bars && operand && left() > self.open_bars
    }

    /// Groups that commands open.
    pub(super) fn delimited(&mut self, open: &str) -> Parsed {
        self.nested(|p| {
            let start = p.start();
            p.at += 1;
            let (close, func) = match open {
                "{" | "lbrace" => return p.set(start),
                "lbrack" => {
                    p.at -= 1;
                    let at = p.at;
                    p.tokens[at].tok = Tok::Ch('[');
                    return p.bracketed();
                }
                "langle" => ("rangle", None),
                "lfloor" => ("rfloor", Some(Func::Floor)),
                "lceil" => ("rceil", Some(Func::Ceil)),
                "vert" => ("vert", Some(Func::Abs)),
                "lvert" => ("rvert", Some(Func::Abs)),
                "lVert" => ("rVert", Some(Func::Abs)),
                _ => ("Vert", Some(Func::Abs)),
            };
            let bars = std::mem::replace(&mut p.bars, false);
            let inner = p.list();
            p.bars = bars;
            let inner = inner?;
            if !p.eat_cmd(close) {
                return p.fail("a closing delimiter is missing");
            }
            let span = p.since(start);
            Ok(match (func, inner.kind) {
                (Some(func), kind) => Kind::Call(func, vec![kind.at(inner.span)]).at(span),
                (None, Kind::List(items)) => Kind::Tuple(items).at(span),
                (None, kind) => Kind::Tuple(vec![kind.at(inner.span)]).at(span),
            })
        })
    }

    /// `\{1, 2\}` and `\{x \mid x > 2\}`; the opening brace is taken.
    fn set(&mut self, start: usize) -> Parsed {
        if self.close_set() {
            return Ok(Kind::Set(Vec::new()).at(self.since(start)));
        }
        let bars = std::mem::replace(&mut self.bars, true);
        let inner = self.list();
        self.bars = bars;
        let inner = inner?;
        if self.is('|')
            || self.is(':')
            || self.is_cmd("mid")
            || self.is_cmd("colon")
            || self.is_cmd("vert")
        {
            self.at += 1;
            let condition = self.list()?;
            if !self.close_set() {
                return self.fail("a closing brace is missing");
            }
            return Ok(Kind::Builder {
                var: Box::new(inner),
                condition: Box::new(condition),
            }
            .at(self.since(start)));
        }
        if !self.close_set() {
            return self.fail("a closing brace is missing");
        }
        let span = self.since(start);
        Ok(match inner.kind {
            Kind::List(items) => Kind::Set(items).at(span),
            kind => Kind::Set(vec![kind.at(inner.span)]).at(span),
        })
    }

    fn close_set(&mut self) -> bool {
        self.eat_cmd("}") || self.eat_cmd("rbrace")
    }

    /// `\begin{pmatrix} ... \end{pmatrix}` and others with rows.
    pub(super) fn environment(&mut self) -> Parsed {
        self.nested(|p| {
            let start = p.start();
            p.at += 1;
            let name = p.environment_name()?;
            if name == "array" {
                // The columns: `{cc}`.
                while !matches!(p.next(), Tok::Ch('}') | Tok::End) {}
            }
            if name.starts_with("align") || name == "split" || name == "cases" {
                p.join_sides()?;
            }
            let mut rows = Vec::new();
            let mut row = Vec::new();
            loop {
                match p.peek() {
                    Tok::Cmd("end") | Tok::End => break,
                    Tok::Row => {
                        p.at += 1;
                        if !row.is_empty() {
                            rows.push(std::mem::take(&mut row));
                        }
                    }
                    Tok::Ch('&') => p.at += 1,
                    _ => row.push(p.cell()?),
                }
                if p.budget.take(8).is_err() {
                    return p.fail("the work budget is spent");
                }
            }
            if !row.is_empty() {
                rows.push(row);
            }
            if !p.eat_cmd("end") {
                return p.fail("the end of an environment is missing");
            }
            let close = p.environment_name()?;
            let span = p.since(start);
            if close != name || rows.is_empty() {
                return p.fail("an environment that does not match or is empty");
            }
            Ok(match name.as_str() {
                "vmatrix" => {
                    Kind::Call(Func::Det, vec![Kind::Matrix(rows).at(span.clone())]).at(span)
                }
                "cases" | "aligned" | "align" | "gathered" | "split" | "align*" | "gather" => {
                    let items = rows
                        .into_iter()
                        .map(|mut cells| {
                            if cells.len() == 1 {
                                cells.remove(0)
                            } else {
                                Kind::Tuple(cells).at(span.clone())
                            }
                        })
                        .collect();
                    Kind::List(items).at(span)
                }
                _ => Kind::Matrix(rows).at(span),
            })
        })
    }

    /// Drops each `&` of `x &= 1` up to the end of the environment: it parts no entries.
    fn join_sides(&mut self) -> Parsed<()> {
        let tail = self.tokens.split_off(self.at);
        if self.budget.take(tail.len() as u64 * 4).is_err() {
            self.tokens.extend(tail);
            return self.fail("the work budget is spent");
        }
        let relates = |tok: Option<&Tok<'_>>| {
            matches!(
                tok,
                Some(
                    Tok::Ch('=' | '<' | '>')
                        | Tok::Cmd(
                            "le" | "leq" | "ge" | "geq" | "lt" | "gt" | "ne" | "neq" | "approx"
                        )
                )
            )
        };
        let mut open = true;
        let next: Vec<Tok<'a>> = tail.iter().skip(1).map(|t| t.tok.clone()).collect();
        for (i, token) in tail.into_iter().enumerate() {
            open &= token.tok != Tok::Cmd("end");
            let before = self.tokens.last().map(|t| &t.tok);
            let joins =
                open && token.tok == Tok::Ch('&') && (relates(next.get(i)) || relates(before));
            if !joins {
                self.tokens.push(token);
            }
        }
        Ok(())
    }

    fn cell(&mut self) -> Parsed {
        self.nested(|p| {
            let cell = p.relation()?;
            while matches!(p.peek(), Tok::Ch(',' | ';' | '.')) {
                p.at += 1;
            }
            Ok(cell)
        })
    }

    fn environment_name(&mut self) -> Parsed<String> {
        if !self.eat('{') {
            return self.fail("the name of an environment is missing");
        }
        let mut name = String::new();
        loop {
            match self.next() {
                Tok::Letter(c, _) => name.push(c),
                Tok::Word(word) => name.push_str(word),
                Tok::Ch('*') => name.push('*'),
                Tok::Ch('}') => return Ok(name),
                _ => return self.fail("the name of an environment is not understood"),
            }
            if name.len() > 32 {
                return self.fail("the name of an environment is not understood");
            }
        }
    }
}
