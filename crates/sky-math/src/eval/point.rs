//! Points: which value a name has at each, and a function that is only a name.

use dashu_ratio::RBig;

use super::context::Eval;
use crate::{ball::Ball, budget::Budget, complex::Complex};

/// Signs of the names at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signs {
    Positive,
    Negative,
    Mixed,
}

impl Signs {
    /// The signs at the point of this number: all kinds within the first three.
    pub(crate) fn at(index: u64) -> Self {
        match index % 3 {
            0 => Self::Positive,
            1 => Self::Negative,
            _ => Self::Mixed,
        }
    }
}

/// Where names get their values from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Point {
    /// Number of the point.
    pub(crate) index: u64,
    /// Signs of names here.
    pub(crate) signs: Signs,
}

impl<'a> Eval<'a> {
    pub(crate) fn new(point: Point, prec: usize, budget: &'a Budget) -> Self {
        Self {
            point,
            prec,
            budget,
            bindings: Vec::new(),
            integers: Vec::new(),
            left_reals: false,
            magnitude_spread: 0,
        }
    }

    /// At a point where these names have these values. With `are_integers` exact arithmetic sees
    /// them too, so that a floor at an integer has a value.
    pub(crate) fn at_values(
        values: &[(String, RBig)],
        are_integers: bool,
        prec: usize,
        budget: &'a Budget,
    ) -> Self {
        let point = Point {
            index: 0,
            signs: Signs::Positive,
        };
        let mut eval = Self::new(point, prec, budget);
        for (name, value) in values {
            eval.bindings
                .push((name.clone(), Ball::exactly(value, prec)));
        }
        if are_integers {
            eval.integers = values.to_vec();
        }
        eval
    }

    /// At a point where these names are integers: small ones in turn at every other point, where
    /// they are few.
    pub(crate) fn at_integer_point(
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
                // A remainder shows itself only at numbers beyond its modulus, a factorial at any;
                // but the factorial of 499 costs, so every other of these points stays below sixty.
                _ => {
                    let range = if index % 4 == 1 { 59 } else { 499 };
                    i64::try_from(hash(name, index) % range).unwrap_or(0) + 2
                }
            };
            eval.bindings.push((name.clone(), Ball::from_int(value)));
            eval.integers.push((name.clone(), RBig::from(value)));
        }
        eval
    }
}

/// A hash of a name (FNV-1a, then SplitMix64), so that a name has the same value on every machine
/// and in every release; the hasher of the standard library promises neither.
pub(crate) fn hash(name: &str, salt: u64) -> u64 {
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
    pub(super) fn name(&self, name: &str) -> Ball {
        if let Some((_, value)) = self.bindings.iter().rev().find(|(n, _)| n == name) {
            return value.clone();
        }
        let h = hash(name, self.point.index);
        // Odd multiples of 2^-17 below four: no square, no simple fraction, no coincidence. Then
        // far out, up to 2^13, where the root of x - 5 has a value, and below a half, where an arc
        // sine has one.
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
    pub(super) fn generic(&self, name: &str, values: &[Complex]) -> Complex {
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
}
