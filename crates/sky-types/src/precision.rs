use serde::{Deserialize, Serialize};

/// What a model computes in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// bfloat16: half the memory, the fast kernels.
    #[default]
    Bf16,
    /// float32, for comparisons.
    F32,
}

impl Precision {
    /// Bytes of one number.
    pub fn bytes(self) -> u64 {
        match self {
            Self::Bf16 => 2,
            Self::F32 => 4,
        }
    }
}
