//! Where things are in the baked guest: addresses and table slots that the host uses.

use serde::{Deserialize, Serialize};

/// What the host knows of a baked guest: addresses and table slots in it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Layout {
    /// Table slot of the C function that calls a Python function.
    pub(crate) call: u32,
    /// The driver's functions.
    pub(crate) functions: Functions,
    /// The tuple of the function that answers a test.
    pub(crate) answering: u32,
    /// `()`.
    pub(crate) no_arguments: u32,
    /// `None`.
    pub(crate) none: u32,
    /// Where the host leaves an exception's address for `finish`.
    pub(crate) cell: u32,
    /// Bytes of memory the guest has before it runs.
    pub(crate) memory: u64,
}

/// Addresses of the driver's functions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Functions {
    pub(crate) prepare: u32,
    pub(crate) prepare_test: u32,
    pub(crate) prepare_call: u32,
    // The guest's name for it: `driver.py` and the cached layouts have it.
    #[serde(rename = "prepare_exam")]
    pub(crate) prepare_isolated_test: u32,
    pub(crate) guard: u32,
    pub(crate) finish: u32,
}
