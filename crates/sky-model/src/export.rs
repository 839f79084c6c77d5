use std::{collections::BTreeMap, fs, path::Path};

use serde_json::{Value, json};
use sky_files::{write_bytes, write_json};
use sky_text::{ChatTemplate, Tokenizer};
use tch::{Kind, Tensor};

use crate::{
    BlockSpec, Config, ModelError, ParamSpec, TensorEntry, blocks, files::text_error,
    safetensors::write_safetensors,
};

/// How [`save_hf`] writes weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SaveOptions {
    /// Kind of the weights on disk: `BFloat16`, `Half`, `Float` or `Double`.
    pub kind: Kind,
    /// Weights are split over files of at most this many bytes; one tensor is never split.
    pub shard_bytes: u64,
}

impl Default for SaveOptions {
    /// bf16, 5 GB a file, as the hub's own tools write.
    fn default() -> Self {
        Self {
            kind: Kind::BFloat16,
            shard_bytes: 5_000_000_000,
        }
    }
}

/// The text side of a model: what it was trained with.
#[derive(Clone, Copy, Debug)]
pub struct ModelText<'a> {
    /// The tokenizer.
    pub tokenizer: &'a Tokenizer,
    /// The chat template.
    pub template: &'a ChatTemplate,
}

/// Writes a Hugging Face folder that transformers loads: weights (with an index when there is more
/// than one file), tokenizer and chat template when given, generation defaults, and `config.json`
/// last.
///
/// `tensor` is asked for each parameter in turn, so the whole model need never be in memory. Each
/// file is written whole or not at all. Weights of another model that lie there, and adapters to
/// one, are removed once the new ones are written.
///
/// # Errors
/// When `tensor` fails, a shape is wrong, or a file cannot be written.
pub fn save_hf(
    dir: &Path,
    config: &Config,
    text: Option<ModelText<'_>>,
    options: SaveOptions,
    tensor: &mut dyn FnMut(&ParamSpec) -> Result<Tensor, ModelError>,
) -> Result<(), ModelError> {
    let (_, width) = dtype(options.kind)?;
    let shards = shards(&blocks(config), width, options.shard_bytes);
    let count = shards.len();
    let name = |i: usize| match count {
        1 => "model.safetensors".to_owned(),
        _ => format!("model-{:05}-of-{count:05}.safetensors", i + 1),
    };
    for (i, params) in shards.iter().enumerate() {
        save_tensors(&dir.join(name(i)), params, options.kind, tensor)?;
    }
    remove_others(dir, &(0..count).map(name).collect::<Vec<_>>())?;
    if count > 1 {
        let map: BTreeMap<&str, String> = shards
            .iter()
            .enumerate()
            .flat_map(|(i, params)| params.iter().map(move |p| (p.name.as_str(), i)))
            .map(|(param, i)| (param, name(i)))
            .collect();
        let total: u64 = shards
            .iter()
            .flatten()
            .map(|p| p.numel().unsigned_abs() * width)
            .sum();
        let index = json!({"metadata": {"total_size": total}, "weight_map": map});
        write_json(&dir.join("model.safetensors.index.json"), &index).map_err(file_error)?;
    }
    if let Some(text) = text {
        write_text(dir, config, text)?;
    }
    let generation = json!({
        "bos_token_id": config.bos_token_id,
        "eos_token_id": config.eos_token_ids,
        "pad_token_id": config.pad_token_id,
    });
    write_json(&dir.join("generation_config.json"), &generation).map_err(file_error)?;
    let mut description = config.to_json();
    description["torch_dtype"] = Value::from(match options.kind {
        Kind::Half => "float16",
        Kind::Float => "float32",
        Kind::Double => "float64",
        _ => "bfloat16",
    });
    write_json(&dir.join("config.json"), &description).map_err(file_error)
}

/// Removes what readers would take for weights in place of these, or beside them: some prefer one
/// file to an index, some the index, and transformers puts an adapter that it finds onto the model.
fn remove_others(dir: &Path, ours: &[String]) -> Result<(), ModelError> {
    const KNOWN: [&str; 4] = [
        "model.safetensors",
        "model.safetensors.index.json",
        "adapter_model.safetensors",
        "adapter_config.json",
    ];
    for entry in fs::read_dir(dir).map_err(ModelError::io(dir))? {
        let path = entry.map_err(ModelError::io(dir))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let shard = name.strip_prefix("model-").is_some_and(|rest| {
            let rest = rest.strip_suffix(".safetensors");
            let numbers = rest.and_then(|rest| rest.split_once("-of-"));
            let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
            numbers.is_some_and(|(at, of)| digits(at) && digits(of))
        });
        if (shard || KNOWN.contains(&&*name)) && !ours.contains(&name.into_owned()) {
            fs::remove_file(&path).map_err(ModelError::io(&path))?;
        }
    }
    Ok(())
}

fn write_text(dir: &Path, config: &Config, text: ModelText<'_>) -> Result<(), ModelError> {
    let ModelText {
        tokenizer,
        template,
    } = text;
    let json = tokenizer.to_json().map_err(text_error)?;
    write_bytes(&dir.join("tokenizer.json"), json.as_bytes()).map_err(file_error)?;
    let some = |text: &str| {
        if text.is_empty() {
            Value::Null
        } else {
            Value::from(text)
        }
    };
    let settings = json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": some(template.bos_token()),
        "eos_token": some(template.eos_token()),
        "pad_token": config.pad_token_id.and_then(|id| tokenizer.id_to_token(id)),
        "chat_template": template.source(),
        "model_max_length": config.max_positions,
        "clean_up_tokenization_spaces": false,
    });
    write_json(&dir.join("tokenizer_config.json"), &settings).map_err(file_error)
}

fn shards(specs: &[BlockSpec], width: u64, limit: u64) -> Vec<Vec<ParamSpec>> {
    let mut shards = vec![Vec::new()];
    let mut bytes = 0;
    for param in specs.iter().flat_map(|b| &b.params) {
        let size = param.numel().unsigned_abs() * width;
        if bytes + size > limit && bytes > 0 {
            shards.push(Vec::new());
            bytes = 0;
        }
        bytes += size;
        if let Some(shard) = shards.last_mut() {
            shard.push(param.clone());
        }
    }
    shards
}

/// A kind's name in safetensors, and its bytes.
fn dtype(kind: Kind) -> Result<(&'static str, u64), ModelError> {
    match kind {
        Kind::BFloat16 => Ok(("BF16", 2)),
        Kind::Half => Ok(("F16", 2)),
        Kind::Float => Ok(("F32", 4)),
        Kind::Double => Ok(("F64", 8)),
        other => Err(ModelError::Config(format!(
            "weights cannot be saved as {other:?}"
        ))),
    }
}

/// Writes parameters as one safetensors file, whole or not at all; `tensor` is asked for each in
/// turn.
///
/// # Errors
/// When `tensor` fails, a shape is wrong, or the file cannot be written.
pub fn save_tensors(
    path: &Path,
    params: &[ParamSpec],
    kind: Kind,
    tensor: &mut dyn FnMut(&ParamSpec) -> Result<Tensor, ModelError>,
) -> Result<(), ModelError> {
    let (dtype, width) = dtype(kind)?;
    let entries: Vec<TensorEntry> = params
        .iter()
        .map(|param| TensorEntry {
            name: param.name.clone(),
            dtype,
            shape: param.shape.clone(),
            bytes: param.numel().unsigned_abs() * width,
        })
        .collect();
    write_safetensors(
        path,
        Some(json!({"format": "pt"})),
        &entries,
        &mut |index| {
            let param = &params[index];
            bytes_of(param, &tensor(param)?, kind, width)
        },
        &mut |_| {},
    )?;
    Ok(())
}

fn bytes_of(
    param: &ParamSpec,
    tensor: &Tensor,
    kind: Kind,
    width: u64,
) -> Result<Vec<u8>, ModelError> {
    if tensor.size() != param.shape {
        return Err(ModelError::Shape {
            name: param.name.clone(),
            expected: param.shape.clone(),
            found: tensor.size(),
        });
    }
    let tensor = tensor
        .detach()
        .f_to_device(tch::Device::Cpu)?
        .f_to_kind(kind)?
        .f_contiguous()?;
    let numel = tensor.numel();
    let mut bytes = vec![0; numel * width as usize];
    tensor.f_copy_data_u8(&mut bytes, numel)?;
    Ok(bytes)
}

fn file_error(error: sky_files::FileError) -> ModelError {
    ModelError::Write(error)
}
