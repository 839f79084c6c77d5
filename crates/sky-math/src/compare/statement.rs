//! Statements joined by "and", "or", "not" and the like: equal when they are true of the same
//! values of their parts.

use super::{Comparer, Comparison};
use crate::expr::{Const, Expr, Kind, Rel, SetOp};

/// Parts that are true or false at most: a table of truth has two to this power of rows.
const MAX_PARTS: usize = 10;

/// A statement over parts by number.
enum Statement {
    Part(usize),
    Not(Box<Statement>),
    And(Vec<Statement>),
    Or(Vec<Statement>),
    /// Both or neither.
    Same(Box<Statement>, Box<Statement>),
}

impl Statement {
    /// Whether it holds where the parts are true whose bits are set.
    fn holds(&self, row: usize) -> bool {
        match self {
            Self::Part(k) => row >> k & 1 == 1,
            Self::Not(inner) => !inner.holds(row),
            Self::And(parts) => parts.iter().all(|part| part.holds(row)),
            Self::Or(parts) => parts.iter().any(|part| part.holds(row)),
            Self::Same(a, b) => a.holds(row) == b.holds(row),
        }
    }

    fn not(self) -> Self {
        Self::Not(Box::new(self))
    }
}

/// Whether a sign of logic joins parts of the tree.
fn is_statement(e: &Expr) -> bool {
    e.any(&|k| matches!(k, Kind::Apply(name, _) if matches!(name.as_str(), "land" | "lor" | "neg")))
}

impl Comparer<'_> {
    /// Two statements, one of which has a sign of logic; `None` when they are something else.
    pub(super) fn statements(&self, a: &Expr, b: &Expr) -> Option<Comparison> {
        if !is_statement(a) && !is_statement(b) {
            return None;
        }
        let mut parts = Vec::new();
        let (x, y) = (
            self.statement(a, &mut parts)?,
            self.statement(b, &mut parts)?,
        );
        let rows = 1_usize << parts.len();
        let nodes = a.size() + b.size();
        if self.budget.take((rows * nodes) as u64).is_err() {
            return Some(Comparison::no("the work budget is spent"));
        }
        Some(match (0..rows).find(|&row| x.holds(row) != y.holds(row)) {
            None => Comparison::yes("true of the same values of their parts"),
            Some(row) => {
                let holds = |k: &usize| row >> k & 1 == 1;
                let names: Vec<String> = (0..parts.len())
                    .filter(holds)
                    .map(|k| parts[k].to_string())
                    .collect();
                let which = if x.holds(row) { "first" } else { "second" };
                Comparison::no(format!(
                    "only the {which} holds where [{}] are true and nothing else",
                    names.join(", ")
                ))
            }
        })
    }

    fn statement(&self, e: &Expr, parts: &mut Vec<Expr>) -> Option<Statement> {
        let several = |items: &[Expr], parts: &mut Vec<Expr>| {
            items
                .iter()
                .map(|item| self.statement(item, parts))
                .collect::<Option<Vec<_>>>()
        };
        Some(match &e.kind {
            Kind::Apply(name, items) => match (name.as_str(), items.as_slice()) {
                ("land", items) => Statement::And(several(items, parts)?),
                ("lor", items) => Statement::Or(several(items, parts)?),
                ("neg", [inner]) => self.statement(inner, parts)?.not(),
                ("oplus", [x, y]) => {
                    let (x, y) = (self.statement(x, parts)?, self.statement(y, parts)?);
                    Statement::Same(Box::new(x), Box::new(y)).not()
                }
                _ => self.part(e, parts)?,
            },
            // How the parser writes a condition that is denied.
            Kind::Sets(SetOp::Difference, items) => match items.as_slice() {
                [all, denied] if all.kind == Kind::Const(Const::Reals) => {
                    self.statement(denied, parts)?.not()
                }
                _ => return None,
            },
            Kind::Sets(SetOp::Intersection, items) => Statement::And(several(items, parts)?),
            Kind::Sets(SetOp::Union, items) => Statement::Or(several(items, parts)?),
            Kind::Relation(first, rest) => match rest.as_slice() {
                [(Rel::Arrow, then)] => {
                    let (if_not, then) = (
                        self.statement(first, parts)?.not(),
                        self.statement(then, parts)?,
                    );
                    Statement::Or(vec![if_not, then])
                }
                [(Rel::Named("iff" | "equiv"), then)] => {
                    let (x, y) = (self.statement(first, parts)?, self.statement(then, parts)?);
                    Statement::Same(Box::new(x), Box::new(y))
                }
                // `x \ne 2` denies `x = 2`.
                [(rel @ (Rel::Ne | Rel::Ge | Rel::Le), side)] => {
                    let denied = match rel {
                        Rel::Ne => Rel::Eq,
                        Rel::Ge => Rel::Lt,
                        _ => Rel::Gt,
                    };
                    let rest = vec![(denied, side.clone())];
                    let denied = Kind::Relation(first.clone(), rest).at(e.span.clone());
                    self.part(&denied, parts)?.not()
                }
                _ => self.part(e, parts)?,
            },
            Kind::Sym(_) | Kind::Const(Const::E | Const::I) | Kind::Mul(_) | Kind::Text(_) => {
                self.part(e, parts)?
            }
            _ => return None,
        })
    }

    /// What has no sign of logic: the part that says the same, or a new one.
    fn part(&self, e: &Expr, parts: &mut Vec<Expr>) -> Option<Statement> {
        // `C = B` is another part than `B`, although it may be an answer for it.
        let relation = |e: &Expr| matches!(e.kind, Kind::Relation(..));
        let same = |part: &Expr| relation(part) && relation(e) && self.compare(part, e).equal;
        let known = parts.iter().position(|part| part == e || same(part));
        if let Some(k) = known {
            return Some(Statement::Part(k));
        }
        parts.push(e.clone());
        (parts.len() <= MAX_PARTS).then(|| Statement::Part(parts.len() - 1))
    }
}
