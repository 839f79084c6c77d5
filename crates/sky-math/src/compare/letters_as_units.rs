//! Units in plain letters, which read as products of names: `500 g`, `9.8 m/s^2`, `3 mA`, `1 N*m`.
//!
//! Such a product is a quantity only beside another that says the same in other units.

use dashu_ratio::RBig;

use super::quantity::Quantity;
use crate::{
    expr::{Expr, Kind},
    units::{self, Unit},
};

/// Factors of a quantity at most.
const MAX_FACTORS: usize = 12;

/// A factor with the sign of its power.
type Factor<'a> = (&'a Expr, i32);

/// A number times letters that are units; `None` for any other product.
pub(super) fn letters_as_units(expr: &Expr) -> Option<Quantity> {
    if let Kind::Neg(inner) = &expr.kind {
        let inner = letters_as_units(inner)?;
        return Some(Quantity {
            value: Kind::Neg(Box::new(inner.value)).at(expr.span.clone()),
            ..inner
        });
    }
    let mut factors = Vec::new();
    collect(expr, 1, &mut factors)?;
    let mut unit = Unit::none();
    let mut values = Vec::new();
    let mut at = 0;
    while let Some(&(factor, sign)) = factors.get(at) {
        at += 1;
        let Some((name, power)) = letter(factor) else {
            if factor.has_names() {
                return None;
            }
            let value = factor.clone();
            values.push(match sign {
                1 => value,
                _ => {
                    let one = Box::new(Kind::int(1).at(factor.span.clone()));
                    Kind::Div(one, Box::new(value)).at(factor.span.clone())
                }
            });
            continue;
        };
        // `mA` in one run is a milliampere, `m*A` a metre times an ampere.
        let run = run(&factors[at - 1..]);
        let joined = run.as_ref().and_then(|(word, power, _)| known(word, power));
        match (joined, run) {
            (Some(part), Some((_, _, len))) => {
                unit = unit.times(&part, sign);
                at += len - 1;
            }
            _ => unit = unit.times(&known(symbol(name), &power)?, sign),
        }
    }
    (!values.is_empty() && unit.is_known()).then(|| Quantity {
        value: Kind::Mul(values).at(expr.span.clone()),
        unit,
        parts: Vec::<RBig>::new(),
    })
}

fn collect<'a>(expr: &'a Expr, sign: i32, out: &mut Vec<Factor<'a>>) -> Option<()> {
    match &expr.kind {
        Kind::Mul(items) => items.iter().try_for_each(|item| collect(item, sign, out))?,
        Kind::Div(above, below) if expr.any(&|k| matches!(k, Kind::Sym(_))) => {
            collect(above, sign, out)?;
            collect(below, -sign, out)?;
        }
        _ => out.push((expr, sign)),
    }
    (out.len() <= MAX_FACTORS).then_some(())
}

/// A name with its power.
fn letter(expr: &Expr) -> Option<(&str, String)> {
    let (base, power) = match &expr.kind {
        Kind::Pow(base, power) if !power.has_names() => (&**base, power.to_string()),
        _ => (expr, "1".to_owned()),
    };
    match &base.kind {
        Kind::Sym(name) if name.len() == 1 || matches!(name.as_str(), "Omega" | "mu") => {
            Some((name, power))
        }
        _ => None,
    }
}

/// The letter of a prefix.
fn symbol(name: &str) -> &str {
    if name == "mu" { "u" } else { name }
}

/// The letters that stand side by side from here on, the power behind them, and how many there are.
fn run(factors: &[Factor<'_>]) -> Option<(String, String, usize)> {
    let mut word = String::new();
    let mut last: Option<Factor<'_>> = None;
    for (len, &(factor, sign)) in factors.iter().enumerate() {
        let (name, power) = letter(factor)?;
        if let Some((before, same)) = last {
            // A space ends the name of a command.
            let command = usize::from(word == "u");
            let gap = factor.span.start.checked_sub(before.span.end)?;
            if same != sign || gap > command {
                return None;
            }
        }
        word.push_str(symbol(name));
        last = Some((factor, sign));
        let next = factors.get(len + 1).map(|(e, _)| e);
        let ends = power != "1"
            || next.is_none_or(|e| letter(e).is_none() || e.span.start > factor.span.end + 1)
            || next.is_some_and(|e| e.span.start > factor.span.end && word != "u");
        if ends {
            return (len > 0).then_some((word, power, len + 1));
        }
    }
    None
}

fn known(word: &str, power: &str) -> Option<Unit> {
    if !units::is_unit(word) {
        return None;
    }
    let unit = units::read(&format!("{word}^{power}"));
    (unit.is_known() && unit.nouns.is_empty() && unit.qualifier.is_empty()).then_some(unit)
}
