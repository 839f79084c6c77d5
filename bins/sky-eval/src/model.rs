use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use serde_json::{Value, json};
use sky_cli::{Invalid, ModelConfig, Recipe, StageArgs, layout};
use sky_eval::{EvalConfig, ProblemIndex};
use sky_sample::{Endpoint, HttpGenerator};
use sky_types::Generate;

/// Where the model that is asked comes from.
pub(crate) enum Source {
    /// A folder in Hugging Face layout or a GGUF file.
    Local(PathBuf),
    /// An OpenAI-style server.
    Server(String),
}

/// Checks what a recipe says of the student, without looking for the model's files.
pub(crate) fn check(recipe: &Recipe, model: &ModelConfig) -> anyhow::Result<()> {
    let wrong = |key: &str, reason: &str| Err(recipe.complain("student", key, reason).into());
    match (&model.path, &model.endpoint) {
        (None, None) => wrong("path", "a student needs `path` or `endpoint`"),
        (Some(_), Some(_)) => wrong("endpoint", "`path` is given as well; keep one"),
        _ if model.name.is_empty() => wrong("name", "give the student's name; samples record it"),
        _ if model.concurrency == Some(0) => wrong("concurrency", "must be above 0"),
        _ if model.batch == Some(0) => wrong("batch", "must be above 0"),
        _ => Ok(()),
    }
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
    let generator = sky_model::LocalGenerator::open(path, name, options(config))?;
    Ok(Box::new(generator))
}

/// The batch is the recipe's; the rest is the generator's own choice.
#[cfg(feature = "local")]
fn options(config: &ModelConfig) -> sky_model::GeneratorOptions {
    let mut options = sky_model::GeneratorOptions::default();
    options.max_batch = config.batch.unwrap_or(options.max_batch);
    options
}

/// What the bits of a local model's replies depend on beside its files.
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
    bail!(Invalid(format!(
        "{name} at {}: this sky-eval was built without the feature `local`; build it with, or name an endpoint",
        path.display()
    )))
}

/// Expected wall time, where it can be told: a small model in process, on two cores.
pub(crate) fn seconds(args: &StageArgs, model: &ModelConfig, config: &EvalConfig) -> Option<f64> {
    /// Tokens a second of a 135M model in batches on two cores.
    const TOKENS_PER_SECOND: f64 = 250.0;
    let small = matches!(model.local_path(), Ok(Some(path)) if path.is_file());
    let problems = ProblemIndex::open(&args.path(layout::HELDOUT_PROBLEMS)).ok()?;
    let replies = problems.len() as f64 * f64::from(config.n);
    // A reply takes about half of what it may.
    small.then(|| replies * f64::from(config.max_tokens) / 2.0 / TOKENS_PER_SECOND)
}
