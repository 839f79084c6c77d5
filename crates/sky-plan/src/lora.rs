use serde::{Deserialize, Serialize};

/// `lora` in the recipe's `[train]`: low-rank adapters are trained and the model's own weights are
/// frozen (Hu et al., 2021).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoraConfig {
    /// Rank of what is added to a matrix.
    pub rank: usize,
    /// What is added is multiplied by this over the rank.
    pub alpha: f64,
    /// The projections of each layer that get an adapter.
    pub targets: Vec<Projection>,
}

/// A linear projection of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::enum_variant_names)] // As Hugging Face's files have it.
pub enum Projection {
    /// Queries.
    QProj,
    /// Keys.
    KProj,
    /// Values.
    VProj,
    /// The output of attention.
    OProj,
    /// The feed-forward layer's gate.
    GateProj,
    /// What is gated.
    UpProj,
    /// The output of the feed-forward layer.
    DownProj,
}

impl Projection {
    /// All of them, in the order of a layer's parameters.
    pub const ALL: [Self; 7] = [
        Self::QProj,
        Self::KProj,
        Self::VProj,
        Self::OProj,
        Self::GateProj,
        Self::UpProj,
        Self::DownProj,
    ];
}

impl Default for LoraConfig {
    fn default() -> Self {
        Self {
            rank: 16,
            alpha: 32.0,
            targets: Projection::ALL.to_vec(),
        }
    }
}

impl LoraConfig {
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        if !(1..=1 << 16).contains(&self.rank) {
            Err("rank must be from 1 to 65536")
        } else if !(self.alpha > 0.0 && self.alpha.is_finite()) {
            Err("alpha must be a positive number")
        } else if self.targets.is_empty() {
            Err("targets must name at least one projection")
        } else {
            Ok(())
        }
    }

    /// For each of [`Projection::ALL`], whether it gets an adapter.
    pub fn adapted(&self) -> [bool; 7] {
        Projection::ALL.map(|projection| self.targets.contains(&projection))
    }
}
