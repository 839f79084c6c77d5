/// The size of the training data, as far as it is known before the run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DataSize {
    /// Rows, those held out for validation among them.
    pub rows: u64,
    /// Mean tokens of a row.
    pub tokens_per_row: f64,
    /// An upper bound on the tokens of the longest row, where it is known.
    pub longest: Option<u64>,
}
