use std::{io, path::PathBuf};

/// What can go wrong with a model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A configuration that is broken or asks for what this crate does not know.
    #[error("model configuration: {0}")]
    Config(String),
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A weight file is damaged or of a kind this crate does not know.
    #[error("{path}: {reason}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        reason: String,
    },
    /// A tensor the model needs is not in its files.
    #[error("{path}: tensor `{name}` is missing: is this the whole model?")]
    Missing {
        /// The model's folder or file.
        path: PathBuf,
        /// The tensor.
        name: String,
    },
    /// A tensor has another shape than the configuration says.
    #[error("tensor `{name}` has shape {found:?}, the configuration says {expected:?}")]
    Shape {
        /// The tensor.
        name: String,
        /// What the configuration says.
        expected: Vec<i64>,
        /// What the file holds.
        found: Vec<i64>,
    },
    /// libtorch refused.
    #[error("libtorch: {0}")]
    Torch(#[from] tch::TchError),
    /// The shim around libtorch refused.
    #[error(transparent)]
    Shim(#[from] sky_torch::TorchError),
    /// A file cannot be written.
    #[error(transparent)]
    Write(#[from] sky_files::FileError),
    /// The tokenizer or the chat template.
    #[error("{0}")]
    Text(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl ModelError {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }

    pub(crate) fn format(path: impl Into<PathBuf>, reason: impl Into<String>) -> Self {
        Self::Format {
            path: path.into(),
            reason: reason.into(),
        }
    }
}
