use std::{
    io,
    path::{Path, PathBuf},
};

use sky_types::is_version_error;

/// What goes wrong with a file; every variant names it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The operating system refused.
    #[error("{}: cannot {action}: {source}{}", path.display(), hint(source))]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried, as a verb.
        action: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// A line or a document does not have the documented form.
    #[error("{}{}: {message}", path.display(), line.map_or_else(String::new, |line| format!(":{line}")))]
    Format {
        /// The file.
        path: PathBuf,
        /// 1-based line, when known.
        line: Option<u64>,
        /// What is wrong with it.
        message: String,
    },
    /// A record is of a format version that this build does not read.
    #[error("{}{}: {message}", path.display(), line.map_or_else(String::new, |line| format!(":{line}")))]
    Version {
        /// The file.
        path: PathBuf,
        /// 1-based line, when known.
        line: Option<u64>,
        /// Which version was found and which one this build reads.
        message: String,
    },
    /// A file is not what was written.
    #[error("{}: damaged: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How it shows, and what to do.
        what: String,
    },
    /// Another process holds the folder or the journal.
    #[error("{}: another process is working on it; wait for it to end, or use another folder", path.display())]
    Locked {
        /// The lock's file.
        path: PathBuf,
    },
    /// The folder holds results made from other inputs or settings.
    #[error("{}: holds results made with other {what}; use --force to replace them, or another run folder", path.display())]
    Stale {
        /// The folder.
        path: PathBuf,
        /// What differs, for a person.
        what: String,
    },
}

/// Shorthand for results of this crate.
pub type Result<T> = std::result::Result<T, FileError>;

impl FileError {
    /// Wraps an I/O error with the file and what was tried.
    pub fn io(path: impl Into<PathBuf>, action: &'static str, source: io::Error) -> Self {
        Self::Io {
            path: path.into(),
            action,
            source,
        }
    }

    /// An error about a whole file.
    pub fn format(path: impl Into<PathBuf>, message: impl Into<String>) -> Self {
        Self::Format {
            path: path.into(),
            line: None,
            message: message.into(),
        }
    }

    /// A JSON text that does not have the documented form: [`FileError::Version`] when its version
    /// is the reason, else [`FileError::Format`]. `line` is the line in the file, counted from 1.
    pub fn json(path: impl Into<PathBuf>, line: Option<u64>, error: &serde_json::Error) -> Self {
        Self::json_with(path, line, error, error.to_string())
    }

    /// [`FileError::json`] with a message of its own.
    pub(crate) fn json_with(
        path: impl Into<PathBuf>,
        line: Option<u64>,
        error: &serde_json::Error,
        message: String,
    ) -> Self {
        let path = path.into();
        if is_version_error(error) {
            return Self::Version {
                path,
                line,
                message,
            };
        }
        Self::Format {
            path,
            line,
            message,
        }
    }

    /// A file that is not what was written.
    pub fn damaged(path: impl Into<PathBuf>, what: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.into(),
            what: what.into(),
        }
    }

    /// The file or folder it is about.
    pub fn path(&self) -> &Path {
        match self {
            Self::Io { path, .. }
            | Self::Format { path, .. }
            | Self::Version { path, .. }
            | Self::Damaged { path, .. }
            | Self::Locked { path }
            | Self::Stale { path, .. } => path,
        }
    }
}

fn hint(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; free some space and run the same command again"
        }
        io::ErrorKind::FileTooLarge => {
            "; raise the limit on the size of a file (ulimit -f) and run the same command again"
        }
        io::ErrorKind::PermissionDenied => "; check the folder's owner and mode",
        io::ErrorKind::NotFound => "; check the path, or run the stage that makes it",
        _ => "",
    }
}
