use sky_files::FileError;
use sky_types::GenerateError;

/// What stops sampling or rewriting. Journaled replies stay, and the same call resumes from them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SampleError {
    /// The journal or the output could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The source of replies failed, after its own retries.
    #[error(transparent)]
    Generate(GenerateError),
    /// The source of replies broke the contract of [`Generate`](sky_types::Generate): a reply
    /// without a request, two replies to one request, or no reply.
    #[error("{model}: {reason}")]
    Protocol {
        /// The model.
        model: String,
        /// What the source did.
        reason: String,
    },
    /// Two problems have the same id, or two samples the same problem and index.
    #[error("{what} is there twice")]
    Repeated {
        /// Which: `problem p-1`, `sample p-1 #2`.
        what: String,
    },
}
