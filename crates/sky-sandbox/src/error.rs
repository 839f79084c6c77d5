use std::path::PathBuf;

/// What stops the sandbox itself. What a program does, however badly it ends, is an
/// [`Outcome`](crate::Outcome).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// A file of the Python guest is missing or unreadable.
    #[error("{}: cannot read the Python guest: {source}; `cargo xtask setup` puts it there", path.display())]
    Guest {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The guest is not the module the snapshot knows how to take.
    #[error("{}: not a CPython guest this build can snapshot: {reason}; `cargo xtask setup` fetches the pinned one", path.display())]
    Unsuitable {
        /// The module.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The folder of baked guests belongs to someone else, so what lies in it must not be run.
    #[error("{}: cannot be trusted with compiled code: {reason}; remove it, or set SKY_HOME to a folder of your own", path.display())]
    Cache {
        /// The folder.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Reading or writing the cache failed.
    #[error(transparent)]
    File(#[from] sky_files::FileError),
    /// The WebAssembly engine refused: no address space, no memory for a thread.
    #[error("the WebAssembly engine failed to {action}: {reason}")]
    Engine {
        /// What was tried.
        action: &'static str,
        /// What it said.
        reason: String,
    },
    /// A limit is out of range.
    #[error("limit {name} = {value} is out of range: at most {max}")]
    Limit {
        /// The field of [`Limits`](crate::Limits).
        name: &'static str,
        /// What was asked for.
        value: u64,
        /// The most that can be had.
        max: u64,
    },
}

impl SandboxError {
    pub(crate) fn engine(action: &'static str) -> impl FnOnce(wasmtime::Error) -> Self {
        move |error| Self::Engine {
            action,
            reason: format!("{error:#}"),
        }
    }
}
