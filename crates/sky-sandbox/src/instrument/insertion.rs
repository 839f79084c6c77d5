//! What the parts of the instrumentation hand to each other: instructions to insert, and why a
//! module is refused.

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

/// Instructions to insert into a function. The engine is told that no `if` among them is taken.
pub(super) struct Insertion {
    /// Byte offset in the module.
    pub(super) at: usize,
    pub(super) instructions: Vec<Instruction<'static>>,
}
