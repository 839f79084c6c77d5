use sky_model::{Adapters, Config, Lora, ModelError, PackedSequences, adapted_layer};
use tch::Tensor;

use crate::{TrainError, distributed::zero::Gathered};

/// The function of a custom layer: index from 0, parameters in the order of its spec, `x` `[tokens,
/// hidden]` and where its documents begin and end; gives the same shape as `x`. A pure function:
/// the backward pass may recompute it.
pub(crate) type CustomLayerFn<'c> =
    Box<dyn Fn(usize, &[Tensor], &Tensor, &PackedSequences) -> Tensor + 'c>;

/// The functions of a model's layers.
#[derive(Clone, Copy)]
pub(crate) struct ModelLayers<'a, 'c> {
    pub(crate) config: &'a Config,
    pub(crate) lora: Option<&'a Lora>,
    custom: Option<&'a CustomLayerFn<'c>>,
}

impl<'a, 'c> ModelLayers<'a, 'c> {
    /// # Errors
    /// When the model has custom layers and no function for them is set, or the other way round.
    pub(crate) fn new(
        config: &'a Config,
        lora: Option<&'a Lora>,
        custom: Option<&'a CustomLayerFn<'c>>,
    ) -> Result<Self, TrainError> {
        if custom.is_none() {
            config.no_custom_layers()?;
        } else if config.custom_layers.is_none() {
            let reason = "a function for layers was given, but it names none of its own (Config::with_custom_layers)";
            return Err(ModelError::Config(reason.into()).into());
        }
        Ok(Self {
            config,
            lora,
            custom,
        })
    }

    /// One layer, from 0.
    ///
    /// # Errors
    /// When a custom layer gives another shape or dtype than its input's.
    pub(crate) fn layer(
        &self,
        index: usize,
        block: &Gathered,
        x: &Tensor,
        sequences: &PackedSequences,
    ) -> Result<Tensor, TrainError> {
        if let Some(custom) = self.custom {
            let y = custom(index, &block.params, x, sequences);
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
            sequences,
        ))
    }
}
