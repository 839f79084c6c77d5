use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sky_types::SettingError;

use crate::{Recipe, RecipeError, UserError, check_against_receipt, sky_home};

/// A section that names a model, `[teacher]` or `[student]`: one on disk that runs in this process,
/// or one behind an OpenAI-style endpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelConfig {
    /// A folder in Hugging Face layout or a `.gguf` file. A relative path is looked up under
    /// `SKY_HOME`, then in the current folder.
    pub path: Option<PathBuf>,
    /// Base URL of an OpenAI-style server, up to and including `/v1`.
    pub endpoint: Option<String>,
    /// The model's name at the server and in the samples.
    pub name: String,
    /// Name of the environment variable with the server's key; none for a server without a key.
    pub api_key_env: Option<String>,
    /// Further headers for the server: each header's name, and the name of the environment variable
    /// with its value.
    pub headers_env: BTreeMap<String, String>,
    /// Further fields of each request to the server: `{ top_k = 20 }`.
    pub extra_body: Map<String, Value>,
    /// Concurrent requests to an endpoint; the default is 16.
    pub concurrency: Option<usize>,
    /// Most requests to an endpoint begun per second; no limit by default.
    pub requests_per_second: Option<f64>,
    /// Longest time in seconds of one request to an endpoint; the default is 1800.
    pub timeout_s: Option<f64>,
    /// Most tries, after the first one, of a request that the server fails on; the default is 8.
    pub retries: Option<u32>,
    /// How long in seconds a server may be down or busy before the stage ends; the default is 3600.
    pub patience_s: Option<f64>,
    /// Rows computed together in this process; the default is 64.
    pub batch: Option<usize>,
}

impl ModelConfig {
    /// Reads the section and checks its values, but looks for no file and no key.
    ///
    /// # Errors
    /// As [`Recipe::section`], and when a value is missing, contradictory or out of range.
    pub fn read(recipe: &Recipe, section: &str) -> Result<Self, RecipeError> {
        let model: Self = recipe.parse_section(section)?;
        model
            .check(section)
            .map_err(|error| recipe.setting_error(section, &error))?;
        Ok(model)
    }

    fn check(&self, section: &str) -> Result<(), SettingError> {
        let wrong = |key, reason: &str| Err(SettingError::new(key, reason));
        match (&self.path, &self.endpoint) {
            (None, None) => wrong("path", &format!("a {section} needs `path` or `endpoint`")),
            (Some(_), Some(_)) => wrong("endpoint", "`path` is given as well; keep one"),
            _ if self.name.is_empty() => wrong(
                "name",
                &format!("give the {section}'s name; samples record it"),
            ),
            _ if self.concurrency == Some(0) => wrong("concurrency", "must be above 0"),
            _ if self.batch == Some(0) => wrong("batch", "must be above 0"),
            (_, Some(url)) if check_endpoint(url).is_err() => {
                wrong("endpoint", &check_endpoint(url).err().unwrap_or_default())
            }
            _ if self.unused_key().is_some() => {
                let (key, beside) = self.unused_key().unwrap_or_default();
                wrong(key, &format!("does nothing beside `{beside}`; remove it"))
            }
            _ if self
                .requests_per_second
                .is_some_and(|rate| !(rate >= 0.0 && rate.is_finite())) =>
            {
                wrong("requests_per_second", "must be 0 (no limit) or above")
            }
            _ if !is_seconds(self.timeout_s) => wrong("timeout_s", "must be above 0"),
            _ if !is_seconds(self.patience_s) => wrong("patience_s", "must be above 0"),
            _ => Ok(()),
        }
    }

    /// A key that is set and does nothing, and the key beside which it does nothing.
    fn unused_key(&self) -> Option<(&'static str, &'static str)> {
        if self.endpoint.is_some() {
            return self.batch.map(|_| ("batch", "endpoint"));
        }
        let of_a_server = [
            ("api_key_env", self.api_key_env.is_some()),
            ("headers_env", !self.headers_env.is_empty()),
            ("extra_body", !self.extra_body.is_empty()),
            ("concurrency", self.concurrency.is_some()),
            ("requests_per_second", self.requests_per_second.is_some()),
            ("timeout_s", self.timeout_s.is_some()),
            ("retries", self.retries.is_some()),
            ("patience_s", self.patience_s.is_some()),
        ];
        let set = of_a_server.iter().find(|(_, set)| *set);
        set.map(|(key, _)| (*key, "path"))
    }

    /// The model's folder or file on disk; none for a model behind an endpoint.
    ///
    /// # Errors
    /// When neither or both of `path` and `endpoint` are given, or the path does not exist.
    pub fn local_path(&self) -> Result<Option<PathBuf>, UserError> {
        let path = match (&self.path, &self.endpoint) {
            (Some(path), None) => path,
            (None, Some(_)) => return Ok(None),
            _ => {
                return Err(UserError(
                    "a model needs either `path` or `endpoint`, one of the two".into(),
                ));
            }
        };
        let tried = [sky_home().join(path), path.clone()];
        let found = tried.iter().find(|path| path.exists()).cloned();
        found.map(Some).ok_or_else(|| {
            UserError(format!(
                "model {} is neither at {} nor at {}: run `cargo xtask setup`, or put its folder there",
                self.name,
                tried[0].display(),
                tried[1].display()
            ))
        })
    }

    /// [`ModelConfig::local_path`], with its files compared with what set-up fetched.
    ///
    /// # Errors
    /// As [`ModelConfig::local_path`], with the recipe's line, and as [`check_against_receipt`].
    pub fn located(&self, recipe: &Recipe, section: &str) -> anyhow::Result<Option<PathBuf>> {
        let path = self
            .local_path()
            .map_err(|UserError(reason)| recipe.error_at(section, "path", &reason))?;
        if let Some(path) = &path {
            check_against_receipt(path)?;
        }
        Ok(path)
    }

    /// [`ModelConfig::located`], and checks that the server's key is set: a run needs both before
    /// it begins.
    ///
    /// # Errors
    /// As [`ModelConfig::located`], and as [`ModelConfig::api_key`].
    pub fn ready(&self, recipe: &Recipe, section: &str) -> anyhow::Result<Option<PathBuf>> {
        let path = self.located(recipe, section)?;
        if path.is_none() {
            self.api_key()
                .map_err(|UserError(reason)| recipe.error_at(section, "api_key_env", &reason))?;
            self.headers()
                .map_err(|UserError(reason)| recipe.error_at(section, "headers_env", &reason))?;
        }
        Ok(path)
    }

    /// Expected wall-clock time of this many replies in seconds. Known only for a GGUF file, taken
    /// to be a small model in this process on two cores.
    pub fn expected_seconds(&self, replies: u64, max_tokens: u32) -> Option<f64> {
        /// Measured for a 135M model in batches on two cores.
        const TOKENS_PER_SECOND: f64 = 250.0;
        let small = matches!(self.local_path(), Ok(Some(path)) if path.is_file());
        // A reply takes about half of the tokens that it may.
        small.then(|| replies as f64 * f64::from(max_tokens) / 2.0 / TOKENS_PER_SECOND)
    }

    /// The further headers for the server, with their values.
    ///
    /// # Errors
    /// As [`api_key`].
    pub fn headers(&self) -> Result<Vec<(String, String)>, UserError> {
        let header = |(name, variable): (&String, &String)| Ok((name.clone(), api_key(variable)?));
        self.headers_env.iter().map(header).collect()
    }

    /// The server's key; empty when the recipe names no variable.
    ///
    /// # Errors
    /// As [`api_key`].
    pub fn api_key(&self) -> Result<String, UserError> {
        api_key(self.api_key_env.as_deref().unwrap_or_default())
    }
}

/// Whether a setting is unset or a positive number of seconds.
fn is_seconds(setting: Option<f64>) -> bool {
    setting.is_none_or(|seconds| seconds > 0.0 && seconds <= 1e6)
}

/// Reads a server's key from this environment variable; empty when the variable's name is.
///
/// # Errors
/// When the variable is not set or is not UTF-8.
pub fn api_key(variable: &str) -> Result<String, UserError> {
    if variable.is_empty() {
        return Ok(String::new());
    }
    env::var(variable).map_err(|_| {
        UserError(format!(
            "the environment variable {variable}, which the recipe names for the server's key, is not set"
        ))
    })
}

/// Checks that a text can be a server's base URL: `http` or `https`, and a host.
///
/// # Errors
/// A message that shows a correct URL.
pub fn check_endpoint(url: &str) -> Result<(), String> {
    let rest = ["http://", "https://"]
        .iter()
        .find_map(|scheme| url.strip_prefix(scheme));
    let host = rest.and_then(|rest| rest.split('/').next());
    if host.is_some_and(|host| !host.is_empty()) && !url.contains(char::is_whitespace) {
        return Ok(());
    }
    Err(format!(
        "`{url}` is no server's address; write it like http://localhost:8000/v1"
    ))
}

/// The files of a model on disk, sorted by name: weights, configuration, tokenizer, chat template.
/// A result depends on all of them.
///
/// # Errors
/// When the folder cannot be read or holds no file.
pub fn model_files(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let unread = || format!("{}: cannot read the model's folder", path.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(path).with_context(unread)? {
        let file = entry.with_context(unread)?.path();
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        if file.is_file() && !name.starts_with('.') {
            files.push(file);
        }
    }
    anyhow::ensure!(!files.is_empty(), "{}: holds no model", path.display());
    files.sort();
    Ok(files)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_made_of_all_its_files() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path();
        assert!(model_files(folder).is_err() && model_files(&folder.join("none")).is_err());
        // The chat template shapes what a model is trained on and asked.
        let names = ["chat_template.jinja", "config.json", "model.safetensors"];
        for name in names.iter().chain(&[".lock"]) {
            fs::write(folder.join(name), name).unwrap();
        }
        let whole = names.map(|name| folder.join(name));
        assert_eq!(model_files(folder).unwrap(), whole);
        assert_eq!(model_files(&whole[1]).unwrap(), [whole[1].clone()]);
    }

    #[test]
    fn an_endpoint_is_an_address() {
        for right in [
            "http://localhost:8000/v1",
            "https://a.b/c/v1",
            "http://[::1]:80",
        ] {
            assert_eq!(check_endpoint(right), Ok(()));
        }
        for wrong in [
            "foo",
            "",
            "http://",
            "https:///v1",
            "ftp://a/v1",
            "http://a b/v1",
        ] {
            assert!(
                check_endpoint(wrong).is_err_and(|e| e.contains("http://")),
                "{wrong}"
            );
        }
    }
}
