use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{ActivationCheckpointing, Offload, TrainConfig};

/// One way to run: what is offloaded, what is recomputed. Displays in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// What leaves the GPUs.
    pub offload: Offload,
    /// Which layers are recomputed.
    pub activation_checkpointing: ActivationCheckpointing,
    /// Whether the inputs of these wait in host memory.
    pub offload_activations: bool,
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.offload {
            Offload::None => "nothing offloaded",
            Offload::Parameters => "parameters offloaded",
            Offload::Optimizer => "optimizer offloaded",
            Offload::OptimizerAndParameters => "optimizer and parameters offloaded",
        })?;
        match self.activation_checkpointing {
            ActivationCheckpointing::Full => f.write_str(", blocks recomputed")?,
            ActivationCheckpointing::Selective { every } => write!(f, ", 1 graph in {every} kept")?,
            ActivationCheckpointing::None | ActivationCheckpointing::Auto => {
                f.write_str(", graphs kept")?;
            }
        }
        if self.offload_activations {
            f.write_str(", inputs on the host")?;
        }
        Ok(())
    }
}

/// Every setting that a recipe leaves open, in order of how much it offloads.
pub(crate) fn settings(config: &TrainConfig) -> impl Iterator<Item = Setting> + use<> {
    let in_memory = config.offload_folder.is_none();
    let ways = match config.activation_checkpointing {
        ActivationCheckpointing::Auto => {
            vec![ActivationCheckpointing::None, ActivationCheckpointing::Full]
        }
        chosen => vec![chosen],
    };
    let inputs_away = config.offload_activations;
    Offload::ALL
        .into_iter()
        .filter(move |offload| in_memory || offload.optimizer())
        .flat_map(move |offload| ways.clone().into_iter().map(move |way| (offload, way)))
        .flat_map(move |(offload, way)| {
            // Where nothing is recomputed, no input waits for it.
            let choices = match (way, inputs_away) {
                (ActivationCheckpointing::None, _) => [Some(false), None],
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
