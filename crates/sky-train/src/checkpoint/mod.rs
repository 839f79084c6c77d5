//! A run's state on disk: written whole or not at all, hashed, read back by any number of ranks;
//! and exported models.

pub(crate) mod background;
mod export;
mod folder;
mod reader;
pub(crate) mod shard_file;
mod trainer_state;
mod writer;

pub use export::{export, export_adapter, export_merged};
pub use folder::prune;
pub use reader::Checkpoint;
pub use trainer_state::TrainerState;
pub(crate) use writer::CheckpointWriter;
