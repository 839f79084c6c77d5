//! Integers among the rationals, and how long a rational is.

use dashu_base::BitTest;
use dashu_int::{IBig, UBig};
use dashu_ratio::RBig;

use super::error::{ExactError, ExactResult};

/// The integer that a rational is.
pub(crate) fn integer(value: &RBig) -> Option<IBig> {
    value.is_int().then(|| value.numerator().clone())
}

/// An integer that fits a machine word.
pub(crate) fn to_i64(value: &RBig) -> ExactResult<i64> {
    integer(value)
        .and_then(|n| i64::try_from(n).ok())
        .ok_or(ExactError::NotRational)
}

/// The bits of numerator and denominator.
pub(crate) fn bit_size(value: &RBig) -> usize {
    value.numerator().bit_len() + value.denominator().bit_len()
}

/// A power of ten.
pub(crate) fn ten_to(n: u64) -> RBig {
    RBig::from(UBig::from(10_u8).pow(usize::try_from(n).unwrap_or(0)))
}
