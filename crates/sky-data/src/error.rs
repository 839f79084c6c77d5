use std::path::PathBuf;

use sky_files::FileError;
use sky_types::SettingError;

/// Shorthand for results of this crate.
pub type Result<T> = std::result::Result<T, DataError>;

/// What goes wrong between a source and the training data.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file could not be read or written, or a row does not have its form.
    #[error(transparent)]
    File(#[from] FileError),
    /// A family has fewer different problems than the settings ask for.
    #[error(
        "family `{family}` has no {wanted} different {side} problems with max_operand = {max_operand} (found {found}): raise max_operand, ask for fewer, add families, or set disjoint = \"prompts\""
    )]
    Exhausted {
        /// The family's name.
        family: &'static str,
        /// `train` or `held-out`.
        side: &'static str,
        /// How many were asked for.
        wanted: usize,
        /// How many were found.
        found: usize,
        /// The operands' bound.
        max_operand: u32,
    },
    /// A setting is out of range, or contradicts another one or the data.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// Rows of files do not fit together: an id appears twice, or a sample lacks its problem or its
    /// verdict.
    #[error("{what}: {reason}")]
    Mismatch {
        /// The row at fault: `sample p-1 #2`.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A source file does not exist.
    #[error("{} is not here{}", path.display(), if get.is_empty() { String::new() } else { format!(": {get}") })]
    Missing {
        /// The file.
        path: PathBuf,
        /// How to get it; may be empty.
        get: String,
    },
}
