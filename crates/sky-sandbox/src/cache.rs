//! The cache of baked guests on disk.
//!
//! An entry is two files: a record (`KEY.json`) and the compiled code that it names
//! (`HASH.cwasm`). Loading an entry means running its machine code, so only code that this user
//! wrote is loaded: nobody else can write to the folder, and the code has the hash that the record
//! names.

use std::fs::{DirBuilder, File, Permissions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use wasmtime::{Engine, Module};

use crate::SandboxError;
use crate::bake::Source;
use crate::digest;
use crate::layout::Layout;

/// The record of a baked guest.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    /// The digest of the compiled code, which is its file's name too.
    code: String,
    layout: Layout,
    /// SHA-256 of the two fields above. A damaged layout would send calls to wrong addresses.
    check: String,
}

/// The part of a record that `tidy` reads. Records of other versions have it too.
#[derive(Deserialize)]
struct Kept {
    code: String,
}

impl Record {
    fn new(code: String, layout: Layout) -> Self {
        let mut entry = Self {
            code,
            layout,
            check: String::new(),
        };
        entry.check = entry.expected_check();
        entry
    }

    fn expected_check(&self) -> String {
        // A layout is a few numbers; it always has a JSON form.
        let layout = serde_json::to_vec(&self.layout).unwrap_or_default();
        let mut hash = Sha256::new();
        hash.update(&self.code);
        hash.update(layout);
        format!("{:x}", hash.finalize())
    }
}

/// Why the guest is baked, which takes about 30 s. Its `Display` is one line for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BakeReason {
    /// These files have not been baked before.
    First,
    /// They were, but this file of the cache is damaged.
    Damaged(PathBuf),
}

impl std::fmt::Display for BakeReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::First => write!(f, "baking the Python guest, once; it takes about 30 s"),
            Self::Damaged(path) => {
                write!(f, "{}: damaged; the guest is baked again", path.display())
            }
        }
    }
}

/// A baked guest that the engine can run.
pub(crate) struct LoadedGuest {
    pub(crate) module: Module,
    pub(crate) layout: Layout,
}

/// The file that a process locks while it bakes.
const LOCK: &str = ".lock";
/// Entries that stay when one is baked, the new one included. More than one, since builds of
/// several versions may share a folder.
const KEPT: usize = 4;

/// A folder that only its owner can write to.
pub(crate) struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// Opens or creates the folder. A folder that others can write to is emptied, since its code
    /// may be theirs. A folder that others own is refused, since they can change it at any time.
    pub(crate) fn open(folder: &Path) -> Result<Self, SandboxError> {
        let io = |action| move |source| sky_files::FileError::io(folder, action, source);
        if let Some(parent) = folder.parent() {
            std::fs::create_dir_all(parent).map_err(io("create"))?;
        }
        match DirBuilder::new().mode(0o700).create(folder) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(io("create")(error).into()),
        }
        let refuse = |reason: &str| SandboxError::Cache {
            path: folder.to_owned(),
            reason: reason.to_owned(),
        };
        let found = std::fs::symlink_metadata(folder).map_err(io("read"))?;
        if !found.is_dir() {
            return Err(refuse("it is not a folder"));
        }
        if found.uid() != rustix::process::geteuid().as_raw() {
            return Err(refuse("it belongs to another user"));
        }
        if found.mode() & 0o022 != 0 {
            for entry in std::fs::read_dir(folder).map_err(io("read"))? {
                std::fs::remove_file(entry.map_err(io("read"))?.path()).map_err(io("empty"))?;
            }
            std::fs::set_permissions(folder, Permissions::from_mode(0o700))
                .map_err(io("protect"))?;
        }
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    /// Whether there is an entry for this source, intact or damaged.
    pub(crate) fn holds(&self, source: &Source) -> bool {
        self.record(source).exists()
    }

    fn record(&self, source: &Source) -> PathBuf {
        self.folder.join(format!("{}.json", source.key))
    }

    /// Loads the baked guest for this source. Bakes and keeps it first when the entry is missing or
    /// damaged. One process bakes at a time; others wait for it. `on_bake` runs right before this
    /// process bakes.
    pub(crate) fn load(
        &self,
        engine: &Engine,
        source: Source,
        on_bake: impl FnOnce(&BakeReason),
    ) -> Result<LoadedGuest, SandboxError> {
        let record = self.record(&source);
        if let Some(found) = self.find(engine, &record) {
            return Ok(found);
        }
        let lock = self.folder.join(LOCK);
        let io = |action| {
            let lock = lock.clone();
            move |source| sky_files::FileError::io(lock, action, source)
        };
        let file = File::create(&lock).map_err(io("create"))?;
        // Released when `file` is closed, however this process ends.
        file.lock().map_err(io("lock"))?;
        // Another process may have baked it while this one waited.
        if let Some(found) = self.find(engine, &record) {
            return Ok(found);
        }
        let reason = match self.remains(&record) {
            Some(path) => BakeReason::Damaged(path),
            None => BakeReason::First,
        };
        match &reason {
            BakeReason::First => tracing::info!("{reason}"),
            BakeReason::Damaged(_) => tracing::warn!("{reason}"),
        }
        on_bake(&reason);
        let baked = source.bake(engine)?;
        let entry = Record::new(digest::of_bytes(&baked.code), baked.layout);
        // The record last: what it names is there and whole.
        sky_files::write_bytes(&self.code(&entry.code), &baked.code)?;
        sky_files::write_json(&record, &entry)?;
        // Loaded like any other entry, so that the first run uses what later ones use.
        let found = self
            .find(engine, &record)
            .ok_or_else(|| SandboxError::Cache {
                path: record,
                reason: "what was just written to it cannot be read back".to_owned(),
            })?;
        self.tidy();
        Ok(found)
    }

    /// Removes all but the entries used last, and code that no record names. Only files with names
    /// of the cache's form are removed. A process that has one of them mapped keeps its mapping. A
    /// file that cannot be removed stays: it costs space and nothing else.
    fn tidy(&self) {
        let ours = |name: &str, suffix| {
            name.strip_suffix(suffix).is_some_and(|stem: &str| {
                stem.len() == 64 && stem.bytes().all(|byte| byte.is_ascii_hexdigit())
            })
        };
        let names: Vec<String> = std::fs::read_dir(&self.folder)
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect();
        let mut records: Vec<(SystemTime, PathBuf)> = names
            .iter()
            .filter(|name| ours(name, ".json"))
            .map(|name| self.folder.join(name))
            .filter_map(|path| Some((std::fs::metadata(&path).ok()?.modified().ok()?, path)))
            .collect();
        records.sort_unstable();
        records.reverse();
        for (_, path) in records.drain(records.len().min(KEPT)..) {
            let _ = std::fs::remove_file(path);
        }
        let kept: Vec<String> = records
            .iter()
            .filter_map(|(_, path)| sky_files::read_json::<Kept>(path).ok())
            .map(|entry| format!("{}.cwasm", entry.code))
            .collect();
        for name in names {
            if ours(&name, ".cwasm") && !kept.contains(&name) {
                let _ = std::fs::remove_file(self.folder.join(name));
            }
        }
    }

    /// The damaged file of an entry that [`Cache::find`] cannot use. None without a record.
    fn remains(&self, record: &Path) -> Option<PathBuf> {
        let bytes = std::fs::read(record).ok()?;
        let entry = serde_json::from_slice(&bytes).ok();
        Some(
            match entry.filter(|entry: &Record| entry.check == entry.expected_check()) {
                Some(entry) => self.code(&entry.code),
                None => record.to_owned(),
            },
        )
    }

    fn code(&self, hash: &str) -> PathBuf {
        self.folder.join(format!("{hash}.cwasm"))
    }

    /// Loads an intact entry. None for a missing or damaged one: then the guest is baked again.
    fn find(&self, engine: &Engine, record: &Path) -> Option<LoadedGuest> {
        let entry: Record = sky_files::read_json(record).ok()?;
        if entry.check != entry.expected_check() {
            return None;
        }
        // The name becomes a path.
        if entry.code.len() != 64 || !entry.code.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let file = File::open(self.code(&entry.code)).ok()?;
        // `tidy` takes the record's modification time as the time of the last use.
        let used = File::options().write(true).open(record);
        let _ = used.and_then(|record| record.set_modified(SystemTime::now()));
        if digest::of_file(&file).ok()? != entry.code {
            return None;
        }
        // SAFETY: the bytes are what `precompile_module` gave: the file was opened once, hashed
        // through this descriptor and found to be what the record says; record and file lie in a
        // folder that only this user can write to (`open` above), and this user can run code
        // anyway. Files are replaced by renaming, never written in place, so the mapping cannot
        // change under the engine. The engine itself refuses code of another version, configuration
        // or processor.
        #[allow(unsafe_code)]
        let module = unsafe { Module::deserialize_open_file(engine, file) }.ok()?;
        Some(LoadedGuest {
            module,
            layout: entry.layout,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn guests_that_nobody_used_lately_go_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("cache");
        let cache = Cache::open(&folder).unwrap();
        let hash = |n: usize| format!("{n:064x}");
        let write = |name: &str| std::fs::write(folder.join(name), b"x").unwrap();
        let layout = || {
            let functions = serde_json::json!({
                "prepare": 1, "prepare_test": 1, "prepare_call": 1, "prepare_isolated_test": 1, "guard": 1, "finish": 1,
            });
            let layout = serde_json::json!({
                "call": 1, "functions": functions, "answering": 1, "no_arguments": 1, "none": 1, "cell": 1, "memory": 1,
            });
            serde_json::from_value(layout).unwrap()
        };
        for n in 0..10 {
            write(&format!("{}.cwasm", hash(n)));
            let record = folder.join(format!("{}.json", hash(100 + n)));
            if n == 8 {
                // What another version wrote.
                let other = serde_json::json!({"code": hash(n), "layout": 7, "more": []});
                sky_files::write_json(&record, &other).unwrap();
            } else {
                sky_files::write_json(&record, &Record::new(hash(n), layout())).unwrap();
            }
            // 3 was used last, the others in their order.
            let used = if n == 3 { 50 } else { n as u64 };
            let file = File::options().write(true).open(&record).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(used))
                .unwrap();
        }
        write(&format!("{}.cwasm", hash(77)));
        for other in [
            "notes.json",
            "x.cwasm",
            &format!("{}.txt", hash(1)),
            ".lock",
        ] {
            write(other);
        }
        cache.tidy();
        let names = || -> Vec<String> {
            let entries = std::fs::read_dir(&folder).unwrap();
            let mut names: Vec<_> = entries
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        };
        let mut left: Vec<String> = [3, 7, 8, 9]
            .iter()
            .flat_map(|&n| {
                [
                    format!("{}.cwasm", hash(n)),
                    format!("{}.json", hash(100 + n)),
                ]
            })
            .collect();
        left.extend([".lock", "notes.json", "x.cwasm"].map(str::to_owned));
        left.push(format!("{}.txt", hash(1)));
        left.sort();
        assert_eq!(names(), left);
        cache.tidy();
        assert_eq!(names(), left);
    }
}
