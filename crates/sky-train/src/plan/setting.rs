use serde::{Deserialize, Serialize};

use crate::{Checkpointing, TrainConfig};

/// What leaves the GPUs for host memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Offload {
    /// Nothing.
    #[default]
    None,
    /// The bf16 parameters between uses.
    Parameters,
    /// Master weights, moments and the gradients they meet.
    Optimizer,
    /// Both, as the published run did it.
    OptimizerAndParameters,
}

impl Offload {
    /// In order of how much is.
    const ALL: [Self; 4] = [
        Self::None,
        Self::Parameters,
        Self::Optimizer,
        Self::OptimizerAndParameters,
    ];

    /// Whether the optimizer's part is.
    pub fn optimizer(self) -> bool {
        matches!(self, Self::Optimizer | Self::OptimizerAndParameters)
    }

    /// Whether the parameters are.
    pub fn parameters(self) -> bool {
        matches!(self, Self::Parameters | Self::OptimizerAndParameters)
    }

    /// This and the optimizer's part.
    pub(crate) fn with_optimizer(self) -> Self {
        if self.parameters() {
            Self::OptimizerAndParameters
        } else {
            Self::Optimizer
        }
    }
}

/// One way to run: what is offloaded, what is computed again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// What leaves the GPUs.
    pub offload: Offload,
    /// Which layers are computed again.
    pub activation_checkpointing: Checkpointing,
    /// Whether the inputs of these wait in host memory.
    pub offload_activations: bool,
}

/// Every setting that a recipe leaves open, in order of how much it offloads.
pub(super) fn settings(config: &TrainConfig) -> impl Iterator<Item = Setting> + use<> {
    let in_memory = config.offload_folder.is_none();
    let ways = match config.activation_checkpointing {
        Checkpointing::Auto => vec![Checkpointing::None, Checkpointing::Full],
        chosen => vec![chosen],
    };
    let inputs_away = config.offload_activations;
    Offload::ALL
        .into_iter()
        .filter(move |offload| in_memory || offload.optimizer())
        .flat_map(move |offload| ways.clone().into_iter().map(move |way| (offload, way)))
        .flat_map(move |(offload, way)| {
            // Where nothing is computed again, no input waits for it.
            let choices = match (way, inputs_away) {
                (Checkpointing::None, _) => [Some(false), None],
                (_, true) => [Some(true), None],
                (_, false) => [Some(false), Some(true)],
            };
            let setting = move |offload_activations| Setting {
                offload,
                activation_checkpointing: way,
                offload_activations,
            };
            choices.into_iter().flatten().map(setting)
        })
}
