/// Why a plan cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// A file of hardware numbers cannot be used.
    #[error("plan: hardware: {0}")]
    Hardware(String),
    /// A GPU is not among the known ones.
    #[error("plan: gpu `{name}` is not known; known are {}", known.join(", "))]
    UnknownGpu {
        /// The name that was asked for.
        name: String,
        /// The names that are known.
        known: Vec<String>,
    },
    /// A model's `config.json` cannot be used.
    #[error("plan: config.json: {0}")]
    Model(String),
    /// A text is not a size in bytes.
    #[error("plan: `{0}` is no size; write 1800G, 1.5T or 80GiB")]
    Size(String),
    /// There is nothing to plan: no GPU, no rows, or too many of them.
    #[error("plan: {0}")]
    Input(String),
}
