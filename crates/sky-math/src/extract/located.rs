//! An answer with its place in the text.

/// An answer, and where it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Located<T> {
    pub(super) answer: T,
    /// The byte behind the answer and the marks around it.
    pub(super) end: usize,
}
