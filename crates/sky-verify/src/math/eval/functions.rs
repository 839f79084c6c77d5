//! Functions with a meaning at a point.

use dashu_ratio::RBig;

use super::{Eval, Stop, divide, whole};
use crate::math::{
    ball::Ball,
    complex::Complex,
    exact,
    expr::{Expr, Func, Kind},
};

impl Eval<'_> {
    pub(super) fn call(&mut self, func: Func, args: &[Expr]) -> Result<Complex, Stop> {
        // Functions of whole numbers, when the arguments are known exactly.
        if func.of_whole_numbers() || matches!(func, Func::Log) {
            let constant = args.iter().all(|a| !a.has_names());
            if constant {
                let whole = Kind::Call(func, args.to_vec()).at(0..0);
                match self.exact(&whole) {
                    Ok(value) => return Ok(Ball::from_rational(&value, self.prec).into()),
                    Err(Stop::Undecided) => {}
                    Err(stop) => return Err(stop),
                }
            }
        }
        // The whole part of a root of a square number: exactly, or the ball lies across it.
        if matches!(func, Func::Floor | Func::Ceil) && self.bound.len() == self.wholes.len() {
            let whole = Kind::Call(func, args.to_vec()).at(0..0);
            let known = exact::rational(&whole, &mut self.wholes.clone(), self.budget);
            if let Ok(value) = known {
                return Ok(Ball::from_rational(&value, self.prec).into());
            }
        }
        let p = self.prec;
        let values = args
            .iter()
            .map(|a| self.value(a))
            .collect::<Result<Vec<_>, _>>()?;
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
            Func::Exp => self.saw_small(&values[0]),
            // The sum of two exponentials, one of them the inverse of the other.
            Func::Sinh | Func::Cosh | Func::Tanh => {
                self.saw_small(&values[0]);
                let size = values[0].re.top().clamp(0, 40);
                self.depth = self.depth.max(3 << size);
            }
            _ => self.saw(&values),
        }
        let complex = values.iter().any(|v| v.im.is_some());
        self.pay_series(match func {
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
        self.pay(8)?;
        let undecided = Stop::Undecided;
        match (func, values.as_slice()) {
            (Func::Sin, [x]) => Ok(x.sin_cos(p).ok_or(undecided)?.0),
            (Func::Cos, [x]) => Ok(x.sin_cos(p).ok_or(undecided)?.1),
            (Func::Tan, [x]) => {
                let (sin, cos) = x.sin_cos(p).ok_or(undecided)?;
                divide(&sin, &cos, p)
            }
            (Func::Cot, [x]) => {
                let (sin, cos) = x.sin_cos(p).ok_or(undecided)?;
                divide(&cos, &sin, p)
            }
            (Func::Sec, [x]) => divide(
                &Ball::from_int(1).into(),
                &x.sin_cos(p).ok_or(undecided)?.1,
                p,
            ),
            (Func::Csc, [x]) => divide(
                &Ball::from_int(1).into(),
                &x.sin_cos(p).ok_or(undecided)?.0,
                p,
            ),
            (Func::Atan, [x]) => Ok(real(x)?.atan(p).ok_or(undecided)?.into()),
            (Func::Acot, [x]) => Ok(half_pi(p)
                .sub(&real(x)?.atan(p).ok_or(undecided)?, p)
                .into()),
            (Func::Asin, [x]) => Ok(asin(real(x)?, p)?.into()),
            (Func::Acos, [x]) => Ok(half_pi(p).sub(&asin(real(x)?, p)?, p).into()),
            (Func::Sinh | Func::Cosh | Func::Tanh, [x]) => {
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
            (Func::Asinh | Func::Acosh, [x]) => {
                let one: Complex = Ball::from_int(if func == Func::Asinh { 1 } else { -1 }).into();
                let root = x.mul(x, p).add(&one, p).sqrt(p).ok_or(undecided)?;
                x.add(&root, p).ln(p).ok_or(undecided)
            }
            (Func::Atanh, [x]) => {
                let one: Complex = Ball::from_int(1).into();
                let half: Complex = Ball::dyadic(1, 1).into();
                let ratio = divide(&one.add(x, p), &one.sub(x, p), p)?;
                Ok(ratio.ln(p).ok_or(undecided)?.mul(&half, p))
            }
            (Func::Exp, [x]) => x.exp(p).ok_or(undecided),
            (Func::Ln, [x]) => {
                if x.is_exact_zero() {
                    return Err(Stop::Undefined);
                }
                self.left_reals |= x.re.is_negative() && x.im.is_none();
                x.ln(p).ok_or(undecided)
            }
            (Func::Log, [base, x]) => {
                if x.is_exact_zero() {
                    return Err(Stop::Undefined);
                }
                self.left_reals |= x.re.is_negative() && x.im.is_none();
                let below = base.ln(p).ok_or(undecided)?;
                divide(&x.ln(p).ok_or(undecided)?, &below, p)
            }
            (Func::Abs, [x]) => Ok(x.abs(p).ok_or(undecided)?.into()),
            (Func::Re, [x]) => Ok(x.re.clone().into()),
            (Func::Im, [x]) => Ok(x.imag().into()),
            (Func::Conjugate, [x]) => Ok(Complex::new(x.re.clone(), x.imag().neg())),
            (Func::Arg, [x]) => Ok(x.arg(p).ok_or(undecided)?.into()),
            (Func::Sign, [x]) => {
                let x = real(x)?;
                let sign = if x.is_positive() {
                    1
                } else if x.is_negative() {
                    -1
                } else {
                    return Err(undecided);
                };
                Ok(Ball::from_int(sign).into())
            }
            (Func::Floor, [x]) => floor(real(x)?),
            (Func::Ceil, [x]) => Ok(floor(&real(x)?.neg())?.neg()),
            (
                Func::Factorial
                | Func::DoubleFactorial
                | Func::Binomial
                | Func::Mod
                | Func::Residue
                | Func::Gcd
                | Func::Lcm
                | Func::Max
                | Func::Min,
                all,
            ) => {
                // Whole numbers at this point: exactly; otherwise a generic function.
                let wholes: Option<Vec<i64>> = all.iter().map(whole).collect();
                if let Some(wholes) = wholes {
                    let numbers = wholes.into_iter().map(|n| Kind::int(n).at(0..0)).collect();
                    let value = self.exact(&Kind::Call(func, numbers).at(0..0))?;
                    return Ok(Ball::from_rational(&value, p).into());
                }
                if matches!(func, Func::Max | Func::Min) {
                    let mut best = real(&all[0])?.clone();
                    for other in &all[1..] {
                        let other = real(other)?;
                        let gap = other.sub(&best, p);
                        if !gap.is_positive() && !gap.is_negative() && !gap.is_exact_zero() {
                            return Err(undecided);
                        }
                        if gap.is_positive() == (func == Func::Max) {
                            best = other.clone();
                        }
                    }
                    return Ok(best.into());
                }
                Ok(self.generic(&format!("{func:?}"), all))
            }
            (func, all) => Ok(self.generic(&format!("{func:?}"), all)),
        }
    }
}

fn real(x: &Complex) -> Result<&Ball, Stop> {
    if x.im.is_some() {
        Err(Stop::Undecided)
    } else {
        Ok(&x.re)
    }
}

fn half_pi(p: usize) -> Ball {
    Ball::pi(p).mul(&Ball::dyadic(1, 1), p)
}

fn asin(x: &Ball, p: usize) -> Result<Ball, Stop> {
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
        return Err(Stop::Undecided);
    }
    let root = rest.sqrt(p).ok_or(Stop::Undecided)?;
    x.div(&root, p)
        .and_then(|t| t.atan(p))
        .ok_or(Stop::Undecided)
}

fn floor(x: &Ball) -> Result<Complex, Stop> {
    let whole = x.floor().ok_or(Stop::Undecided)?;
    Ok(Ball::from_rational(&RBig::from(whole), 4096).into())
}
