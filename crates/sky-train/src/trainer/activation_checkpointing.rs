use sky_model::Config;
use tch::{Device, Tensor};

use crate::{TrainError, host_memory::available_memory};
use sky_plan::{ActivationCheckpointing, TrainConfig};

/// What a step has to hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StepLoad {
    /// Tokens of the longest micro-batch.
    pub(crate) longest: usize,
    pub(crate) device: Device,
    pub(crate) world_size: usize,
}

/// Which layers keep their graphs between the forward and the backward pass and which are
/// recomputed, and where the inputs of these wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecomputePolicy {
    graphs: ActivationCheckpointing,
    inputs_on_host: bool,
}

impl RecomputePolicy {
    /// The policy of a step. It changes no bit, so for `auto` free memory decides. `any_rank` says
    /// whether memory is short on any rank: a layer that is recomputed is gathered a second time,
    /// which is a collective.
    pub(crate) fn decide(
        model: &Config,
        config: &TrainConfig,
        load: StepLoad,
        any_rank: impl FnOnce(bool) -> Result<bool, TrainError>,
    ) -> Result<Self, TrainError> {
        Ok(Self {
            graphs: match config.activation_checkpointing {
                ActivationCheckpointing::Auto if any_rank(!all_fit(model, load))? => {
                    ActivationCheckpointing::Full
                }
                ActivationCheckpointing::Auto => ActivationCheckpointing::None,
                chosen => chosen,
            },
            inputs_on_host: config.offload_activations,
        })
    }

    /// Whether a layer, counted from 1, keeps its graph.
    pub(crate) fn keeps_graph(self, layer: usize) -> bool {
        self.graphs.keeps(layer)
    }

    /// The highest layer up to `top` that is recomputed.
    pub(crate) fn next_recomputed(self, top: usize) -> Option<usize> {
        (1..=top).rev().find(|&layer| !self.keeps_graph(layer))
    }

    /// Saves the input of a layer that is recomputed.
    pub(crate) fn save_input(self, x: Tensor) -> Result<SavedInput, TrainError> {
        let device = x.device();
        if !self.inputs_on_host {
            return Ok(SavedInput { device, x });
        }
        // Not blocking, so the copy is in pinned memory and takes its turn on the GPU's stream. In
        // host memory it is `x` itself.
        Ok(SavedInput {
            device,
            x: x.f_to_device_(Device::Cpu, x.f_kind()?, true, false)?,
        })
    }
}

/// A layer's input between its forward and its backward pass.
pub(crate) struct SavedInput {
    x: Tensor,
    device: Device,
}

impl SavedInput {
    /// The input on its device, a leaf.
    pub(crate) fn leaf(self, requires_grad: bool) -> Result<Tensor, TrainError> {
        let x = self
            .x
            .f_to_device_(self.device, self.x.f_kind()?, true, false)?;
        Ok(x.f_detach()?.f_set_requires_grad(requires_grad)?)
    }
}

/// Whether all layers' graphs fit into free memory, beside those of the other ranks, which may be
/// on this host.
fn all_fit(model: &Config, load: StepLoad) -> bool {
    // The size of a custom layer's graph is not known.
    if model.custom_layers.is_some() {
        return false;
    }
    let shape = crate::model_shape(model);
    let needed = shape.graph_bytes(true) * shape.layers * load.longest as u64;
    // tch does not say how much is free on a GPU. A graph in f32 is twice as large.
    let all = needed.saturating_mul(2 * load.world_size as u64);
    load.device == Device::Cpu && available_memory().is_some_and(|free| all < free / 2)
}
