use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use sky_cli::{Invalid, ModelConfig};
use sky_sample::{Endpoint, HttpGenerator};
use sky_types::Generate;

/// A model in this process takes as many problems at once, unless the recipe says otherwise.
#[cfg(feature = "local")]
const BATCH: usize = 64;

/// Where the model that is asked comes from.
pub(crate) enum Source {
    /// A folder in Hugging Face layout or a GGUF file.
    Local(PathBuf),
    /// An OpenAI-style server.
    Server(String),
}

/// Files that make up a model on disk, in a fixed order: the stage's inputs, so that other weights mean another result.
pub(crate) fn files(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = fs::read_dir(path)
        .with_context(|| format!("{}: cannot read the model's folder", path.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let file = entry?.path();
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        if file.is_file() && !name.starts_with('.') {
            files.push(file);
        }
    }
    if files.is_empty() {
        bail!(Invalid(format!("{}: holds no model", path.display())));
    }
    files.sort();
    Ok(files)
}

/// The model, ready to answer.
pub(crate) fn open(
    source: &Source,
    config: &ModelConfig,
    name: &str,
) -> anyhow::Result<Box<dyn Generate>> {
    match source {
        Source::Local(path) => local(path, config, name),
        Source::Server(url) => {
            let mut endpoint = Endpoint::new(url, &config.name);
            if let Some(variable) = config
                .api_key_env
                .as_deref()
                .filter(|name| !name.is_empty())
            {
                endpoint.api_key = std::env::var(variable).map_err(|_| {
                    Invalid(format!(
                        "the environment variable {variable} is not set; it should hold the key of {url}"
                    ))
                })?;
            }
            if let Some(concurrency) = config.concurrency {
                endpoint.concurrency = concurrency;
            }
            Ok(Box::new(HttpGenerator::new(endpoint)))
        }
    }
}

#[cfg(feature = "local")]
fn local(path: &Path, config: &ModelConfig, name: &str) -> anyhow::Result<Box<dyn Generate>> {
    let options = sky_model::GeneratorOptions {
        max_batch: config.batch.unwrap_or(BATCH),
        ..sky_model::GeneratorOptions::default()
    };
    Ok(Box::new(sky_model::LocalGenerator::open(
        path, name, options,
    )?))
}

#[cfg(not(feature = "local"))]
fn local(path: &Path, _: &ModelConfig, name: &str) -> anyhow::Result<Box<dyn Generate>> {
    bail!(Invalid(format!(
        "{name} at {}: this sky-eval was built without the feature `local`; build it with, or name an endpoint",
        path.display()
    )))
}
