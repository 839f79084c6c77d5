//! A model's parameters: which are trained, how they begin, how a block's lie in one flat vector.

pub(crate) mod base_hash;
pub(crate) mod flat_layout;
pub(crate) mod init_param;
pub(crate) mod trainable;

pub use init_param::init_param;
