use std::path::PathBuf;

use sky_files::FileError;
use sky_types::CheckError;

/// An error while samples are checked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// A file cannot be read or written, or does not have the documented form.
    #[error(transparent)]
    File(#[from] FileError),
    /// A check itself failed; this says nothing about a reply.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// The sandbox cannot be opened.
    #[cfg(feature = "sandbox")]
    #[error(transparent)]
    Sandbox(#[from] sky_sandbox::SandboxError),
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
pub type Result<T> = std::result::Result<T, VerifyError>;

impl VerifyError {
    pub(crate) fn mismatch(path: impl Into<PathBuf>, what: impl Into<String>) -> Self {
        Self::Mismatch {
            path: path.into(),
            what: what.into(),
        }
    }
}
