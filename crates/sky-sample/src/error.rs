use sky_files::FileError;
use sky_types::GenerateError;

/// What stops sampling or rewriting. What was journaled before stays, and the same call continues
/// from it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SampleError {
    /// The journal or the output could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The source of replies failed.
    #[error(transparent)]
    Generate(GenerateError),
    /// The source of replies broke its promise: a reply nobody asked for, two replies to one
    /// request, or none.
    #[error("{model}: {reason}")]
    Protocol {
        /// The model.
        model: String,
        /// What it did.
        reason: String,
    },
    /// Two problems, or two samples, have one name.
    #[error("{what} is there twice")]
    Repeated {
        /// Which: `problem p-1`, `sample p-1 #2`.
        what: String,
    },
}
