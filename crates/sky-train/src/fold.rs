use sky_data::PackedRow;
use sky_model::{Config, HeadOptions, Segments, embed, head_backward, head_loss};
use sky_torch::backward;
use tch::{Device, Kind, Tensor, no_grad, with_grad};

use crate::{
    TrainError,
    keep::{Input, Keep},
    mathematics::Mathematics,
    zero::{Gathered, Store},
};

/// One packed row on the device.
pub(crate) struct MicroBatch {
    ids: Tensor,
    targets: Tensor,
    segments: Segments,
    /// What is added to the embedded tokens, `[tokens, hidden]`.
    noise: Option<Tensor>,
}

impl MicroBatch {
    pub(crate) fn new(
        config: &Config,
        row: &PackedRow,
        kind: Kind,
        device: Device,
    ) -> Result<Self, TrainError> {
        let ids: Vec<i64> = row.ids.iter().map(|&id| i64::from(id)).collect();
        let lengths: Vec<i64> = row.lengths.iter().map(|&n| n as i64).collect();
        Ok(Self {
            ids: Tensor::f_from_slice(&ids)?.f_to_device(device)?,
            targets: Tensor::f_from_slice(&row.next_tokens())?.f_to_device(device)?,
            segments: Segments::new(config, &lengths, kind, device),
            noise: None,
        })
    }

    pub(crate) fn with_noise(mut self, noise: Option<Tensor>) -> Self {
        self.noise = noise;
        self
    }
}

/// What the forward pass leaves for the backward pass of one layer.
enum Saved {
    /// Its input, when it is computed again.
    Input(Input),
    /// Its input, a leaf, its parameters and its output.
    Graph(Tensor, Gathered, Tensor),
}

/// Forward and backward pass of one micro-batch as a fold over the blocks: each block's parameters are gathered, used and
/// let go; its gradients are reduced as soon as they are known. Gives the sum of the cross-entropies.
///
/// The gradient is that of `head.scale` times this sum, with noise and z-loss where they are asked for. With adapters it is
/// taken for these alone: nothing is computed for frozen weights, nor below the first layer.
pub(crate) fn forward_backward(
    model: &Mathematics<'_, '_>,
    store: &mut Store<'_>,
    batch: &MicroBatch,
    keep: Keep,
    options: &HeadOptions,
) -> Result<f64, TrainError> {
    let Mathematics { config, lora, .. } = *model;
    let layers = config.num_layers;
    let head_block = layers + 1;
    let run = |index: usize, block: &Gathered, x: &Tensor| {
        model.layer(index - 1, block, x, &batch.segments)
    };
    // Whether the gradient of a layer's input is: with adapters nothing below the first layer has any.
    let wanted = |layer: usize| lora.is_none() || layer > 1;

    let mut x = embedded(store, batch)?;
    if let Some(noise) = &batch.noise {
        x = no_grad(|| x.f_add(noise))?;
    }
    let mut saved = Vec::with_capacity(layers);
    for index in 1..=layers {
        let block = store.gather(index, Some(index + 1))?;
        saved.push(if keep.graph(index) {
            let leaf = x.f_detach()?.f_set_requires_grad(wanted(index))?;
            let y = with_grad(|| run(index, &block, &leaf))?;
            x = y.f_detach()?;
            Saved::Graph(leaf, block, y)
        } else {
            let y = no_grad(|| run(index, &block, &x))?;
            store.release(block);
            Saved::Input(keep.input(std::mem::replace(&mut x, y))?)
        });
    }

    let tied = config.tie_word_embeddings;
    let head = Head::gather(store, config, keep.again(layers))?;
    let found = head_backward(
        config,
        head.norm_w(),
        head.matrix(),
        &x,
        &batch.targets,
        options,
    )?;
    head.release(store);
    drop(x);
    let mut upstream = found.x;
    if let (Some(norm_w), Some(head_w)) = (found.norm_w, found.head_w) {
        if tied {
            store.reduce(head_block, &[&norm_w])?;
            store.reduce(0, &[&head_w])?;
        } else {
            store.reduce(head_block, &[&norm_w, &head_w])?;
        }
    }
    let loss = found.loss_sum.f_double_value(&[])?;

    for index in (1..=layers).rev() {
        // One was pushed for each layer.
        let Some(saved) = saved.pop() else {
            break;
        };
        let (x, block, y) = match saved {
            Saved::Graph(x, block, y) => (x, block, y),
            Saved::Input(input) => {
                let x = input.leaf(wanted(index))?;
                let block = store.gather(index, keep.again(index - 1))?;
                let y = with_grad(|| run(index, &block, &x))?;
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
        store.release(block);
        store.reduce(index, &grads)?;
    }

    if lora.is_some() {
        return Ok(loss);
    }
    store.reduce_rows(0, &batch.ids, &upstream)?;
    Ok(loss)
}

/// The sum of the cross-entropies of one micro-batch, nothing else: no graph, no gradient.
pub(crate) fn loss_alone(
    model: &Mathematics<'_, '_>,
    store: &mut Store<'_>,
    batch: &MicroBatch,
    head_chunk: i64,
) -> Result<f64, TrainError> {
    let config = model.config;
    no_grad(|| {
        let mut x = embedded(store, batch)?;
        for index in 1..=config.num_layers {
            let block = store.gather(index, Some(index + 1))?;
            x = model.layer(index - 1, &block, &x, &batch.segments)?;
            store.release(block);
        }
        let head = Head::gather(store, config, None)?;
        let (sum, _) = head_loss(
            config,
            head.norm_w(),
            head.matrix(),
            &x,
            &batch.targets,
            head_chunk,
        );
        head.release(store);
        Ok(sum.f_double_value(&[])?)
    })
}

fn embedded(store: &mut Store<'_>, batch: &MicroBatch) -> Result<Tensor, TrainError> {
    let block = store.gather(0, Some(1))?;
    let x = no_grad(|| embed(&block.params, &batch.ids));
    store.release(block);
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
        store: &mut Store<'_>,
        config: &Config,
        next: Option<usize>,
    ) -> Result<Self, TrainError> {
        let head = config.num_layers + 1;
        if config.tie_word_embeddings {
            return Ok(Self {
                block: store.gather(head, Some(0))?,
                embedding: Some(store.gather(0, next)?),
            });
        }
        Ok(Self {
            block: store.gather(head, next)?,
            embedding: None,
        })
    }

    fn norm_w(&self) -> &Tensor {
        &self.block.params[0]
    }

    fn matrix(&self) -> &Tensor {
        self.embedding
            .as_ref()
            .map_or_else(|| &self.block.params[1], |block| &block.params[0])
    }

    fn release(self, store: &mut Store<'_>) {
        store.release(self.block);
        if let Some(embedding) = self.embedding {
            store.release(embedding);
        }
    }
}
