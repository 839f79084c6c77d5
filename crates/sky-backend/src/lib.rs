//! Opens the model that a recipe names, whichever program asks: [`open`] gives a [`Generate`] for a
//! server or, with the feature `local`, for a model in this process. [`arithmetic`] names the
//! settings that a reply in process depends on.
#![forbid(unsafe_code)]

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;
use sky_cli::{ModelConfig, UserError};
use sky_sample::{Endpoint, HttpGenerator};
use sky_types::Generate;

/// Where a model is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A folder in Hugging Face layout or a GGUF file.
    Local(PathBuf),
    /// The URL of an OpenAI-style server.
    Server(String),
}

impl Source {
    /// The folder or the server that a recipe's section names: `path`, else `endpoint`.
    ///
    /// # Errors
    /// As [`ModelConfig::local_path`].
    pub fn of(model: &ModelConfig) -> Result<Self, UserError> {
        Ok(match model.local_path()? {
            Some(path) => Self::Local(path),
            None => Self::Server(model.endpoint.clone().unwrap_or_default()),
        })
    }
}

/// Opens the model at `source` with a section's other settings; samples record it as `name`.
///
/// # Errors
/// When the model cannot be read, the server's key is not set, or this build knows no models in
/// process.
pub fn open(
    source: &Source,
    config: &ModelConfig,
    name: &str,
) -> anyhow::Result<Box<dyn Generate>> {
    match source {
        Source::Local(path) => local::open(path, config, name),
        Source::Server(url) => {
            let mut endpoint = Endpoint::new(url, &config.name);
            endpoint.api_key = config.api_key()?;
            endpoint.headers = config.headers()?;
            endpoint.extra_body.clone_from(&config.extra_body);
            let seconds =
                |setting: Option<f64>, default| setting.map_or(default, Duration::from_secs_f64);
            endpoint.concurrency = config.concurrency.unwrap_or(endpoint.concurrency);
            endpoint.requests_per_second = config.requests_per_second.unwrap_or(0.0);
            endpoint.timeout = seconds(config.timeout_s, endpoint.timeout);
            endpoint.patience = seconds(config.patience_s, endpoint.patience);
            endpoint.retries = config.retries.unwrap_or(endpoint.retries);
            Ok(Box::new(HttpGenerator::new(endpoint)))
        }
    }
}

/// The settings that the bits of a local model's replies depend on, beside its files.
pub fn arithmetic(config: &ModelConfig) -> Value {
    local::arithmetic(config)
}

#[cfg(feature = "local")]
mod local {
    use serde_json::json;
    use sky_model::{Device, GeneratorOptions, LocalGenerator};

    use super::{Generate, ModelConfig, Path, Value};

    pub(super) fn open(
        path: &Path,
        config: &ModelConfig,
        name: &str,
    ) -> anyhow::Result<Box<dyn Generate>> {
        let generator = LocalGenerator::open(path, name, Device::Cpu, options(config))?;
        Ok(Box::new(generator))
    }

    pub(super) fn arithmetic(config: &ModelConfig) -> Value {
        json!(options(config))
    }

    /// The recipe's batch size; defaults for the rest.
    fn options(config: &ModelConfig) -> GeneratorOptions {
        let mut options = GeneratorOptions::default();
        options.max_batch = config.batch.unwrap_or(options.max_batch);
        options
    }
}

#[cfg(not(feature = "local"))]
mod local {
    use serde_json::json;

    use super::{Generate, ModelConfig, Path, UserError, Value};

    pub(super) fn open(
        path: &Path,
        _: &ModelConfig,
        name: &str,
    ) -> anyhow::Result<Box<dyn Generate>> {
        let why = format!(
            "{name} at {}: this program was built without models in process; build it with the \
             feature `local`, or name an endpoint",
            path.display()
        );
        Err(UserError(why).into())
    }

    pub(super) fn arithmetic(config: &ModelConfig) -> Value {
        json!({ "max_batch": config.batch })
    }
}
