//! The layers of Qwen2 and Llama blocks, as pure functions of their parameters and inputs. How
//! parameters came to be whole (sharded, offloaded, recomputed) is not known here.
//!
//! # Panics
//! All of these panic when a tensor's shape is not the one its [`BlockSpec`](crate::BlockSpec)
//! says; shapes are checked where weights enter.

use sky_text::IGNORE_INDEX;
use tch::{Kind, Reduction, Tensor};

use crate::{
    Adapters, Config, PackedSequences,
    lora::{Adapter, adapted, by_projection},
    packed_sequences::DocumentRun,
};

const NONE: Option<&Tensor> = None;

/// The embedding block: `params` is its one matrix, `ids` i64 `[tokens]`; gives `[tokens, hidden]`.
pub fn embed(params: &[Tensor], ids: &Tensor) -> Tensor {
    Tensor::embedding(&params[0], ids, -1, false, false)
}

/// One transformer layer: `params` in the order of its spec, `x` `[tokens, hidden]`; gives the same
/// shape.
pub fn layer(
    config: &Config,
    params: &[Tensor],
    x: &Tensor,
    sequences: &PackedSequences,
) -> Tensor {
    adapted_layer(config, params, None, x, sequences)
}

/// [`layer`], where some of its projections have adapters.
pub fn adapted_layer(
    config: &Config,
    params: &[Tensor],
    adapters: Option<&Adapters<'_>>,
    x: &Tensor,
    sequences: &PackedSequences,
) -> Tensor {
    let p = LayerParams::split(config, params, adapters);
    let normed = rms_norm(x, p.input_norm, config.rms_norm_eps);
    let heads = |p: Linear<'_>, n: i64| linear(&normed, p).view([-1, n, config.head_dim]);
    let q = rotary(&heads(p.q, config.num_heads), sequences);
    let k = rotary(&heads(p.k, config.num_kv_heads), sequences);
    let v = heads(p.v, config.num_kv_heads);
    let attended = attention(config, &q, &k, &v, sequences);
    let x = x + linear(&attended, p.o);
    let normed = rms_norm(&x, p.post_norm, config.rms_norm_eps);
    let gated = swiglu(&linear(&normed, p.gate), &linear(&normed, p.up));
    x + linear(&gated, p.down)
}

/// `x / rms(x) * weight`, the mean square in f32 (in f64 when `x` is).
pub fn rms_norm(x: &Tensor, weight: &Tensor, eps: f64) -> Tensor {
    fused(x, |x| sky_torch::rms_norm(x, weight, eps))
        .unwrap_or_else(|| composed_norm(x, weight, eps))
}

/// What sky-torch does in one pass, where it takes such tensors.
fn fused(
    x: &Tensor,
    operation: impl FnOnce(&Tensor) -> Result<Tensor, sky_torch::TorchError>,
) -> Option<Tensor> {
    // Shapes that do not fit make the composed operations panic with libtorch's own words.
    sky_torch::supports_fused(x.kind(), x.device())
        .then(|| operation(x).ok())
        .flatten()
}

fn composed_norm(x: &Tensor, weight: &Tensor, eps: f64) -> Tensor {
    let in_f32 = x.to_kind(accumulation_kind(x.kind()));
    let mean_square = in_f32
        .square()
        .mean_dim([-1i64].as_slice(), true, in_f32.kind());
    (in_f32 * (mean_square + eps).rsqrt()).to_kind(x.kind()) * weight
}

/// Logits of the head: `x` `[tokens, hidden]` before the final norm; gives `[tokens, vocab]`.
pub fn head_logits(config: &Config, norm_w: &Tensor, head_w: &Tensor, x: &Tensor) -> Tensor {
    rms_norm(x, norm_w, config.rms_norm_eps).linear(head_w, NONE)
}

/// The result of [`head_loss`].
#[derive(Debug)]
pub struct HeadLoss {
    /// Sum of cross-entropies, f32 scalar, with its graph.
    pub sum: Tensor,
    /// Number of targets.
    pub count: i64,
}

/// Sum of cross-entropies and number of targets.
///
/// `x` is `[tokens, hidden]` before the final norm, `targets` i64 `[tokens]` with -100 where no
/// loss is asked for; those rows cost nothing. Logits exist for at most `chunk` tokens at once,
/// unless the caller's graph keeps them: for training use [`head_backward`].
pub fn head_loss(
    config: &Config,
    norm_w: &Tensor,
    head_w: &Tensor,
    x: &Tensor,
    targets: &Tensor,
    chunk: i64,
) -> HeadLoss {
    let rows = targets.ne(IGNORE_INDEX).nonzero().squeeze_dim(1);
    let count = rows.size()[0];
    let mut sum = Tensor::zeros([], (accumulation_kind(x.kind()), x.device()));
    for rows in row_chunks(&rows, chunk) {
        let logits = chunk_logits(config, norm_w, head_w, &x.index_select(0, &rows));
        sum += cross_entropies(&logits, &targets.index_select(0, &rows));
    }
    HeadLoss { sum, count }
}

/// The head's loss and its gradients in one go.
#[derive(Debug)]
pub struct HeadGrads {
    /// Sum of cross-entropies, f32 scalar, not multiplied by the scale, without z-loss.
    pub loss_sum: Tensor,
    /// Number of targets.
    pub count: i64,
    /// Gradient with respect to `x`, `[tokens, hidden]` in its kind.
    pub x: Tensor,
    /// Gradient of the final norm's weight, f32; none when the weights are frozen.
    pub norm_w: Option<Tensor>,
    /// Gradient of the head's matrix, f32 `[vocab, hidden]`; none when the weights are frozen.
    pub head_w: Option<Tensor>,
}

/// What [`head_backward`] takes the gradient of, and how.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeadOptions {
    /// Tokens whose logits are alive at any moment, at most.
    pub chunk: i64,
    /// What the sum of losses is multiplied by before its gradient is taken.
    pub scale: f64,
    /// z-loss: this times the square of each target's `log Z`, the logarithm of the sum of the
    /// exponentials of its logits, is added to its cross-entropy (Chowdhery et al., 2022, section
    /// 5: 1e-4). 0 for none.
    pub z_loss: f64,
    /// Whether the norm and the matrix are frozen: neither time nor memory goes into their
    /// gradients then.
    pub frozen: bool,
}

/// [`head_loss`] and the gradients of `scale` times its sum, z-loss added.
///
/// # Errors
/// When libtorch runs out of memory.
pub fn head_backward(
    config: &Config,
    norm_w: &Tensor,
    head_w: &Tensor,
    x: &Tensor,
    targets: &Tensor,
    options: &HeadOptions,
) -> Result<HeadGrads, sky_torch::TorchError> {
    let leaf = |t: &Tensor| t.detach().set_requires_grad(true);
    let weight = |t: &Tensor| t.detach().set_requires_grad(!options.frozen);
    let zeros = |t: &Tensor| {
        (!options.frozen)
            .then(|| Tensor::zeros(t.size(), (accumulation_kind(t.kind()), t.device())))
    };
    let rows = targets.ne(IGNORE_INDEX).nonzero().squeeze_dim(1);
    let mut grads = HeadGrads {
        loss_sum: Tensor::zeros([], (accumulation_kind(x.kind()), x.device())),
        count: rows.size()[0],
        x: x.detach().zeros_like(),
        norm_w: zeros(norm_w),
        head_w: zeros(head_w),
    };
    let norm_leaf = weight(norm_w);
    for rows in row_chunks(&rows, options.chunk) {
        let x_leaf = leaf(&x.detach().index_select(0, &rows));
        let normed = tch::with_grad(|| rms_norm(&x_leaf, &norm_leaf, config.rms_norm_eps));
        let upstream = tch::no_grad(|| {
            let logits = normed.linear(head_w, NONE);
            let (loss, logits) = logit_grads(logits, &targets.index_select(0, &rows), options)?;
            grads.loss_sum += loss;
            if let Some(sum) = &mut grads.head_w {
                if sum.kind() == logits.kind() {
                    // Within the product: no second matrix of that size.
                    let _ = sum.addmm_(&logits.tr(), &normed);
                } else {
                    add(sum, &logits.tr().matmul(&normed))?;
                }
            }
            Ok::<_, sky_torch::TorchError>(logits.matmul(head_w))
        })?;
        let inputs = [&x_leaf, &norm_leaf];
        let asked = if options.frozen { 1 } else { inputs.len() };
        let found = sky_torch::backward(&[&normed], &[&upstream], &inputs[..asked])?;
        tch::no_grad(|| {
            let mut found = found.into_iter().flatten();
            // Both take part in every norm, so none that was asked for is missing.
            if let Some(dx) = found.next() {
                let _ = grads.x.index_copy_(0, &rows, &dx);
            }
            if let (Some(sum), Some(dnorm)) = (&mut grads.norm_w, found.next()) {
                *sum += dnorm;
            }
        });
    }
    Ok(grads)
}

/// The sum of the cross-entropies of some rows, and the gradient with respect to their logits: the
/// logits' own memory, where sky-torch takes it.
fn logit_grads(
    logits: Tensor,
    targets: &Tensor,
    options: &HeadOptions,
) -> Result<(Tensor, Tensor), sky_torch::TorchError> {
    let (scale, z_loss) = (options.scale, options.z_loss);
    let width = accumulation_kind(logits.kind());
    if sky_torch::supports_fused(logits.kind(), logits.device()) {
        let losses = sky_torch::cross_entropy_(&logits, targets, scale, z_loss)?;
        return Ok((losses.sum(width), logits));
    }
    let leaf = logits.set_requires_grad(true);
    let (loss, whole) = tch::with_grad(|| {
        let logits = leaf.to_kind(width);
        let loss = cross_entropies(&logits, targets);
        let whole = if z_loss == 0.0 {
            loss.shallow_clone()
        } else {
            let log_z = logits.logsumexp([-1i64].as_slice(), false);
            &loss + log_z.square().sum(width) * z_loss
        };
        (loss, whole)
    });
    let upstream = Tensor::full([], scale, (width, leaf.device()));
    let mut found = sky_torch::backward(&[&whole], &[&upstream], &[&leaf])?;
    let grad = found.pop().flatten().unwrap_or_else(|| leaf.zeros_like());
    Ok((loss.detach(), grad))
}

/// Adds a gradient to a sum in f32.
fn add(sum: &mut Tensor, grad: &Tensor) -> Result<(), sky_torch::TorchError> {
    if sky_torch::supports_fused(grad.kind(), grad.device()) {
        return sky_torch::accumulate_(sum, &grad.contiguous());
    }
    tch::no_grad(|| *sum += grad);
    Ok(())
}

/// Where precision matters: f32, or f64 when the model itself is.
fn accumulation_kind(kind: Kind) -> Kind {
    if kind == Kind::Double {
        Kind::Double
    } else {
        Kind::Float
    }
}

fn row_chunks(rows: &Tensor, chunk: i64) -> Vec<Tensor> {
    if rows.size()[0] == 0 {
        Vec::new()
    } else {
        rows.split(chunk.max(1), 0)
    }
}

fn chunk_logits(config: &Config, norm_w: &Tensor, head_w: &Tensor, x: &Tensor) -> Tensor {
    head_logits(config, norm_w, head_w, x).to_kind(accumulation_kind(x.kind()))
}

fn cross_entropies(logits: &Tensor, targets: &Tensor) -> Tensor {
    logits.cross_entropy_loss(targets, NONE, Reduction::Sum, IGNORE_INDEX, 0.0)
}

/// Rotary positions, which restart in each document: `x` `[tokens, heads, head_dim]`; gives the
/// same shape.
pub fn rotary(x: &Tensor, sequences: &PackedSequences) -> Tensor {
    rotate(x, &sequences.cos, &sequences.sin)
}

/// Rotates the two halves of each head: `x` `[tokens, heads, head_dim]`, tables `[tokens, 1,
/// head_dim / 2]`.
pub(crate) fn rotate(x: &Tensor, cos: &Tensor, sin: &Tensor) -> Tensor {
    fused(x, |x| sky_torch::rotary(x, cos, sin)).unwrap_or_else(|| composed_rotation(x, cos, sin))
}

fn composed_rotation(x: &Tensor, cos: &Tensor, sin: &Tensor) -> Tensor {
    let halves = x.chunk(2, -1);
    let (a, b) = (&halves[0], &halves[1]);
    Tensor::cat(&[a * cos - b * sin, b * cos + a * sin], -1)
}

/// `silu(gate) * up`, for two tensors of one shape.
pub fn swiglu(gate: &Tensor, up: &Tensor) -> Tensor {
    fused(gate, |gate| sky_torch::swiglu(gate, up)).unwrap_or_else(|| gate.silu() * up)
}

/// Causal attention inside each document; q `[tokens, heads, d]`, k and v `[tokens, kv_heads, d]`;
/// gives `[tokens, heads * d]`.
pub fn attention(
    config: &Config,
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    sequences: &PackedSequences,
) -> Tensor {
    let d = config.head_dim;
    if sky_torch::supports_attention(q.kind(), q.device(), d)
        && let Ok(attended) = sky_torch::attention(q, k, v, &sequences.cu_seqlens)
    {
        return attended;
    }
    // One document too: the plain kernel may be one that is planned again for each length. A GPU
    // without this one takes document by document.
    if let Some(cu_seqlens_gpu) = &sequences.cu_seqlens_gpu
        && matches!(q.kind(), Kind::BFloat16 | Kind::Half)
        && let Ok(attended) =
            sky_torch::varlen_attention(q, k, v, cu_seqlens_gpu, sequences.longest())
    {
        return attended;
    }
    let outs: Vec<Tensor> = sequences
        .runs
        .iter()
        .map(|run| {
            let DocumentRun {
                start,
                documents,
                length,
            } = *run;
            let part = |t: &Tensor, heads: i64| {
                t.narrow(0, start, documents * length)
                    .view([documents, length, heads, d])
                    .transpose(1, 2)
            };
            let (q, k, v) = (
                part(q, config.num_heads),
                part(k, config.num_kv_heads),
                part(v, config.num_kv_heads),
            );
            let grouped = config.num_heads != config.num_kv_heads;
            Tensor::scaled_dot_product_attention(&q, &k, &v, NONE, 0.0, true, None, grouped)
                .transpose(1, 2)
                .reshape([documents * length, config.num_heads * d])
        })
        .collect();
    match outs.as_slice() {
        [one] => one.shallow_clone(),
        many => Tensor::cat(many, 0),
    }
}

/// The parameters of one projection.
#[derive(Clone, Copy)]
struct Linear<'a> {
    weight: &'a Tensor,
    bias: Option<&'a Tensor>,
    adapter: Option<Adapter<'a>>,
}

fn linear(x: &Tensor, projection: Linear<'_>) -> Tensor {
    let Linear {
        weight,
        bias,
        adapter,
    } = projection;
    adapted(x.linear(weight, bias), x, adapter)
}

struct LayerParams<'a> {
    input_norm: &'a Tensor,
    q: Linear<'a>,
    k: Linear<'a>,
    v: Linear<'a>,
    o: Linear<'a>,
    post_norm: &'a Tensor,
    gate: Linear<'a>,
    up: Linear<'a>,
    down: Linear<'a>,
}

impl<'a> LayerParams<'a> {
    fn split(config: &Config, params: &'a [Tensor], adapters: Option<&Adapters<'a>>) -> Self {
        let mut next = 0;
        let mut take = || {
            next += 1;
            &params[next - 1]
        };
        let mut adapters = by_projection(adapters).into_iter();
        let mut linear = |take: &mut dyn FnMut() -> &'a Tensor, bias: bool| Linear {
            weight: take(),
            bias: bias.then(take),
            adapter: adapters.next().flatten(),
        };
        let input_norm = take();
        let (q, k, v) = (
            linear(&mut take, config.qkv_bias),
            linear(&mut take, config.qkv_bias),
            linear(&mut take, config.qkv_bias),
        );
        let o = linear(&mut take, config.attention_output_bias);
        let post_norm = take();
        let (gate, up, down) = (
            linear(&mut take, config.mlp_bias),
            linear(&mut take, config.mlp_bias),
            linear(&mut take, config.mlp_bias),
        );
        Self {
            input_norm,
            q,
            k,
            v,
            o,
            post_norm,
            gate,
            up,
            down,
        }
    }
}
