//! Exponential, logarithm, sine, cosine, arc tangent and pi of balls.
//!
//! Each function reduces its argument, sums a Taylor series in fixed point with some tens of guard
//! bits (`wp` bits in all) and adds a bound on every rounding to the radius. At a few hundred bits
//! plain series beat the asymptotically faster methods, and their error bounds fit on a line.

use std::sync::OnceLock;

use dashu_base::{BitTest, DivEuclid, UnsignedAbs};
use dashu_int::{IBig, UBig};

use super::{Ball, bit_len, shl, short, to_i64, to_usize};

/// Bits of the cached constants: what most evaluations take, and what the closest takes. Two, so
/// that the common case does not shift numbers of 4608 bits; every working precision is below the
/// larger.
const CACHED_BITS: [usize; 2] = [704, 4608];

/// Precisions up to this are left to [`short`], which leaves 14 bits for errors.
const SHORT_PRECISION: usize = 96;

/// Bits behind the point of a series: with these guard bits, or those of short numbers.
fn working_bits(prec: usize, guard: usize) -> usize {
    if prec <= SHORT_PRECISION {
        short::BITS
    } else {
        prec + guard
    }
}

impl Ball {
    /// Midpoint and radius in units of `2^-wp`; `None` when the radius is a whole unit or the value
    /// is beyond `2^limit`.
    fn to_fixed_point(&self, wp: usize, limit: i64) -> Option<(IBig, UBig)> {
        if self.is_exact_zero() {
            return Some((IBig::ZERO, UBig::ZERO));
        }
        if self.magnitude_exponent() > limit {
            return None;
        }
        let shift = self.exp + to_i64(wp);
        if shift < -(1 << 24) {
            return Some((IBig::ZERO, UBig::from(2_u8)));
        }
        let rad = if shift >= 0 {
            UBig::from(self.rad) << to_usize(shift)
        } else {
            (UBig::from(self.rad) >> to_usize(-shift)) + UBig::from(2_u8)
        };
        (rad.bit_len() < wp.saturating_sub(2)).then(|| (shl(&self.mid, shift), rad))
    }

    pub(crate) fn exp(&self, prec: usize) -> Option<Self> {
        let wp = working_bits(prec, 48);
        let (x, rad) = self.to_fixed_point(wp, 40)?;
        let ln2 = ln2(wp + 48);
        // x = k ln 2 + t with |t| < ln 2. The 48 bits more of ln 2 keep the error of k ln 2 below a
        // unit for every |x| < 2^40.
        let k: IBig = (&x << 48_usize) / &ln2;
        let t: IBig = ((&x << 48_usize) - &k * &ln2) >> 48_usize;
        let k = i64::try_from(k).ok()?;
        if prec <= SHORT_PRECISION {
            let sum = short::exp(i128::try_from(t).ok()?).into();
            let rad = rad * 8_u8 + UBig::from(short::ERROR);
            return Some(Self::with_radius(sum, &rad, k - to_i64(wp), prec));
        }
        // exp t = (exp(t / 2^8))^(2^8): eight squarings save more terms than they cost.
        const HALVINGS: usize = 8;
        let small: IBig = t >> HALVINGS;
        let one = IBig::ONE << wp;
        let mut sum = one.clone();
        let mut term = one;
        let mut n = 1_u32;
        // A shift rounds towards minus infinity, so a negative term ends at -1 and never at zero.
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
        // Each of at most n terms errs by two units, each squaring doubles what was there: below
        // 2^20 units in all.
        let rad = rad * 8_u8 + (UBig::ONE << 20_usize);
        Some(Self::with_radius(sum, &rad, k - to_i64(wp), prec))
    }

    /// `None` when the value may be zero or negative.
    pub(crate) fn ln(&self, prec: usize) -> Option<Self> {
        if !self.is_positive() {
            return None;
        }
        let wp = working_bits(prec, 32);
        // x = y 2^k with 2/3 <= y < 4/3.
        let bits = to_i64(bit_len(&self.mid));
        let mut k = bits + self.exp;
        let mut y = shl(&self.mid, to_i64(wp) - bits);
        if &y * 3_u8 < IBig::ONE << (wp + 1) {
            y <<= 1_usize;
            k -= 1;
        }
        let one = IBig::ONE << wp;
        // ln y = 2 atanh z with z = (y - 1) / (y + 1): |z| <= 1/5, and only odd powers.
        let z = ((&y - &one) << wp) / (&y + &one);
        let sum = if prec <= SHORT_PRECISION {
            short::atanh(i128::try_from(z).ok()?).into()
        } else {
            atanh_series(z, wp)
        };
        let log2 = ln2(wp + 48);
        let mid = (sum << 1_usize) + ((log2 * k) >> 48_usize);
        // The radius of ln y is rad / (mid - rad), in units of 2^-wp.
        let low = self.mid.clone().unsigned_abs() - UBig::from(self.rad);
        let rad = (UBig::from(self.rad) << wp) / low + UBig::from(1_u32 << 16);
        Some(Self::with_radius(mid, &rad, -to_i64(wp), prec))
    }

    /// Sine and cosine.
    pub(crate) fn sin_cos(&self, prec: usize) -> Option<(Self, Self)> {
        let wp = working_bits(prec, 32);
        let (x, rad) = self.to_fixed_point(wp, 40)?;
        // x = k pi/2 + t with |t| <= pi/4: the quarter k decides which of the two series is which.
        let half_pi = pi_bits(wp + 48 - 1);
        let k: IBig = {
            let (wide, unit) = (&x << 48_usize, half_pi.clone());
            ((wide << 1_usize) + &unit).div_euclid(unit << 1_usize)
        };
        let t: IBig = ((&x << 48_usize) - &k * &half_pi) >> 48_usize;
        let (sin, cos) = if prec <= SHORT_PRECISION {
            let (sin, cos) = short::sin_cos(i128::try_from(t).ok()?);
            (sin.into(), cos.into())
        } else {
            let square = (&t * &t) >> wp;
            let sin = alternating_series(t, &square, 2, wp);
            (sin, alternating_series(IBig::ONE << wp, &square, 1, wp))
        };
        let rad = rad + UBig::from(1_u32 << 14);
        let ball = |mid: IBig| Self::with_radius(mid, &rad, -to_i64(wp), prec);
        let quarter = i64::try_from(k % IBig::from(4)).ok()?.rem_euclid(4);
        Some(match quarter {
            0 => (ball(sin), ball(cos)),
            1 => (ball(cos), ball(-sin)),
            2 => (ball(-sin), ball(-cos)),
            _ => (ball(-cos), ball(sin)),
        })
    }

    pub(crate) fn atan(&self, prec: usize) -> Option<Self> {
        if self.is_exact_zero() {
            return Some(Self::zero());
        }
        let wp = prec + 32;
        let one = Self::from_int(1);
        if self.magnitude_exponent() > 1 {
            // |x| may be above one, where the series does not converge: atan x = pi/2 - atan 1/x.
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

    /// For |x| at most about two: four halvings of the angle by
    /// atan x = 2 atan(x / (1 + sqrt(1 + x^2))), then the series.
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
        while power.magnitude_exponent() > -to_i64(wp) && n < 2000 {
            power = power.mul(&square, wp);
            sum = sum.add(&power.div(&Self::from_int(n), wp)?, wp);
            n += 2;
        }
        // What is left out is below the last power, which is below 2^-wp.
        let tail = Self {
            mid: IBig::ZERO,
            rad: 2,
            exp: -to_i64(wp),
        };
        let sum = sum.add(&tail, wp);
        Some(sum.mul(&Self::from_int(16), wp))
    }

    pub(crate) fn pi(prec: usize) -> Self {
        let wp = (prec + 8).min(CACHED_BITS[1]);
        Self {
            mid: pi_bits(wp),
            rad: 2,
            exp: -to_i64(wp),
        }
    }
}

/// `z + z^3/3 + z^5/5 + ...` in units of `2^-wp`.
fn atanh_series(z: IBig, wp: usize) -> IBig {
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
    sum
}

/// The series of sine (from `t`, with `n = 2`) or cosine (from 1, with `n = 1`): each term is the
/// one before times `-square / (n (n + 1))`.
fn alternating_series(first: IBig, square: &IBig, mut n: u32, wp: usize) -> IBig {
    let mut term = first.clone();
    let mut sum = first;
    while !term.is_zero() && n < 2000 {
        term = -(((&term * square) >> wp) / (n * (n + 1)));
        sum += &term;
        n += 2;
    }
    sum
}

/// `1/n atanh` or `atan` series of an integer, in units of `2^-wp`.
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

/// A constant in units of `2^-wp`, cut from the shortest that is stored.
fn cached_constant(places: &[OnceLock<IBig>; 2], wp: usize, series: fn(usize) -> IBig) -> IBig {
    let at = usize::from(wp > CACHED_BITS[0]);
    let all = places[at].get_or_init(|| series(CACHED_BITS[at] + 32) >> 32_usize);
    shl(all, to_i64(wp) - to_i64(CACHED_BITS[at]))
}

/// ln 2 in units of `2^-wp` (error below one unit), by 18 atanh 1/26 - 2 atanh 1/4801 + 8 atanh
/// 1/8749.
fn ln2(wp: usize) -> IBig {
    static BITS: [OnceLock<IBig>; 2] = [OnceLock::new(), OnceLock::new()];
    cached_constant(&BITS, wp, |wp| {
        let a = inverse_series(26, false, wp) * 18;
        let b = inverse_series(4801, false, wp) * 2;
        let c = inverse_series(8749, false, wp) * 8;
        a - b + c
    })
}

/// pi in units of `2^-wp` (error below one unit), by Machin's 16 atan 1/5 - 4 atan 1/239.
fn pi_bits(wp: usize) -> IBig {
    static BITS: [OnceLock<IBig>; 2] = [OnceLock::new(), OnceLock::new()];
    cached_constant(&BITS, wp, |wp| {
        inverse_series(5, true, wp) * 16 - inverse_series(239, true, wp) * 4
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use dashu_ratio::RBig;

    use super::*;

    fn close(ball: &Ball, value: f64) {
        let got = ball.to_f64();
        assert!(
            (got - value).abs() <= 1e-13 * value.abs().max(1.0),
            "{got} is not {value}"
        );
        assert!(
            ball.radius_exponent() < ball.magnitude_exponent().max(0) - 150,
            "radius of {value}: {} {}",
            ball.radius_exponent(),
            ball.magnitude_exponent()
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
