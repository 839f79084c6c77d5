//! Real numbers with a rigorous error bound, at any precision: a midpoint, a radius, a power of two.

use std::sync::OnceLock;

use dashu_base::{BitTest, DivEuclid, Signed, SquareRoot, UnsignedAbs};
use dashu_int::{IBig, UBig};
use dashu_ratio::RBig;

/// `(mid ± rad) * 2^exp` holds the true value.
#[derive(Clone, Debug)]
pub(super) struct Ball {
    mid: IBig,
    rad: u64,
    exp: i64,
}

/// Radii stay below this.
const RAD_BITS: usize = 40;
/// Bits of the stored constants; the largest working precision is below.
const CONST_BITS: usize = 704;
/// Powers of two beyond this are refused.
const MAX_EXP: i64 = 1 << 40;

fn big(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn size(n: i64) -> usize {
    usize::try_from(n).unwrap_or(0)
}

/// `n * 2^shift`, rounded towards minus infinity.
fn shl(n: &IBig, shift: i64) -> IBig {
    if shift >= 0 {
        n << size(shift)
    } else {
        n >> size(-shift)
    }
}

fn bit_len(n: &IBig) -> usize {
    n.bit_len()
}

impl Ball {
    pub(super) fn zero() -> Self {
        Self {
            mid: IBig::ZERO,
            rad: 0,
            exp: 0,
        }
    }

    pub(super) fn from_int(n: i64) -> Self {
        Self {
            mid: n.into(),
            rad: 0,
            exp: 0,
        }
    }

    /// `n / 2^bits`, exactly.
    pub(super) fn dyadic(n: i64, bits: i64) -> Self {
        Self {
            mid: n.into(),
            rad: 0,
            exp: -bits,
        }
    }

    pub(super) fn from_rational(value: &RBig, prec: usize) -> Self {
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

    pub(super) fn is_exact_zero(&self) -> bool {
        self.rad == 0 && self.mid.is_zero()
    }

    /// Whether zero may be the true value.
    pub(super) fn may_be_zero(&self) -> bool {
        self.mid.clone().unsigned_abs() <= UBig::from(self.rad)
    }

    pub(super) fn is_positive(&self) -> bool {
        self.mid.is_positive() && !self.may_be_zero()
    }

    pub(super) fn is_negative(&self) -> bool {
        self.mid.is_negative() && !self.may_be_zero()
    }

    /// The smallest `k` with `|value| < 2^k` for every value in the ball; `i64::MIN` for zero.
    pub(super) fn top(&self) -> i64 {
        if self.is_exact_zero() {
            return i64::MIN;
        }
        let all = self.mid.clone().unsigned_abs() + self.rad;
        big(all.bit_len()) + self.exp
    }

    /// `k` with `rad < 2^k`.
    pub(super) fn rad_top(&self) -> i64 {
        if self.rad == 0 {
            i64::MIN
        } else {
            self.exp + i64::from(64 - self.rad.leading_zeros())
        }
    }

    pub(super) fn to_f64(&self) -> f64 {
        let bits = bit_len(&self.mid);
        let shift = bits.saturating_sub(64);
        let head = &self.mid >> shift;
        let head = head.to_f64().value();
        let exp = self.exp + big(shift);
        head * 2_f64.powi(i32::try_from(exp.clamp(-5000, 5000)).unwrap_or(0))
    }

    /// The whole part of every value in the ball, when it is the same.
    pub(super) fn floor(&self) -> Option<IBig> {
        let rad = IBig::from(self.rad);
        if self.exp > 0 && self.rad > 0 || self.exp > 1 << 20 {
            return None;
        }
        let lo = shl(&(&self.mid - &rad), self.exp);
        let hi = shl(&(&self.mid + &rad), self.exp);
        (lo == hi).then_some(lo)
    }

    pub(super) fn in_range(&self) -> bool {
        self.is_exact_zero() || self.top().abs() < MAX_EXP
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
        let mid = mid >> excess;
        let rad = u64::try_from(rad >> excess).unwrap_or(u64::MAX) + 2;
        Self {
            mid,
            rad,
            exp: exp + big(excess),
        }
    }

    pub(super) fn neg(&self) -> Self {
        Self {
            mid: -self.mid.clone(),
            rad: self.rad,
            exp: self.exp,
        }
    }

    pub(super) fn abs(&self) -> Self {
        if self.is_negative() {
            self.neg()
        } else if self.is_positive() {
            self.clone()
        } else {
            // |x| of a ball around zero lies in the same ball.
            self.clone()
        }
    }

    pub(super) fn add(&self, other: &Self, prec: usize) -> Self {
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
        if high.rad > 0 || gap > 4 * big(prec) + 256 {
            if high.rad == 0 && low.top() <= high.exp - 2 * big(prec) {
                // The low one is far below the last bit worth keeping of the high one.
                let room = big((2 * prec + 8).saturating_sub(bit_len(&high.mid)));
                let mid = shl(&high.mid, room);
                let exp = high.exp - room;
                if low.top() <= exp {
                    return Self::with_radius(mid, &UBig::from(2_u8), exp, prec);
                }
            }
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
            &self.mid >> size(gap)
        };
        let lost = if gap > 1 << 24 {
            2
        } else {
            2 + if gap >= 64 { 0 } else { self.rad >> gap }
        };
        (mid, lost)
    }

    pub(super) fn sub(&self, other: &Self, prec: usize) -> Self {
        self.add(&other.neg(), prec)
    }

    pub(super) fn mul(&self, other: &Self, prec: usize) -> Self {
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
    pub(super) fn div(&self, other: &Self, prec: usize) -> Option<Self> {
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
            .saturating_sub(big(shift));
        let mut rad = UBig::from(2_u8);
        if self.rad > 0 || other.rad > 0 {
            let (a, b) = (
                self.mid.clone().unsigned_abs(),
                other.mid.clone().unsigned_abs(),
            );
            let below = &b * (&b - UBig::from(other.rad));
            rad += ((b * self.rad + a * other.rad) << shift) / below + UBig::ONE;
        }
        Some(Self::with_radius(mid, &rad, exp, prec))
    }

    /// `None` when the value may be negative.
    pub(super) fn sqrt(&self, prec: usize) -> Option<Self> {
        if self.is_exact_zero() {
            return Some(Self::zero());
        }
        if !self.is_positive() {
            return None;
        }
        let mut shift = (2 * prec + 8).saturating_sub(bit_len(&self.mid));
        if (self.exp - big(shift)) % 2 != 0 {
            shift += 1;
        }
        let wide = self.mid.clone().unsigned_abs() << shift;
        let root = wide.sqrt();
        let mut rad = UBig::from(2_u8);
        if self.rad > 0 {
            let low = (self.mid.clone().unsigned_abs() - UBig::from(self.rad)) << shift;
            rad += (UBig::from(self.rad) << shift) / low.sqrt().max(UBig::ONE) + UBig::ONE;
        }
        Some(Self::with_radius(
            root.into(),
            &rad,
            (self.exp - big(shift)) / 2,
            prec,
        ))
    }

    /// Midpoint and radius in units of `2^-wp`; `None` when the radius is a whole unit or the value is beyond `2^limit`.
    fn fixed(&self, wp: usize, limit: i64) -> Option<(IBig, UBig)> {
        if self.is_exact_zero() {
            return Some((IBig::ZERO, UBig::ZERO));
        }
        if self.top() > limit {
            return None;
        }
        let shift = self.exp + big(wp);
        if shift < -(1 << 24) {
            return Some((IBig::ZERO, UBig::from(2_u8)));
        }
        let rad = if shift >= 0 {
            UBig::from(self.rad) << size(shift)
        } else {
            (UBig::from(self.rad) >> size(-shift)) + UBig::from(2_u8)
        };
        (rad.bit_len() < wp.saturating_sub(2)).then(|| (shl(&self.mid, shift), rad))
    }

    pub(super) fn exp(&self, prec: usize) -> Option<Self> {
        let wp = prec + 48;
        let (x, rad) = self.fixed(wp, 40)?;
        let ln2 = ln2(wp + 48);
        // x = k ln 2 + t with |t| < ln 2.
        let k: IBig = (&x << 48_usize) / &ln2;
        let t: IBig = ((&x << 48_usize) - &k * &ln2) >> 48_usize;
        const HALVINGS: usize = 8;
        let small: IBig = t >> HALVINGS;
        let one = IBig::ONE << wp;
        let mut sum = one.clone();
        let mut term = one;
        let mut n = 1_u32;
        while !term.is_zero() && n < 1000 {
            term = ((&term * &small) >> wp) / n;
            if term == IBig::from(-1) {
                break;
            }
            sum += &term;
            n += 1;
        }
        for _ in 0..HALVINGS {
            sum = (&sum * &sum) >> wp;
        }
        // Each of at most n terms errs by two units, each squaring doubles what was there: below 2^20 units in all.
        let rad = rad * 8_u8 + (UBig::ONE << 20_usize);
        let k = i64::try_from(k).ok()?;
        Some(Self::with_radius(sum, &rad, k - big(wp), prec))
    }

    /// `None` when the value may be zero or negative.
    pub(super) fn ln(&self, prec: usize) -> Option<Self> {
        if !self.is_positive() {
            return None;
        }
        let wp = prec + 32;
        // x = y 2^k with 2/3 <= y < 4/3.
        let bits = big(bit_len(&self.mid));
        let mut k = bits + self.exp;
        let mut y = shl(&self.mid, big(wp) - bits);
        if &y * 3_u8 < IBig::ONE << (wp + 1) {
            y <<= 1_usize;
            k -= 1;
        }
        let one = IBig::ONE << wp;
        let z = ((&y - &one) << wp) / (&y + &one);
        let square = (&z * &z) >> wp;
        let mut power = z.clone();
        let mut sum = z;
        let mut n = 3_u32;
        while !power.is_zero() && n < 2000 {
            power = (&power * &square) >> wp;
            if power == IBig::from(-1) {
                break;
            }
            sum += &power / n;
            n += 2;
        }
        let log2 = ln2(wp + 48);
        let mid = (sum << 1_usize) + ((log2 * k) >> 48_usize);
        // The radius of ln y is rad / (mid - rad), in units of 2^-wp.
        let low = self.mid.clone().unsigned_abs() - UBig::from(self.rad);
        let rad = (UBig::from(self.rad) << wp) / low + UBig::from(1_u32 << 16);
        Some(Self::with_radius(mid, &rad, -big(wp), prec))
    }

    /// Sine and cosine.
    pub(super) fn sin_cos(&self, prec: usize) -> Option<(Self, Self)> {
        let wp = prec + 32;
        let (x, rad) = self.fixed(wp, 40)?;
        let half_pi = pi_bits(wp + 48 - 1);
        let k: IBig = {
            let (wide, unit) = (&x << 48_usize, half_pi.clone());
            ((wide << 1_usize) + &unit).div_euclid(unit << 1_usize)
        };
        let t: IBig = ((&x << 48_usize) - &k * &half_pi) >> 48_usize;
        let square = (&t * &t) >> wp;
        let series = |first: IBig, mut n: u32| {
            let mut term = first.clone();
            let mut sum = first;
            while !term.is_zero() && n < 2000 {
                term = -(((&term * &square) >> wp) / (n * (n + 1)));
                sum += &term;
                n += 2;
            }
            sum
        };
        let sin = series(t, 2);
        let cos = series(IBig::ONE << wp, 1);
        let rad = rad + UBig::from(1_u32 << 14);
        let ball = |mid: IBig| Self::with_radius(mid, &rad, -big(wp), prec);
        let quarter = i64::try_from(k % IBig::from(4)).ok()?.rem_euclid(4);
        Some(match quarter {
            0 => (ball(sin), ball(cos)),
            1 => (ball(cos), ball(-sin)),
            2 => (ball(-sin), ball(-cos)),
            _ => (ball(-cos), ball(sin)),
        })
    }

    pub(super) fn atan(&self, prec: usize) -> Option<Self> {
        if self.is_exact_zero() {
            return Some(Self::zero());
        }
        let wp = prec + 32;
        let one = Self::from_int(1);
        if self.top() > 1 {
            // |x| may be above one.
            if self.may_be_zero() {
                return None;
            }
            let rest = one.div(self, wp)?.atan_small(wp)?;
            let quarter = Self::pi(wp).mul(&Self::dyadic(1, 1), wp);
            let quarter = if self.is_negative() {
                quarter.neg()
            } else {
                quarter
            };
            return Some(quarter.sub(&rest, prec));
        }
        Some(self.atan_small(wp)?.round(prec))
    }

    /// For |x| at most about two: three halvings of the angle, then the series.
    fn atan_small(&self, wp: usize) -> Option<Self> {
        let one = Self::from_int(1);
        let mut x = self.clone();
        for _ in 0..4 {
            let root = x.mul(&x, wp).add(&one, wp).sqrt(wp)?;
            x = x.div(&root.add(&one, wp), wp)?;
        }
        let square = x.mul(&x, wp).neg();
        let mut power = x.clone();
        let mut sum = x;
        let mut n = 3;
        while power.top() > -big(wp) && n < 2000 {
            power = power.mul(&square, wp);
            sum = sum.add(&power.div(&Self::from_int(n), wp)?, wp);
            n += 2;
        }
        // What is left out is below the last power, which is below 2^-wp.
        let tail = Self {
            mid: IBig::ZERO,
            rad: 2,
            exp: -big(wp),
        };
        let sum = sum.add(&tail, wp);
        Some(sum.mul(&Self::from_int(16), wp))
    }

    pub(super) fn pi(prec: usize) -> Self {
        let wp = (prec + 8).min(CONST_BITS);
        Self {
            mid: pi_bits(wp),
            rad: 2,
            exp: -big(wp),
        }
    }
}

/// `1/n atanh` or `atan` series of a whole number, in units of `2^-wp`.
fn inverse_series(n: u32, alternate: bool, wp: usize) -> IBig {
    let mut power = (IBig::ONE << wp) / n;
    let square = IBig::from(n) * n;
    let mut sum = power.clone();
    let mut k = 3_u32;
    let mut negative = alternate;
    while !power.is_zero() {
        power /= &square;
        let term = &power / k;
        if negative {
            sum -= term;
        } else {
            sum += term;
        }
        negative = alternate && !negative;
        k += 2;
    }
    sum
}

/// ln 2 in units of `2^-wp` (error below one unit), by 18 atanh 1/26 - 2 atanh 1/4801 + 8 atanh 1/8749.
fn ln2(wp: usize) -> IBig {
    static BITS: OnceLock<IBig> = OnceLock::new();
    let all = BITS.get_or_init(|| {
        let wp = CONST_BITS + 32;
        let a = inverse_series(26, false, wp) * 18;
        let b = inverse_series(4801, false, wp) * 2;
        let c = inverse_series(8749, false, wp) * 8;
        (a - b + c) >> 32_usize
    });
    shl(all, big(wp) - big(CONST_BITS))
}

/// pi in units of `2^-wp` (error below one unit), by Machin's 16 atan 1/5 - 4 atan 1/239.
fn pi_bits(wp: usize) -> IBig {
    static BITS: OnceLock<IBig> = OnceLock::new();
    let all = BITS.get_or_init(|| {
        let wp = CONST_BITS + 32;
        (inverse_series(5, true, wp) * 16 - inverse_series(239, true, wp) * 4) >> 32_usize
    });
    shl(all, big(wp) - big(CONST_BITS))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn close(ball: &Ball, value: f64) {
        let got = ball.to_f64();
        assert!(
            (got - value).abs() <= 1e-13 * value.abs().max(1.0),
            "{got} is not {value}"
        );
        assert!(
            ball.rad_top() < ball.top().max(0) - 150,
            "radius of {value}: {} {}",
            ball.rad_top(),
            ball.top()
        );
    }

    #[test]
    fn functions_agree_with_the_hardware() {
        let p = 192;
        for x in [
            0.001, 0.3, 0.5, 0.99, 1.0, 1.7, 3.25, 10.5, 100.0, -0.4, -7.75,
        ] {
            let b = Ball::from_rational(&RBig::simplest_from_f64(x).unwrap(), p);
            let b = if (b.to_f64() - x).abs() > 1e-14 {
                continue;
            } else {
                b
            };
            close(&b.exp(p).unwrap(), x.exp());
            let (s, c) = b.sin_cos(p).unwrap();
            close(&s, x.sin());
            close(&c, x.cos());
            close(&b.atan(p).unwrap(), x.atan());
            if x > 0.0 {
                close(&b.ln(p).unwrap(), x.ln());
                close(&b.sqrt(p).unwrap(), x.sqrt());
            }
        }
        close(&Ball::pi(p), std::f64::consts::PI);
    }

    #[test]
    fn inverse_functions_hold_the_argument() {
        for n in [1, 2, 5, 17, 1000, -3] {
            for p in [64, 128, 400] {
                let x = Ball::dyadic(n, 2);
                let back = x.exp(p).unwrap().ln(p).unwrap();
                assert!(back.sub(&x, p).may_be_zero(), "ln exp {n}/4 at {p}");
                let (s, c) = x.sin_cos(p).unwrap();
                let one = s.mul(&s, p).add(&c.mul(&c, p), p);
                assert!(
                    one.sub(&Ball::from_int(1), p).may_be_zero(),
                    "sin cos {n}/4 at {p}"
                );
                let square = x.mul(&x, p);
                let root = square.sqrt(p).unwrap();
                assert!(root.sub(&x.abs(), p).may_be_zero());
                let tan = s.div(&c, p).unwrap().atan(p).unwrap();
                let (s2, _) = tan.sin_cos(p).unwrap();
                assert!(s2.abs().sub(&s.abs(), p).may_be_zero(), "atan {n}/4 at {p}");
            }
        }
    }
}
