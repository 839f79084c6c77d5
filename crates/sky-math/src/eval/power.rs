//! Powers and roots.

use dashu_base::UnsignedAbs;
use dashu_ratio::RBig;

use super::context::{Eval, PointError};
use crate::{
    ball::Ball,
    complex::Complex,
    exact,
    expr::{Const, Expr, Kind},
};

impl Eval<'_> {
    pub(super) fn power(&mut self, a: &Expr, b: &Expr) -> Result<Complex, PointError> {
        match self.exact(b) {
            Ok(exponent) => {
                let base = self.value(a)?;
                return self.rational_power(&base, &exponent);
            }
            Err(PointError::Undecided) => {}
            Err(stop) => return Err(stop),
        }
        let exponent = self.value(b)?;
        self.note_small_exponent(&exponent);
        if matches!(a.kind, Kind::Const(Const::E)) {
            self.charge_series(1)?;
            return exponent.exp(self.prec).ok_or(PointError::Undecided);
        }
        let base = self.value(a)?;
        if base.is_exact_zero() {
            return if exponent.re.is_positive() {
                Ok(base)
            } else {
                Err(PointError::Undefined)
            };
        }
        // An integer exponent keeps a negative base real; the logarithm would leave a tiny
        // imaginary part, and with it the question whether the value is real.
        if let Some(n) = exponent.as_integer() {
            self.charge(u64::from(64 - n.unsigned_abs().leading_zeros()) * 4)?;
            return base.powi(n, self.prec).ok_or(PointError::Undecided);
        }
        self.charge_series(2)?;
        self.left_reals |= base.re.is_negative() && base.im.is_none();
        let p = self.prec;
        base.ln(p)
            .map(|ln| ln.mul(&exponent, p))
            .and_then(|x| x.exp(p))
            .ok_or(PointError::Undecided)
    }

    /// A root; with a name for its degree, the power of an inverse.
    pub(super) fn root(&mut self, n: &Expr, a: &Expr) -> Result<Complex, PointError> {
        match self.exact(n) {
            Ok(degree) if degree.is_zero() => Err(PointError::Undefined),
            Ok(degree) => {
                let value = self.value(a)?;
                self.rational_power(&value, &(RBig::ONE / degree))
            }
            Err(PointError::Undecided) => {
                let one = Box::new(Kind::int(1).at(0..0));
                let inverse = Kind::Div(one, Box::new(n.clone())).at(0..0);
                self.power(a, &inverse)
            }
            Err(stop) => Err(stop),
        }
    }

    /// A power with a rational exponent: real where there is a real one. School mathematics writes
    /// -2 for the cube root of -8; the principal value would be complex.
    pub(super) fn rational_power(
        &mut self,
        base: &Complex,
        exponent: &RBig,
    ) -> Result<Complex, PointError> {
        let p = self.prec;
        if let Some(n) = exact::integer(exponent) {
            if base.is_exact_zero() {
                return match i64::try_from(n).unwrap_or(1) {
                    0 => Ok(Ball::from_int(1).into()),
                    n if n > 0 => Ok(base.clone()),
                    _ => Err(PointError::Undefined),
                };
            }
            if let Ok(n) = i64::try_from(n)
                && n.unsigned_abs() < 1 << 20
            {
                self.charge(u64::from(64 - n.unsigned_abs().leading_zeros()) * 4)?;
                if n < 0 && base.may_be_zero() {
                    return Err(PointError::Undecided);
                }
                return base.powi(n, p).ok_or(PointError::Undecided);
            }
        }
        if base.is_exact_zero() {
            return if *exponent > RBig::ZERO {
                Ok(base.clone())
            } else {
                Err(PointError::Undefined)
            };
        }
        let half = RBig::ONE / RBig::from(2);
        let even_root = exponent.denominator().clone() % 2_u8 == 0;
        self.left_reals |= even_root && base.re.is_negative() && base.im.is_none();
        if *exponent == half {
            if base.im.is_some() {
                self.charge_series(4)?;
            } else {
                self.charge(8)?;
            }
            return base.sqrt(p).ok_or(PointError::Undecided);
        }
        self.charge_series(if base.im.is_some() { 4 } else { 2 })?;
        let power: Complex = Ball::from_rational(exponent, p).into();
        let odd_root = exponent.denominator().clone() % 2_u8 == 1;
        if base.im.is_none() && base.re.is_negative() && odd_root {
            let size: Complex = base.re.neg().into();
            let root = size
                .ln(p)
                .map(|ln| ln.mul(&power, p))
                .and_then(|x| x.exp(p))
                .ok_or(PointError::Undecided)?;
            let odd_power = exponent.numerator().clone().unsigned_abs() % 2_u8 == 1;
            return Ok(if odd_power { root.neg() } else { root });
        }
        base.ln(p)
            .map(|ln| ln.mul(&power, p))
            .and_then(|x| x.exp(p))
            .ok_or(PointError::Undecided)
    }
}
