use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
    time::Instant,
};

use serde_json::Value;
use sha2::{Digest, Sha256};
use sky_types::Version;
use tracing::warn;

use crate::{
    Counts, FileError, FileHash, Manifest, Result,
    checksummed::{read_checksummed, write_checksummed},
    folder::{LOCK, clear, holds_results, lock},
    hash::hex,
    hash_file,
    heartbeat::{self, Heartbeat},
    in_progress::{IN_PROGRESS, InProgress},
    manifest::MANIFEST,
    peak_memory, provenance,
};

/// What a stage is made from.
#[derive(Clone, Debug)]
pub struct StageSpec {
    /// The stage's name, as the manifest gives it.
    pub name: String,
    /// Its folder.
    pub dir: PathBuf,
    /// Files it reads, by a name of its own.
    pub inputs: Vec<(String, PathBuf)>,
    /// Everything else its results depend on: settings, seed, the model's hash.
    pub config: Value,
    /// Folders inside whose files record themselves which inputs and settings they belong to
    /// (checkpoints). Only `force` removes them.
    pub preserve: &'static [&'static str],
}

/// A stage's state when it is opened.
#[derive(Debug)]
pub enum Stage {
    /// Complete, from these inputs and settings, and every output's hash is right.
    Done(Manifest),
    /// To be computed, or continued from its journal.
    Todo(StageDir),
}

/// A stage folder held by this process until it is dropped.
#[derive(Debug)]
pub struct StageDir {
    dir: PathBuf,
    in_progress: InProgress,
    resumed: bool,
    started: Instant,
    _heartbeat: Heartbeat,
    _lock: File,
}

impl Stage {
    /// Opens a stage's folder: done, to be continued, or to be started.
    ///
    /// A complete stage whose output is damaged starts over, after a warning that names the file.
    /// So does a stage without a readable in-progress marker. Folders in [`StageSpec::preserve`]
    /// stay. With `force`, everything in the folder is removed first.
    ///
    /// # Errors
    /// When an input is missing or is not what the stage that made it wrote, another process works
    /// on the folder, or it holds results from other inputs or settings.
    pub fn open(spec: StageSpec, force: bool) -> Result<Self> {
        let dir = spec.dir;
        let run = dir.parent().unwrap_or(Path::new("")).to_path_buf();
        let mut inputs = BTreeMap::new();
        for (name, path) in spec.inputs {
            let found = hash_file(&path)?;
            provenance::check(&run, &dir, &path, &found)?;
            inputs.insert(name, found);
        }
        let mut in_progress = InProgress {
            v: Version,
            stage: spec.name,
            config: spec.config,
            inputs,
            seconds: 0.0,
        };
        fs::create_dir_all(&dir)
            .map_err(|source| FileError::io(&dir, "make the folder", source))?;
        let lock = lock(&dir)?;
        if force {
            clear(&dir, &[])?;
        }
        let mut resumed = false;
        if let Some(manifest) = read_if_there::<Manifest>(&dir.join(MANIFEST))? {
            in_progress.check_same(&manifest.stage, &manifest.config, &manifest.inputs, &dir)?;
            match damaged_output(&dir, &manifest) {
                None => return Ok(Self::Done(manifest)),
                Some(reason) => {
                    warn!("{}: {reason}; the stage reruns", dir.display());
                    clear(&dir, spec.preserve)?;
                }
            }
        } else if let Some(found) = read_if_there::<InProgress>(&dir.join(IN_PROGRESS))? {
            match in_progress.check_same(&found.stage, &found.config, &found.inputs, &dir) {
                Ok(()) => {
                    let last = heartbeat::seconds_between(&dir.join(IN_PROGRESS), &dir.join(LOCK));
                    in_progress.seconds = found.seconds.max(0.0) + last;
                    resumed = true;
                }
                Err(stale) if holds_results(&dir, spec.preserve)? => return Err(stale),
                // A process that ended before it had made anything.
                Err(_) => {}
            }
        } else {
            // Nothing here says what it was made from, so nothing here can be continued.
            clear(&dir, spec.preserve)?;
        }
        write_checksummed(&dir.join(IN_PROGRESS), &in_progress)?;
        heartbeat::touch(&lock);
        Ok(Self::Todo(StageDir {
            _heartbeat: Heartbeat::start(&dir.join(LOCK)),
            dir,
            in_progress,
            resumed,
            started: Instant::now(),
            _lock: lock,
        }))
    }
}

impl StageDir {
    /// The folder.
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// One SHA-256 over the names and hashes of the stage's inputs.
    pub fn input_hash(&self) -> String {
        let mut hasher = Sha256::new();
        for (name, FileHash { bytes, sha256 }) in &self.in_progress.inputs {
            hasher.update(format!("{name}\n{bytes} {sha256}\n"));
        }
        hex(&hasher.finalize())
    }

    /// A file inside the folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Whether an earlier process had started this stage from the same inputs and settings.
    pub fn resumed(&self) -> bool {
        self.resumed
    }

    /// Hashes the outputs (paths inside the folder), writes the manifest, then removes the scratch
    /// files.
    ///
    /// # Errors
    /// When an output is missing or the operating system refuses.
    pub fn finish(self, outputs: &[&str], scratch: &[&str], counts: Counts) -> Result<Manifest> {
        let outputs = outputs
            .iter()
            .map(|&name| Ok((name.to_owned(), hash_file(&self.dir.join(name))?)))
            .collect::<Result<BTreeMap<_, _>>>()?;
        let manifest = Manifest {
            v: Version,
            stage: self.in_progress.stage,
            sky: env!("CARGO_PKG_VERSION").to_owned(),
            config: self.in_progress.config,
            inputs: self.in_progress.inputs,
            outputs,
            counts,
            seconds: self.in_progress.seconds + self.started.elapsed().as_secs_f64(),
            peak_memory: peak_memory(),
            resumed: self.resumed,
        };
        manifest.write(&self.dir.join(MANIFEST))?;
        for name in scratch.iter().copied().chain([IN_PROGRESS]) {
            // A leftover is harmless: the manifest decides.
            let _ = fs::remove_file(self.dir.join(name));
        }
        Ok(manifest)
    }
}

fn damaged_output(dir: &Path, manifest: &Manifest) -> Option<String> {
    manifest
        .outputs
        .iter()
        .find_map(|(name, expected)| match hash_file(&dir.join(name)) {
            Ok(found) if found == *expected => None,
            Ok(found) => Some(format!(
                "{name} is damaged: {} bytes and other content where its manifest has {} bytes",
                found.bytes, expected.bytes
            )),
            Err(error) => Some(error.to_string()),
        })
}

/// A document that may be missing; one that is damaged counts as missing, after a warning.
fn read_if_there<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    if !path.exists() {
        return Ok(None);
    }
    match read_checksummed(path) {
        Err(error @ FileError::Damaged { .. }) => {
            warn!("{error}; the stage reruns");
            Ok(None)
        }
        value => value.map(Some),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::write_bytes;

    fn spec(root: &Path, config: Value) -> StageSpec {
        StageSpec {
            name: "demo".into(),
            dir: root.join("demo"),
            inputs: vec![("data".into(), root.join("in.txt"))],
            config,
            preserve: &["kept"],
        }
    }

    fn complete(root: &Path, config: Value) {
        let Stage::Todo(dir) = Stage::open(spec(root, config), false).unwrap() else {
            panic!("already done")
        };
        write_bytes(&dir.file("out.txt"), b"result").unwrap();
        dir.finish(&["out.txt"], &[], Counts::new(1, 1)).unwrap();
    }

    #[test]
    fn done_stale_damaged_and_resumed_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        assert!(
            Stage::open(spec(root, json!({})), false)
                .unwrap_err()
                .to_string()
                .contains("in.txt")
        );
        fs::write(root.join("in.txt"), "input").unwrap();

        let config = json!({"sample": {"n": 4}});
        let Stage::Todo(first) = Stage::open(spec(root, config.clone()), false).unwrap() else {
            panic!()
        };
        assert!(!first.resumed());
        assert!(matches!(
            Stage::open(spec(root, config.clone()), false),
            Err(FileError::Locked { .. })
        ));
        drop(first);
        let Stage::Todo(second) = Stage::open(spec(root, config.clone()), false).unwrap() else {
            panic!()
        };
        assert!(second.resumed());
        drop(second);

        complete(root, config.clone());
        assert!(matches!(
            Stage::open(spec(root, config.clone()), false).unwrap(),
            Stage::Done(_)
        ));

        let stale = Stage::open(spec(root, json!({"sample": {"n": 8}})), false)
            .unwrap_err()
            .to_string();
        assert!(
            stale.contains("sample.n: 4, now 8") && stale.contains("--force"),
            "{stale}"
        );
        fs::write(root.join("in.txt"), "other").unwrap();
        let stale = Stage::open(spec(root, config.clone()), false)
            .unwrap_err()
            .to_string();
        assert!(stale.contains("data has changed"), "{stale}");
        fs::write(root.join("in.txt"), "input").unwrap();

        fs::write(root.join("demo/out.txt"), "resulT").unwrap();
        assert!(matches!(
            Stage::open(spec(root, config.clone()), false).unwrap(),
            Stage::Todo(_)
        ));
        complete(root, config.clone());
        assert!(matches!(
            Stage::open(spec(root, config), true).unwrap(),
            Stage::Todo(_)
        ));
        assert!(!root.join("demo/out.txt").exists());
    }

    #[test]
    fn what_says_itself_what_it_belongs_to_is_removed_by_force_alone() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::write(root.join("in.txt"), "input").unwrap();
        let (kept, other) = (root.join("demo/kept/state"), root.join("demo/half.txt"));
        let fill = || {
            write_bytes(&kept, b"state").unwrap();
            write_bytes(&other, b"half").unwrap();
        };
        let open = |force| drop(Stage::open(spec(root, json!({})), force).unwrap());
        // No note of what it was made from, a damaged one, a damaged output.
        fill();
        open(false);
        assert!(kept.exists() && !other.exists());
        fill();
        fs::write(root.join("demo/in-progress.json"), "{").unwrap();
        open(false);
        assert!(kept.exists() && !other.exists());
        complete(root, json!({}));
        fill();
        fs::write(root.join("demo/out.txt"), "resulT").unwrap();
        open(false);
        assert!(kept.exists() && !other.exists());
        // It is no result of the settings that a process was wrongly begun with.
        open(true);
        write_bytes(&kept, b"state").unwrap();
        drop(Stage::open(spec(root, json!({"n": 1})), false).unwrap());
        open(false);
        assert!(kept.exists());
        fill();
        open(true);
        assert!(!kept.exists() && !other.exists());
    }

    #[test]
    fn where_nothing_was_made_other_inputs_start_over() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::write(root.join("in.txt"), "no input for this stage").unwrap();
        drop(Stage::open(spec(root, json!({})), false).unwrap());
        // A kill while the note is written leaves this.
        fs::write(root.join("demo/in-progress.json.1.0.tmp"), "{").unwrap();
        fs::write(root.join("in.txt"), "input").unwrap();
        let Stage::Todo(begun) = Stage::open(spec(root, json!({})), false).unwrap() else {
            panic!("done")
        };
        assert!(!begun.resumed());
        write_bytes(&begun.file("half.txt"), b"half").unwrap();
        drop(begun);
        fs::write(root.join("in.txt"), "another").unwrap();
        let stale = Stage::open(spec(root, json!({})), false).unwrap_err();
        assert!(matches!(stale, FileError::Stale { .. }), "{stale}");
    }

    /// A run folder with a finished stage `first` and the inputs of a stage `second` that reads its
    /// file.
    fn chain(root: &Path) -> StageSpec {
        let first = StageSpec {
            name: "first".into(),
            dir: root.join("run/one"),
            inputs: Vec::new(),
            config: json!({}),
            preserve: &[],
        };
        let Stage::Todo(dir) = Stage::open(first, false).unwrap() else {
            panic!("already done")
        };
        write_bytes(&dir.file("deep/out.txt"), b"result").unwrap();
        dir.finish(&["deep/out.txt"], &[], Counts::new(1, 1))
            .unwrap();
        StageSpec {
            name: "second".into(),
            dir: root.join("run/two"),
            inputs: vec![("data".into(), root.join("run/one/deep/out.txt"))],
            config: json!({}),
            preserve: &[],
        }
    }

    #[test]
    fn an_input_that_its_stage_did_not_write_so_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let second = chain(root);
        let open = || Stage::open(second.clone(), false);
        assert!(matches!(open().unwrap(), Stage::Todo(_)));

        fs::write(root.join("run/one/deep/out.txt"), "resulT").unwrap();
        let error = open().unwrap_err().to_string();
        for part in ["one/deep/out.txt", "damaged", "run stage `first` again"] {
            assert!(error.contains(part), "{error}");
        }
        fs::write(root.join("run/one/deep/out.txt"), "result").unwrap();
        assert!(open().is_ok());

        let manifest = root.join("run/one/manifest.json");
        let text = fs::read_to_string(&manifest).unwrap();
        fs::write(
            &manifest,
            text.replace("\"count_out\": 1", "\"count_out\": 2"),
        )
        .unwrap();
        let error = open().unwrap_err().to_string();
        assert!(
            error.contains("one/manifest.json") && error.contains("damaged"),
            "{error}"
        );

        // In progress again: what lies there may be half of it.
        fs::remove_file(&manifest).unwrap();
        assert!(
            open().is_ok(),
            "a file that no stage claims is the user's own"
        );
        fs::remove_dir_all(root.join("run/one")).unwrap();
        let again = chain(root);
        fs::remove_file(&manifest).unwrap();
        let mut first = again.clone();
        (first.name, first.dir, first.inputs) = ("first".into(), root.join("run/one"), Vec::new());
        drop(Stage::open(first, false).unwrap());
        fs::create_dir_all(root.join("run/one/deep")).unwrap();
        fs::write(root.join("run/one/deep/out.txt"), "half").unwrap();
        let error = open().unwrap_err().to_string();
        assert!(error.contains("has not finished"), "{error}");
    }

    #[test]
    fn a_damaged_manifest_or_begun_file_is_named_and_the_stage_reruns() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::write(root.join("in.txt"), "input").unwrap();
        complete(root, json!({"n": 4}));
        let manifest = root.join("demo/manifest.json");
        // Still a manifest, of other settings: without its check it would be called stale.
        let text = fs::read_to_string(&manifest).unwrap();
        fs::write(&manifest, text.replace("\"n\": 4", "\"n\": 5")).unwrap();
        let Stage::Todo(begun) = Stage::open(spec(root, json!({"n": 4})), false).unwrap() else {
            panic!("a damaged manifest is believed")
        };
        assert!(!begun.resumed());
        drop(begun);
        let path = root.join("demo/in-progress.json");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("\"n\": 4", "\"n\": 5")).unwrap();
        let Stage::Todo(begun) = Stage::open(spec(root, json!({"n": 4})), false).unwrap() else {
            panic!()
        };
        assert!(!begun.resumed(), "a damaged in-progress.json is believed");
    }

    #[test]
    fn seconds_add_up_over_killed_processes() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::write(root.join("in.txt"), "input").unwrap();
        let open = || match Stage::open(spec(root, json!({})), false).unwrap() {
            Stage::Todo(dir) => dir,
            Stage::Done(_) => panic!("done"),
        };
        // A killed process: its file says when it began, the lock when it last lived.
        for _ in 0..2 {
            drop(open());
            let lock = File::options()
                .write(true)
                .open(root.join("demo/.lock"))
                .unwrap();
            let began = root
                .join("demo/in-progress.json")
                .metadata()
                .unwrap()
                .modified()
                .unwrap();
            lock.set_modified(began + std::time::Duration::from_secs(100))
                .unwrap();
        }
        let stage = open();
        write_bytes(&stage.file("out.txt"), b"result").unwrap();
        let manifest = stage.finish(&["out.txt"], &[], Counts::new(1, 1)).unwrap();
        assert!(
            (200.0..230.0).contains(&manifest.seconds),
            "{}",
            manifest.seconds
        );
        assert!(manifest.peak_memory.is_none_or(|bytes| bytes > 500_000));
    }

    #[test]
    fn an_open_stage_has_a_heartbeat() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("in.txt"), "input").unwrap();
        let Stage::Todo(stage) = Stage::open(spec(dir.path(), json!({})), false).unwrap() else {
            panic!("already done")
        };
        assert!(stage._heartbeat.is_running());
    }
}
