use sky_model::{
    Config, HeadGrads, HeadOptions, IGNORE_INDEX, head_backward, head_logits, head_loss,
};
use sky_torch::backward;
use tch::{Kind, Tensor, no_grad, with_grad};

use super::micro_batch::MicroBatch;
use crate::TrainError;

/// A loss over logits and targets, in place of the cross-entropy ([`crate::Trainer::with_loss`]).
///
/// A function of logits and targets is a loss:
///
/// ```
/// use sky_train::Loss;
/// use tch::{Kind, Tensor};
///
/// /// Cross-entropy with label smoothing.
/// fn smoothed(logits: &Tensor, targets: &Tensor) -> Tensor {
///     logits.cross_entropy_loss(targets, None::<Tensor>, tch::Reduction::Sum, -100, 0.1)
/// }
/// fn takes(_: impl Loss) {}
/// takes(smoothed);
/// ```
///
/// The logits of a micro-batch exist a chunk at a time (`loss_chunk` tokens), so a loss is a sum
/// over tokens. What needs more than a chunk fits as follows:
///
/// - A reference model (distillation, a KL penalty): its log-probabilities are computed before
///   training, one forward pass over the data, and looked up by [`LossChunk::rows`] and
///   [`LossChunk::positions`].
/// - A value for a whole sequence (preference pairs): [`LossChunk::lengths`] say which tokens are
///   one document. A loss whose gradient depends on the sum over a sequence needs that sum before
///   its backward pass: a first forward pass. The trait has room for it as a provided method,
///   called before the chunks; none of today's losses needs it.
pub trait Loss {
    /// The sum of the losses of a chunk's tokens: a scalar that autograd follows back to the
    /// logits. A pure function.
    fn sum(&self, chunk: &LossChunk<'_>) -> Tensor;
}

impl<F: Fn(&Tensor, &Tensor) -> Tensor> Loss for F {
    fn sum(&self, chunk: &LossChunk<'_>) -> Tensor {
        self(chunk.logits, chunk.targets)
    }
}

/// The tokens of a micro-batch that have a target, a chunk of them.
#[derive(Debug)]
#[non_exhaustive]
pub struct LossChunk<'a> {
    /// Logits, f32 `[tokens, vocab]`.
    pub logits: &'a Tensor,
    /// The token that comes next, i64 `[tokens]`.
    pub targets: &'a Tensor,
    /// Each token's position in the micro-batch, i64 `[tokens]`.
    pub positions: &'a Tensor,
    /// Tokens of each document of the micro-batch, in order.
    pub lengths: &'a [usize],
    /// Each document's row of the data.
    pub rows: &'a [usize],
}

/// The weights after the last layer.
#[derive(Clone, Copy)]
pub(crate) struct HeadWeights<'a> {
    /// The final norm's, `[hidden]`.
    pub(crate) norm_w: &'a Tensor,
    /// The head's matrix, `[vocabulary, hidden]`.
    pub(crate) head_w: &'a Tensor,
}

/// The loss of one step: the cross-entropy with its options, or a custom one.
#[derive(Clone, Copy)]
pub(crate) struct LossStep<'a> {
    pub(crate) options: HeadOptions,
    pub(crate) custom: Option<&'a dyn Loss>,
}

impl LossStep<'_> {
    /// The loss and its gradients; `weights` are the final norm's and the head's.
    pub(crate) fn backward(
        &self,
        config: &Config,
        weights: HeadWeights<'_>,
        x: &Tensor,
        batch: &MicroBatch,
    ) -> Result<HeadGrads, TrainError> {
        let HeadWeights { norm_w, head_w } = weights;
        match self.custom {
            // Fused: the logits' memory becomes their gradient.
            None => {
                let targets = &batch.targets;
                Ok(head_backward(
                    config,
                    norm_w,
                    head_w,
                    x,
                    targets,
                    &self.options,
                )?)
            }
            Some(loss) => self.custom_backward(loss, config, weights, x, batch),
        }
    }

    /// The sum of the losses, without z-loss.
    pub(crate) fn value(
        &self,
        config: &Config,
        HeadWeights { norm_w, head_w }: HeadWeights<'_>,
        x: &Tensor,
        batch: &MicroBatch,
    ) -> Result<Tensor, TrainError> {
        let Some(loss) = self.custom else {
            let chunk = self.options.chunk;
            return Ok(head_loss(config, norm_w, head_w, x, &batch.targets, chunk).sum);
        };
        let mut sum = Tensor::f_zeros([], (Kind::Float, x.device()))?;
        for positions in self.chunks(batch)? {
            let x = x.f_index_select(0, &positions)?;
            let logits = head_logits(config, norm_w, head_w, &x).f_to_kind(Kind::Float)?;
            sum = sum.f_add(&evaluate(loss, &logits, &positions, batch)?)?;
        }
        Ok(sum)
    }

    /// By autograd, chunk by chunk. Gradients of the weights are summed in f32.
    fn custom_backward(
        &self,
        loss: &dyn Loss,
        config: &Config,
        HeadWeights { norm_w, head_w }: HeadWeights<'_>,
        x: &Tensor,
        batch: &MicroBatch,
    ) -> Result<HeadGrads, TrainError> {
        let float = (Kind::Float, x.device());
        let trained = !self.options.frozen;
        let zeros = |t: &Tensor| {
            trained
                .then(|| Tensor::f_zeros(t.size(), float))
                .transpose()
        };
        let mut grads = HeadGrads {
            loss_sum: Tensor::f_zeros([], float)?,
            count: 0,
            x: x.f_detach()?.f_zeros_like()?,
            norm_w: zeros(norm_w)?,
            head_w: zeros(head_w)?,
        };
        let norm_w = norm_w.f_detach()?.f_set_requires_grad(trained)?;
        let head_w = head_w.f_detach()?.f_set_requires_grad(trained)?;
        let scale = Tensor::f_full([], self.options.scale, float)?;
        for positions in self.chunks(batch)? {
            let x = x.f_detach()?.f_index_select(0, &positions)?;
            let x = x.f_set_requires_grad(true)?;
            let sum = with_grad(|| {
                let logits = head_logits(config, &norm_w, &head_w, &x).f_to_kind(Kind::Float)?;
                evaluate(loss, &logits, &positions, batch)
            })?;
            if !sum.requires_grad() {
                return Err(TrainError::Config {
                    key: "loss",
                    reason: "the custom loss has no gradient: it does not depend on the logits"
                        .into(),
                });
            }
            let all = [&x, &norm_w, &head_w];
            let inputs = if trained { &all[..] } else { &all[..1] };
            let mut found = backward(&[&sum], &[&scale], inputs)?.into_iter();
            no_grad(|| {
                if let Some(grad) = found.next().flatten() {
                    let _ = grads.x.f_index_copy_(0, &positions, &grad)?;
                }
                for total in [&mut grads.norm_w, &mut grads.head_w] {
                    if let (Some(total), Some(grad)) = (total, found.next().flatten()) {
                        let _ = total.f_add_(&grad.f_to_kind(Kind::Float)?)?;
                    }
                }
                grads.loss_sum = grads.loss_sum.f_add(&sum.f_detach()?)?;
                Ok::<_, TrainError>(())
            })?;
            grads.count += positions.size1()?;
        }
        Ok(grads)
    }

    /// Positions of the tokens that have a target, a chunk at a time.
    fn chunks(&self, batch: &MicroBatch) -> Result<Vec<Tensor>, TrainError> {
        let targets = batch.targets.f_ne(IGNORE_INDEX)?;
        let positions = targets.f_nonzero()?.f_squeeze_dim(1)?;
        if positions.size1()? == 0 {
            return Ok(Vec::new());
        }
        Ok(positions.f_split(self.options.chunk.max(1), 0)?)
    }
}

/// A custom loss of one chunk, if it gives what it has to.
fn evaluate(
    loss: &dyn Loss,
    logits: &Tensor,
    positions: &Tensor,
    batch: &MicroBatch,
) -> Result<Tensor, TrainError> {
    let sum = loss.sum(&LossChunk {
        logits,
        targets: &batch.targets.f_index_select(0, positions)?,
        positions,
        lengths: &batch.lengths,
        rows: &batch.rows,
    });
    if sum.numel() == 1 && sum.kind() == Kind::Float {
        return Ok(sum.f_reshape(&[] as &[i64])?);
    }
    Err(TrainError::Config {
        key: "loss",
        reason: format!(
            "the custom loss gives {:?} of shape {:?}, an f32 scalar is expected: the sum over the chunk's tokens",
            sum.kind(),
            sum.size()
        ),
    })
}
