//! Exponential, logarithm, sine, cosine, arc tangent and pi of balls, by series with a bound on every error.

use std::sync::OnceLock;

use dashu_base::{BitTest, DivEuclid, UnsignedAbs};
use dashu_int::{IBig, UBig};

use super::{Ball, big, bit_len, shl, size};

/// Bits of the stored constants: what most looks take, and what the closest takes; the largest working precision is below.
const CONST_BITS: [usize; 2] = [704, 4608];

impl Ball {
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

    pub(in crate::math) fn exp(&self, prec: usize) -> Option<Self> {
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
    pub(in crate::math) fn ln(&self, prec: usize) -> Option<Self> {
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
    pub(in crate::math) fn sin_cos(&self, prec: usize) -> Option<(Self, Self)> {
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

    pub(in crate::math) fn atan(&self, prec: usize) -> Option<Self> {
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

    pub(in crate::math) fn pi(prec: usize) -> Self {
        let wp = (prec + 8).min(CONST_BITS[1]);
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

/// A constant in units of `2^-wp`, cut from the shortest that is stored.
fn stored(places: &[OnceLock<IBig>; 2], wp: usize, series: fn(usize) -> IBig) -> IBig {
    let at = usize::from(wp > CONST_BITS[0]);
    let all = places[at].get_or_init(|| series(CONST_BITS[at] + 32) >> 32_usize);
    shl(all, big(wp) - big(CONST_BITS[at]))
}

/// ln 2 in units of `2^-wp` (error below one unit), by 18 atanh 1/26 - 2 atanh 1/4801 + 8 atanh 1/8749.
fn ln2(wp: usize) -> IBig {
    static BITS: [OnceLock<IBig>; 2] = [OnceLock::new(), OnceLock::new()];
    stored(&BITS, wp, |wp| {
        let a = inverse_series(26, false, wp) * 18;
        let b = inverse_series(4801, false, wp) * 2;
        let c = inverse_series(8749, false, wp) * 8;
        a - b + c
    })
}

/// pi in units of `2^-wp` (error below one unit), by Machin's 16 atan 1/5 - 4 atan 1/239.
fn pi_bits(wp: usize) -> IBig {
    static BITS: [OnceLock<IBig>; 2] = [OnceLock::new(), OnceLock::new()];
    stored(&BITS, wp, |wp| {
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
