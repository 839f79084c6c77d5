//! Functions with a meaning at a point.

use dashu_ratio::RBig;

use super::context::{Eval, PointError};
use crate::{
    ball::Ball,
    complex::Complex,
    exact,
    expr::{Expr, Func, Kind},
};

impl Eval<'_> {
    pub(super) fn call(&mut self, func: Func, args: &[Expr]) -> Result<Complex, PointError> {
        if let Some(value) = self.exact_call(func, args)? {
            return Ok(value);
        }
        // The end of the domain of an arc sine is no ball around it.
        let ends = matches!(func, Func::Asin | Func::Acos | Func::Acosh);
        let values = args
            .iter()
            .map(|a| match ends.then(|| self.exact(a)) {
                Some(Ok(value)) => Ok(Ball::from_rational(&value, self.prec).into()),
                Some(Err(PointError::OutOfBudget)) => Err(PointError::OutOfBudget),
                _ => self.value(a),
            })
            .collect::<Result<Vec<_>, _>>()?;
        self.note_arguments(func, &values);
        self.charge_call(func, &values)?;
        match values.as_slice() {
            [x] => self.of_one(func, x, &values),
            [base, x] if func == Func::Log => self.logarithm(base, x),
            all => self.of_several(func, all),
        }
    }

    /// The value of a call that rational arithmetic can answer, so that no rounding decides a step
    /// or a remainder.
    fn exact_call(&self, func: Func, args: &[Expr]) -> Result<Option<Complex>, PointError> {
        if func.takes_integers() || matches!(func, Func::Log) {
            let constant = args.iter().all(|a| !a.has_names());
            if constant {
                let call = Kind::Call(func, args.to_vec()).at(0..0);
                match self.exact(&call) {
                    Ok(value) => return Ok(Some(Ball::from_rational(&value, self.prec).into())),
                    Err(PointError::Undecided) => {}
                    Err(stop) => return Err(stop),
                }
            }
        }
        // The floor of the root of a square number: a ball around it lies across the step at every
        // precision, so only the exact value decides.
        if matches!(func, Func::Floor | Func::Ceil) && self.bindings.len() == self.integers.len() {
            let call = Kind::Call(func, args.to_vec()).at(0..0);
            let known = exact::rational(&call, &mut self.integers.clone(), self.budget);
            if let Ok(value) = known {
                return Ok(Some(Ball::from_rational(&value, self.prec).into()));
            }
        }
        Ok(None)
    }

    /// Notes arguments so far from one that the function hides what differs in them.
    fn note_arguments(&mut self, func: Func, values: &[Complex]) {
        match func {
            // These lose nothing, or look no further than their argument does.
            Func::Abs
            | Func::Re
            | Func::Im
            | Func::Conjugate
            | Func::Sign
            | Func::Max
            | Func::Min
            | Func::Floor
            | Func::Ceil
            | Func::Ln
            | Func::Log => {}
            Func::Exp => self.note_small_exponent(&values[0]),
            // The sum of two exponentials, one of them the inverse of the other.
            Func::Sinh | Func::Cosh | Func::Tanh => {
                self.note_small_exponent(&values[0]);
                let size = values[0].re.magnitude_exponent().clamp(0, 40);
                self.magnitude_spread = self.magnitude_spread.max(3 << size);
            }
            _ => self.note_magnitudes(values),
        }
    }

    /// Pays for the series that a call sums up.
    fn charge_call(&self, func: Func, values: &[Complex]) -> Result<(), PointError> {
        let complex = values.iter().any(|v| v.im.is_some());
        self.charge_series(match func {
            Func::Abs
            | Func::Floor
            | Func::Ceil
            | Func::Re
            | Func::Im
            | Func::Sign
            | Func::Max
            | Func::Min => 0,
            _ if complex => 4,
            Func::Log | Func::Sinh | Func::Cosh | Func::Tanh => 2,
            _ => 1,
        })?;
        Ok(self.charge(8)?)
    }

    /// A function of one argument; `all` holds it alone.
    fn of_one(&mut self, func: Func, x: &Complex, all: &[Complex]) -> Result<Complex, PointError> {
        let p = self.prec;
        let undecided = PointError::Undecided;
        match func {
            Func::Sin => Ok(x.sin_cos(p).ok_or(undecided)?.0),
            Func::Cos => Ok(x.sin_cos(p).ok_or(undecided)?.1),
            Func::Tan => {
                let (sin, cos) = x.sin_cos(p).ok_or(undecided)?;
                divide(&sin, &cos, p)
            }
            Func::Cot => {
                let (sin, cos) = x.sin_cos(p).ok_or(undecided)?;
                divide(&cos, &sin, p)
            }
            Func::Sec => {
                let cos = x.sin_cos(p).ok_or(undecided)?.1;
                divide(&Ball::from_int(1).into(), &cos, p)
            }
            Func::Csc => {
                let sin = x.sin_cos(p).ok_or(undecided)?.0;
                divide(&Ball::from_int(1).into(), &sin, p)
            }
            Func::Atan => Ok(real(x)?.atan(p).ok_or(undecided)?.into()),
            Func::Acot => Ok(half_pi(p)
                .sub(&real(x)?.atan(p).ok_or(undecided)?, p)
                .into()),
            Func::Asin => Ok(asin(real(x)?, p)?.into()),
            Func::Acos => Ok(half_pi(p).sub(&asin(real(x)?, p)?, p).into()),
            Func::Sinh | Func::Cosh | Func::Tanh => hyperbolic(func, x, p),
            Func::Asinh | Func::Acosh | Func::Atanh => inverse_hyperbolic(func, x, p),
            Func::Exp => x.exp(p).ok_or(undecided),
            Func::Ln => {
                if x.is_exact_zero() {
                    return Err(PointError::Undefined);
                }
                self.left_reals |= x.re.is_negative() && x.im.is_none();
                x.ln(p).ok_or(undecided)
            }
            Func::Abs => Ok(x.abs(p).ok_or(undecided)?.into()),
            Func::Re => Ok(x.re.clone().into()),
            Func::Im => Ok(x.imag().into()),
            Func::Conjugate => Ok(Complex::new(x.re.clone(), x.imag().neg())),
            Func::Arg => Ok(x.arg(p).ok_or(undecided)?.into()),
            Func::Sign => {
                let x = real(x)?;
                if x.is_positive() {
                    Ok(Ball::from_int(1).into())
                } else if x.is_negative() {
                    Ok(Ball::from_int(-1).into())
                } else {
                    Err(undecided)
                }
            }
            Func::Floor => floor(real(x)?),
            Func::Ceil => Ok(floor(&real(x)?.neg())?.neg()),
            _ => self.of_several(func, all),
        }
    }

    fn logarithm(&mut self, base: &Complex, x: &Complex) -> Result<Complex, PointError> {
        let p = self.prec;
        if x.is_exact_zero() {
            return Err(PointError::Undefined);
        }
        self.left_reals |= x.re.is_negative() && x.im.is_none();
        let below = base.ln(p).ok_or(PointError::Undecided)?;
        divide(&x.ln(p).ok_or(PointError::Undecided)?, &below, p)
    }

    /// Functions of integers, of which only exact arguments have a value; the largest and the
    /// smallest of several numbers; anything else is a generic function.
    fn of_several(&mut self, func: Func, all: &[Complex]) -> Result<Complex, PointError> {
        let extremum = matches!(func, Func::Max | Func::Min);
        if func.takes_integers() || extremum {
            let integers: Option<Vec<i64>> = all.iter().map(Complex::as_integer).collect();
            if let Some(integers) = integers {
                let numbers = integers
                    .into_iter()
                    .map(|n| Kind::int(n).at(0..0))
                    .collect();
                let value = self.exact(&Kind::Call(func, numbers).at(0..0))?;
                return Ok(Ball::from_rational(&value, self.prec).into());
            }
        }
        if extremum {
            return max_or_min(func, all, self.prec);
        }
        Ok(self.generic(&format!("{func:?}"), all))
    }
}

/// A quotient; a divisor that may be zero, but is not zero for sure, decides nothing.
pub(super) fn divide(above: &Complex, below: &Complex, p: usize) -> Result<Complex, PointError> {
    if below.is_exact_zero() {
        return Err(PointError::Undefined);
    }
    above.div(below, p).ok_or(PointError::Undecided)
}

fn max_or_min(func: Func, all: &[Complex], p: usize) -> Result<Complex, PointError> {
    let mut best = real(&all[0])?.clone();
    for other in &all[1..] {
        let other = real(other)?;
        let gap = other.sub(&best, p);
        if !gap.is_positive() && !gap.is_negative() && !gap.is_exact_zero() {
            return Err(PointError::Undecided);
        }
        if gap.is_positive() == (func == Func::Max) {
            best = other.clone();
        }
    }
    Ok(best.into())
}

fn hyperbolic(func: Func, x: &Complex, p: usize) -> Result<Complex, PointError> {
    let undecided = PointError::Undecided;
    let (plus, minus) = (x.exp(p).ok_or(undecided)?, x.neg().exp(p).ok_or(undecided)?);
    let half: Complex = Ball::dyadic(1, 1).into();
    let sinh = plus.sub(&minus, p).mul(&half, p);
    let cosh = plus.add(&minus, p).mul(&half, p);
    match func {
        Func::Sinh => Ok(sinh),
        Func::Cosh => Ok(cosh),
        _ => divide(&sinh, &cosh, p),
    }
}

/// `asinh x = ln(x + sqrt(x^2 + 1))`, `acosh x = ln(x + sqrt(x^2 - 1))`,
/// `atanh x = ln((1 + x) / (1 - x)) / 2`.
fn inverse_hyperbolic(func: Func, x: &Complex, p: usize) -> Result<Complex, PointError> {
    let undecided = PointError::Undecided;
    if func == Func::Atanh {
        let one: Complex = Ball::from_int(1).into();
        let half: Complex = Ball::dyadic(1, 1).into();
        let ratio = divide(&one.add(x, p), &one.sub(x, p), p)?;
        return Ok(ratio.ln(p).ok_or(undecided)?.mul(&half, p));
    }
    let one: Complex = Ball::from_int(if func == Func::Asinh { 1 } else { -1 }).into();
    let root = x.mul(x, p).add(&one, p).sqrt(p).ok_or(undecided)?;
    x.add(&root, p).ln(p).ok_or(undecided)
}

fn real(x: &Complex) -> Result<&Ball, PointError> {
    if x.im.is_some() {
        Err(PointError::Undecided)
    } else {
        Ok(&x.re)
    }
}

fn half_pi(p: usize) -> Ball {
    Ball::pi(p).mul(&Ball::dyadic(1, 1), p)
}

fn asin(x: &Ball, p: usize) -> Result<Ball, PointError> {
    let one = Ball::from_int(1);
    let rest = one.sub(&x.mul(x, p), p);
    if rest.is_exact_zero() {
        return Ok(if x.is_negative() {
            half_pi(p).neg()
        } else {
            half_pi(p)
        });
    }
    if rest.is_negative() {
        return Err(PointError::Undecided);
    }
    let root = rest.sqrt(p).ok_or(PointError::Undecided)?;
    x.div(&root, p)
        .and_then(|t| t.atan(p))
        .ok_or(PointError::Undecided)
}

fn floor(x: &Ball) -> Result<Complex, PointError> {
    let whole = x.floor().ok_or(PointError::Undecided)?;
    // The bits of the last evaluation, not of this one: a whole part that is rounded again would
    // get a radius, and two equal ones would only agree roughly.
    Ok(Ball::from_rational(&RBig::from(whole), 4096).into())
}
