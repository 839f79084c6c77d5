//! Training data: tokenised conversations, their split, and noise on their embeddings.

pub(crate) mod dataset;
pub(crate) mod neftune;
pub(crate) mod split;

pub use dataset::{DataId, Dataset};
