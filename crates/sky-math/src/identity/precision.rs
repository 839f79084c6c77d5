//! The precisions at which two values are evaluated.

/// Bits of the first evaluation. A difference seen here is proved, since the balls do not meet;
/// 96 bits are two machine words, where most of the time goes into overhead that more bits share.
pub(super) const LOW_PRECISION: usize = 96;
/// Bits of the second evaluation, of what the first could not tell apart: 120 decimal digits, of
/// which the values have to agree in 72.
pub(super) const HIGH_PRECISION: usize = 400;
