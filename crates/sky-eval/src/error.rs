use std::path::PathBuf;

use sky_files::FileError;
use sky_verify::VerifyError;

/// An error of an evaluation or a report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// A file cannot be read or written, or does not have the documented form.
    #[error(transparent)]
    File(#[from] FileError),
    /// The problems or the judged samples cannot be read.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// Two files of one run do not fit together.
    #[error("{}: {what}", path.display())]
    Mismatch {
        /// The file that does not fit.
        path: PathBuf,
        /// What does not fit, and what to do.
        what: String,
    },
}

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, EvalError>;

impl EvalError {
    pub(crate) fn mismatch(path: impl Into<PathBuf>, what: impl Into<String>) -> Self {
        Self::Mismatch {
            path: path.into(),
            what: what.into(),
        }
    }
}
