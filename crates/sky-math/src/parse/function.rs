//! Functions: powers, bases and arguments, and those that are made of others.

use super::{Parsed, Parser};
use crate::{
    expr::{Const, Expr, Func, Kind},
    latex_names::{self, Detour},
    lex::Tok,
};

impl Parser<'_> {
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
        let (func, power, detour) = inverted(func, name, power);
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
        let call = by_detour(call, detour, of);
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
    pub(super) fn argument(&mut self) -> Parsed {
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

/// The function that `\sin^{-1}` means, with the power that is left and the way to it.
fn inverted(func: Func, name: &str, power: Option<Expr>) -> (Func, Option<Expr>, Option<Detour>) {
    let detour = latex_names::detour(name);
    let inverse =
        matches!(&power, Some(p) if matches!(&p.kind, Kind::Neg(one) if one.kind == Kind::int(1)));
    if !inverse || matches!(detour, Some(Detour::Sinc | Detour::Angle)) {
        return (func, power, detour);
    }
    let of = match func {
        Func::Sin | Func::Csc => Func::Asin,
        Func::Cos | Func::Sec => Func::Acos,
        Func::Tan => Func::Atan,
        Func::Cot => Func::Acot,
        Func::Sinh => Func::Asinh,
        Func::Cosh => Func::Acosh,
        Func::Tanh => Func::Atanh,
        _ => return (func, power, detour),
    };
    // The inverse of `1/f(x)` takes `1/x` to the inverse of f.
    let over = detour == Some(Detour::InverseValue) || matches!(func, Func::Sec | Func::Csc);
    let detour = if over {
        Some(Detour::InverseArgument)
    } else {
        detour
    };
    (of, None, detour)
}

/// What a function without its own code makes of the call of another; `of` is its argument.
fn by_detour(call: Expr, detour: Option<Detour>, of: Option<Expr>) -> Expr {
    let span = call.span.clone();
    let over =
        |above: Expr, below: Expr| Kind::Div(Box::new(above), Box::new(below)).at(span.clone());
    match (detour, of) {
        (Some(Detour::InverseValue), _) => over(Kind::int(1).at(span.clone()), call),
        (Some(Detour::Sinc), Some(of)) if of.kind == Kind::int(0) => Kind::int(1).at(of.span),
        (Some(Detour::Sinc), Some(of)) => over(call, of),
        _ => call,
    }
}
