use serde::{Deserialize, Serialize};

/// The embedding's matrix in Hugging Face files.
pub(crate) const EMBEDDING: &str = "model.embed_tokens.weight";
/// The final norm's weights there.
pub(crate) const FINAL_NORM: &str = "model.norm.weight";
/// The head's matrix there, where it is not the embedding's.
pub(crate) const LM_HEAD: &str = "lm_head.weight";

/// One parameter of a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParamSpec {
    /// Its name in Hugging Face files.
    pub name: String,
    /// Its shape, `[out, in]` for matrices.
    pub shape: Vec<i64>,
    /// Whether weight decay applies: on matrices, not on norms and biases.
    pub decay: bool,
}

impl ParamSpec {
    /// One that weight decay applies to when it has more than one dimension.
    pub fn new(name: impl Into<String>, shape: &[i64]) -> Self {
        Self {
            name: name.into(),
            shape: shape.to_vec(),
            decay: shape.len() > 1,
        }
    }

    /// Number of elements.
    pub fn numel(&self) -> i64 {
        self.shape.iter().product()
    }
}
