//! Complex numbers of balls; a real number stays exactly real.
//!
//! An imaginary part that is absent is zero for sure. Were it a ball around zero, every logarithm
//! of a negative number would lie across the cut, and no value could be said to be real.

use dashu_ratio::RBig;

use super::ball::Ball;

/// Bits at which a number is compared with its whole part: those of the last evaluation. A longer
/// number gets a radius there, and then is not exactly an integer.
const INTEGER_PRECISION: usize = 4096;

#[derive(Clone, Debug)]
pub(super) struct Complex {
    pub(super) re: Ball,
    /// `None`: exactly zero.
    pub(super) im: Option<Ball>,
}

impl From<Ball> for Complex {
    fn from(re: Ball) -> Self {
        Self { re, im: None }
    }
}

impl Complex {
    pub(super) fn new(re: Ball, im: Ball) -> Self {
        let im = (!im.is_exact_zero()).then_some(im);
        Self { re, im }
    }

    pub(super) fn imag(&self) -> Ball {
        self.im.clone().unwrap_or_else(Ball::zero)
    }

    pub(super) fn is_exact_zero(&self) -> bool {
        self.im.is_none() && self.re.is_exact_zero()
    }

    pub(super) fn may_be_zero(&self) -> bool {
        self.re.may_be_zero() && self.im.as_ref().is_none_or(Ball::may_be_zero)
    }

    pub(super) fn may_be_real(&self) -> bool {
        self.im.as_ref().is_none_or(Ball::may_be_zero)
    }

    /// The value when it is exactly an integer that fits.
    pub(super) fn as_integer(&self) -> Option<i64> {
        if self.im.is_some() || self.re.radius_exponent() != i64::MIN {
            return None;
        }
        let floor = self.re.floor()?;
        let back = Ball::from_rational(&RBig::from(floor.clone()), INTEGER_PRECISION);
        back.sub(&self.re, INTEGER_PRECISION)
            .is_exact_zero()
            .then(|| i64::try_from(floor).ok())
            .flatten()
    }

    pub(super) fn in_range(&self) -> bool {
        self.re.in_range() && self.im.as_ref().is_none_or(Ball::in_range)
    }

    pub(super) fn neg(&self) -> Self {
        Self {
            re: self.re.neg(),
            im: self.im.as_ref().map(Ball::neg),
        }
    }

    pub(super) fn add(&self, other: &Self, p: usize) -> Self {
        let im = match (&self.im, &other.im) {
            (None, None) => None,
            (Some(a), None) | (None, Some(a)) => Some(a.clone()),
            (Some(a), Some(b)) => Some(a.add(b, p)),
        };
        Self {
            re: self.re.add(&other.re, p),
            im: im.filter(|im| !im.is_exact_zero()),
        }
    }

    pub(super) fn sub(&self, other: &Self, p: usize) -> Self {
        self.add(&other.neg(), p)
    }

    pub(super) fn mul(&self, other: &Self, p: usize) -> Self {
        match (&self.im, &other.im) {
            (None, None) => self.re.mul(&other.re, p).into(),
            (Some(im), None) => Self::new(self.re.mul(&other.re, p), im.mul(&other.re, p)),
            (None, Some(im)) => Self::new(self.re.mul(&other.re, p), im.mul(&self.re, p)),
            (Some(a), Some(b)) => Self::new(
                self.re.mul(&other.re, p).sub(&a.mul(b, p), p),
                self.re.mul(b, p).add(&a.mul(&other.re, p), p),
            ),
        }
    }

    fn norm(&self, p: usize) -> Ball {
        let square = self.re.mul(&self.re, p);
        match &self.im {
            None => square,
            Some(im) => square.add(&im.mul(im, p), p),
        }
    }

    pub(super) fn div(&self, other: &Self, p: usize) -> Option<Self> {
        match &other.im {
            None => Some(Self {
                re: self.re.div(&other.re, p)?,
                im: match &self.im {
                    Some(im) => Some(im.div(&other.re, p)?),
                    None => None,
                },
            }),
            Some(im) => {
                let conjugate = Self {
                    re: other.re.clone(),
                    im: Some(im.neg()),
                };
                let above = self.mul(&conjugate, p);
                let norm = other.norm(p);
                above.div(&norm.into(), p)
            }
        }
    }

    pub(super) fn abs(&self, p: usize) -> Option<Ball> {
        match &self.im {
            None => Some(self.re.abs()),
            Some(_) => self.norm(p).sqrt(p),
        }
    }

    pub(super) fn exp(&self, p: usize) -> Option<Self> {
        let scale = self.re.exp(p)?;
        match &self.im {
            None => Some(scale.into()),
            Some(im) => {
                let (sin, cos) = im.sin_cos(p)?;
                Some(Self::new(scale.mul(&cos, p), scale.mul(&sin, p)))
            }
        }
    }

    /// The angle in (-pi, pi]; `None` for zero, or across the cut.
    pub(super) fn arg(&self, p: usize) -> Option<Ball> {
        let im = self.imag();
        if self.re.is_positive() {
            if self.im.is_none() {
                return Some(Ball::zero());
            }
            return im.div(&self.re, p)?.atan(p);
        }
        let half = Ball::dyadic(1, 1);
        if im.is_positive() {
            return Some(
                Ball::pi(p)
                    .mul(&half, p)
                    .sub(&self.re.div(&im, p)?.atan(p)?, p),
            );
        }
        if im.is_negative() {
            return Some(
                Ball::pi(p)
                    .mul(&half, p)
                    .neg()
                    .sub(&self.re.div(&im, p)?.atan(p)?, p),
            );
        }
        (self.im.is_none() && self.re.is_negative()).then(|| Ball::pi(p))
    }

    pub(super) fn ln(&self, p: usize) -> Option<Self> {
        if self.im.is_none() && self.re.is_positive() {
            return Some(self.re.ln(p)?.into());
        }
        let half = Ball::dyadic(1, 1);
        let re = if self.im.is_none() {
            self.re.abs().ln(p)?
        } else {
            self.norm(p).ln(p)?.mul(&half, p)
        };
        Some(Self::new(re, self.arg(p)?))
    }

    /// The principal square root; through the logarithm for complex numbers, because the algebraic
    /// formula cancels next to the negative axis.
    pub(super) fn sqrt(&self, p: usize) -> Option<Self> {
        if self.im.is_none() {
            if self.re.is_negative() {
                return Some(Self::new(Ball::zero(), self.re.neg().sqrt(p)?));
            }
            return Some(self.re.sqrt(p)?.into());
        }
        let half: Self = Ball::dyadic(1, 1).into();
        self.ln(p)?.mul(&half, p).exp(p)
    }

    /// `(e^{iz}, e^{-iz})`.
    fn circle(&self, p: usize) -> Option<(Self, Self)> {
        let turned = Self::new(self.imag().neg(), self.re.clone());
        Some((turned.exp(p)?, turned.neg().exp(p)?))
    }

    pub(super) fn sin_cos(&self, p: usize) -> Option<(Self, Self)> {
        if self.im.is_none() {
            let (sin, cos) = self.re.sin_cos(p)?;
            return Some((sin.into(), cos.into()));
        }
        let (plus, minus) = self.circle(p)?;
        let half: Self = Ball::dyadic(1, 1).into();
        let cos = plus.add(&minus, p).mul(&half, p);
        let minus_half_i = Self::new(Ball::zero(), Ball::dyadic(-1, 1));
        let sin = plus.sub(&minus, p).mul(&minus_half_i, p);
        Some((sin, cos))
    }

    /// A whole power by repeated squaring.
    pub(super) fn powi(&self, n: i64, p: usize) -> Option<Self> {
        let mut left = n.unsigned_abs();
        let mut base = self.clone();
        let mut total: Self = Ball::from_int(1).into();
        while left > 0 {
            if left & 1 == 1 {
                total = total.mul(&base, p);
            }
            left >>= 1;
            if left > 0 {
                base = base.mul(&base, p);
            }
            if !base.in_range() || !total.in_range() {
                return None;
            }
        }
        if n < 0 {
            let one: Self = Ball::from_int(1).into();
            return one.div(&total, p);
        }
        Some(total)
    }
}
