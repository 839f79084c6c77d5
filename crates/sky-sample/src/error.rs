use sky_files::FileError;
use sky_types::{CheckError, GenerateError};

/// What stops sampling or rewriting. Journaled replies stay, and the same call resumes from them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SampleError {
    /// The journal or the output could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The host could not check a reply.
    #[error(transparent)]
    Check(#[from] CheckError),
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
    /// More samples failed than `max_failed` allows.
    #[error(
        "{failed} of {samples} samples failed, more than `max_failed` allows; the last: {last}. Replies that came are kept; the same command asks the others again"
    )]
    TooManyFailed {
        /// Samples that failed.
        failed: usize,
        /// Samples of the whole stage.
        samples: usize,
        /// Why the last one did.
        last: String,
    },
    /// Two problems have the same id, or two samples the same problem and index.
    #[error("{what} is there twice")]
    Repeated {
        /// Which: `problem p-1`, `sample p-1 #2`.
        what: String,
    },
}
