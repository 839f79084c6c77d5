use sky_model::{Adapters, Config, Lora, ModelError, Segments, adapted_layer};
use tch::Tensor;

use crate::{TrainError, zero::Gathered};

/// What a layer of one's own computes: index from 0, parameters in the order of its spec, `x` `[tokens, hidden]` and where
/// its documents begin and end; gives the same shape as `x`. A pure function: what it gives may be computed again in the
/// backward pass.
pub(crate) type OwnLayer<'c> = Box<dyn Fn(usize, &[Tensor], &Tensor, &Segments) -> Tensor + 'c>;

/// What a model's layers compute.
#[derive(Clone, Copy)]
pub(crate) struct Mathematics<'a, 'c> {
    pub(crate) config: &'a Config,
    pub(crate) lora: Option<&'a Lora>,
    own: Option<&'a OwnLayer<'c>>,
}

impl<'a, 'c> Mathematics<'a, 'c> {
    /// # Errors
    /// When the model has layers of its own and no function for them is there, or the other way round.
    pub(crate) fn new(
        config: &'a Config,
        lora: Option<&'a Lora>,
        own: Option<&'a OwnLayer<'c>>,
    ) -> Result<Self, TrainError> {
        if own.is_none() {
            config.no_own_layers()?;
        } else if config.own_layers.is_none() {
            let reason = "a function for layers was given, but it names none of its own (Config::with_own_layers)";
            return Err(ModelError::Config(reason.into()).into());
        }
        Ok(Self { config, lora, own })
    }

    /// One layer, from 0.
    ///
    /// # Errors
    /// When a layer of one's own gives another shape or kind than its input's.
    pub(crate) fn layer(
        &self,
        index: usize,
        block: &Gathered,
        x: &Tensor,
        segments: &Segments,
    ) -> Result<Tensor, TrainError> {
        if let Some(own) = self.own {
            let y = own(index, &block.params, x, segments);
            return if (y.size(), y.kind()) == (x.size(), x.kind()) {
                Ok(y)
            } else {
                Err(ModelError::Config(format!(
                    "layer {index} gives {:?} of shape {:?}, its input is {:?} of shape {:?}",
                    y.kind(),
                    y.size(),
                    x.kind(),
                    x.size()
                ))
                .into())
            };
        }
        let adapters = self.lora.map(|lora| Adapters {
            lora,
            params: &block.adapters,
        });
        Ok(adapted_layer(
            self.config,
            &block.params,
            adapters.as_ref(),
            x,
            segments,
        ))
    }
}
