//! The value of a tree at a point, as a complex ball.
//!
//! Names get values from a hash, the same for both sides of a comparison. A function or an operator
//! without a fixed meaning gets a generic cubic polynomial of its arguments' values: equal
//! arguments give equal values, others do not, but for a coincidence of random coefficients.
//!
//! Balls instead of plain floating point: cancellation, cuts and poles widen the ball, so that what
//! is unknown shows as unknown instead of as noise that a tolerance has to guess.

mod context;
mod functions;
mod point;
mod power;

pub(crate) use context::{Eval, PointError};
use functions::divide;
pub(crate) use point::{Point, Signs, hash};

use dashu_ratio::RBig;

use super::{
    ball::Ball,
    complex::Complex,
    exact::{self, ExactError},
    expr::{BigOp, Const, Expr, Kind},
};

impl Eval<'_> {
    pub(crate) fn value(&mut self, expr: &Expr) -> Result<Complex, PointError> {
        self.charge(1)?;
        let p = self.prec;
        let value = match &expr.kind {
            Kind::Num { value, .. } => {
                let bits = exact::bit_size(value);
                self.budget.take(bits as u64 / 32)?;
                // Digits beyond the precision are rounded away; the spread asks for a precision
                // that keeps them.
                if bits > p {
                    self.magnitude_spread = self
                        .magnitude_spread
                        .max(i64::try_from(bits).unwrap_or(i64::MAX));
                }
                Ball::from_rational(value, p).into()
            }
            Kind::Const(Const::Pi) => Ball::pi(p).into(),
            Kind::Const(Const::E) => {
                self.charge_series(1)?;
                Ball::from_int(1)
                    .exp(p)
                    .ok_or(PointError::Undecided)?
                    .into()
            }
            Kind::Const(Const::I) => Complex::new(Ball::zero(), Ball::from_int(1)),
            Kind::Const(_) => return Err(PointError::Undefined),
            Kind::Sym(name) => self.name(name).into(),
            Kind::Neg(a) => self.value(a)?.neg(),
            Kind::Percent(a) => {
                let hundred: Complex = Ball::from_int(100).into();
                self.value(a)?
                    .div(&hundred, p)
                    .ok_or(PointError::Undecided)?
            }
            Kind::Degree(a) => {
                let turn: Complex = Ball::pi(p)
                    .div(&Ball::from_int(180), p)
                    .ok_or(PointError::Undecided)?
                    .into();
                self.value(a)?.mul(&turn, p)
            }
            Kind::Quantity(a, _) => self.value(a)?,
            Kind::Add(items) => self.sum(items)?,
            Kind::Mul(items) => self.product(items)?,
            Kind::Div(a, b) => {
                let below = self.value(b)?;
                let above = self.value(a)?;
                divide(&above, &below, p)?
            }
            Kind::Pow(a, b) => self.power(a, b)?,
            Kind::Root(n, a) => self.root(n, a)?,
            Kind::Based { .. } => {
                let value = self.exact(expr)?;
                Ball::from_rational(&value, p).into()
            }
            Kind::Call(func, args) => self.call(*func, args)?,
            Kind::Apply(name, args) => self.apply(name, args)?,
            Kind::Big {
                op,
                var,
                lo,
                hi,
                body,
            } => self.big(*op, var, lo.as_deref(), hi.as_deref(), body)?,
            _ => return Err(PointError::Undecided),
        };
        if !value.in_range() {
            return Err(PointError::Undecided);
        }
        Ok(value)
    }

    /// A function without a fixed meaning.
    fn apply(&mut self, name: &str, args: &[Expr]) -> Result<Complex, PointError> {
        let values = args
            .iter()
            .map(|a| self.value(a))
            .collect::<Result<Vec<_>, _>>()?;
        self.charge(6 * values.len() as u64)?;
        Ok(self.generic(name, &values))
    }

    fn sum(&mut self, items: &[Expr]) -> Result<Complex, PointError> {
        let mut total: Complex = Ball::zero().into();
        let mut magnitudes = MagnitudeRange::default();
        for item in items {
            let term = self.value(item)?;
            magnitudes.see(&term);
            total = total.add(&term, self.prec);
        }
        self.magnitude_spread = self.magnitude_spread.max(magnitudes.gap());
        Ok(total)
    }

    fn product(&mut self, items: &[Expr]) -> Result<Complex, PointError> {
        let mut total: Complex = Ball::from_int(1).into();
        for item in items {
            total = total.mul(&self.value(item)?, self.prec);
            // A product of factors in range may leave it long before the last factor.
            if !total.in_range() {
                return Err(PointError::Undecided);
            }
        }
        Ok(total)
    }

    fn exact(&self, expr: &Expr) -> Result<RBig, PointError> {
        exact::rational(expr, &mut Vec::new(), self.budget).map_err(|e| match e {
            ExactError::Undefined => PointError::Undefined,
            ExactError::NotRational => PointError::Undecided,
            ExactError::OutOfBudget => PointError::OutOfBudget,
        })
    }

    /// Sums and products with known bounds are added up; others are generic functions of their
    /// bounds and body.
    fn big(
        &mut self,
        op: BigOp,
        var: &str,
        lo: Option<&Expr>,
        hi: Option<&Expr>,
        body: &Expr,
    ) -> Result<Complex, PointError> {
        let p = self.prec;
        let mut ends = Vec::new();
        // A bound without a value gets a number that no answer has: it is only an argument of a
        // generic function.
        for end in [lo, hi] {
            let value = match end.map(|e| &e.kind) {
                None => Ball::from_int(-77).into(),
                Some(Kind::Const(Const::Infinity)) => Ball::from_int(1_000_003).into(),
                Some(Kind::Neg(inner)) if matches!(inner.kind, Kind::Const(Const::Infinity)) => {
                    Ball::from_int(-1_000_003).into()
                }
                Some(_) => self.value(end.ok_or(PointError::Undecided)?)?,
            };
            ends.push(value);
        }
        let range = ends[0].as_integer().zip(ends[1].as_integer());
        if let (BigOp::Sum | BigOp::Product, Some((from, to)), Some(_), Some(_)) =
            (op, range, lo, hi)
            && to.saturating_sub(from) <= 200
            && !var.is_empty()
        {
            let mut total: Complex = Ball::from_int(i64::from(op == BigOp::Product)).into();
            let mut magnitudes = MagnitudeRange::default();
            for k in from..=to {
                self.bindings.push((var.to_owned(), Ball::from_int(k)));
                let term = self.value(body);
                self.bindings.pop();
                let term = term?;
                total = if op == BigOp::Sum {
                    magnitudes.see(&term);
                    total.add(&term, p)
                } else {
                    total.mul(&term, p)
                };
            }
            self.magnitude_spread = self.magnitude_spread.max(magnitudes.gap());
            return Ok(total);
        }
        // The body at three values of its name stands for the body.
        for k in [3, 5, 11] {
            self.bindings.push((var.to_owned(), Ball::dyadic(k, 2)));
            let sample = self.value(body);
            self.bindings.pop();
            ends.push(sample?);
        }
        Ok(self.generic(&format!("{op:?}"), &ends))
    }
}

/// The magnitudes of the terms of a sum, real and imaginary parts apart.
#[derive(Default)]
struct MagnitudeRange([Option<(i64, i64)>; 2]);

impl MagnitudeRange {
    fn see(&mut self, term: &Complex) {
        let parts = [Some(&term.re), term.im.as_ref()];
        for (range, part) in self.0.iter_mut().zip(parts) {
            // What may be zero is the outcome of another sum that cancelled, which noted its own
            // spread; its size here is only the size of its error.
            if let Some(top) = part
                .filter(|p| !p.may_be_zero())
                .map(Ball::magnitude_exponent)
            {
                let (low, high) = range.unwrap_or((top, top));
                *range = Some((low.min(top), high.max(top)));
            }
        }
    }

    fn gap(&self) -> i64 {
        let gaps = self.0.iter().flatten();
        gaps.map(|(low, high)| high.saturating_sub(*low))
            .max()
            .unwrap_or(0)
    }
}
