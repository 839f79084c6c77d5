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
    /// For a step whose longest micro-batch has so many tokens. What is kept changes no bit, so that for `auto` free memory
    /// decides: `any_rank` says whether it is short on any, since a layer that is computed again is gathered again, which
    /// all ranks do together or none.
    pub(crate) fn decide(
        model: &Config,
        config: &TrainConfig,
        (tokens, device, processes): (usize, Device, usize),
        any_rank: impl FnOnce(bool) -> Result<bool, TrainError>,
    ) -> Result<Self, TrainError> {
        Ok(Self {
            graphs: match config.activation_checkpointing {
                Checkpointing::Auto if any_rank(!all_fit(model, tokens, device, processes))? => {
                    Checkpointing::Full
                }
                Checkpointing::Auto => Checkpointing::None,
                chosen => chosen,
            },
            inputs_on_host: config.offload_activations,
        })
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
        let device = x.device();
        if !self.inputs_on_host {
            return Ok(Input { device, x });
        }
        // Not blocking, so the copy is in pinned memory and takes its turn on the GPU's stream. In host memory it is `x` itself.
        Ok(Input {
            device,
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

/// Whether all graphs do beside those of so many processes, which may be on this host.
fn all_fit(model: &Config, tokens: usize, device: Device, processes: usize) -> bool {
    // What the graphs of unknown layers take is not known.
    if model.own_layers.is_some() {
        return false;
    }
    let shape = ModelShape::of(model);
    let needed = shape.graph_bytes(true) * shape.layers * tokens as u64;
    // How much is free on a GPU tch cannot say; a graph in f32 is twice as large.
    let all = needed.saturating_mul(2 * processes as u64);
    device == Device::Cpu && available_memory().is_some_and(|free| all < free / 2)
}
