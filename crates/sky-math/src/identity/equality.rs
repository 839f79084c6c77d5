/// What a comparison found, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Equality {
    /// The same rational number.
    EqualExactly,
    /// The same polynomial, quotient of polynomials or sum of radicals.
    EqualInNormalForm,
    /// The same tree.
    EqualAsWritten,
    /// The same residue modulo four primes.
    EqualModuloPrimes,
    /// The same value at every point tried.
    EqualAtPoints,
    /// Different values, which is proved.
    Different,
    /// Neither could be shown, so not the same.
    Unknown(&'static str),
}

impl Equality {
    pub(crate) fn is_equal(self) -> bool {
        matches!(
            self,
            Self::EqualExactly
                | Self::EqualInNormalForm
                | Self::EqualAsWritten
                | Self::EqualModuloPrimes
                | Self::EqualAtPoints
        )
    }
}
