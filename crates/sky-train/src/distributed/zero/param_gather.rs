//! Gathering a block's parameters for its forward or backward pass, and prefetching the next
//! block's meanwhile.

use tch::Tensor;

use super::{
    prefetch::{PendingVector, Prefetch},
    state::ShardedState,
};
use crate::{
    TrainError,
    params::flat_layout::{FlatLayout, FlatParam},
};

/// A block's parameters, whole.
pub(crate) struct Gathered {
    /// Leaves of the autograd graph, in the order that the block's function takes them.
    pub(crate) params: Vec<Tensor>,
    /// The same of its adapters, when `params` are frozen.
    pub(crate) adapters: Vec<Tensor>,
    block: usize,
    buffers: Vec<Tensor>,
}

impl Gathered {
    /// The parameters that want a gradient.
    pub(crate) fn trained(&self) -> &[Tensor] {
        if self.params.iter().any(Tensor::requires_grad) {
            &self.params
        } else {
            &self.adapters
        }
    }
}

/// What this rank keeps of a block's frozen weights, or of its trained ones.
struct BlockPart<'a> {
    layout: &'a FlatLayout,
    /// Flat, on the device where they wait between uses.
    weights: &'a Tensor,
    trained: bool,
}

/// Views of a block's parameters in their flat vectors.
struct ParamViews {
    params: Vec<Tensor>,
    /// Those of the block's adapters, when `params` are frozen.
    adapters: Vec<Tensor>,
}

impl ShardedState<'_> {
    /// Gathers a block's parameters. `next` is the block that will be asked for after this one: its
    /// all-gather is started and overlaps this block's computation.
    pub(crate) fn gather(
        &mut self,
        block: usize,
        next: Option<usize>,
    ) -> Result<Gathered, TrainError> {
        // The prefetch reads the next block's weights: their optimizer step must be done as well.
        self.wait_for_block(block.max(next.unwrap_or(block)))?;
        if self.sharded.parameters && self.comm.world_size() > 1 {
            let found = self.prefetch.take();
            let now = match found {
                Some(prefetch) if prefetch.block == block => prefetch,
                other => {
                    // A prefetch of another block, as after an evaluation that failed. Its
                    // collective has begun on every rank, and must end before its buffers are used
                    // again.
                    if let Some(unused) = other {
                        let block = unused.block;
                        let full_params = unused.wait()?;
                        self.release_buffers(full_params, block);
                    }
                    self.start_all_gather(block)?
                }
            };
            // Started before the wait for this block, so that the link does not idle between the
            // two. The order is the same on all ranks.
            if let Some(next) = next {
                self.prefetch = Some(self.start_all_gather(next)?);
            }
            let full_params = now.wait()?;
            let ParamViews { params, adapters } = self.param_views(block, &full_params)?;
            return Ok(Gathered {
                params,
                adapters,
                block,
                buffers: full_params,
            });
        }
        let full_params = self.weights_on_device(block)?;
        let ParamViews { params, adapters } = self.param_views(block, &full_params)?;
        Ok(Gathered {
            params,
            adapters,
            block,
            buffers: Vec::new(),
        })
    }

    /// Takes a block back that is no longer needed. Nothing may hold its parameters: its buffers
    /// are written by a later all-gather.
    pub(crate) fn release(&mut self, gathered: Gathered) {
        let Gathered {
            params,
            adapters,
            block,
            buffers,
        } = gathered;
        // The views first: a buffer must have no other owner when it is used again.
        drop((params, adapters));
        self.release_buffers(buffers, block);
    }

    fn release_buffers(&mut self, buffers: Vec<Tensor>, block: usize) {
        let is_layer = self.is_layer(block);
        for buffer in buffers {
            self.buffers.release(buffer, is_layer);
        }
    }

    /// A block's full parameters, outside of a step; those of its adapters follow. No prefetch, and
    /// new buffers, since whoever asked may keep them.
    pub(crate) fn full_params(&self, block: usize) -> Result<Vec<Tensor>, TrainError> {
        self.wait_for_block(block)?;
        let mut full_params = self.weights_on_device(block)?;
        if self.sharded.parameters && self.comm.world_size() > 1 {
            for (whole, part) in full_params.iter_mut().zip(self.parts(block)) {
                let options = (self.dtypes.compute, self.devices.compute);
                let length = part.layout.padded_numel();
                // `whole` is this rank's shard until the gathered vector takes its place.
                let shard = std::mem::replace(whole, Tensor::f_zeros([length], options)?);
                self.comm.all_gather_into(whole, &shard)?.wait()?;
            }
        }
        let ParamViews {
            mut params,
            adapters,
        } = self.param_views(block, &full_params)?;
        params.extend(adapters);
        Ok(params)
    }

    /// What is gathered for a block: frozen weights, then trained ones, where there are any.
    fn parts(&self, block: usize) -> impl Iterator<Item = BlockPart<'_>> {
        let frozen = self.frozen.get(block).map(|frozen| BlockPart {
            layout: &frozen.layout,
            weights: &frozen.weights,
            trained: false,
        });
        let trained = BlockPart {
            layout: &self.layouts[block],
            weights: &self.shards[block].weights,
            trained: true,
        };
        let all = frozen.into_iter().chain([trained]);
        // With adapters, the embedding and the head have no trained part: nothing to gather.
        all.filter(|part| part.layout.numel > 0)
    }

    /// What this rank keeps of a block's weights, copied to the compute device where it is
    /// offloaded.
    fn weights_on_device(&self, block: usize) -> Result<Vec<Tensor>, TrainError> {
        self.parts(block)
            .map(|part| {
                // Asynchronous from pinned memory: the copy is ordered by the GPU's stream, after
                // the kernels that read the block before.
                let (compute, kind) = (self.devices.compute, part.weights.f_kind()?);
                Ok(part.weights.f_to_device_(compute, kind, true, false)?)
            })
            .collect()
    }

    fn start_all_gather(&mut self, block: usize) -> Result<Prefetch, TrainError> {
        let lengths: Vec<i64> = self
            .parts(block)
            .map(|part| part.layout.padded_numel())
            .collect();
        let mut parts = Vec::with_capacity(lengths.len());
        for (length, shard) in lengths.into_iter().zip(self.weights_on_device(block)?) {
            let (kind, device) = (self.dtypes.compute, self.devices.compute);
            let whole = self.buffers.take(length, kind, device)?;
            let pending = self.comm.all_gather_into(&whole, &shard)?;
            parts.push(PendingVector { whole, pending });
        }
        Ok(Prefetch { block, parts })
    }

    /// Views of a block's parameters and of its adapters' in their flat vectors. They are detached:
    /// leaves of a new graph, which shares memory with the vector but not history.
    fn param_views(&self, block: usize, full_params: &[Tensor]) -> Result<ParamViews, TrainError> {
        let mut found = ParamViews {
            params: Vec::new(),
            adapters: Vec::new(),
        };
        for (part, whole) in self.parts(block).zip(full_params) {
            let list = if part.trained && !self.frozen.is_empty() {
                &mut found.adapters
            } else {
                &mut found.params
            };
            for FlatParam { spec, offset } in &part.layout.params {
                let view = whole
                    .f_narrow(0, *offset, spec.numel())?
                    .f_view(spec.shape.as_slice())?;
                list.push(view.f_detach()?.f_set_requires_grad(part.trained)?);
            }
        }
        Ok(found)
    }
}
