//! Optimizer states and their update.

pub(crate) mod adam8bit;
pub(crate) mod dtype;
pub(crate) mod optimizer;
pub(crate) mod state_tensor;
pub(crate) mod stochastic_rounding;

pub use optimizer::{Optimizer, ShardStep};
