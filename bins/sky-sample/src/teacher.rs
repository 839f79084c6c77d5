use std::path::Path;

use serde_json::{Map, Value, json};
use sky_cli::{ModelConfig, api_key, model_files};
use sky_files::hash_file;
use sky_sample::{Endpoint, HttpGenerator, RewriteConfig};
use sky_types::Generate;

/// What a model's replies depend on: the content of its files and the batch, or the server and the
/// name.
pub(crate) fn identity(model: &ModelConfig) -> anyhow::Result<Value> {
    Ok(match model.local_path()? {
        Some(path) => json!({
            "name": model.name,
            "files": content(&path)?,
            "arithmetic": arithmetic(model),
        }),
        None => json!({ "name": model.name, "endpoint": model.endpoint }),
    })
}

/// The hash of a model's file, or of each file of its folder.
fn content(path: &Path) -> anyhow::Result<Value> {
    let hash = |path: &Path| hash_file(path).map(|hash| json!(hash.sha256));
    if path.is_file() {
        return Ok(hash(path)?);
    }
    let mut files = Map::new();
    for file in model_files(path)? {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        files.insert(name.into_owned(), hash(&file)?);
    }
    Ok(Value::Object(files))
}

/// The teacher, ready to be asked.
pub(crate) fn open(model: &ModelConfig) -> anyhow::Result<Box<dyn Generate>> {
    if let Some(path) = model.local_path()? {
        return local(&path, model);
    }
    let mut endpoint = Endpoint::new(model.endpoint.as_deref().unwrap_or_default(), &model.name);
    endpoint.api_key = model.api_key()?;
    endpoint.concurrency = model.concurrency.unwrap_or(endpoint.concurrency);
    Ok(Box::new(HttpGenerator::new(endpoint)))
}

/// The server that rewrites.
pub(crate) fn rewriter(config: &RewriteConfig) -> anyhow::Result<Endpoint> {
    let mut endpoint = Endpoint::new(&config.endpoint, &config.name);
    endpoint.api_key = api_key(&config.api_key_env)?;
    endpoint.concurrency = config.concurrency;
    endpoint.requests_per_second = config.requests_per_second;
    Ok(endpoint)
}

#[cfg(feature = "local")]
fn local(path: &Path, model: &ModelConfig) -> anyhow::Result<Box<dyn Generate>> {
    let generator =
        sky_model::LocalGenerator::open(path, &model.name, sky_model::Device::Cpu, options(model))?;
    Ok(Box::new(generator))
}

/// The batch is the recipe's; the rest is the generator's own choice.
#[cfg(feature = "local")]
fn options(model: &ModelConfig) -> sky_model::GeneratorOptions {
    let mut options = sky_model::GeneratorOptions::default();
    options.max_batch = model.batch.unwrap_or(options.max_batch);
    options
}

/// What the bits of a local model's replies depend on beside its files.
#[cfg(feature = "local")]
fn arithmetic(model: &ModelConfig) -> Value {
    json!(options(model))
}

#[cfg(not(feature = "local"))]
fn arithmetic(model: &ModelConfig) -> Value {
    json!({ "max_batch": model.batch })
}

#[cfg(not(feature = "local"))]
fn local(path: &Path, _model: &ModelConfig) -> anyhow::Result<Box<dyn Generate>> {
    Err(sky_cli::UserError(format!(
        "{}: this program was built without models in process; build it with `cargo build -p sky-sample-cli`, or name an endpoint",
        path.display()
    ))
    .into())
}
