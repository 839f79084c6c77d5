use std::path::Path;

use sky_data::{ChatTemplate, Tokenizer};
use sky_model::{ModelError, SaveOptions, save_hf};

use crate::{Checkpoint, TrainError};

/// Writes a checkpoint's weights as a Hugging Face folder: safetensors, configuration, and the tokenizer and chat template
/// the model was trained with. Needs no GPU and no more memory than one parameter.
///
/// # Errors
/// When the checkpoint cannot be read or the folder not written.
pub fn export(
    checkpoint: &Checkpoint,
    text: Option<(&Tokenizer, &ChatTemplate)>,
    options: SaveOptions,
    out: &Path,
) -> Result<(), TrainError> {
    save_hf(out, checkpoint.config(), text, options, &mut |param| {
        checkpoint.tensor(param).map_err(|error| match error {
            TrainError::Model(error) => error,
            TrainError::Torch(error) => error.into(),
            other => ModelError::Format {
                path: checkpoint.path().into(),
                reason: other.to_string(),
            },
        })
    })?;
    Ok(())
}
