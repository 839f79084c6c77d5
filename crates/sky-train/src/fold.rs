use sky_data::PackedRow;
use sky_model::{Config, Segments, embed, head_backward, layer};
use sky_torch::backward;
use tch::{Device, Kind, Tensor, no_grad, with_grad};

use crate::{Checkpointing, ModelShape, TrainError, zero::Store};

/// One packed row on the device.
pub(crate) struct MicroBatch {
    ids: Tensor,
    targets: Tensor,
    segments: Segments,
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
        })
    }
}

/// Whether a micro-batch's graphs are kept or its blocks computed again. Both give the same bits, so that free memory may
/// decide.
pub(crate) fn keeps_graphs(
    config: &Config,
    checkpointing: Checkpointing,
    tokens: usize,
    device: Device,
) -> bool {
    match checkpointing {
        Checkpointing::None => true,
        Checkpointing::Full => false,
        Checkpointing::Auto => {
            let shape = ModelShape::of(config);
            let needed = shape.graph_bytes() * shape.layers * tokens as u64;
            // How much is free on a GPU tch cannot say; a graph in f32 is twice as large.
            device == Device::Cpu && available_memory().is_some_and(|free| needed * 2 < free / 2)
        }
    }
}

/// Memory that can be had without swapping, in bytes, where the system says so.
fn available_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024)
}

/// What the forward pass leaves for the backward pass of one layer.
struct Saved {
    /// The layer's input, a leaf.
    x: Tensor,
    /// Its parameters and output, when the graph is kept.
    graph: Option<(Vec<Tensor>, Tensor)>,
}

/// Forward and backward pass of one micro-batch as a fold over the blocks: each block's parameters are gathered, used and
/// let go; its gradients are reduced as soon as they are known. Gives the sum of the cross-entropies.
///
/// The gradient is that of `scale` times this sum.
pub(crate) fn forward_backward(
    config: &Config,
    store: &mut Store<'_>,
    batch: &MicroBatch,
    scale: f64,
    keep_graphs: bool,
    head_chunk: i64,
) -> Result<f64, TrainError> {
    let layers = config.num_layers;
    let head_block = layers + 1;
    let run = |params: &[Tensor], x: &Tensor| layer(config, params, x, &batch.segments);

    let mut x = {
        let params = store.gather(0)?;
        no_grad(|| embed(&params, &batch.ids))
    };
    let mut saved = Vec::with_capacity(layers);
    for index in 1..=layers {
        let params = store.gather(index)?;
        let leaf = x.f_detach()?.f_set_requires_grad(true)?;
        if keep_graphs {
            let y = with_grad(|| run(&params, &leaf));
            x = y.f_detach()?;
            saved.push(Saved {
                x: leaf,
                graph: Some((params, y)),
            });
        } else {
            x = no_grad(|| run(&params, &leaf));
            saved.push(Saved {
                x: leaf,
                graph: None,
            });
        }
    }

    let mut head = store.gather(head_block)?;
    let tied = config.tie_word_embeddings;
    if tied {
        head.append(&mut store.gather(0)?);
    }
    let found = head_backward(
        config,
        &head[0],
        &head[1],
        &x,
        &batch.targets,
        head_chunk,
        scale,
    )?;
    drop((head, x));
    let mut upstream = found.x;
    if tied {
        store.reduce(head_block, &[&found.norm_w])?;
        store.reduce(0, &[&found.head_w])?;
    } else {
        store.reduce(head_block, &[&found.norm_w, &found.head_w])?;
    }
    let loss = found.loss_sum.f_double_value(&[])?;
    drop((found.norm_w, found.head_w));

    for index in (1..=layers).rev() {
        // One was pushed for each layer.
        let Some(Saved { x, graph }) = saved.pop() else {
            break;
        };
        let (params, y) = match graph {
            Some(kept) => kept,
            None => {
                let params = store.gather(index)?;
                let y = with_grad(|| run(&params, &x));
                (params, y)
            }
        };
        let mut inputs = vec![&x];
        inputs.extend(&params);
        let mut grads = Vec::with_capacity(inputs.len());
        for (grad, input) in backward(&[&y], &[&upstream], &inputs)?
            .into_iter()
            .zip(&inputs)
        {
            // A parameter that took no part has a gradient of zero.
            grads.push(grad.map_or_else(|| input.f_zeros_like(), Ok)?);
        }
        upstream = grads.remove(0);
        store.reduce(index, &grads)?;
    }

    let embedding = no_grad(|| {
        // In f32: a frequent token's gradient is a long sum.
        Tensor::f_embedding_dense_backward(
            &upstream.f_to_kind(Kind::Float)?,
            &batch.ids,
            config.vocab_size,
            -1,
            false,
        )
    })?;
    store.reduce(0, &[embedding])?;
    Ok(loss)
}
