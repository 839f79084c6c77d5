use std::fmt;

/// An exact fraction in lowest terms, its denominator positive. Operands are small, so `i64` never
/// overflows here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rational {
    num: i64,
    den: i64,
}

impl Rational {
    /// `num / den`; `den` must not be zero, which every caller's operands guarantee.
    pub(crate) fn new(num: i64, den: i64) -> Self {
        let divisor = gcd(num.unsigned_abs(), den.unsigned_abs()).max(1) as i64 * den.signum();
        Self {
            num: num / divisor,
            den: den / divisor,
        }
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self::new(
            self.num * other.den + other.num * self.den,
            self.den * other.den,
        )
    }

    pub(crate) fn times(self, other: Self) -> Self {
        Self::new(self.num * other.num, self.den * other.den)
    }
}

impl From<i64> for Rational {
    fn from(value: i64) -> Self {
        Self { num: value, den: 1 }
    }
}

impl fmt::Display for Rational {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.den == 1 {
            write!(f, "{}", self.num)
        } else {
            write!(f, "{}/{}", self.num, self.den)
        }
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_in_lowest_terms() {
        assert_eq!(Rational::new(6, -4).to_string(), "-3/2");
        assert_eq!(
            Rational::new(1, 6).plus(Rational::new(1, 3)),
            Rational::new(1, 2)
        );
        assert_eq!(
            Rational::new(2, 3).times(Rational::from(6)).to_string(),
            "4"
        );
        assert_eq!(Rational::new(0, 5), Rational::from(0));
    }
}
