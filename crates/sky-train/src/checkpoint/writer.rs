//! Writing a checkpoint: each rank its part, whole or not at all.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use sky_files::{FileError, hash_file, read_json, write_json, write_jsonl};
use sky_types::Version;

use super::{
    folder::{
        MANIFEST, METRICS, PARTIAL, PARTS, STATE, WHOLE, hash_file_name, name, prune_up_to,
        rank_file, remove_leftovers, set_aside,
    },
    shard_file::{NamedTensor, write_shard},
    trainer_state::{Manifest, TrainerState},
};
use crate::{StepMetrics, TrainError, distributed::zero::ShardedState};

/// A checkpoint to be written: everything but this rank's tensors, which [`CheckpointWriter::of`]
/// borrows and [`CheckpointWriter::copy`] copies.
pub(crate) struct CheckpointWriter {
    root: PathBuf,
    state: TrainerState,
    history: Vec<StepMetrics>,
    keep: usize,
    rank: usize,
    tensors: Vec<NamedTensor>,
    timeout: Duration,
}

impl CheckpointWriter {
    /// Prepares the folder, and takes hold of this rank's tensors. A collective.
    ///
    /// `keep` checkpoints are left afterwards; `timeout` is how long the other ranks' parts are
    /// waited for. `saved` is the step of this run's newest checkpoint, or of the one it resumed
    /// from: those of later steps were passed over then.
    pub(crate) fn of(
        root: &Path,
        state: TrainerState,
        history: &[StepMetrics],
        sharded_state: &ShardedState<'_>,
        keep: usize,
        saved: u64,
        timeout: Duration,
    ) -> Result<Self, TrainError> {
        let comm = sharded_state.comm();
        let mut tensors = Vec::with_capacity(sharded_state.layouts.len() * PARTS.len());
        for (block, layout) in sharded_state.layouts.iter().enumerate() {
            if layout.numel == 0 {
                continue;
            }
            for (part, tensor) in PARTS.iter().zip(sharded_state.shard_tensors(block)?) {
                let name = format!("{}.{part}", layout.name);
                tensors.push(NamedTensor { name, tensor });
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
        for named in &mut self.tensors {
            named.tensor = named.tensor.copied()?;
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
    /// The ranks meet in the folder, not in a collective: this may run beside training. `check` is
    /// called while others are waited for, and its error ends the wait. Gives the step.
    pub(crate) fn write(
        self,
        check: &dyn Fn() -> Result<(), TrainError>,
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
            self.wait_for(&note, rank, check)?;
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
        check: &dyn Fn() -> Result<(), TrainError>,
    ) -> Result<(), TrainError> {
        let began = Instant::now();
        while !note.exists() {
            check()?;
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
