use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{Invalid, Recipe, RecipeError, sky_home};

/// Which model speaks: one on disk that runs in this process, or one behind an OpenAI-style endpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelConfig {
    /// A folder in Hugging Face layout or a `.gguf` file; relative paths are looked up under `SKY_HOME`, then here.
    pub path: Option<PathBuf>,
    /// Base URL of an OpenAI-style server, up to and including `/v1`.
    pub endpoint: Option<String>,
    /// The model's name: what the server knows it by, and what samples record.
    pub name: String,
    /// Environment variable that holds the server's key.
    pub api_key_env: Option<String>,
    /// Requests under way at once at an endpoint.
    pub concurrency: Option<usize>,
    /// Rows of a batch in process.
    pub batch: Option<usize>,
}

impl ModelConfig {
    /// The model's folder or file on disk, when it runs in this process.
    ///
    /// # Errors
    /// When neither or both of `path` and `endpoint` are given, or the path does not exist.
    pub fn local_path(&self) -> Result<Option<PathBuf>, Invalid> {
        let path = match (&self.path, &self.endpoint) {
            (Some(path), None) => path,
            (None, Some(_)) => return Ok(None),
            _ => {
                return Err(Invalid(
                    "a model needs either `path` or `endpoint`, one of the two".into(),
                ));
            }
        };
        let tried = [sky_home().join(path), path.clone()];
        let found = tried.iter().find(|path| path.exists()).cloned();
        found.map(Some).ok_or_else(|| {
            Invalid(format!(
                "model {} is neither at {} nor at {}: run `cargo xtask setup`, or put its folder there",
                self.name,
                tried[0].display(),
                tried[1].display()
            ))
        })
    }

    /// [`ModelConfig::local_path`] of a recipe's section, with an error that names the recipe's line.
    ///
    /// # Errors
    /// As [`ModelConfig::local_path`].
    pub fn located(&self, recipe: &Recipe, section: &str) -> Result<Option<PathBuf>, RecipeError> {
        self.local_path()
            .map_err(|Invalid(reason)| recipe.complain(section, "path", &reason))
    }
}
