//! Exponential, logarithm, sine and cosine of short numbers: 120 bits behind the point in an `i128`.
//!
//! Most evaluations look for a difference, at 96 bits. There a long number's cost is its bookkeeping:
//! a term of a series is two multiplications of machine words here and two allocations there.
//! Coefficients come from tables, so that no term divides.
//!
//! Every function returns its value in units of `2^-120` with an error below [`ERROR`] units: a
//! series of at most 32 terms by Horner's rule rounds once a term, by one unit, and each table entry
//! is off by one.

use std::sync::OnceLock;

/// Bits behind the point.
pub(super) const BITS: usize = 120;
/// Units of `2^-120` within which a function's value is right.
pub(super) const ERROR: u32 = 1 << 10;
const ONE: i128 = 1 << BITS;

/// `a b`, rounded towards minus infinity. Both are below 16 in size, and so is the product.
fn mul(a: i128, b: i128) -> i128 {
    let negative = (a < 0) != (b < 0);
    let (a, b) = (a.unsigned_abs(), b.unsigned_abs());
    const HALF: u128 = u64::MAX as u128;
    let (a1, a0, b1, b0) = (a >> 64, a & HALF, b >> 64, b & HALF);
    let low = a0 * b0;
    let (left, right) = (a1 * b0, a0 * b1);
    let middle = (left & HALF) + (right & HALF) + (low >> 64);
    let high = a1 * b1 + (left >> 64) + (right >> 64) + (middle >> 64);
    let low = middle << 64 | low & HALF;
    let cut = high << (128 - BITS) | low >> BITS;
    let size = i128::try_from(cut).unwrap_or(i128::MAX);
    if negative {
        -size - i128::from(low << (128 - BITS) != 0)
    } else {
        size
    }
}

/// `c_0 + x (c_1 + x (c_2 + ...))`.
fn horner(x: i128, coefficients: &[i128]) -> i128 {
    coefficients.iter().rev().fold(0, |sum, c| mul(sum, x) + c)
}

/// `1/0!`, `1/1!`, `1/2!` and on to the last that is not zero.
fn inverse_factorials() -> &'static [i128] {
    static TABLE: OnceLock<Vec<i128>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut all = vec![ONE];
        let mut last = ONE;
        for n in 1_i128.. {
            last /= n;
            if last == 0 {
                break;
            }
            all.push(last);
        }
        all
    })
}

/// Every second inverse factorial from this one on.
fn alternate(first: usize) -> Vec<i128> {
    inverse_factorials()[first..]
        .iter()
        .copied()
        .step_by(2)
        .collect()
}

/// `e^t` for `t` from 0 up to 1.
pub(super) fn exp(t: i128) -> i128 {
    // e^t = (e^(t/16))^16: four squarings save more terms than they cost.
    const HALVINGS: usize = 4;
    // (1/16)^n / n! is below 2^-126 from n = 19 on.
    let mut value = horner(t >> HALVINGS, &inverse_factorials()[..19]);
    for _ in 0..HALVINGS {
        value = mul(value, value);
    }
    value
}

/// Sine and cosine of `t`, at most pi/4 in size.
pub(super) fn sin_cos(t: i128) -> (i128, i128) {
    static EVEN: OnceLock<Vec<i128>> = OnceLock::new();
    static ODD: OnceLock<Vec<i128>> = OnceLock::new();
    let square = -mul(t, t);
    // (pi/4)^(2n) / (2n)! is below 2^-120 from n = 16 on.
    let cos = horner(square, &EVEN.get_or_init(|| alternate(0))[..16]);
    let sin = mul(t, horner(square, &ODD.get_or_init(|| alternate(1))[..16]));
    (sin, cos)
}

/// `atanh z` for `z` at most 1/5 in size.
pub(super) fn atanh(z: i128) -> i128 {
    static TABLE: OnceLock<Vec<i128>> = OnceLock::new();
    // (1/5)^(2n) is below 2^-120 from n = 26 on.
    let table = TABLE.get_or_init(|| (0..27).map(|n| ONE / (2 * n + 1)).collect());
    mul(z, horner(mul(z, z), table))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixed(x: f64) -> i128 {
        // The 53 bits of x, exactly.
        #[expect(clippy::cast_possible_truncation, reason = "a whole number below 2^64")]
        let high = (x * 2_f64.powi(60)) as i128;
        high << 60
    }

    fn float(x: i128) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a test of 50 bits")]
        let x = x as f64;
        x / 2_f64.powi(120)
    }

    #[test]
    fn values_are_those_of_the_hardware() {
        for k in -100..=100 {
            let x = f64::from(k) / 128.0;
            let (sin, cos) = sin_cos(fixed(x));
            assert!((float(sin) - x.sin()).abs() < 1e-15, "sin {x}");
            assert!((float(cos) - x.cos()).abs() < 1e-15, "cos {x}");
            if k >= 0 {
                assert!((float(exp(fixed(x))) - x.exp()).abs() < 1e-15, "exp {x}");
            }
            let z = x / 4.0;
            assert!(
                (float(atanh(fixed(z))) - z.atanh()).abs() < 1e-15,
                "atanh {z}"
            );
        }
    }

    #[test]
    fn products_round_down() {
        assert_eq!(mul(ONE, -1), -1);
        assert_eq!(mul(1, 1), 0);
        assert_eq!(mul(-1, 1), -1);
        assert_eq!(mul(3 * ONE, 5 * ONE), 15 * ONE);
        assert_eq!(mul(-3 * ONE, ONE / 2), -(3 * ONE / 2));
    }
}
