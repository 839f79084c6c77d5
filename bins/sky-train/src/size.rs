//! The size of a run, as far as it is known before it begins.

use std::path::Path;

use sky_cli::{ModelConfig, Recipe, UserError, layout};
use sky_data::{ProblemsConfig, SelectConfig};
use sky_files::read_json;
#[cfg(feature = "torch")]
use sky_model::ModelFiles;
use sky_plan::{DataSize, HardwareConfig, ModelShape, TrainConfig};
use sky_sample::SampleConfig;
use sky_types::Conversation;

/// The size of the training data, and where the numbers come from.
pub(crate) struct KnownSize {
    pub(crate) size: DataSize,
    pub(crate) source: &'static str,
}

/// Mean characters of a token in English text with mathematics, roughly.
const CHARACTERS_PER_TOKEN: f64 = 3.5;
/// Tokens that a chat template and a default system prompt add to a row, roughly.
const TEMPLATE_TOKENS: f64 = 40.0;

/// The size of the training data: counted when the data exists, else taken or derived from the
/// recipe. None when the recipe does not say either.
pub(crate) fn data_size(
    recipe: &Recipe,
    run: Option<&Path>,
    config: &TrainConfig,
    hardware: &HardwareConfig,
) -> anyhow::Result<Option<KnownSize>> {
    if let Some(path) = run
        .map(|run| run.join(layout::SHAREGPT))
        .filter(|p| p.exists())
    {
        let rows: Vec<Conversation> = read_json(&path)?;
        let lengths: Vec<usize> = rows
            .iter()
            .map(|row| {
                let turns = row.conversations.iter().map(|turn| turn.value.len());
                row.system.len() + turns.sum::<usize>()
            })
            .collect();
        let characters: usize = lengths.iter().sum();
        let mean = characters as f64 / CHARACTERS_PER_TOKEN / rows.len().max(1) as f64;
        // No token is shorter than a byte.
        let longest = lengths.iter().max();
        let size = DataSize {
            rows: rows.len() as u64,
            tokens_per_row: (mean + TEMPLATE_TOKENS).min(config.cutoff as f64),
            longest: longest.map(|&bytes| bytes as u64 + TEMPLATE_TOKENS as u64),
        };
        return Ok(Some(KnownSize {
            size,
            source: "counted, tokens from characters",
        }));
    }
    let implied = || {
        let problems: ProblemsConfig = recipe.other_section()?;
        let select: Option<SelectConfig> = recipe.other_section();
        let per_problem = select.unwrap_or_default().per_problem as u64;
        problems.expected_train()?.checked_mul(per_problem)
    };
    let Some(rows) = hardware.rows.or_else(implied).filter(|&rows| rows > 0) else {
        return Ok(None);
    };
    let sample: Option<SampleConfig> = recipe.other_section();
    let longest = sample.map_or(config.cutoff as f64, |sample| {
        (f64::from(sample.max_tokens) + 2.0 * TEMPLATE_TOKENS).min(config.cutoff as f64)
    });
    // Replies end well before their limit: a quarter of it for long traces, most of it for short
    // ones.
    let assumed = if longest > 2048.0 {
        longest / 4.0
    } else {
        longest * 0.8
    };
    Ok(Some(KnownSize {
        size: DataSize {
            rows,
            tokens_per_row: hardware.tokens_per_row.unwrap_or(assumed),
            longest: None,
        },
        source: match (hardware.rows, hardware.tokens_per_row) {
            (Some(_), Some(_)) => "from [hardware]",
            (Some(_), None) => {
                "rows from [hardware], tokens a row assumed: a part of sample.max_tokens"
            }
            (None, Some(_)) => {
                "rows at most, from [problems] and [select], tokens a row from [hardware]"
            }
            (None, None) => {
                "at most, from [problems] and [select], tokens a row assumed: a part of sample.max_tokens"
            }
        },
    }))
}

#[cfg(feature = "torch")]
fn of_files(path: &Path) -> anyhow::Result<Option<ModelShape>> {
    let files = ModelFiles::open(path)?;
    files.config().no_custom_layers()?;
    Ok(Some(sky_train::model_shape(files.config())))
}

/// The shape of a Hugging Face folder's model. Only a build with libtorch reads GGUF.
#[cfg(not(feature = "torch"))]
fn of_files(path: &Path) -> anyhow::Result<Option<ModelShape>> {
    let config = path.join("config.json");
    if !config.is_file() {
        return Ok(None);
    }
    let shape = ModelShape::from_json(&sky_files::read_text(&config)?)?;
    Ok(Some(shape))
}

/// The student's shape: from its files when they exist, else by its published name.
pub(crate) fn shape(recipe: &Recipe, student: &ModelConfig) -> anyhow::Result<ModelShape> {
    if student.endpoint.is_some() {
        return Err(recipe
            .error_at(
                "student",
                "endpoint",
                "a model behind an endpoint cannot be trained: give its `path`",
            )
            .into());
    }
    let Some(path) = &student.path else {
        return Err(recipe
            .error_at("student", "path", "is missing: name the model to train")
            .into());
    };
    if let Ok(Some(local)) = student.local_path()
        && let Some(shape) = of_files(&local)?
    {
        return Ok(shape);
    }
    let last = path.file_name().unwrap_or_default().to_string_lossy();
    ModelShape::known(&student.name)
        .or_else(|| ModelShape::known(&last))
        .ok_or_else(|| {
            let known: Vec<&str> = ModelShape::names().collect();
            UserError(format!(
                "{}; its size is not known by name either (known: {})",
                recipe.error_at(
                    "student",
                    "path",
                    &format!(
                        "{} is not here{}",
                        path.display(),
                        if cfg!(feature = "torch") {
                            ""
                        } else {
                            ", or no folder with a config.json"
                        }
                    )
                ),
                known.join(", ")
            ))
            .into()
        })
}
