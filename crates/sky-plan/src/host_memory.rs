use std::{
    fs,
    path::{Path, PathBuf},
};

/// Memory that this process may use at most, in bytes: the machine's, or less where a control group
/// says so. None where the system does not report it.
pub fn host_memory() -> Option<u64> {
    host_memory_in(Path::new("/"))
}

/// Memory that can be had without swapping, in bytes, where the system says so.
pub fn available_host_memory() -> Option<u64> {
    let root = Path::new("/");
    let free = meminfo(root, "MemAvailable:")?;
    Some(group_room(root).map_or(free, |room| room.min(free)))
}

/// What this process's control groups leave; what is cached of files and has not been used for a
/// while counts as free.
fn group_room(root: &Path) -> Option<u64> {
    let room = |group: Group| {
        let used = number(&group.folder.join(group.files.used)).unwrap_or(0);
        let stat = fs::read_to_string(group.folder.join("memory.stat")).unwrap_or_default();
        let cache = stat.lines().find_map(|line| {
            let bytes = line.strip_prefix(group.files.cache)?.strip_prefix(' ')?;
            bytes.trim().parse::<u64>().ok()
        });
        let held = used.saturating_sub(cache.unwrap_or(0));
        group.limit.saturating_sub(held)
    };
    groups(root)?.into_iter().map(room).min()
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

/// A control group that limits memory.
struct Group {
    folder: PathBuf,
    limit: u64,
    files: &'static Files,
}

/// What a version of the interface calls its files.
struct Files {
    limit: &'static str,
    used: &'static str,
    /// In `memory.stat`: what is cached of files and has not been used for a while.
    cache: &'static str,
}

const VERSION_2: Files = Files {
    limit: "memory.max",
    used: "memory.current",
    cache: "inactive_file",
};
const VERSION_1: Files = Files {
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    cache: "total_inactive_file",
};

/// The smallest limit of this process's control groups.
fn group_limit(root: &Path) -> Option<u64> {
    groups(root)?.iter().map(|group| group.limit).min()
}

/// This process's control groups and those above them that have a limit, in version 1 and 2 of the
/// interface (the kernel's `Documentation/admin-guide/cgroup-v2.rst`). "No limit" is a word in one
/// and a huge number in the other.
fn groups(root: &Path) -> Option<Vec<Group>> {
    let text = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let mounts = root.join("sys/fs/cgroup");
    let found = text.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        let (mount, files) = if controllers.is_empty() {
            (mounts.clone(), &VERSION_2)
        } else if controllers.split(',').any(|name| name == "memory") {
            (mounts.join("memory"), &VERSION_1)
        } else {
            return None;
        };
        Some(upwards(&mount, path, files))
    });
    Some(found.flatten().collect())
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn upwards(mount: &Path, path: &str, files: &'static Files) -> Vec<Group> {
    let inside: PathBuf = Path::new(path)
        .components()
        .filter(|part| matches!(part, std::path::Component::Normal(_)))
        .collect();
    // A container may see its own group as the mount itself: what is not there is passed over.
    inside
        .ancestors()
        .filter_map(|part| {
            let folder = mount.join(part);
            let limit = number(&folder.join(files.limit))?;
            Some(Group {
                folder,
                limit,
                files,
            })
        })
        .collect()
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
    fn what_a_group_uses_is_no_room_but_for_its_cache() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        assert_eq!(group_room(root), None);
        write(root, "proc/self/cgroup", "0::/a\n");
        assert_eq!(group_room(root), None);
        write(root, "sys/fs/cgroup/a/memory.max", "9000\n");
        assert_eq!(group_room(root), Some(9000));
        write(root, "sys/fs/cgroup/a/memory.current", "7000\n");
        write(
            root,
            "sys/fs/cgroup/a/memory.stat",
            "anon 5000\ninactive_file 1500\ninactive_file_x 9\n",
        );
        assert_eq!(group_room(root), Some(3500));
        write(root, "proc/self/cgroup", "3:cpu,memory:/job\n0::/\n");
        write(
            root,
            "sys/fs/cgroup/memory/job/memory.limit_in_bytes",
            "800\n",
        );
        write(
            root,
            "sys/fs/cgroup/memory/job/memory.usage_in_bytes",
            "900\n",
        );
        assert_eq!(group_room(root), Some(0));
    }

    #[test]
    fn this_machine_says_how_much_it_has() {
        if cfg!(target_os = "linux") {
            assert!(host_memory().unwrap() > 100_000_000);
        }
    }
}
