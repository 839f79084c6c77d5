//! A run's state on disk: written whole or not at all, hashed, read back by any number of ranks;
//! and exported models.

pub(crate) mod background;
mod export;
pub(crate) mod flat_layout;
pub(crate) mod shard_file;
pub(crate) mod trainable;

pub use export::{export, export_adapter, export_merged};

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sky_files::{FileError, FileHash, hash_file, read_json, read_jsonl, write_json, write_jsonl};
use sky_model::ParamSpec;
use sky_types::{Section, Version};
use tch::{Kind, Tensor};

use crate::{
    DataId, StepMetrics, TrainError,
    checkpoint::flat_layout::FlatLayout,
    checkpoint::shard_file::{ShardFile, write_shard},
    checkpoint::trainable::trained_blocks,
    distributed::env::MAX_WORLD,
    distributed::zero::ShardedState,
    optim::state_tensor::StateTensor,
};
use sky_plan::TrainConfig;

const STATE: &str = "state.json";
const METRICS: &str = "metrics.jsonl";
const MANIFEST: &str = "manifest.json";
/// What a checkpoint's name has before and after its step.
type Around = (&'static str, &'static str);
const WHOLE: Around = ("step-", "");
const PARTIAL: Around = (".step-", ".partial");
const ASIDE: Around = (".step-", ".set-aside");
/// The three vectors kept for each block.
const PARTS: [&str; 3] = ["master", "exp_avg", "exp_avg_sq"];

/// `state.json` of a checkpoint: everything but the tensors. The data cursor and the learning rate
/// are functions of the step, and every random choice is one of the seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainerState {
    /// Format version, 1.
    pub v: Version<1>,
    /// Steps done.
    pub step: u64,
    /// Steps of the whole run.
    pub steps: u64,
    /// The run's seed.
    pub seed: u64,
    /// Ranks that wrote it.
    pub world_size: usize,
    /// The run's settings.
    pub config: TrainConfig,
    /// The model's `config.json`.
    pub model: Value,
    /// With adapters: SHA-256 of the frozen weights they belong to, over their names, shapes and
    /// bytes as they are computed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// What the run's program says it was made from, where it does:
    /// [`crate::Trainer::with_input_hash`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_hash: Option<String>,
    /// The training data.
    pub data: DataId,
}

/// `manifest.json` of a checkpoint, written last.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    v: Version<1>,
    files: BTreeMap<String, FileHash>,
}

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

    /// The newest good checkpoint in a folder. What is wrong with newer ones is told to `say`, one
    /// line each.
    ///
    /// # Errors
    /// When the folder or a file cannot be read for another reason than damage, or another version
    /// wrote a checkpoint.
    pub fn newest(root: &Path, say: &mut dyn FnMut(&str)) -> Result<Option<Self>, TrainError> {
        let mut lost = None;
        for (step, path) in list(root, WHOLE)?.into_iter().rev() {
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
            let (_, offset) = layout.params.iter().find(|(p, _)| p == param)?;
            Some((block, *offset))
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

    /// Fills a store from the checkpoint, whatever number of ranks wrote it and whatever they
    /// sharded.
    pub(crate) fn restore(&self, sharded_state: &mut ShardedState<'_>) -> Result<(), TrainError> {
        for block in 0..sharded_state.layouts.len() {
            let (from, to) = sharded_state.local_range(block);
            let filled = to.min(sharded_state.layouts[block].numel);
            for (part, target) in PARTS.iter().zip(sharded_state.tensors(block, (from, to))?) {
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
                reason: format!(
                    "is damaged ({} bytes, {} expected, or other content)",
                    found.bytes, expected.bytes
                ),
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
/// cannot be read for the moment: going on without it would cost its steps, and in time the
/// checkpoint.
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

/// A checkpoint to be written: everything but this rank's tensors, which [`CheckpointWriter::of`]
/// borrows and [`CheckpointWriter::copy`] copies.
pub(crate) struct CheckpointWriter {
    root: PathBuf,
    state: TrainerState,
    history: Vec<StepMetrics>,
    keep: usize,
    rank: usize,
    tensors: Vec<(String, StateTensor)>,
    timeout: Duration,
}

impl CheckpointWriter {
    /// Prepares the folder, which all ranks do together, and takes hold of this rank's tensors.
    ///
    /// `keep` checkpoints are left afterwards; `timeout` is how long the other ranks' parts are
    /// waited for. `saved` is the step of this run's newest checkpoint, or of the one it goes on
    /// from: those of later steps were passed over then.
    pub(crate) fn of(
        root: &Path,
        state: TrainerState,
        history: &[StepMetrics],
        sharded_state: &ShardedState<'_>,
        (keep, saved): (usize, u64),
        timeout: Duration,
    ) -> Result<Self, TrainError> {
        let comm = sharded_state.comm();
        let mut tensors = Vec::with_capacity(sharded_state.layouts.len() * PARTS.len());
        for (block, layout) in sharded_state.layouts.iter().enumerate() {
            if layout.numel == 0 {
                continue;
            }
            for (part, tensor) in PARTS.iter().zip(sharded_state.shard_tensors(block)?) {
                tensors.push((format!("{}.{part}", layout.name), tensor));
            }
        }
        let writer = Self {
            root: root.into(),
            state,
            history: history.to_vec(),
            keep: keep.max(1),
            rank: comm.rank(),
            tensors,
            timeout,
        };
        if writer.rank == 0 {
            remove_leftovers(root)?;
            set_aside(root, saved)?;
            let partial = writer.partial();
            fs::create_dir_all(&partial)
                .map_err(|source| FileError::io(&partial, "make the folder", source))?;
        }
        comm.barrier()?;
        Ok(writer)
    }

    /// Copies the tensors into host memory, so that training continues while the checkpoint is
    /// written.
    pub(crate) fn copy(&mut self) -> Result<(), TrainError> {
        for (_, tensor) in &mut self.tensors {
            *tensor = tensor.copied()?;
        }
        Ok(())
    }

    fn partial(&self) -> PathBuf {
        self.root.join(name(PARTIAL, self.state.step))
    }

    /// Writes this rank's part into the hidden folder, each file synced. Rank 0 waits for all the
    /// others' parts, writes the manifest last, gives the folder its name in one rename, and
    /// removes all but the newest checkpoints.
    ///
    /// The ranks meet in the folder, not in a collective: this may run beside training. `go_on` is
    /// asked while others are waited for, and its error ends the wait. Gives the step.
    pub(crate) fn write(
        self,
        go_on: &dyn Fn() -> Result<(), TrainError>,
    ) -> Result<u64, TrainError> {
        let _span = tracing::info_span!("write_checkpoint", step = self.state.step).entered();
        let (partial, world_size) = (self.partial(), self.state.world_size);
        let hash = write_shard(
            &partial.join(rank_file(self.rank, world_size)),
            &self.tensors,
        )?;
        write_json(&partial.join(hash_file_name(self.rank)), &hash)?;
        if self.rank > 0 {
            return Ok(self.state.step);
        }
        let io = |path: &Path, action| {
            let path = path.to_owned();
            move |source| FileError::io(path, action, source)
        };
        write_json(&partial.join(STATE), &self.state)?;
        write_jsonl(&partial.join(METRICS), &self.history)?;
        let mut files = BTreeMap::new();
        for name in [STATE, METRICS] {
            files.insert(name.to_owned(), hash_file(&partial.join(name))?);
        }
        for rank in 0..world_size {
            let note = partial.join(hash_file_name(rank));
            self.wait_for(&note, rank, go_on)?;
            files.insert(rank_file(rank, world_size), read_json(&note)?);
            fs::remove_file(&note).map_err(io(&note, "remove"))?;
        }
        write_json(&partial.join(MANIFEST), &Manifest { v: Version, files })?;
        let finished = self.root.join(name(WHOLE, self.state.step));
        if finished.exists() {
            // Saved before, by the same run.
            fs::remove_dir_all(&finished).map_err(io(&finished, "remove"))?;
        }
        fs::rename(&partial, &finished).map_err(io(&finished, "rename"))?;
        File::open(&self.root)
            .and_then(|folder| folder.sync_all())
            .map_err(io(&self.root, "sync"))?;
        prune_up_to(&self.root, self.keep, self.state.step)?;
        Ok(self.state.step)
    }

    fn wait_for(
        &self,
        note: &Path,
        rank: usize,
        go_on: &dyn Fn() -> Result<(), TrainError>,
    ) -> Result<(), TrainError> {
        let began = Instant::now();
        while !note.exists() {
            go_on()?;
            if began.elapsed() > self.timeout {
                return Err(TrainError::Checkpoint {
                    path: self.partial(),
                    reason: format!(
                        "rank {rank} has not written its part after {:.0} s; do all ranks see this folder?",
                        began.elapsed().as_secs_f64()
                    ),
                });
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

/// Removes all but the `keep` newest checkpoints of a folder, and what was set aside.
///
/// # Errors
/// When the operating system refuses.
pub fn prune(root: &Path, keep: usize) -> Result<(), TrainError> {
    prune_up_to(root, keep, u64::MAX)
}

/// The same among those up to a step, and without what was set aside.
fn prune_up_to(root: &Path, keep: usize, step: u64) -> Result<(), TrainError> {
    let mut all = list(root, WHOLE)?;
    all.retain(|(found, _)| *found <= step);
    all.truncate(all.len().saturating_sub(keep));
    let mut aside = list(root, ASIDE)?;
    aside.retain(|(found, _)| *found <= step);
    for (_, path) in all.iter().chain(&aside) {
        fs::remove_dir_all(path).map_err(|source| FileError::io(path, "remove", source))?;
    }
    Ok(())
}

/// Hides the checkpoints of later steps than a run goes on from: they are damaged, or whoever
/// resumed it wanted an older one, and must not count among those that are kept. They are removed
/// once the run has come as far.
fn set_aside(root: &Path, step: u64) -> Result<(), TrainError> {
    for (found, path) in list(root, WHOLE)? {
        if found <= step {
            continue;
        }
        let aside = root.join(name(ASIDE, found));
        if aside.exists() {
            fs::remove_dir_all(&aside).map_err(|source| FileError::io(&aside, "remove", source))?;
        }
        fs::rename(&path, &aside).map_err(|source| FileError::io(&path, "rename", source))?;
    }
    Ok(())
}

fn name((before, after): Around, step: u64) -> String {
    format!("{before}{step:08}{after}")
}

/// Checkpoints in a folder by step, oldest first, whose names have this before and after the step;
/// none when there is no folder.
fn list(root: &Path, (before, after): Around) -> Result<Vec<(u64, PathBuf)>, TrainError> {
    if !root.exists() {
        return Ok(Vec::new());
    }
    let fail = |source| FileError::io(root, "list", source);
    let mut found = Vec::new();
    for entry in fs::read_dir(root).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let name = entry.file_name();
        let step = name
            .to_str()
            .and_then(|name| name.strip_prefix(before)?.strip_suffix(after))
            .and_then(|digits| digits.parse().ok());
        if let Some(step) = step {
            found.push((step, entry.path()));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Removes what a killed process left half written.
fn remove_leftovers(root: &Path) -> Result<(), TrainError> {
    for (_, path) in list(root, PARTIAL)? {
        fs::remove_dir_all(&path).map_err(|source| FileError::io(&path, "remove", source))?;
    }
    Ok(())
}

fn rank_file(rank: usize, world_size: usize) -> String {
    format!("rank-{rank:05}-of-{world_size:05}.safetensors")
}

fn hash_file_name(rank: usize) -> String {
    format!("rank-{rank:05}.json")
}
