use sky_model::Config;
use tch::{Device, Tensor};

use crate::{Checkpointing, ModelShape, TrainConfig, TrainError, memory::available_memory};

/// What of a micro-batch is kept between its two passes, and where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keep {
    graphs: Checkpointing,
    inputs_on_host: bool,
}

impl Keep {
    /// For a micro-batch of so many tokens. What is kept changes no bit, so that for `auto` free memory decides.
    pub(crate) fn decide(
        model: &Config,
        config: &TrainConfig,
        tokens: usize,
        device: Device,
    ) -> Self {
        Self {
            graphs: match config.activation_checkpointing {
                Checkpointing::Auto if all_fit(model, tokens, device) => Checkpointing::None,
                Checkpointing::Auto => Checkpointing::Full,
                chosen => chosen,
            },
            inputs_on_host: config.offload_activations,
        }
    }

    /// Whether a layer, counted from 1, keeps its graph.
    pub(crate) fn graph(self, layer: usize) -> bool {
        self.graphs.keeps(layer)
    }

    /// The highest layer up to `top` that is computed again.
    pub(crate) fn again(self, top: usize) -> Option<usize> {
        (1..=top).rev().find(|&layer| !self.graph(layer))
    }

    /// The input of a layer that is computed again, until then.
    pub(crate) fn input(self, x: Tensor) -> Result<Input, TrainError> {
        if !self.inputs_on_host {
            return Ok(Input {
                device: x.device(),
                x,
            });
        }
        // Not blocking, so the copy is in pinned memory and takes its turn on the GPU's stream. In host memory it is `x` itself.
        Ok(Input {
            device: x.device(),
            x: x.f_to_device_(Device::Cpu, x.f_kind()?, true, false)?,
        })
    }
}

/// A layer's input between its two passes.
pub(crate) struct Input {
    x: Tensor,
    device: Device,
}

impl Input {
    /// The input where it was, a leaf.
    pub(crate) fn leaf(self, requires_grad: bool) -> Result<Tensor, TrainError> {
        let x = self
            .x
            .f_to_device_(self.device, self.x.f_kind()?, true, false)?;
        Ok(x.f_detach()?.f_set_requires_grad(requires_grad)?)
    }
}

fn all_fit(model: &Config, tokens: usize, device: Device) -> bool {
    // What the graphs of unknown layers take is not known.
    if model.own_layers.is_some() {
        return false;
    }
    let shape = ModelShape::of(model);
    let needed = shape.graph_bytes(true) * shape.layers * tokens as u64;
    // How much is free on a GPU tch cannot say; a graph in f32 is twice as large.
    device == Device::Cpu && available_memory().is_some_and(|free| needed * 2 < free / 2)
}
