//! The value of a tree at a point, as a complex ball.
//!
//! Names get values from a hash, the same for both sides of a comparison. A function or an operator without a meaning of
//! its own gets a generic cubic polynomial of its arguments' values: equal arguments give equal values, others do not,
//! but for a coincidence of random coefficients.

mod functions;

use dashu_base::UnsignedAbs;
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

/// Signs of the names at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::math) enum Signs {
    Positive,
    Negative,
    Mixed,
}

impl Signs {
    /// The signs at the point of this number: all kinds within the first three.
    pub(in crate::math) fn at(index: u64) -> Self {
        match index % 3 {
            0 => Self::Positive,
            1 => Self::Negative,
            _ => Self::Mixed,
        }
    }
}

/// Where names get their values from.
#[derive(Clone, Copy, Debug)]
pub(in crate::math) struct Point {
    /// Number of the point.
    pub(in crate::math) index: u64,
    /// Signs of names here.
    pub(in crate::math) signs: Signs,
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

impl<'a> Eval<'a> {
    pub(in crate::math) fn new(point: Point, prec: usize, budget: &'a Budget) -> Self {
        Self {
            point,
            prec,
            budget,
            bound: Vec::new(),
            wholes: Vec::new(),
            left_reals: false,
            depth: 0,
        }
    }

    /// At a point where these names have these values.
    pub(in crate::math) fn at_values(
        values: &[(String, RBig)],
        whole: bool,
        prec: usize,
        budget: &'a Budget,
    ) -> Self {
        let point = Point {
            index: 0,
            signs: Signs::Positive,
        };
        let mut eval = Self::new(point, prec, budget);
        for (name, value) in values {
            eval.bound.push((name.clone(), Ball::exactly(value, prec)));
        }
        if whole {
            eval.wholes = values.to_vec();
        }
        eval
    }

    /// At a point where these names are whole numbers: small ones in turn at every other point, where they are few.
    pub(in crate::math) fn at_whole_point(
        names: &[String],
        index: u64,
        prec: usize,
        budget: &'a Budget,
    ) -> Self {
        let point = Point {
            index,
            signs: Signs::Positive,
        };
        let mut eval = Self::new(point, prec, budget);
        let n = i64::try_from(index / 2).unwrap_or(0);
        for (k, name) in names.iter().enumerate() {
            let value = match (index % 2, names.len(), k) {
                (0, 1, _) => n + 1,
                (0, 2, 0) => n % 5 + 1,
                (0, 2, _) => n / 5 + 1,
                // A remainder shows itself by numbers beyond it, a factorial by any.
                _ => {
                    let range = if index % 4 == 1 { 59 } else { 499 };
                    i64::try_from(hash(name, index) % range).unwrap_or(0) + 2
                }
            };
            eval.bound.push((name.clone(), Ball::from_int(value)));
            eval.wholes.push((name.clone(), RBig::from(value)));
        }
        eval
    }
}

/// FNV-1a, so that a name has the same value on every machine.
pub(in crate::math) fn hash(name: &str, salt: u64) -> u64 {
    let mut h = 0xcbf2_9ce4_8422_2325_u64;
    for b in name.bytes() {
        h = (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3);
    }
    mix(h ^ mix(salt))
}

/// The finaliser of SplitMix64.
fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

impl Eval<'_> {
    fn name(&self, name: &str) -> Ball {
        if let Some((_, value)) = self.bound.iter().rev().find(|(n, _)| n == name) {
            return value.clone();
        }
        let h = hash(name, self.point.index);
        // Odd multiples of 2^-17 below four: no square, no simple fraction, no coincidence. Then far out, up to 2^13, where
        // the root of x - 5 has a value, and below a half, where an arc sine has one.
        let bits = match self.point.index / 3 % 3 {
            0 => 17,
            1 => 17 - i64::try_from(mix(h) % 12).unwrap_or(0),
            _ => 20,
        };
        let magnitude = i64::try_from(h % (1 << 18)).unwrap_or(0) * 2 + 1;
        let negative = match self.point.signs {
            Signs::Positive => false,
            Signs::Negative => true,
            Signs::Mixed => h >> 63 == 1,
        };
        Ball::dyadic(if negative { -magnitude } else { magnitude }, bits)
    }

    /// A generic cubic polynomial of the values, its coefficients from the name.
    fn generic(&self, name: &str, values: &[Complex]) -> Complex {
        let p = self.prec;
        let coefficient = |k: u64| -> Complex {
            let h = hash(name, k ^ 0x5eed);
            Ball::dyadic(i64::try_from(h % (1 << 16)).unwrap_or(0) * 2 + 1, 15).into()
        };
        let mut total = coefficient(0);
        for (i, value) in values.iter().enumerate() {
            let base = i as u64 * 4 + 1;
            let square = value.mul(value, p);
            let cube = square.mul(value, p);
            total = total.add(&coefficient(base).mul(value, p), p);
            total = total.add(&coefficient(base + 1).mul(&square, p), p);
            total = total.add(&coefficient(base + 2).mul(&cube, p), p);
        }
        total
    }

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

    fn power(&mut self, a: &Expr, b: &Expr) -> Result<Complex, Stop> {
        match self.exact(b) {
            Ok(exponent) => {
                let base = self.value(a)?;
                return self.raise(&base, &exponent);
            }
            Err(Stop::Undecided) => {}
            Err(stop) => return Err(stop),
        }
        let exponent = self.value(b)?;
        self.saw_small(&exponent);
        if matches!(a.kind, Kind::Const(Const::E)) {
            self.pay_series(1)?;
            return exponent.exp(self.prec).ok_or(Stop::Undecided);
        }
        let base = self.value(a)?;
        self.pay_series(2)?;
        if base.is_exact_zero() {
            return if exponent.re.is_positive() {
                Ok(base)
            } else {
                Err(Stop::Undefined)
            };
        }
        // A whole exponent at this point keeps a negative base real.
        if let Some(n) = whole(&exponent) {
            return base.powi(n, self.prec).ok_or(Stop::Undecided);
        }
        self.left_reals |= base.re.is_negative() && base.im.is_none();
        let p = self.prec;
        base.ln(p)
            .map(|ln| ln.mul(&exponent, p))
            .and_then(|x| x.exp(p))
            .ok_or(Stop::Undecided)
    }

    /// A power with a rational exponent: real where there is a real one, as with the cube root of -8.
    fn raise(&mut self, base: &Complex, exponent: &RBig) -> Result<Complex, Stop> {
        let p = self.prec;
        if let Some(n) = exact::integer(exponent) {
            if base.is_exact_zero() {
                return match i64::try_from(n).unwrap_or(1) {
                    0 => Ok(Ball::from_int(1).into()),
                    n if n > 0 => Ok(base.clone()),
                    _ => Err(Stop::Undefined),
                };
            }
            if let Ok(n) = i64::try_from(n)
                && n.unsigned_abs() < 1 << 20
            {
                self.pay(u64::from(64 - n.unsigned_abs().leading_zeros()) * 4)?;
                if n < 0 && base.may_be_zero() {
                    return Err(Stop::Undecided);
                }
                return base.powi(n, p).ok_or(Stop::Undecided);
            }
        }
        if base.is_exact_zero() {
            return if *exponent > RBig::ZERO {
                Ok(base.clone())
            } else {
                Err(Stop::Undefined)
            };
        }
        let half = RBig::ONE / RBig::from(2);
        let even_root = exponent.denominator().clone() % 2_u8 == 0;
        self.left_reals |= even_root && base.re.is_negative() && base.im.is_none();
        if *exponent == half {
            if base.im.is_some() {
                self.pay_series(4)?;
            } else {
                self.pay(8)?;
            }
            return base.sqrt(p).ok_or(Stop::Undecided);
        }
        self.pay_series(if base.im.is_some() { 4 } else { 2 })?;
        let power: Complex = Ball::from_rational(exponent, p).into();
        let odd_root = exponent.denominator().clone() % 2_u8 == 1;
        if base.im.is_none() && base.re.is_negative() && odd_root {
            let size: Complex = base.re.neg().into();
            let root = size
                .ln(p)
                .map(|ln| ln.mul(&power, p))
                .and_then(|x| x.exp(p))
                .ok_or(Stop::Undecided)?;
            let odd_power = exponent.numerator().clone().unsigned_abs() % 2_u8 == 1;
            return Ok(if odd_power { root.neg() } else { root });
        }
        base.ln(p)
            .map(|ln| ln.mul(&power, p))
            .and_then(|x| x.exp(p))
            .ok_or(Stop::Undecided)
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
