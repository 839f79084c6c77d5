//! ZeRO (Rajbhandari et al., 2020): optimizer states, gradients and parameters sharded over the
//! ranks.
//!
//! - `state.rs`: [`ShardedState`], what is sharded and how it is filled.
//! - `param_gather.rs`: gathers a block's parameters and prefetches the next block's; `prefetch.rs`
//!   is an all-gather that has been started.
//! - `gradients.rs`: reduce-scatter, accumulation and offload of gradients; `pending_grads.rs` are
//!   those in flight.
//! - `update.rs`: the optimizer step; `block_step.rs` is one block's, `async_step.rs` runs them in
//!   a thread that overlaps the next forward pass.
//! - `shard.rs`: what a rank keeps of a block, in which dtype and on which device; `frozen.rs` the
//!   same of weights that are not trained; `disk.rs` optimizer states in a mapped file.
//! - `flat.rs`: helpers for flat vectors; `buffers.rs` reuses those of a layer's size.
//!
//! Every rank must begin the same collectives in the same order. So only the trainer's thread
//! begins them, never the thread of the optimizer step.

mod async_step;
mod block_step;
mod buffers;
mod disk;
mod flat;
mod frozen;
mod gradients;
mod param_gather;
mod pending_grads;
mod prefetch;
mod shard;
mod state;
mod update;

pub(crate) use self::{param_gather::Gathered, state::ShardedState};
