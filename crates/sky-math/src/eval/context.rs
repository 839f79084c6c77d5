//! Where a tree is evaluated: the point, the precision, the budget, and what was seen on the way.

use super::point::Point;
use crate::{
    ball::Ball,
    budget::{Budget, OutOfBudget},
    complex::Complex,
    exact,
};

/// Why there is no value at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PointError {
    /// There is none: a division by zero, a logarithm of zero, an infinity.
    Undefined,
    /// Too close to a cut or a pole to tell, too large, or not a number at all.
    Undecided,
    OutOfBudget,
}

impl From<OutOfBudget> for PointError {
    fn from(_: OutOfBudget) -> Self {
        Self::OutOfBudget
    }
}

/// Steps that a bit of an elementary function costs: one term of a series takes a handful of bits
/// and a few operations.
const STEPS_PER_SERIES_BIT: u64 = 12;

pub(crate) struct Eval<'a> {
    pub(crate) point: Point,
    pub(crate) prec: usize,
    pub(crate) budget: &'a Budget,
    /// Values of names bound by sums.
    pub(crate) bindings: Vec<(String, Ball)>,
    /// The integers that names stand for at this point, when they do.
    pub(crate) integers: exact::Names,
    /// A root or a logarithm of a negative number was taken on the way.
    pub(crate) left_reals: bool,
    /// How many bits lie between the largest and the smallest number that were added up on the way,
    /// or how far from one an argument of a function lay: what is that much smaller shows only at a
    /// precision beyond it.
    pub(crate) magnitude_spread: i64,
}

impl Eval<'_> {
    /// Pays for `times` operations on numbers of this precision.
    pub(super) fn charge(&self, times: u64) -> Result<(), OutOfBudget> {
        let words = self.prec as u64 / 64 + 1;
        self.budget.take(times * (words * 2 + 8))
    }

    /// Pays for `times` series: one term takes a handful of bits, and a few operations, which grow
    /// with the precision.
    pub(super) fn charge_series(&self, times: u64) -> Result<(), OutOfBudget> {
        let prec = self.prec as u64;
        self.budget
            .take(times * STEPS_PER_SERIES_BIT * prec * (prec / 1024).max(1))
    }

    /// Notes an exponent near zero; a large one makes a large number, not a lost one.
    pub(super) fn note_small_exponent(&mut self, exponent: &Complex) {
        if exponent.re.magnitude_exponent() < 0 {
            self.note_magnitudes(std::slice::from_ref(exponent));
        }
    }

    /// Notes how far from one the arguments of a function lie.
    pub(super) fn note_magnitudes(&mut self, values: &[Complex]) {
        for value in values {
            for part in [Some(&value.re), value.im.as_ref()].into_iter().flatten() {
                if !part.may_be_zero() {
                    self.magnitude_spread = self
                        .magnitude_spread
                        .max(part.magnitude_exponent().abs().saturating_mul(2));
                }
            }
        }
    }
}
