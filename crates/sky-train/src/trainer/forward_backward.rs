use sky_model::{Config, embed};
use sky_torch::backward;
use tch::{Tensor, no_grad, with_grad};

use crate::{
    TrainError,
    distributed::zero::{Gathered, ShardedState},
    trainer::activation_checkpointing::{RecomputePolicy, SavedInput},
    trainer::layer_fn::ModelLayers,
    trainer::loss::{HeadWeights, LossStep},
    trainer::micro_batch::MicroBatch,
};

/// What the forward pass saves of one layer for its backward pass.
enum Saved {
    /// The layer's input, when the layer is recomputed.
    Input(SavedInput),
    /// The layer's graph, when it is kept.
    Graph {
        /// The input, a leaf.
        x: Tensor,
        block: Gathered,
        /// The output.
        y: Tensor,
    },
}

/// One micro-batch's pass over the model.
pub(crate) struct MicroBatchPass<'p, 'a, 'c> {
    pub(crate) model: &'p ModelLayers<'a, 'c>,
    pub(crate) batch: &'p MicroBatch,
    pub(crate) policy: RecomputePolicy,
    pub(crate) loss: LossStep<'p>,
}

/// Forward and backward pass of one micro-batch, block by block: each block's parameters are
/// gathered, used and released; its gradients are reduced as soon as they are known. Gives the sum
/// of the losses over the targets.
///
/// The gradient is that of `scale` times this sum, with noise and z-loss where they are set. With
/// adapters it is taken for these alone: nothing is computed for frozen weights, nor below the
/// first layer.
pub(crate) fn forward_backward(
    pass: &MicroBatchPass<'_, '_, '_>,
    sharded_state: &mut ShardedState<'_>,
) -> Result<f64, TrainError> {
    let (x, saved) = pass.forward(sharded_state)?;
    let (loss, upstream) = pass.head(sharded_state, x)?;
    let upstream = pass.backward(sharded_state, saved, upstream)?;
    if pass.model.lora.is_none() {
        sharded_state.reduce_rows(0, &pass.batch.ids, &upstream)?;
    }
    Ok(loss)
}

impl MicroBatchPass<'_, '_, '_> {
    fn layers(&self) -> usize {
        self.model.config.num_layers
    }

    /// One layer, numbered from 1 as its block is.
    fn layer(&self, index: usize, block: &Gathered, x: &Tensor) -> Result<Tensor, TrainError> {
        self.model.layer(index - 1, block, x, &self.batch.sequences)
    }

    /// Whether the gradient of a layer's input is needed: with adapters nothing below the first
    /// layer has one.
    fn needs_input_grad(&self, layer: usize) -> bool {
        self.model.lora.is_none() || layer > 1
    }

    /// The last layer's output, and what each layer's backward pass starts from.
    fn forward(
        &self,
        sharded_state: &mut ShardedState<'_>,
    ) -> Result<(Tensor, Vec<Saved>), TrainError> {
        let mut x = embedded(sharded_state, self.batch)?;
        if let Some(noise) = &self.batch.noise {
            x = no_grad(|| x.f_add(noise))?;
        }
        let mut saved = Vec::with_capacity(self.layers());
        for index in 1..=self.layers() {
            let block = sharded_state.gather(index, Some(index + 1))?;
            saved.push(if self.policy.keeps_graph(index) {
                let needed = self.needs_input_grad(index);
                let leaf = x.f_detach()?.f_set_requires_grad(needed)?;
                let y = with_grad(|| self.layer(index, &block, &leaf))?;
                x = y.f_detach()?;
                Saved::Graph { x: leaf, block, y }
            } else {
                let y = no_grad(|| self.layer(index, &block, &x))?;
                sharded_state.release(block);
                Saved::Input(self.policy.save_input(std::mem::replace(&mut x, y))?)
            });
        }
        Ok((x, saved))
    }

    /// The loss, and its gradient with respect to `x`; the head's own gradients are reduced.
    fn head(
        &self,
        sharded_state: &mut ShardedState<'_>,
        x: Tensor,
    ) -> Result<(f64, Tensor), TrainError> {
        let (config, head_block) = (self.model.config, self.layers() + 1);
        let head = Head::gather(
            sharded_state,
            config,
            self.policy.next_recomputed(self.layers()),
        )?;
        let found = self.loss.backward(config, head.weights(), &x, self.batch)?;
        head.release(sharded_state);
        drop(x);
        if let (Some(norm_w), Some(head_w)) = (found.norm_w, found.head_w) {
            if config.tie_word_embeddings {
                sharded_state.reduce(head_block, &[&norm_w])?;
                sharded_state.reduce(0, &[&head_w])?;
            } else {
                sharded_state.reduce(head_block, &[&norm_w, &head_w])?;
            }
        }
        Ok((found.loss_sum.f_double_value(&[])?, found.x))
    }

    /// Goes back through the layers; gives the gradient with respect to the embedded tokens.
    fn backward(
        &self,
        sharded_state: &mut ShardedState<'_>,
        mut saved: Vec<Saved>,
        mut upstream: Tensor,
    ) -> Result<Tensor, TrainError> {
        for index in (1..=self.layers()).rev() {
            // The forward pass has pushed one for each layer.
            let Some(saved) = saved.pop() else {
                break;
            };
            let (x, block, y) = match saved {
                Saved::Graph { x, block, y } => (x, block, y),
                Saved::Input(input) => {
                    let x = input.leaf(self.needs_input_grad(index))?;
                    let block =
                        sharded_state.gather(index, self.policy.next_recomputed(index - 1))?;
                    let y = with_grad(|| self.layer(index, &block, &x))?;
                    (x, block, y)
                }
            };
            let below = x.requires_grad();
            let mut inputs: Vec<&Tensor> = below.then_some(&x).into_iter().collect();
            inputs.extend(block.trained());
            let mut grads = Vec::with_capacity(inputs.len());
            for (grad, input) in backward(&[&y], &[&upstream], &inputs)?
                .into_iter()
                .zip(&inputs)
            {
                // A parameter that took no part has a gradient of zero.
                grads.push(grad.map_or_else(|| input.f_zeros_like(), Ok)?);
            }
            if below {
                upstream = grads.remove(0);
            }
            drop((y, inputs));
            sharded_state.release(block);
            sharded_state.reduce(index, &grads)?;
        }
        Ok(upstream)
    }
}

/// The sum of the losses of one micro-batch, without z-loss: no graph, no gradient.
pub(crate) fn forward_loss(
    model: &ModelLayers<'_, '_>,
    sharded_state: &mut ShardedState<'_>,
    batch: &MicroBatch,
    loss: &LossStep<'_>,
) -> Result<f64, TrainError> {
    let config = model.config;
    no_grad(|| {
        let mut x = embedded(sharded_state, batch)?;
        for index in 1..=config.num_layers {
            let block = sharded_state.gather(index, Some(index + 1))?;
            x = model.layer(index - 1, &block, &x, &batch.sequences)?;
            sharded_state.release(block);
        }
        let head = Head::gather(sharded_state, config, None)?;
        let sum = loss.value(config, head.weights(), &x, batch)?;
        head.release(sharded_state);
        Ok(sum.f_double_value(&[])?)
    })
}

fn embedded(
    sharded_state: &mut ShardedState<'_>,
    batch: &MicroBatch,
) -> Result<Tensor, TrainError> {
    let block = sharded_state.gather(0, Some(1))?;
    let x = no_grad(|| embed(&block.params, &batch.ids));
    sharded_state.release(block);
    Ok(x)
}

/// The head's parameters; a tied one takes its matrix from the embedding.
struct Head {
    block: Gathered,
    embedding: Option<Gathered>,
}

impl Head {
    /// `next` is the block that is asked for after it.
    fn gather(
        sharded_state: &mut ShardedState<'_>,
        config: &Config,
        next: Option<usize>,
    ) -> Result<Self, TrainError> {
        let head = config.num_layers + 1;
        if config.tie_word_embeddings {
            return Ok(Self {
                block: sharded_state.gather(head, Some(0))?,
                embedding: Some(sharded_state.gather(0, next)?),
            });
        }
        Ok(Self {
            block: sharded_state.gather(head, next)?,
            embedding: None,
        })
    }

    fn weights(&self) -> HeadWeights<'_> {
        let tied = self.embedding.as_ref();
        HeadWeights {
            norm_w: &self.block.params[0],
            head_w: tied.map_or_else(|| &self.block.params[1], |block| &block.params[0]),
        }
    }

    fn release(self, sharded_state: &mut ShardedState<'_>) {
        sharded_state.release(self.block);
        if let Some(embedding) = self.embedding {
            sharded_state.release(embedding);
        }
    }
}
