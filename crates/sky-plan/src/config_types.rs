//! What some keys of `[train]` choose from.

use serde::{Deserialize, Serialize};

/// What happens to a conversation longer than `cutoff`. It is never cut short in silence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OverLong {
    /// Left out and counted.
    #[default]
    Drop,
    /// The run is refused.
    Error,
}

/// Activation checkpointing, block by block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActivationCheckpointing {
    /// Every block's graph stays in memory: fastest, most memory.
    None,
    /// Only block inputs stay in memory; the backward pass recomputes each block (Chen et al.,
    /// 2016).
    Full,
    /// Layers k, 2k, 3k and so on, the first being 1, keep their graphs; the others are recomputed.
    /// With 1 it is `none`, with more than there are layers `full`.
    Selective {
        /// The distance between two layers that keep their graphs.
        every: usize,
    },
    /// `none` for micro-batches whose graphs fit well into the memory that is free, else `full`;
    /// the bits are the same.
    #[default]
    Auto,
}

impl ActivationCheckpointing {
    /// Whether a layer, counted from 1, keeps its graph. `auto` counts as `none`.
    pub fn keeps(self, layer: usize) -> bool {
        match self {
            Self::None | Self::Auto => true,
            Self::Full => false,
            Self::Selective { every: k } => k > 0 && layer.is_multiple_of(k),
        }
    }

    /// How many of `layers` layers keep their graphs.
    pub fn layers_stored(self, layers: u64) -> u64 {
        match self {
            Self::None | Self::Auto => layers,
            Self::Full => 0,
            Self::Selective { every: k } => layers.checked_div(k as u64).unwrap_or(0),
        }
    }

    /// How many of `layers` layers are recomputed.
    pub fn layers_recomputed(self, layers: u64) -> u64 {
        layers - self.layers_stored(layers)
    }
}

/// Dtype of AdamW's optimizer states.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OptimizerDtype {
    /// float32.
    #[default]
    #[serde(rename = "f32")]
    F32,
    /// bfloat16 with seeded stochastic rounding, so that small changes are not lost.
    #[serde(rename = "bf16")]
    Bf16,
    /// 8 bits and a scale for every 64 elements (Dettmers et al., 2022).
    #[serde(rename = "8bit")]
    EightBit,
}

impl OptimizerDtype {
    /// Bytes of one number, scales included.
    pub fn bytes(self) -> f64 {
        match self {
            Self::F32 => 4.0,
            Self::Bf16 => 2.0,
            Self::EightBit => 1.0 + 4.0 / 64.0,
        }
    }
}

/// Dtype of master weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MasterDtype {
    /// float32.
    #[default]
    F32,
    /// bfloat16 with seeded stochastic rounding at each step, so that small steps are not lost.
    /// With compute in bf16 they are the weights themselves.
    Bf16,
}

impl MasterDtype {
    /// Bytes of one number.
    pub fn bytes(self) -> u64 {
        match self {
            Self::F32 => 4,
            Self::Bf16 => 2,
        }
    }
}

/// How the learning rate falls after the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decay {
    /// Half a cosine (Loshchilov and Hutter, 2017).
    #[default]
    Cosine,
    /// A straight line.
    Linear,
    /// Not at all.
    Constant,
    /// Warm-up, stable, decay: flat, then a straight line over the last `decay_ratio` of the steps
    /// (Hu et al., 2024).
    Wsd,
}

/// What leaves the GPUs for host memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Offload {
    /// Nothing.
    #[default]
    None,
    /// The bf16 parameters between uses.
    Parameters,
    /// Master weights, optimizer states and gradients on the host.
    Optimizer,
    /// Both, as the published run did it.
    OptimizerAndParameters,
}

impl Offload {
    /// In order of how much is.
    pub(crate) const ALL: [Self; 4] = [
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
