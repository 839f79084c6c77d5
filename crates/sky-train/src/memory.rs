use std::{
    fs,
    path::{Path, PathBuf},
};

/// Memory that this process may use at most, in bytes: the machine's, or less where a control group says so. None where the
/// system does not tell.
pub fn host_memory() -> Option<u64> {
    host_memory_in(Path::new("/"))
}

/// Memory that can be had without swapping, in bytes, where the system says so: what this process keeps for its next tensors is
/// among it.
#[cfg(feature = "torch")]
pub(crate) fn available_memory() -> Option<u64> {
    let root = Path::new("/");
    let free = meminfo(root, "MemAvailable:")?.saturating_add(sky_torch::kept_memory());
    Some(group_limit(root).map_or(free, |limit| limit.min(free)))
}

fn host_memory_in(root: &Path) -> Option<u64> {
    let machine = meminfo(root, "MemTotal:");
    machine.into_iter().chain(group_limit(root)).min()
}

fn meminfo(root: &Path, key: &str) -> Option<u64> {
    let text = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    kib.checked_mul(1024)
}

/// The smallest limit of this process's control groups and those above them, in version 1 and 2 of the interface (the
/// kernel's `Documentation/admin-guide/cgroup-v2.rst`). "No limit" is a word in one and a huge number in the other.
fn group_limit(root: &Path) -> Option<u64> {
    let text = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let mounts = root.join("sys/fs/cgroup");
    let limits = text.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        let (mount, file) = if controllers.is_empty() {
            (mounts.clone(), "memory.max")
        } else if controllers.split(',').any(|name| name == "memory") {
            (mounts.join("memory"), "memory.limit_in_bytes")
        } else {
            return None;
        };
        limit_upwards(&mount, path, file)
    });
    limits.min()
}

fn limit_upwards(mount: &Path, path: &str, file: &str) -> Option<u64> {
    let inside: PathBuf = Path::new(path)
        .components()
        .filter(|part| matches!(part, std::path::Component::Normal(_)))
        .collect();
    // A container may see its own group as the mount itself: what is not there is passed over.
    inside
        .ancestors()
        .filter_map(|part| {
            let text = fs::read_to_string(mount.join(part).join(file)).ok()?;
            text.trim().parse().ok()
        })
        .min()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn the_smallest_of_machine_and_groups_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        assert_eq!(host_memory_in(root), None);
        write(
            root,
            "proc/meminfo",
            "MemTotal:       1000 kB\nMemFree: 1 kB\n",
        );
        assert_eq!(host_memory_in(root), Some(1_024_000));

        write(root, "proc/self/cgroup", "0::/a/b\n");
        write(root, "sys/fs/cgroup/a/b/memory.max", "max\n");
        assert_eq!(host_memory_in(root), Some(1_024_000));
        write(root, "sys/fs/cgroup/a/memory.max", "5000\n");
        assert_eq!(host_memory_in(root), Some(5000));

        write(
            root,
            "proc/self/cgroup",
            "3:cpu,memory:/job/1\n1:cpu:/\n0::/\n",
        );
        write(
            root,
            "sys/fs/cgroup/memory/memory.limit_in_bytes",
            "9223372036854771712\n",
        );
        assert_eq!(host_memory_in(root), Some(1_024_000));
        write(
            root,
            "sys/fs/cgroup/memory/job/1/memory.limit_in_bytes",
            "7000\n",
        );
        assert_eq!(host_memory_in(root), Some(7000));
        // A path that leads out of the mount is not followed.
        write(root, "proc/self/cgroup", "0::/../../job\n");
        write(root, "sys/job/memory.max", "1\n");
        assert_eq!(host_memory_in(root), Some(1_024_000));
    }

    #[test]
    fn this_machine_says_how_much_it_has() {
        if cfg!(target_os = "linux") {
            assert!(host_memory().unwrap() > 100_000_000);
        }
    }
}
