/// What can go wrong below tch.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TorchError {
    /// libtorch refused: shapes or dtypes that do not fit, no memory, a freed graph.
    #[error("{what}: {reason}")]
    Op {
        /// The operation.
        what: &'static str,
        /// libtorch's own words.
        reason: String,
    },
    /// Lists that must run in parallel have different lengths.
    #[error("{what}: lists of {expected} and {found} tensors where both must be as long")]
    Lengths {
        /// The operation.
        what: &'static str,
        /// Length of the first list.
        expected: usize,
        /// Length of the one that differs.
        found: usize,
    },
}
