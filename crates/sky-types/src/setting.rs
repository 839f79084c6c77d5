use serde::de::DeserializeOwned;

/// A setting that a component cannot follow.
///
/// ```
/// let error = sky_types::SettingError::new("top_p", "must be at most 1");
/// assert_eq!(error.to_string(), "top_p: must be at most 1");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {reason}")]
pub struct SettingError {
    /// The key inside its section; a key inside a table of the section has dots.
    pub key: &'static str,
    /// What is wrong, and what is accepted.
    pub reason: String,
}

impl SettingError {
    /// An error about one key.
    pub fn new(key: &'static str, reason: impl Into<String>) -> Self {
        Self {
            key,
            reason: reason.into(),
        }
    }
}

/// The settings of one component: one section of a recipe.
pub trait Section: DeserializeOwned {
    /// The section's name in the recipe.
    const NAME: &'static str;

    /// Checks what the types cannot express.
    ///
    /// # Errors
    /// The first key whose value is out of range or contradicts another one.
    fn check(&self) -> Result<(), SettingError>;
}
