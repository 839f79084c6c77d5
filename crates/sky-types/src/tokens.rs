use serde::{Deserialize, Serialize};

/// One tokenized conversation: token ids and, for each, whether the loss counts it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenSeq {
    /// Token ids in reading order.
    pub ids: Vec<u32>,
    /// As long as `ids`; true where the token is one the model should learn to say (the
    /// assistant's, its end token included).
    pub target: Vec<bool>,
}

impl TokenSeq {
    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Number of tokens that the loss counts. The first token of a sequence is never predicted, so
    /// it never counts.
    pub fn num_targets(&self) -> usize {
        self.target.iter().skip(1).filter(|&&t| t).count()
    }
}
