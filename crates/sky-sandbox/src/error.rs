use std::path::PathBuf;

/// Why the sandbox itself failed. A failure of the program, however bad, is an
/// [`Outcome`](crate::Outcome).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// A file of the Python guest is missing, unreadable, or changes while it is read.
    #[error("{}: cannot read the Python guest: {source}; `cargo xtask setup` puts it there", path.display())]
    Guest {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// The guest is not the CPython module that this build can snapshot.
    #[error("{}: not a CPython guest this build can snapshot: {reason}; `cargo xtask setup` fetches the pinned one", path.display())]
    Unsuitable {
        /// The module.
        path: PathBuf,
        /// What the build does not support, or the boot's own error.
        reason: String,
    },
    /// The folder of baked guests is not safe: loading a guest from it runs machine code, and the
    /// folder is not this user's alone.
    #[error("{}: cannot be trusted with compiled code: {reason}; remove it, or set SKY_HOME to a folder of your own", path.display())]
    Cache {
        /// The folder, or the record in it that cannot be read back.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Reading or writing the cache failed.
    #[error(transparent)]
    File(#[from] sky_files::FileError),
    /// The WebAssembly engine or a thread failed, most often for lack of address space.
    #[error("the WebAssembly engine failed to {action}: {reason}")]
    Engine {
        /// What was tried, as a verb phrase: `start a thread`.
        action: &'static str,
        /// The engine's or the operating system's reason.
        reason: String,
    },
    /// A limit is above its maximum.
    #[error("limit {name} = {value} is out of range: at most {max}")]
    Limit {
        /// The field of [`Limits`](crate::Limits).
        name: &'static str,
        /// The value asked for, in the field's unit.
        value: u64,
        /// The largest value allowed.
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
