use std::{
    fs::{self, File},
    io::{self, Write},
    os::fd::AsRawFd,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use rustix::{
    fs::{FallocateFlags, fallocate, statvfs},
    io::Errno,
};
use tch::{Device, Kind, Tensor};

use crate::TrainError;

/// Bytes written at once where a file system cannot set space aside.
const ZEROS: usize = 1 << 20;
/// Bytes of an f32, the unit in which the file is divided.
const WIDTH: u64 = 4;

/// Vectors in one file that is mapped into memory. The system writes parts of it out when memory
/// is needed elsewhere.
///
/// All space is set aside before the file is mapped, since a full disk shows itself later only as
/// the end of the process. The file has a name for no longer than it takes to make it: however the
/// process ends, its space is free, and nobody else opens it.
pub(super) struct Disk {
    file: Tensor,
    used: i64,
}

impl Disk {
    /// A file for `length` f32 numbers, all zero.
    pub(super) fn new(folder: &Path, length: i64) -> Result<Self, TrainError> {
        let bytes = length as u64 * WIDTH;
        let mut file = nameless(folder).map_err(|error| refused(folder, bytes, &error))?;
        set_aside(&mut file, bytes).map_err(|error| refused(folder, bytes, &error))?;
        // libtorch maps what it opens by name.
        let name = format!("/proc/self/fd/{}", file.as_raw_fd());
        let options = (Kind::Float, Device::Cpu);
        let mapped = Tensor::f_from_file(&name, true, length, options);
        let mapped = mapped.map_err(|error| refused(folder, bytes, &io::Error::other(error)))?;
        // `file` is closed here. The mapping keeps the file, which has no name any more.
        Ok(Self {
            file: mapped,
            used: 0,
        })
    }

    /// The next `length` numbers of the file, which are zero. A multiple of 64, so that every
    /// vector is aligned for any dtype.
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

/// 4-byte words that `length` numbers take.
pub(super) fn words(length: i64, kind: Kind) -> i64 {
    // Exact: lengths are multiples of 64.
    length * kind.elt_size_in_bytes() as i64 / WIDTH as i64
}

/// An empty file of this process alone.
fn nameless(folder: &Path) -> io::Result<File> {
    static FILES: AtomicU64 = AtomicU64::new(0);
    loop {
        let number = FILES.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!("sky-train-state-{}-{number}", std::process::id()));
        match File::create_new(&path) {
            // Of a process that was killed here, or of another container's process of the same
            // number.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            file => {
                let file = file?;
                fs::remove_file(&path)?;
                return Ok(file);
            }
        }
    }
}

/// Makes a file so long, with all its space taken.
fn set_aside(file: &mut File, bytes: u64) -> io::Result<()> {
    match fallocate(&*file, FallocateFlags::empty(), 0, bytes) {
        Ok(()) => Ok(()),
        // File systems without `fallocate`, such as NFS before 4.2.
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
            let zeros = vec![0; ZEROS];
            let mut left = bytes;
            while left > 0 {
                let count = left.min(ZEROS as u64);
                file.write_all(&zeros[..count as usize])?;
                left -= count;
            }
            // Some file systems find space only when they write back: a full disk must show now.
            file.sync_all()
        }
        Err(error) => Err(error.into()),
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
    fn files_of_others_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        for number in 0..64 {
            let name = format!("sky-train-state-{}-{number}", std::process::id());
            fs::write(dir.path().join(name), "x").unwrap();
        }
        let mut disk = Disk::new(dir.path(), 64).unwrap();
        assert_eq!(disk.take(64, Kind::Float).unwrap().numel(), 64);
        let mut left = fs::read_dir(dir.path()).unwrap();
        assert!(left.all(|file| fs::read(file.unwrap().path()).unwrap() == b"x"));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 64);
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
