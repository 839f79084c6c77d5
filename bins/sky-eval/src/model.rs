use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sky_cli::ModelConfig;
use sky_sample::{Endpoint, HttpGenerator};
use sky_types::Generate;

/// Where the evaluated model comes from.
pub(crate) enum Source {
    /// A folder in Hugging Face layout or a GGUF file.
    Local(PathBuf),
    /// The URL of an OpenAI-style server.
    Server(String),
}

/// Opens the model.
pub(crate) fn open(
    source: &Source,
    config: &ModelConfig,
    name: &str,
) -> anyhow::Result<Box<dyn Generate>> {
    match source {
        Source::Local(path) => local(path, config, name),
        Source::Server(url) => {
            let mut endpoint = Endpoint::new(url, &config.name);
            endpoint.api_key = config.api_key()?;
            if let Some(concurrency) = config.concurrency {
                endpoint.concurrency = concurrency;
            }
            Ok(Box::new(HttpGenerator::new(endpoint)))
        }
    }
}

#[cfg(feature = "local")]
fn local(path: &Path, config: &ModelConfig, name: &str) -> anyhow::Result<Box<dyn Generate>> {
    let generator =
        sky_model::LocalGenerator::open(path, name, sky_model::Device::Cpu, options(config))?;
    Ok(Box::new(generator))
}

/// The recipe's batch size; defaults for the rest.
#[cfg(feature = "local")]
fn options(config: &ModelConfig) -> sky_model::GeneratorOptions {
    let mut options = sky_model::GeneratorOptions::default();
    options.max_batch = config.batch.unwrap_or(options.max_batch);
    options
}

/// The settings that a local model's replies depend on bit for bit, beside its files.
#[cfg(feature = "local")]
pub(crate) fn arithmetic(config: &ModelConfig) -> Value {
    json!(options(config))
}

#[cfg(not(feature = "local"))]
pub(crate) fn arithmetic(config: &ModelConfig) -> Value {
    json!({ "max_batch": config.batch })
}

#[cfg(not(feature = "local"))]
fn local(path: &Path, _: &ModelConfig, name: &str) -> anyhow::Result<Box<dyn Generate>> {
    anyhow::bail!(sky_cli::UserError(format!(
        "{name} at {}: this sky-eval was built without the feature `local`; rebuild it with `--features local`, or set `student.endpoint`",
        path.display()
    )))
}
