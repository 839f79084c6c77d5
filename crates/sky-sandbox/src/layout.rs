//! The addresses and table slots in the baked guest that the host uses.

use serde::{Deserialize, Serialize};

/// Where things are in a baked guest. Kept beside its compiled code, since both come from one boot.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Layout {
    /// Table slot of the C function that calls a Python function.
    pub(crate) call: u32,
    /// The driver's functions, by address.
    pub(crate) functions: Functions,
    /// Address of a one-item tuple: the function that answers a test's question.
    pub(crate) answering: u32,
    /// Address of `()`.
    pub(crate) no_arguments: u32,
    /// Address of `None`.
    pub(crate) none: u32,
    /// Address of a one-item tuple. The host writes an exception's address into it for `finish`.
    pub(crate) cell: u32,
    /// Bytes of memory that a guest has before it runs.
    pub(crate) memory: u64,
}

/// Addresses of the driver's functions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Functions {
    pub(crate) prepare: u32,
    pub(crate) prepare_test: u32,
    pub(crate) prepare_call: u32,
    pub(crate) prepare_isolated_test: u32,
    pub(crate) guard: u32,
    pub(crate) finish: u32,
}
