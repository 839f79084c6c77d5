//! Names at their arguments: which letters name a function, and what brackets behind them mean.

use super::{Parsed, Parser};
use crate::{
    expr::{Expr, Func, Kind},
    lex::Tok,
};

impl Parser<'_> {
    /// The arguments in the brackets that open here.
    pub(super) fn call_arguments(&mut self) -> Parsed<Vec<Expr>> {
        self.nested(|p| {
            p.at += 1;
            let bars = std::mem::replace(&mut p.bars, false);
            let inner = p.list();
            p.bars = bars;
            let inner = inner?;
            if !p.eat(')') {
                return p.fail("a closing bracket is missing");
            }
            Ok(match inner.kind {
                Kind::List(items) => items,
                kind => vec![kind.at(inner.span)],
            })
        })
    }
}

/// A function at its arguments; `\Gamma(x)` is `(x-1)!`, `C(n, k)` a binomial coefficient.
pub(super) fn applied(name: String, mut args: Vec<Expr>) -> Kind {
    if name == "C" && args.len() == 2 {
        return Kind::Call(Func::Binomial, args);
    }
    if name != "Gamma" || args.len() != 1 {
        return Kind::Apply(name, args);
    }
    let x = args.remove(0);
    let at = x.span.clone();
    let less = Kind::Add(vec![
        x,
        Kind::Neg(Box::new(Kind::int(1).at(at.clone()))).at(at.clone()),
    ]);
    Kind::Call(Func::Factorial, vec![less.at(at)])
}

/// Letters that nearly always name a function when brackets follow, and those that do before a lone
/// name: `C(h)`, but `p(1-p)`.
pub(super) const FUNCTION_LETTERS: [&str; 12] = [
    "f", "g", "h", "F", "G", "H", "delta", "Gamma", "zeta", "phi", "varphi", "psi",
];
const FACTOR_OR_FUNCTION: [&str; 14] = [
    "C", "P", "Q", "R", "S", "T", "A", "V", "p", "q", "u", "v", "y", "s",
];

/// The letter of a name, without index and primes.
pub(super) fn base_letter(name: &str) -> &str {
    name.split(['_', '\'']).next().unwrap_or(name)
}

impl Parser<'_> {
    /// `(y)(x)` is a product.
    pub(super) fn behind_bracket(&self) -> bool {
        self.at
            .checked_sub(1)
            .is_some_and(|i| self.tokens[i].tok == Tok::Ch(')'))
    }

    pub(super) fn applies(&self, name: &str) -> bool {
        let letter = base_letter(name);
        FUNCTION_LETTERS.contains(&letter)
            || FACTOR_OR_FUNCTION.contains(&letter) && self.lone_argument(1)
            || name == "C" && self.two_numbers()
    }

    /// Whether `(10, 3)` comes, as in `C(10, 3)`.
    fn two_numbers(&self) -> bool {
        matches!(
            (self.ahead(1), self.ahead(2), self.ahead(3), self.ahead(4)),
            (Tok::Num(_), Tok::Ch(','), Tok::Num(_), Tok::Ch(')'))
        )
    }

    /// Whether a name and a closing bracket or a comma come after `ahead` tokens.
    pub(super) fn lone_argument(&self, ahead: usize) -> bool {
        matches!(self.ahead(ahead), Tok::Letter(..) | Tok::Cmd(_))
            && matches!(self.ahead(ahead + 1), Tok::Ch(')' | ','))
    }
}
