use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use rustix::{
    fs::{FallocateFlags, fallocate, statvfs},
    io::Errno,
};
use tch::{Device, Kind, Tensor};

use crate::TrainError;

/// How the files begin that optimizer state lies in.
const PREFIX: &str = "sky-train-state-";
/// What is written at once where a file system cannot set space aside.
const ZEROS: usize = 1 << 20;
const WIDTH: u64 = 4;

/// Vectors in one file that is mapped into memory: the system keeps as much of it in memory as it has to spare.
///
/// All space is set aside before the file is mapped, since a full disk shows itself later only as the end of the process. The
/// file has no name while it is used: however the process ends, its space is free.
pub(super) struct Disk {
    file: Tensor,
    used: i64,
}

impl Disk {
    /// Room for so many f32 numbers, all zero.
    pub(super) fn new(folder: &Path, length: i64) -> Result<Self, TrainError> {
        clear_left_over(folder);
        let bytes = length as u64 * WIDTH;
        let path = new_name(folder);
        let made = Self::made(&path, bytes).map_err(|error| refused(folder, bytes, &error));
        let mapped = made.and_then(|_lock| {
            let name = path.to_str().ok_or_else(|| TrainError::Config {
                key: "offload_folder",
                reason: format!("{} is not UTF-8", folder.display()),
            })?;
            let options = (Kind::Float, Device::Cpu);
            Ok(Tensor::f_from_file(name, true, length, options)?)
        });
        // Mapped memory needs no name; without one it goes when the process does.
        let _ = fs::remove_file(&path);
        Ok(Self {
            file: mapped?,
            used: 0,
        })
    }

    /// The file, locked as long as it has a name.
    fn made(path: &Path, bytes: u64) -> io::Result<File> {
        let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
        file.lock()?;
        match fallocate(&file, FallocateFlags::empty(), 0, bytes) {
            Ok(()) => {}
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
                let zeros = vec![0; ZEROS];
                let mut left = bytes;
                while left > 0 {
                    let count = left.min(ZEROS as u64);
                    file.write_all(&zeros[..count as usize])?;
                    left -= count;
                }
                file.sync_all()?;
            }
            Err(error) => return Err(error.into()),
        }
        Ok(file)
    }

    /// The next `length` numbers of the file, which are zero; a multiple of 64.
    pub(super) fn take(&mut self, length: i64, kind: Kind) -> Result<Tensor, TrainError> {
        let words = words(length, kind);
        let part = self.file.f_narrow(0, self.used, words)?;
        self.used += words;
        if kind == Kind::Float {
            return Ok(part);
        }
        Ok(part.f_view_dtype(kind)?)
    }
}

/// 4-byte words that so many numbers take.
pub(super) fn words(length: i64, kind: Kind) -> i64 {
    length * kind.elt_size_in_bytes() as i64 / WIDTH as i64
}

fn new_name(folder: &Path) -> PathBuf {
    static FILES: AtomicU64 = AtomicU64::new(0);
    let number = FILES.fetch_add(1, Ordering::Relaxed);
    folder.join(format!("{PREFIX}{}-{number}", std::process::id()))
}

/// Removes what a process left that was killed between making its file and taking the name away. Others hold a lock.
fn clear_left_over(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if name.to_string_lossy().starts_with(PREFIX)
            && File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok())
        {
            // Whoever cannot remove it has its space used up, and is told so when that matters.
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn refused(folder: &Path, bytes: u64, error: &io::Error) -> TrainError {
    let gb = |bytes: u64| bytes as f64 / 1e9;
    let free = statvfs(folder).map(|disk| disk.f_bavail * disk.f_frsize);
    let free = free.map_or_else(
        |_| String::new(),
        |free| format!(", of which {:.2} GB are free", gb(free)),
    );
    TrainError::Config {
        key: "offload_folder",
        reason: format!(
            "this rank's optimizer state takes {:.2} GB in {}{free}: {error}; free some space or name another folder",
            gb(bytes),
            folder.display()
        ),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn vectors_of_both_kinds_lie_side_by_side_and_no_name_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let mut disk = Disk::new(dir.path(), 128 + 64).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        let mut wide = disk.take(128, Kind::Float).unwrap();
        let mut half = disk.take(128, Kind::BFloat16).unwrap();
        assert_eq!(half.numel(), 128);
        assert_eq!(f64::try_from(wide.sum(Kind::Double)).unwrap(), 0.0);
        let _ = wide.fill_(1.5);
        let _ = half.fill_(-2.0);
        assert_eq!(f64::try_from(wide.sum(Kind::Double)).unwrap(), 192.0);
        assert_eq!(f64::try_from(half.sum(Kind::Double)).unwrap(), -256.0);
        assert!(disk.take(64, Kind::Float).is_err(), "the file is used up");
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_what_is_in_use_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let left = dir.path().join(format!("{PREFIX}1-0"));
        let used = dir.path().join(format!("{PREFIX}1-1"));
        let other = dir.path().join("mine");
        for path in [&left, &used, &other] {
            fs::write(path, "x").unwrap();
        }
        let lock = File::open(&used).unwrap();
        lock.lock().unwrap();
        Disk::new(dir.path(), 64).unwrap();
        assert!(!left.exists() && used.exists() && other.exists());
    }

    #[test]
    fn more_than_the_disk_holds_is_refused_before_anything_is_mapped() {
        let dir = tempfile::tempdir().unwrap();
        let Err(error) = Disk::new(dir.path(), 1 << 50) else {
            panic!("no disk holds 4 PiB");
        };
        let text = error.to_string();
        assert!(
            text.contains("offload_folder") && text.contains("are free"),
            "{text}"
        );
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        assert!(Disk::new(&dir.path().join("missing"), 64).is_err());
    }
}
