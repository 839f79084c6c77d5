//! The value of a tree at a point, as a complex ball.
//!
//! Names get values from a hash, the same for both sides of a comparison. A function or an operator without a meaning of
//! its own gets a generic cubic polynomial of its arguments' values: equal arguments give equal values, others do not,
//! but for a coincidence of random coefficients.

mod functions;
mod point;
mod power;

pub(in crate::math) use point::{Point, Signs, hash};

use dashu_ratio::RBig;

use super::{
    ball::Ball,
    budget::{Budget, Spent},
    complex::Complex,
    exact::{self, NoValue},
    expr::{BigOp, Const, Expr, Kind},
};

/// Why there is no value at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::math) enum Stop {
    /// There is none: a division by zero, a logarithm of zero, an infinity.
    Undefined,
    /// Too close to a cut or a pole to tell, too large, or not a number at all.
    Undecided,
    Spent,
}

impl From<Spent> for Stop {
    fn from(_: Spent) -> Self {
        Self::Spent
    }
}

/// Steps that a bit of an elementary function takes.
const SERIES: u64 = 12;

pub(in crate::math) struct Eval<'a> {
    pub(in crate::math) point: Point,
    pub(in crate::math) prec: usize,
    pub(in crate::math) budget: &'a Budget,
    /// Values of names bound by sums.
    pub(in crate::math) bound: Vec<(String, Ball)>,
    /// The whole numbers that names stand for at this point, when they do.
    pub(in crate::math) wholes: exact::Names,
    /// A root or a logarithm of a negative number was taken on the way.
    pub(in crate::math) left_reals: bool,
    /// How many bits lie between the largest and the smallest number that were added up on the way, or how far from one an
    /// argument of a function lay: what is that much smaller shows only at a precision beyond it.
    pub(in crate::math) depth: i64,
}

impl Eval<'_> {
    /// Pays for so many operations on numbers of this precision.
    fn pay(&self, times: u64) -> Result<(), Spent> {
        let words = self.prec as u64 / 64 + 1;
        self.budget.take(times * (words * 2 + 8))
    }

    /// Pays for so many series: one term takes a handful of bits, and a few operations, which grow with the precision.
    fn pay_series(&self, times: u64) -> Result<(), Spent> {
        let prec = self.prec as u64;
        self.budget
            .take(times * SERIES * prec * (prec / 1024).max(1))
    }

    /// Notes an exponent near zero; a large one makes a large number, not a lost one.
    fn saw_small(&mut self, exponent: &Complex) {
        if exponent.re.top() < 0 {
            self.saw(std::slice::from_ref(exponent));
        }
    }

    /// Notes how far from one the arguments of a function lie.
    fn saw(&mut self, values: &[Complex]) {
        for value in values {
            for part in [Some(&value.re), value.im.as_ref()].into_iter().flatten() {
                if !part.may_be_zero() {
                    self.depth = self.depth.max(part.top().abs().saturating_mul(2));
                }
            }
        }
    }

    pub(in crate::math) fn value(&mut self, expr: &Expr) -> Result<Complex, Stop> {
        self.pay(1)?;
        let p = self.prec;
        let value = match &expr.kind {
            Kind::Num { value, .. } => {
                let bits = exact::bits(value);
                self.budget.take(bits as u64 / 32)?;
                // Digits beyond the precision are rounded away.
                if bits > p {
                    self.depth = self.depth.max(i64::try_from(bits).unwrap_or(i64::MAX));
                }
                Ball::from_rational(value, p).into()
            }
            Kind::Const(Const::Pi) => Ball::pi(p).into(),
            Kind::Const(Const::E) => {
                self.pay_series(1)?;
                Ball::from_int(1).exp(p).ok_or(Stop::Undecided)?.into()
            }
            Kind::Const(Const::I) => Complex::new(Ball::zero(), Ball::from_int(1)),
            Kind::Const(_) => return Err(Stop::Undefined),
            Kind::Sym(name) => self.name(name).into(),
            Kind::Neg(a) => self.value(a)?.neg(),
            Kind::Percent(a) => {
                let hundred: Complex = Ball::from_int(100).into();
                self.value(a)?.div(&hundred, p).ok_or(Stop::Undecided)?
            }
            Kind::Degree(a) => {
                let turn: Complex = Ball::pi(p)
                    .div(&Ball::from_int(180), p)
                    .ok_or(Stop::Undecided)?
                    .into();
                self.value(a)?.mul(&turn, p)
            }
            Kind::Quantity(a, _) => self.value(a)?,
            Kind::Add(items) => {
                let mut total: Complex = Ball::zero().into();
                let mut sizes = Sizes::default();
                for item in items {
                    let term = self.value(item)?;
                    sizes.see(&term);
                    total = total.add(&term, p);
                }
                self.depth = self.depth.max(sizes.gap());
                total
            }
            Kind::Mul(items) => {
                let mut total: Complex = Ball::from_int(1).into();
                for item in items {
                    total = total.mul(&self.value(item)?, p);
                    if !total.in_range() {
                        return Err(Stop::Undecided);
                    }
                }
                total
            }
            Kind::Div(a, b) => {
                let below = self.value(b)?;
                let above = self.value(a)?;
                divide(&above, &below, p)?
            }
            Kind::Pow(a, b) => self.power(a, b)?,
            Kind::Root(n, a) => {
                let degree = self.exact(n)?;
                if degree.is_zero() {
                    return Err(Stop::Undefined);
                }
                let value = self.value(a)?;
                self.raise(&value, &(RBig::ONE / degree))?
            }
            Kind::Based { .. } => {
                let value = self.exact(expr)?;
                Ball::from_rational(&value, p).into()
            }
            Kind::Call(func, args) => self.call(*func, args)?,
            Kind::Apply(name, args) => {
                let values = args
                    .iter()
                    .map(|a| self.value(a))
                    .collect::<Result<Vec<_>, _>>()?;
                self.pay(6 * values.len() as u64)?;
                self.generic(name, &values)
            }
            Kind::Big {
                op,
                var,
                lo,
                hi,
                body,
            } => self.big(*op, var, lo.as_deref(), hi.as_deref(), body)?,
            _ => return Err(Stop::Undecided),
        };
        if !value.in_range() {
            return Err(Stop::Undecided);
        }
        Ok(value)
    }

    fn exact(&self, expr: &Expr) -> Result<RBig, Stop> {
        exact::rational(expr, &mut Vec::new(), self.budget).map_err(|e| match e {
            NoValue::Undefined => Stop::Undefined,
            NoValue::Unknown => Stop::Undecided,
            NoValue::Spent => Stop::Spent,
        })
    }

    /// Sums and products with known bounds are added up; others are generic functions of their bounds and body.
    fn big(
        &mut self,
        op: BigOp,
        var: &str,
        lo: Option<&Expr>,
        hi: Option<&Expr>,
        body: &Expr,
    ) -> Result<Complex, Stop> {
        let p = self.prec;
        let mut ends = Vec::new();
        for end in [lo, hi] {
            let value = match end.map(|e| &e.kind) {
                None => Ball::from_int(-77).into(),
                Some(Kind::Const(Const::Infinity)) => Ball::from_int(1_000_003).into(),
                Some(Kind::Neg(inner)) if matches!(inner.kind, Kind::Const(Const::Infinity)) => {
                    Ball::from_int(-1_000_003).into()
                }
                Some(_) => self.value(end.ok_or(Stop::Undecided)?)?,
            };
            ends.push(value);
        }
        let range = whole(&ends[0]).zip(whole(&ends[1]));
        if let (BigOp::Sum | BigOp::Product, Some((from, to)), Some(_), Some(_)) =
            (op, range, lo, hi)
            && to.saturating_sub(from) <= 200
            && !var.is_empty()
        {
            let mut total: Complex = Ball::from_int(i64::from(op == BigOp::Product)).into();
            let mut sizes = Sizes::default();
            for k in from..=to {
                self.bound.push((var.to_owned(), Ball::from_int(k)));
                let term = self.value(body);
                self.bound.pop();
                let term = term?;
                total = if op == BigOp::Sum {
                    sizes.see(&term);
                    total.add(&term, p)
                } else {
                    total.mul(&term, p)
                };
            }
            self.depth = self.depth.max(sizes.gap());
            return Ok(total);
        }
        for k in [3, 5, 11] {
            self.bound.push((var.to_owned(), Ball::dyadic(k, 2)));
            let sample = self.value(body);
            self.bound.pop();
            ends.push(sample?);
        }
        Ok(self.generic(&format!("{op:?}"), &ends))
    }
}

/// The sizes of the terms of a sum, real and imaginary parts apart.
#[derive(Default)]
struct Sizes([Option<(i64, i64)>; 2]);

impl Sizes {
    fn see(&mut self, term: &Complex) {
        let parts = [Some(&term.re), term.im.as_ref()];
        for (range, part) in self.0.iter_mut().zip(parts) {
            // What may be zero is the outcome of other sums, which were noted.
            if let Some(top) = part.filter(|p| !p.may_be_zero()).map(Ball::top) {
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

fn divide(above: &Complex, below: &Complex, p: usize) -> Result<Complex, Stop> {
    if below.is_exact_zero() {
        return Err(Stop::Undefined);
    }
    above.div(below, p).ok_or(Stop::Undecided)
}

/// The value when it is exactly a whole number that fits.
fn whole(x: &Complex) -> Option<i64> {
    if x.im.is_some() || x.re.rad_top() != i64::MIN {
        return None;
    }
    let floor = x.re.floor()?;
    let back = Ball::from_rational(&RBig::from(floor.clone()), 4096);
    back.sub(&x.re, 4096)
        .is_exact_zero()
        .then(|| i64::try_from(floor).ok())
        .flatten()
}
