use serde::{Deserialize, Serialize};

/// Which family a model is of; they differ in names on disk and in where biases stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// Llama and what shares its layer function (SmolLM2).
    Llama,
    /// Qwen2 and Qwen2.5: biases on q, k and v.
    Qwen2,
}

impl Family {
    /// The family of a `model_type`.
    pub(crate) fn of(model_type: &str) -> Option<Self> {
        match model_type {
            "llama" => Some(Self::Llama),
            "qwen2" => Some(Self::Qwen2),
            _ => None,
        }
    }
}
