use std::path::Path;

use serde_json::{Number, Value, json};
use sky_files::write_json;
use sky_model::{
    Lora, ModelError, ModelText, ParamSpec, SaveOptions, blocks, save_hf, save_tensors,
};
use tch::{Kind, Tensor};

use crate::{
    Checkpoint, TrainError,
    params::{base_hash::BaseHash, trainable::lora},
};
use sky_plan::{LoraConfig, Projection};

/// Writes a checkpoint's weights as a Hugging Face folder: safetensors, configuration, and the
/// tokenizer and chat template the model was trained with. Needs no GPU and no more memory than one
/// parameter.
///
/// # Errors
/// When the checkpoint holds adapters alone, cannot be read, or the folder not written.
pub fn export(
    checkpoint: &Checkpoint,
    text: Option<ModelText<'_>>,
    options: SaveOptions,
    out: &Path,
) -> Result<(), TrainError> {
    if checkpoint.state().config.lora.is_some() {
        return Err(TrainError::Checkpoint {
            path: checkpoint.path().into(),
            reason: "holds adapters alone: the model they belong to is needed".into(),
        });
    }
    save_hf(out, checkpoint.config(), text, options, &mut |param| {
        checkpoint
            .tensor(param)
            .map_err(|error| as_model_error(checkpoint, error))
    })?;
    Ok(())
}

/// [`export`] of a checkpoint of adapters, each merged in f32 into its matrix. `base` gives each
/// parameter of the model they belong to, whole, in any dtype; it is asked twice for each, first to
/// check that it is that model.
///
/// # Errors
/// When the checkpoint holds no adapters or those of another base, or as [`export`].
pub fn export_merged(
    checkpoint: &Checkpoint,
    base: &mut dyn FnMut(&ParamSpec) -> Result<Tensor, ModelError>,
    text: Option<ModelText<'_>>,
    options: SaveOptions,
    out: &Path,
) -> Result<(), TrainError> {
    let (_, lora) = adapters(checkpoint)?;
    // What was trained against: the base as it was computed with.
    let kind = sky_model::compute_dtype(checkpoint.state().config.precision);
    let mut base = |param: &ParamSpec| Ok::<_, ModelError>(base(param)?.f_to_kind(kind)?);
    let mut hash = BaseHash::default();
    for param in blocks(checkpoint.config()).iter().flat_map(|b| &b.params) {
        hash.add(param, &base(param)?)?;
    }
    if Some(hash.finish()) != checkpoint.state().base {
        return Err(TrainError::Checkpoint {
            path: checkpoint.path().into(),
            reason: "its adapters belong to another base model: give the one training began with"
                .into(),
        });
    }
    save_hf(out, checkpoint.config(), text, options, &mut |param| {
        let weight = base(param)?.f_to_kind(Kind::Float)?;
        let Some(pair) = lora.pair(param) else {
            return Ok(weight);
        };
        let read = |param| {
            checkpoint
                .tensor(param)
                .map_err(|error| as_model_error(checkpoint, error))
        };
        Ok(lora.merged(&weight, &read(&pair[0])?, &read(&pair[1])?)?)
    })?;
    Ok(())
}

/// Writes a checkpoint's adapters alone, f32, as PEFT does: `adapter_model.safetensors` and
/// `adapter_config.json`, which names `base` as the model they belong to.
///
/// # Errors
/// When the checkpoint holds no adapters, cannot be read, or a file not written.
pub fn export_adapter(checkpoint: &Checkpoint, base: &str, out: &Path) -> Result<(), TrainError> {
    const PREFIX: &str = "base_model.model.";
    let (config, lora) = adapters(checkpoint)?;
    let params: Vec<ParamSpec> = lora
        .blocks(checkpoint.config())
        .into_iter()
        .flat_map(|block| block.params)
        .map(|param| ParamSpec {
            name: format!("{PREFIX}{}", param.name),
            ..param
        })
        .collect();
    let path = out.join("adapter_model.safetensors");
    save_tensors(&path, &params, Kind::Float, &mut |param| {
        let own = ParamSpec {
            name: param.name.replacen(PREFIX, "", 1),
            ..param.clone()
        };
        checkpoint
            .tensor(&own)
            .map_err(|error| as_model_error(checkpoint, error))
    })?;
    let targets: Vec<Projection> = Projection::ALL
        .into_iter()
        .filter(|projection| config.targets.contains(projection))
        .collect();
    // PEFT's own files have a whole number where it is one.
    let alpha = if config.alpha.fract() == 0.0 && config.alpha < 1e9 {
        Value::from(config.alpha as u64)
    } else {
        Number::from_f64(config.alpha).map_or(Value::Null, Value::Number)
    };
    let description = json!({
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": config.rank,
        "lora_alpha": alpha,
        "lora_dropout": 0.0,
        "target_modules": targets,
        "bias": "none",
        "fan_in_fan_out": false,
        "use_rslora": false,
        "init_lora_weights": true,
        "inference_mode": true,
        "modules_to_save": null,
    });
    write_json(&out.join("adapter_config.json"), &description)?;
    Ok(())
}

fn adapters(checkpoint: &Checkpoint) -> Result<(&LoraConfig, Lora), TrainError> {
    let config = &checkpoint.state().config;
    let found = config.lora.as_ref().zip(lora(config));
    found.ok_or_else(|| TrainError::Checkpoint {
        path: checkpoint.path().into(),
        reason: "holds no adapters, but the whole model".into(),
    })
}

fn as_model_error(checkpoint: &Checkpoint, error: TrainError) -> ModelError {
    match error {
        TrainError::Model(error) => error,
        TrainError::Torch(error) => error.into(),
        other => ModelError::Format {
            path: checkpoint.path().into(),
            reason: other.to_string(),
        },
    }
}
