//! Several ranks: who they are, how they meet, what they exchange, and ZeRO's sharded state.

pub(crate) mod collective;
pub(crate) mod env;
pub(crate) mod gloo;
pub(crate) mod heartbeat;
pub(crate) mod nccl;
pub(crate) mod rendezvous;
pub(crate) mod weight_checksum;
pub(crate) mod zero;

pub use collective::{Collective, Pending, SingleProcess};
pub use env::{DistributedEnv, free_port};
pub use gloo::Gloo;
pub use nccl::Nccl;
