//! Real numbers with a rigorous error bound, at any precision: a midpoint, a radius, a power of
//! two.
//!
//! This is ball arithmetic (van der Hoeven, 2009; Johansson, "Arb", 2017): each operation returns a
//! ball that holds every value which its operands' balls allow. An interval would carry two
//! long numbers; a ball carries one and a radius of a machine word, so that it costs half.

mod functions;
mod short;

use dashu_base::{BitTest, Signed, SquareRoot, UnsignedAbs};
use dashu_int::{IBig, UBig};
use dashu_ratio::RBig;

/// `(mid ± rad) * 2^exp` holds the true value.
#[derive(Clone, Debug)]
pub(crate) struct Ball {
    mid: IBig,
    rad: u64,
    exp: i64,
}

/// Bits of a radius at most. 24 bits below a machine word leave room for the sums of radii that an
/// operation makes before it rounds, and 40 bits of an error are more than anyone needs.
const RAD_BITS: usize = 40;
/// Powers of two beyond this are refused: exponents are added and doubled in `i64` on the way.
const MAX_EXP: i64 = 1 << 40;

fn to_i64(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn to_usize(n: i64) -> usize {
    usize::try_from(n).unwrap_or(0)
}

/// `n * 2^shift`, rounded towards minus infinity.
fn shl(n: &IBig, shift: i64) -> IBig {
    if shift >= 0 {
        n << to_usize(shift)
    } else {
        n >> to_usize(-shift)
    }
}

fn bit_len(n: &IBig) -> usize {
    n.bit_len()
}

impl Ball {
    pub(crate) fn zero() -> Self {
        Self {
            mid: IBig::ZERO,
            rad: 0,
            exp: 0,
        }
    }

    pub(crate) fn from_int(n: i64) -> Self {
        Self {
            mid: n.into(),
            rad: 0,
            exp: 0,
        }
    }

    /// `n / 2^bits`, exactly.
    pub(crate) fn dyadic(n: i64, bits: i64) -> Self {
        Self {
            mid: n.into(),
            rad: 0,
            exp: -bits,
        }
    }

    /// Exactly the value where it is a fraction over a power of two, to this precision otherwise.
    pub(crate) fn exactly(value: &RBig, prec: usize) -> Self {
        let below = value.denominator();
        match below.trailing_zeros() {
            Some(zeros) if zeros + 1 == below.bit_len() => Self {
                mid: value.numerator().clone(),
                rad: 0,
                exp: -to_i64(zeros),
            },
            _ => Self::from_rational(value, prec),
        }
    }

    pub(crate) fn from_rational(value: &RBig, prec: usize) -> Self {
        let above = Self {
            mid: value.numerator().clone(),
            rad: 0,
            exp: 0,
        };
        if *value.denominator() == UBig::ONE {
            return above.round(prec);
        }
        let below = Self {
            mid: value.denominator().clone().into(),
            rad: 0,
            exp: 0,
        };
        above.div(&below, prec).unwrap_or_else(Self::zero)
    }

    pub(crate) fn is_exact_zero(&self) -> bool {
        self.rad == 0 && self.mid.is_zero()
    }

    /// Whether zero may be the true value.
    pub(crate) fn may_be_zero(&self) -> bool {
        // Most midpoints are longer than any radius, and none of those is copied.
        bit_len(&self.mid) <= 64 && self.mid.clone().unsigned_abs() <= UBig::from(self.rad)
    }

    pub(crate) fn is_positive(&self) -> bool {
        self.mid.is_positive() && !self.may_be_zero()
    }

    pub(crate) fn is_negative(&self) -> bool {
        self.mid.is_negative() && !self.may_be_zero()
    }

    /// The smallest `k` with `|value| < 2^k` for every value in the ball; `i64::MIN` for zero.
    pub(crate) fn magnitude_exponent(&self) -> i64 {
        if self.is_exact_zero() {
            return i64::MIN;
        }
        let bits = bit_len(&self.mid);
        // The radius lengthens a long midpoint only by a carry through all of its head.
        let head = if bits > 128 {
            (&self.mid >> (bits - 64)).unsigned_abs()
        } else {
            UBig::from(u64::MAX)
        };
        if self.rad == 0 || head < UBig::from(u64::MAX) {
            return to_i64(bits) + self.exp;
        }
        let all = self.mid.clone().unsigned_abs() + self.rad;
        to_i64(all.bit_len()) + self.exp
    }

    /// `k` with `rad < 2^k`.
    pub(crate) fn radius_exponent(&self) -> i64 {
        if self.rad == 0 {
            i64::MIN
        } else {
            self.exp + i64::from(64 - self.rad.leading_zeros())
        }
    }

    pub(crate) fn to_f64(&self) -> f64 {
        let bits = bit_len(&self.mid);
        let shift = bits.saturating_sub(64);
        let head = &self.mid >> shift;
        let head = head.to_f64().value();
        let exp = self.exp + to_i64(shift);
        head * 2_f64.powi(i32::try_from(exp.clamp(-5000, 5000)).unwrap_or(0))
    }

    /// The whole part of every value in the ball, when it is the same.
    pub(crate) fn floor(&self) -> Option<IBig> {
        let rad = IBig::from(self.rad);
        if self.exp > 0 && self.rad > 0 || self.exp > 1 << 20 {
            return None;
        }
        let lo = shl(&(&self.mid - &rad), self.exp);
        let hi = shl(&(&self.mid + &rad), self.exp);
        (lo == hi).then_some(lo)
    }

    pub(crate) fn in_range(&self) -> bool {
        self.is_exact_zero() || self.magnitude_exponent().abs() < MAX_EXP
    }

    fn round(self, prec: usize) -> Self {
        if self.rad == 0 && bit_len(&self.mid) <= prec {
            return self;
        }
        Self::with_radius(self.mid, &UBig::from(self.rad), self.exp, prec)
    }

    fn with_radius(mid: IBig, rad: &UBig, exp: i64, prec: usize) -> Self {
        let excess = bit_len(&mid)
            .saturating_sub(prec)
            .max(rad.bit_len().saturating_sub(RAD_BITS));
        if excess == 0 {
            return Self {
                mid,
                rad: u64::try_from(rad).unwrap_or(u64::MAX),
                exp,
            };
        }
        // Two units more: one for the bits cut from the midpoint, one for those cut from the
        // radius.
        let mid = mid >> excess;
        let rad = u64::try_from(rad >> excess).unwrap_or(u64::MAX) + 2;
        Self {
            mid,
            rad,
            exp: exp + to_i64(excess),
        }
    }

    pub(crate) fn neg(&self) -> Self {
        Self {
            mid: -self.mid.clone(),
            rad: self.rad,
            exp: self.exp,
        }
    }

    pub(crate) fn abs(&self) -> Self {
        if self.is_negative() {
            self.neg()
        } else if self.is_positive() {
            self.clone()
        } else {
            // |x| of a ball around zero lies in the same ball.
            self.clone()
        }
    }

    pub(crate) fn add(&self, other: &Self, prec: usize) -> Self {
        if self.is_exact_zero() {
            return other.clone();
        }
        if other.is_exact_zero() {
            return self.clone();
        }
        let (high, low) = if self.exp >= other.exp {
            (self, other)
        } else {
            (other, self)
        };
        let gap = high.exp - low.exp;
        if gap == 0 {
            return Self::with_radius(
                &high.mid + &low.mid,
                &UBig::from(u128::from(high.rad) + u128::from(low.rad)),
                high.exp,
                prec,
            );
        }
        if high.rad > 0 || gap > 4 * to_i64(prec) + 256 {
            if high.rad == 0 && low.magnitude_exponent() <= high.exp - 2 * to_i64(prec) {
                // The low one is far below the last bit worth keeping of the high one.
                let room = to_i64((2 * prec + 8).saturating_sub(bit_len(&high.mid)));
                let mid = shl(&high.mid, room);
                let exp = high.exp - room;
                if low.magnitude_exponent() <= exp {
                    return Self::with_radius(mid, &UBig::from(2_u8), exp, prec);
                }
            }
            // The bits of the low one lie below the error of the high one: cut them off instead of
            // writing out a midpoint as long as the gap, which may be billions of bits.
            let (mid, rad) = low.shifted_down(gap);
            let rad = u128::from(high.rad) + u128::from(rad);
            return Self::with_radius(&high.mid + mid, &UBig::from(rad), high.exp, prec);
        }
        let mid = shl(&high.mid, gap) + &low.mid;
        Self::with_radius(mid, &UBig::from(low.rad), low.exp, prec)
    }

    /// Midpoint and radius in units `2^gap` larger.
    fn shifted_down(&self, gap: i64) -> (IBig, u64) {
        let mid = if gap > 1 << 24 {
            IBig::ZERO
        } else {
            &self.mid >> to_usize(gap)
        };
        let lost = if gap > 1 << 24 {
            2
        } else {
            2 + if gap >= 64 { 0 } else { self.rad >> gap }
        };
        (mid, lost)
    }

    pub(crate) fn sub(&self, other: &Self, prec: usize) -> Self {
        self.add(&other.neg(), prec)
    }

    pub(crate) fn mul(&self, other: &Self, prec: usize) -> Self {
        let mid = &self.mid * &other.mid;
        let exp = self.exp.saturating_add(other.exp);
        if self.rad == 0 && other.rad == 0 {
            return Self { mid, rad: 0, exp }.round(prec);
        }
        let rad = self.mid.clone().unsigned_abs() * other.rad
            + other.mid.clone().unsigned_abs() * self.rad
            + UBig::from(self.rad) * other.rad;
        Self::with_radius(mid, &rad, exp, prec)
    }

    /// `None` when the divisor may be zero.
    pub(crate) fn div(&self, other: &Self, prec: usize) -> Option<Self> {
        if other.may_be_zero() {
            return None;
        }
        if self.is_exact_zero() {
            return Some(Self::zero());
        }
        let shift = (prec + 4 + bit_len(&other.mid)).saturating_sub(bit_len(&self.mid));
        let mid = (&self.mid << shift) / &other.mid;
        let exp = self
            .exp
            .saturating_sub(other.exp)
            .saturating_sub(to_i64(shift));
        let mut rad = UBig::from(2_u8);
        if self.rad > 0 || other.rad > 0 {
            let (a, b) = (
                self.mid.clone().unsigned_abs(),
                other.mid.clone().unsigned_abs(),
            );
            // |a/b - a'/b'| <= (|b| ra + |a| rb) / (|b| (|b| - rb)).
            let below = &b * (&b - UBig::from(other.rad));
            rad += ((b * self.rad + a * other.rad) << shift) / below + UBig::ONE;
        }
        Some(Self::with_radius(mid, &rad, exp, prec))
    }

    /// `None` when the value may be negative.
    pub(crate) fn sqrt(&self, prec: usize) -> Option<Self> {
        if self.is_exact_zero() {
            return Some(Self::zero());
        }
        if !self.is_positive() {
            return None;
        }
        let mut shift = (2 * prec + 8).saturating_sub(bit_len(&self.mid));
        // The exponent is halved, so it has to be even.
        if (self.exp - to_i64(shift)) % 2 != 0 {
            shift += 1;
        }
        let wide = self.mid.clone().unsigned_abs() << shift;
        let root = wide.sqrt();
        let mut rad = UBig::from(2_u8);
        if self.rad > 0 {
            // sqrt is steepest at the lower end: |sqrt x - sqrt x'| <= r / sqrt(x - r).
            let low = (self.mid.clone().unsigned_abs() - UBig::from(self.rad)) << shift;
            rad += (UBig::from(self.rad) << shift) / low.sqrt().max(UBig::ONE) + UBig::ONE;
        }
        Some(Self::with_radius(
            root.into(),
            &rad,
            (self.exp - to_i64(shift)) / 2,
            prec,
        ))
    }
}
