//! Reading a checkpoint, by any number of ranks.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use sky_files::{FileError, hash_file, read_json, read_jsonl};
use sky_model::ParamSpec;
use sky_types::Section;
use tch::{Kind, Tensor};

use super::{
    folder::{MANIFEST, METRICS, PARTS, STATE, StepFolder, WHOLE, list, rank_file},
    shard_file::ShardFile,
    trainer_state::{Manifest, TrainerState},
};
use crate::{
    StepMetrics, TrainError,
    distributed::{env::MAX_WORLD, zero::ShardedState},
    params::{flat_layout::FlatLayout, trainable::trained_blocks},
};

/// A checkpoint on disk whose hashes have been checked: `state.json`, `metrics.jsonl`, one
/// `rank-00000-of-00001.safetensors` a rank with each block's flat f32 `master`, `exp_avg` and
/// `exp_avg_sq`, and `manifest.json`.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    state: TrainerState,
    config: sky_model::Config,
    layouts: Vec<FlatLayout>,
    ranks: Vec<ShardFile>,
}

impl Checkpoint {
    /// Opens one checkpoint and checks every hash.
    ///
    /// # Errors
    /// When a file is missing, damaged or of another version.
    pub fn open(path: &Path) -> Result<Self, TrainError> {
        let manifest = undamaged(path)?;
        let found = Self::reopen(path).map_err(|error| unreadable(path, error))?;
        let world_size = found.state.world_size;
        let ranks = (0..world_size).map(|rank| rank_file(rank, world_size));
        let expected: BTreeSet<String> = [STATE.into(), METRICS.into()]
            .into_iter()
            .chain(ranks)
            .collect();
        if !manifest.files.keys().eq(&expected) {
            return Err(TrainError::Checkpoint {
                path: path.into(),
                reason: format!("its manifest is not that of {world_size} ranks' files"),
            });
        }
        Ok(found)
    }

    /// Opens a checkpoint whose hashes another rank has just checked.
    ///
    /// # Errors
    /// When a file is missing or cannot be read.
    pub fn reopen(path: &Path) -> Result<Self, TrainError> {
        let state: TrainerState = read_json(&path.join(STATE))?;
        let refuse = |reason| TrainError::Checkpoint {
            path: path.join(STATE),
            reason,
        };
        if !(1..=MAX_WORLD).contains(&state.world_size) {
            return Err(refuse(format!("says it is of {} ranks", state.world_size)));
        }
        let settings = state.config.check();
        settings.map_err(|e| refuse(format!("its train.{} {}", e.key, e.reason)))?;
        let config = sky_model::Config::from_json(&state.model.to_string())?;
        let layouts = trained_blocks(&config, &state.config)
            .iter()
            .map(|block| FlatLayout::new(block, state.world_size))
            .collect();
        let ranks = (0..state.world_size)
            .map(|rank| ShardFile::open(&path.join(rank_file(rank, state.world_size))))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            path: path.into(),
            state,
            config,
            layouts,
            ranks,
        })
    }

    /// The newest good checkpoint in a folder. `say` gets what is wrong with newer ones, one line
    /// each.
    ///
    /// # Errors
    /// When the folder or a file cannot be read for another reason than damage, or another version
    /// wrote a checkpoint.
    pub fn newest(root: &Path, say: &mut dyn FnMut(&str)) -> Result<Option<Self>, TrainError> {
        let mut lost = None;
        for StepFolder { step, path } in list(root, WHOLE)?.into_iter().rev() {
            let opened = Self::open(&path).and_then(|found| {
                if found.state.step == step {
                    return Ok(found);
                }
                Err(TrainError::Checkpoint {
                    path: path.clone(),
                    reason: format!("is of step {}", found.state.step),
                })
            });
            match opened {
                Ok(found) => {
                    if let Some(lost) = lost {
                        say(&format!(
                            "{} steps since {} are repeated",
                            lost - found.state.step,
                            path.display()
                        ));
                    }
                    return Ok(Some(found));
                }
                Err(error) if !is_damage(&path, &error) => return Err(error),
                Err(error) => {
                    lost = lost.or(Some(step));
                    say(&format!("{error}; the checkpoint before it is tried"));
                }
            }
        }
        if let Some(lost) = lost {
            say(&format!(
                "no good checkpoint is left: {lost} steps are repeated"
            ));
        }
        Ok(None)
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it says of the run.
    pub fn state(&self) -> &TrainerState {
        &self.state
    }

    /// The model's shape.
    pub fn config(&self) -> &sky_model::Config {
        &self.config
    }

    /// The metrics of the steps so far.
    ///
    /// # Errors
    /// When the file has been changed since it was checked.
    pub fn metrics(&self) -> Result<Vec<StepMetrics>, TrainError> {
        Ok(read_jsonl(&self.path.join(METRICS))?.collect::<Result<_, _>>()?)
    }

    /// The f32 master weights of one trained parameter, whole, on the CPU.
    ///
    /// # Errors
    /// When the model has no such parameter or the file cannot be read.
    pub fn tensor(&self, param: &ParamSpec) -> Result<Tensor, TrainError> {
        let place = self.layouts.iter().enumerate().find_map(|(block, layout)| {
            let found = layout.params.iter().find(|found| found.spec == *param)?;
            Some((block, found.offset))
        });
        let (block, offset) = place.ok_or_else(|| TrainError::Checkpoint {
            path: self.path.clone(),
            reason: format!(
                "has no parameter `{}` of shape {:?}",
                param.name, param.shape
            ),
        })?;
        let flat = self.flat(block, PARTS[0], offset, offset + param.numel())?;
        Ok(flat.f_view(param.shape.as_slice())?)
    }

    /// Elements `from..to` of a block's flat vector, whichever ranks wrote them.
    fn flat(&self, block: usize, part: &str, from: i64, to: i64) -> Result<Tensor, TrainError> {
        let layout = &self.layouts[block];
        let name = format!("{}.{part}", layout.name);
        let mut pieces = Vec::new();
        for (rank, file) in self.ranks.iter().enumerate() {
            let begin = rank as i64 * layout.shard;
            let (low, high) = (from.max(begin), to.min(begin + layout.shard));
            if low < high {
                pieces.push(file.read(&name, low - begin, high - begin)?);
            }
        }
        Ok(Tensor::f_cat(&pieces, 0)?)
    }

    /// Fills a state from the checkpoint, whatever number of ranks wrote it and whatever they
    /// sharded.
    pub(crate) fn restore(&self, sharded_state: &mut ShardedState<'_>) -> Result<(), TrainError> {
        for block in 0..sharded_state.layouts.len() {
            let local = sharded_state.local_range(block);
            let from = local.start;
            let filled = local.end.min(sharded_state.layouts[block].numel);
            for (part, target) in PARTS.iter().zip(sharded_state.tensors(block, local)?) {
                target.fill(&if from < filled {
                    self.flat(block, part, from, filled)?
                } else {
                    Tensor::f_zeros([0], (Kind::Float, tch::Device::Cpu))?
                })?;
            }
            sharded_state.refresh(block)?;
        }
        Ok(())
    }
}

/// Checks every hash; gives the manifest.
fn undamaged(path: &Path) -> Result<Manifest, TrainError> {
    let manifest: Manifest = read_json(&path.join(MANIFEST))?;
    let refuse = |reason: String| {
        Err(TrainError::Checkpoint {
            path: path.into(),
            reason,
        })
    };
    // Before anything is read by a name from a file.
    let mut names = manifest.files.keys();
    if let Some(name) = names.find(|name| name.contains(['/', '\\'])) {
        return refuse(format!(
            "its manifest names `{name}`, which is no plain file name"
        ));
    }
    if !manifest.files.contains_key(STATE) {
        return refuse(format!("its manifest does not name {STATE}"));
    }
    for (name, expected) in &manifest.files {
        let found = hash_file(&path.join(name))?;
        if found != *expected {
            return Err(TrainError::Checkpoint {
                path: path.join(name),
                reason: if found.bytes == expected.bytes {
                    "is damaged: its SHA-256 is not the manifest's".to_owned()
                } else {
                    format!(
                        "is damaged: {} bytes, {} in the manifest",
                        found.bytes, expected.bytes
                    )
                },
            });
        }
    }
    Ok(manifest)
}

/// What is wrong with files that are what was written.
fn unreadable(path: &Path, error: TrainError) -> TrainError {
    TrainError::Unreadable {
        path: path.into(),
        source: Box::new(error),
    }
}

/// Whether a checkpoint is to be passed over. One that another version wrote is not, nor one that
/// cannot be read for the moment: resuming from an older one would lose its steps, and in time
/// the checkpoint.
fn is_damage(path: &Path, error: &TrainError) -> bool {
    use std::io::ErrorKind;
    let says = |error: &FileError| matches!(error, FileError::Version { .. });
    match error {
        TrainError::Unreadable { .. } => false,
        TrainError::File(FileError::Io { source, .. }) => matches!(
            source.kind(),
            ErrorKind::NotFound
                | ErrorKind::InvalidData
                | ErrorKind::IsADirectory
                | ErrorKind::NotADirectory
        ),
        // A manifest of another version: then the state says so too, which damage to the manifest
        // does not make it do.
        TrainError::File(error) if says(error) => {
            !read_json::<TrainerState>(&path.join(STATE)).is_err_and(|error| says(&error))
        }
        _ => true,
    }
}
