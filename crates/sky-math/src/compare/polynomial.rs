//! Polynomials in one name with rational coefficients, and those of their roots that can be written
//! down.

use dashu_base::{Signed, UnsignedAbs};
use dashu_int::{IBig, UBig};
use dashu_ratio::RBig;

use crate::{
    budget::Budget,
    exact,
    expr::{Expr, Kind},
    identity,
};

/// Degree at most.
const MAX_DEGREE: usize = 8;
/// Rational roots are looked for among quotients of divisors up to this.
const MAX_DIVISOR: u64 = 64;

/// The coefficients of the polynomial that takes these values at integers, the constant first;
/// `None` when none of degree [`MAX_DEGREE`] at most does.
pub(super) fn interpolated(at: &dyn Fn(i64) -> Option<RBig>) -> Option<Vec<RBig>> {
    // Newton's form on the points 0, 1, -1, 2, -2, ..., one more at a time, until it predicts
    // values further out: what is no polynomial fits near its points only.
    let point = |k: usize| {
        let half = i64::try_from(k.div_ceil(2)).unwrap_or(0);
        if k % 2 == 1 { half } else { -half }
    };
    let value_at = |newton: &[RBig], x: i64| {
        newton
            .iter()
            .enumerate()
            .rev()
            .fold(RBig::ZERO, |sum, (k, c)| {
                sum * RBig::from(x - point(k)) + c.clone()
            })
    };
    let mut newton: Vec<RBig> = Vec::new();
    for k in 0..=MAX_DEGREE + 1 {
        let predicts = |x| Some(at(x)? == value_at(&newton, x));
        if k > 0 && predicts(37)? && predicts(-41)? && predicts(11)? {
            break;
        }
        if k > MAX_DEGREE {
            return None;
        }
        let value = at(point(k))?;
        if exact::bit_size(&value) > 2048 {
            return None;
        }
        let below = (0..k).fold(RBig::ONE, |product, j| {
            product * RBig::from(point(k) - point(j))
        });
        let gap = value - value_at(&newton, point(k));
        newton.push(gap / below);
    }
    let mut coefficients: Vec<RBig> = Vec::new();
    for (k, c) in newton.iter().enumerate().rev() {
        // times (x - point), plus c.
        let shift = RBig::from(point(k));
        let mut next = vec![RBig::ZERO; coefficients.len() + 1];
        for (i, old) in coefficients.iter().enumerate() {
            next[i + 1] += old.clone();
            next[i] -= old.clone() * shift.clone();
        }
        next[0] += c.clone();
        coefficients = next;
    }
    while coefficients.last().is_some_and(RBig::is_zero) {
        coefficients.pop();
    }
    Some(coefficients)
}

/// The real roots; `None` when some cannot be written down. The zero polynomial has none that
/// matters.
pub(super) fn roots(coefficients: &[RBig], budget: &Budget) -> Option<Vec<Expr>> {
    let mut left = coefficients.to_vec();
    let mut out = Vec::new();
    let zeros = left.iter().take_while(|c| c.is_zero()).count();
    if zeros > 0 && zeros < left.len() {
        out.push(number(RBig::ZERO));
        left.drain(..zeros);
    }
    // What has a square root in it already needs no search.
    if left.len() > 3 && power_step(&left) == 1 {
        for root in rational_roots(&mut left, budget)? {
            out.push(number(root));
        }
    }
    if left.len() < 2 {
        return Some(out);
    }
    let step = power_step(&left);
    let squares: Vec<RBig> = left.iter().step_by(step).cloned().collect();
    let inner = match squares.as_slice() {
        [c, b] => vec![number(-c.clone() / b.clone())],
        [c, b, a] => quadratic(a, b, c),
        _ => return None,
    };
    for value in inner {
        if step == 1 {
            out.push(value);
            continue;
        }
        let sign = identity::sign(&value, budget)?;
        let root = |of: Expr| {
            let degree = Kind::int(i64::try_from(step).unwrap_or(1)).at(0..0);
            Kind::Root(Box::new(degree), Box::new(of)).at(0..0)
        };
        match (sign, step % 2) {
            (0, _) => out.push(number(RBig::ZERO)),
            (1, 0) => out.extend([root(value.clone()), negative(root(value))]),
            (1, _) => out.push(root(value)),
            (_, 0) => {}
            _ => out.push(negative(root(negative(value)))),
        }
    }
    Some(out)
}

/// The largest `k` for which this is a polynomial in `x^k`.
fn power_step(coefficients: &[RBig]) -> usize {
    let powers = coefficients
        .iter()
        .enumerate()
        .filter(|(_, c)| !c.is_zero())
        .map(|(power, _)| power);
    let gcd = |mut a: usize, mut b: usize| {
        while b != 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    powers.fold(0, gcd).max(1)
}

fn quadratic(a: &RBig, b: &RBig, c: &RBig) -> Vec<Expr> {
    let discriminant = b.clone() * b.clone() - RBig::from(4) * a.clone() * c.clone();
    if discriminant < RBig::ZERO {
        return Vec::new();
    }
    let two = Box::new(Kind::int(2).at(0..0));
    let root = Kind::Root(two, Box::new(number(discriminant))).at(0..0);
    let below = number(RBig::from(2) * a.clone());
    let side = |term: Expr| {
        let above = Kind::Add(vec![number(-b.clone()), term]).at(0..0);
        Kind::Div(Box::new(above), Box::new(below.clone())).at(0..0)
    };
    vec![side(root.clone()), side(negative(root))]
}

/// The rational roots with small numerators and denominators, divided out as often as they occur.
fn rational_roots(coefficients: &mut Vec<RBig>, budget: &Budget) -> Option<Vec<RBig>> {
    let mut found = Vec::new();
    // Over one denominator, so that the divisors of the first and the last say what may be a root.
    let common = coefficients
        .iter()
        .fold(UBig::ONE, |all, c| all * c.denominator());
    let numerator = |c: &RBig| (c.clone() * RBig::from(common.clone())).numerator().clone();
    let divisors = |n: IBig| -> Vec<u64> {
        let n = n.unsigned_abs();
        (1..=MAX_DIVISOR)
            .filter(|d| (&n % UBig::from(*d)).is_zero())
            .collect()
    };
    let (Some(first), Some(last)) = (coefficients.first(), coefficients.last()) else {
        return Some(found);
    };
    budget.take(8 * MAX_DIVISOR).ok()?;
    let (above, below) = (divisors(numerator(first)), divisors(numerator(last)));
    for p in &above {
        for q in &below {
            for sign in [1, -1] {
                let x = RBig::from_parts(IBig::from(*p) * IBig::from(sign), UBig::from(*q));
                let mut once = false;
                // Down to degree two, whose roots need no search.
                while coefficients.len() > 3 {
                    budget.take(60 * coefficients.len() as u64).ok()?;
                    let Some(divided) = divided(coefficients, &x) else {
                        break;
                    };
                    *coefficients = divided;
                    once = true;
                }
                if once {
                    found.push(x);
                }
            }
        }
    }
    Some(found)
}

/// The polynomial over `x - root`, when that leaves nothing (Horner's scheme).
fn divided(coefficients: &[RBig], root: &RBig) -> Option<Vec<RBig>> {
    let mut carried = RBig::ZERO;
    let mut out = Vec::with_capacity(coefficients.len());
    for c in coefficients.iter().rev() {
        carried = carried * root.clone() + c.clone();
        out.push(carried.clone());
    }
    out.pop().filter(RBig::is_zero)?;
    out.reverse();
    Some(out)
}

fn number(value: RBig) -> Expr {
    let below = value.is_negative();
    let size = Kind::Num {
        value: if below { -value } else { value },
        decimals: None,
    }
    .at(0..0);
    if below { negative(size) } else { size }
}

fn negative(e: Expr) -> Expr {
    Kind::Neg(Box::new(e)).at(0..0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A polynomial with these coefficients, the constant first.
    fn polynomial(coefficients: &[i64]) -> impl Fn(i64) -> Option<RBig> {
        let coefficients = coefficients.to_vec();
        move |x| {
            let value = coefficients.iter().rev().fold(0, |sum, c| sum * x + c);
            Some(RBig::from(value))
        }
    }

    fn roots_of(coefficients: &[i64]) -> Option<Vec<String>> {
        let budget = Budget::new(1_000_000);
        let found = interpolated(&polynomial(coefficients)).unwrap();
        assert_eq!(
            found,
            coefficients
                .iter()
                .map(|c| RBig::from(*c))
                .collect::<Vec<_>>()
        );
        let mut out: Vec<String> = roots(&found, &budget)?
            .iter()
            .map(|root| identity::approximate(root, &budget).unwrap())
            .collect();
        out.sort();
        Some(out)
    }

    #[test]
    fn roots_that_can_be_written_down() {
        assert_eq!(roots_of(&[-16, 0, 0, 0, 1]).unwrap(), ["-2", "2"]);
        assert_eq!(roots_of(&[0, 0, 0, 0, 1]).unwrap(), ["0"]);
        assert_eq!(roots_of(&[-6, 11, -6, 1]).unwrap(), ["1", "2", "3"]);
        assert_eq!(roots_of(&[8, 0, 0, 1]).unwrap(), ["-2"]);
        assert_eq!(roots_of(&[4, 0, -5, 0, 1]).unwrap(), ["-1", "-2", "1", "2"]);
        assert_eq!(roots_of(&[4, 0, 5, 0, 1]).unwrap(), [""; 0]);
        assert_eq!(roots_of(&[-3, 2]).unwrap(), ["1.5"]);
        assert_eq!(roots_of(&[1, -1, 0, 1]), None);
        assert_eq!(roots_of(&[0, -1, 0, 1]).unwrap(), ["-1", "0", "1"]);
    }

    #[test]
    fn what_is_no_polynomial() {
        assert!(interpolated(&|x| (x != 0).then(|| RBig::ONE / RBig::from(x))).is_none());
        assert!(interpolated(&|x| Some(RBig::from(1_i64 << (x + 20)))).is_none());
    }
}
