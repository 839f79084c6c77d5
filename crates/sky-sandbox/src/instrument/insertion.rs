//! Insertions: instructions to add to a function, and why a module is refused.

use wasm_encoder::Instruction;
use wasmparser::BinaryReaderError;

/// Why a module cannot be instrumented.
#[derive(Debug)]
pub(crate) struct Refused(pub(crate) String);

impl From<BinaryReaderError> for Refused {
    fn from(error: BinaryReaderError) -> Self {
        Self(error.to_string())
    }
}

impl From<String> for Refused {
    fn from(reason: String) -> Self {
        Self(reason)
    }
}

impl From<&str> for Refused {
    fn from(reason: &str) -> Self {
        Self(reason.to_owned())
    }
}

/// Instructions to insert at one place of a function. Every `if` among them is marked as unlikely.
pub(super) struct Insertion {
    /// Byte offset in the module, before the instruction that stands there.
    pub(super) at: usize,
    pub(super) instructions: Vec<Instruction<'static>>,
}
