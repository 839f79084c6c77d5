//! Set-up: everything that building, testing and the default recipe need beyond crates, in one
//! cache folder.

use std::{env, fs, path::Path, process::Stdio, time::Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    artifacts::{Artifact, Artifacts, size},
    fetch,
    process::die_with_parent,
    receipt::{self, State},
    workspace::{Workspace, lock, on_path},
};

const UNPACK: &str = include_str!("python/unpack.py");

/// Brings the cache folder into order, with `cuda` also what GPUs need; quick when it is. Two at
/// once: the second waits.
pub(crate) fn run(workspace: &Workspace, cuda: bool) -> Result<()> {
    let started = Instant::now();
    let list = Artifacts::pinned()?;
    supported(&list)?;
    compiler()?;
    workspace.make_home()?;
    let busy = format!("another set-up is at work in {}", workspace.home.display());
    let _lock = lock(&workspace.home.join(".lock"), &busy)?;
    workspace.link_home()?;
    let mut bytes = 0;
    let mut todo = Vec::new();
    for artifact in list.wanted(cuda) {
        match receipt::check(&workspace.home, artifact)? {
            State::Good(size) => bytes += size,
            State::Missing => todo.push(artifact),
            State::Outdated => {
                eprintln!(
                    "{}: this checkout pins another version: fetching it",
                    artifact.folder
                );
                todo.push(artifact);
            }
            State::Damaged(reason) => {
                eprintln!("{}: damaged, fetching it again: {reason}", artifact.folder);
                todo.push(artifact);
            }
        }
    }
    if todo.is_empty() {
        let seconds = started.elapsed().as_secs_f64();
        eprintln!(
            "set-up is complete: {} in {}, every hash right ({seconds:.1} s)",
            size(bytes),
            workspace.home.display()
        );
        return Ok(());
    }
    let python = fetch::python()?;
    ensure!(fetch::has_pip(&python), "{}", fetch::NO_PIP);
    room(&workspace.home, &todo)?;
    let down: u64 = todo.iter().map(|artifact| artifact.download()).sum();
    eprintln!(
        "setting up in {}: {} to fetch",
        workspace.home.display(),
        size(down)
    );
    for artifact in todo {
        install(workspace, &python, artifact)?;
    }
    let _ = fs::remove_dir(workspace.home.join("downloads"));
    eprintln!(
        "set-up is complete ({:.0} s)",
        started.elapsed().as_secs_f64()
    );
    Ok(())
}

/// Says what is there and what is missing; false when set-up has something to do.
pub(crate) fn check(workspace: &Workspace, cuda: bool) -> Result<bool> {
    let list = Artifacts::pinned()?;
    let mut good = true;
    let mut say = |name: &str, state: Result<String>| {
        good &= state.is_ok();
        let (mark, text) = match state {
            Ok(text) => ("ok", text),
            Err(error) => ("--", format!("{error:#}")),
        };
        println!("{mark}  {name:<32} {text}");
    };
    say("platform", supported(&list).map(|()| list.platform.clone()));
    say("C++ compiler", compiler());
    let python = fetch::python();
    say(
        "python3 with pip",
        python.and_then(|python| {
            ensure!(fetch::has_pip(&python), "{}", fetch::NO_PIP);
            Ok(python.display().to_string())
        }),
    );
    for artifact in list.wanted(cuda) {
        let state = match receipt::check(&workspace.home, artifact)? {
            State::Good(bytes) => Ok(format!("{:>9}  {}", size(bytes), artifact.title)),
            State::Missing => Err(format!(
                "missing, {} to fetch  {}",
                size(artifact.download()),
                artifact.title
            )),
            State::Outdated => Err("of another version".to_owned()),
            State::Damaged(reason) => Err(format!("damaged: {reason}")),
        };
        say(&artifact.folder, state.map_err(anyhow::Error::msg));
    }
    println!("cache folder: {}", workspace.home.display());
    if !good {
        println!("`cargo xtask setup` fetches what is missing or damaged");
    }
    Ok(good)
}

/// Whether the parts that building needs are there, without reading them: enough for a dry run.
pub(crate) fn can_build(workspace: &Workspace) -> bool {
    workspace.home.join("receipts/libtorch.json").exists()
        && workspace.home.join("libtorch/torch/build-version").exists()
}

/// What set-up would fetch, for a dry run that finds it has not been run.
pub(crate) fn would_fetch(workspace: &Workspace) -> Result<String> {
    let list = Artifacts::pinned()?;
    let missing = list.wanted(false).filter(|artifact| {
        let receipt = format!("receipts/{}.json", artifact.name());
        !workspace.home.join(receipt).exists()
    });
    let (mut bytes, mut names) = (0, Vec::new());
    for artifact in missing {
        bytes += artifact.download();
        names.push(format!(
            "{} ({})",
            artifact.folder,
            size(artifact.download())
        ));
    }
    Ok(format!(
        "a dry run fetches nothing, and the programs cannot be built yet: `cargo xtask setup` would fetch {} into {}: {}",
        size(bytes),
        workspace.short(&workspace.home),
        names.join(", ")
    ))
}

fn supported(list: &Artifacts) -> Result<()> {
    let here = format!("{}-{}", env::consts::OS, env::consts::ARCH);
    ensure!(
        here == list.platform,
        "set-up has packages for {} only, this is {here}: build libtorch 2.11 yourself and point LIBTORCH at it",
        list.platform
    );
    Ok(())
}

fn compiler() -> Result<String> {
    if let Some(own) = env::var_os("CXX").filter(|own| !own.is_empty()) {
        return Ok(format!("{} (from CXX)", own.display()));
    }
    match on_path(&["c++", "g++", "clang++"]) {
        Some(found) => Ok(found.display().to_string()),
        None => bail!(
            "no C++ compiler on PATH: install g++ or clang++ (Debian, Ubuntu: `apt-get install g++`), or set CXX"
        ),
    }
}

/// Fails early when the disk is too small for the downloads and what they unpack to.
fn room(home: &Path, todo: &[&Artifact]) -> Result<()> {
    let kept = |artifact: &Artifact| -> u64 {
        let have = |name: String| {
            home.join("downloads")
                .join(name)
                .metadata()
                .map_or(0, |file| file.len())
        };
        artifact
            .package
            .iter()
            .map(|p| have(p.file.clone()) + have(format!("{}.part", p.file)))
            .sum()
    };
    let needed: u64 = todo
        .iter()
        .map(|a| a.unpacked + a.download().saturating_sub(kept(a)))
        .sum();
    let disk = rustix::fs::statvfs(home).with_context(|| home.display().to_string())?;
    let free = disk.f_bavail * disk.f_frsize;
    ensure!(
        free >= needed,
        "disk full: set-up needs {} in {}, {} are free: free some space, or set SKY_HOME to a folder on another disk",
        size(needed),
        home.display(),
        size(free)
    );
    Ok(())
}

/// Fetches an artifact's packages, unpacks them beside, moves the folder into workspace, and last
/// writes the receipt.
fn install(workspace: &Workspace, python: &Path, artifact: &Artifact) -> Result<()> {
    let home = &workspace.home;
    let downloads = home.join("downloads");
    let fresh = home.join("tmp").join(artifact.name());
    remove(&fresh)?;
    for package in &artifact.package {
        let archive = fetch::fetch(python, package, &downloads)?;
        let job = serde_json::json!({ "archive": archive, "into": fresh, "keep": package.keep });
        let output = die_with_parent(python)?
            .args(["-I", "-c", UNPACK, &job.to_string()])
            .stdin(Stdio::null())
            .output()?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "cannot unpack {}: {}; free some space if the disk is full, and run the same command again",
            package.file,
            errors.lines().last().unwrap_or("no reason given")
        );
    }
    for text in &artifact.texts {
        fs::write(fresh.join(&text.path), &text.text)?;
    }
    for link in &artifact.links {
        std::os::unix::fs::symlink(&link.target, fresh.join(&link.path))?;
    }
    receipt::remove(home, artifact)?;
    let folder = home.join(&artifact.folder);
    // Renamed away first: whoever has the old files open keeps them, and the name is free at once.
    let old = home.join("tmp").join(format!("{}.old", artifact.name()));
    remove(&old)?;
    if folder.exists() {
        fs::rename(&folder, &old).with_context(|| folder.display().to_string())?;
    }
    fs::create_dir_all(folder.parent().unwrap_or(home))?;
    fs::rename(&fresh, &folder).with_context(|| folder.display().to_string())?;
    receipt::write(home, artifact)?;
    remove(&home.join("tmp"))?;
    for package in &artifact.package {
        fs::remove_file(downloads.join(&package.file))?;
    }
    eprintln!("ready: {}", artifact.title);
    Ok(())
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}
