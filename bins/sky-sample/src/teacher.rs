use std::path::Path;

use serde_json::{Map, Value, json};
use sky_cli::{ModelConfig, api_key, model_files};
use sky_files::hash_file;
use sky_sample::{Endpoint, RewriteConfig};

/// What a model's replies depend on: the content of its files and the batch, or its name and the
/// further fields of each request. Not the server's address: the same model elsewhere is the same.
pub(crate) fn identity(model: &ModelConfig) -> anyhow::Result<Value> {
    Ok(match model.local_path()? {
        Some(path) => json!({
            "name": model.name,
            "files": content(&path)?,
            "arithmetic": sky_backend::arithmetic(model),
        }),
        None => json!({ "name": model.name, "extra_body": model.extra_body }),
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

/// The server that rewrites.
pub(crate) fn rewriter(config: &RewriteConfig) -> anyhow::Result<Endpoint> {
    let mut endpoint = Endpoint::new(&config.endpoint, &config.name);
    endpoint.api_key = api_key(&config.api_key_env)?;
    endpoint.concurrency = config.concurrency;
    endpoint.requests_per_second = config.requests_per_second;
    Ok(endpoint)
}
