//! The wheel `sky-verify` of `python/`, built with a pinned maturin.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, Result};

use crate::{Exit, bench, process, workspace::Workspace};

/// The builder, pinned by version and SHA-256.
const REQUIREMENTS: &[u8] = include_bytes!("maturin.txt");

/// Builds the wheel in `target/wheels` and says where it lies and how to test it.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    workspace.make_home()?;
    let requirements = workspace.root.join("xtask/src/maturin.txt");
    let python = bench::venv(workspace, "wheel", REQUIREMENTS, &requirements)?;
    let out = workspace.root.join("target/wheels");
    fs::create_dir_all(&out)?;
    for old in wheels(&out)? {
        fs::remove_file(old)?;
    }
    // Which libc the wheel needs, and with it the wheel's tag, maturin reads from what was built.
    let mut maturin = process::die_with_parent(&python)?;
    maturin
        .args(["-m", "maturin", "build", "--release", "--locked"])
        .arg("--manifest-path")
        .arg(workspace.root.join("python/Cargo.toml"))
        .arg("--out")
        .arg(&out)
        .current_dir(&workspace.root)
        .env(
            "CARGO",
            env::var_os("CARGO").unwrap_or_else(|| "cargo".into()),
        )
        .stdin(Stdio::null());
    // As `Workspace::cargo` does, and for the same reason.
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            maturin.env_remove(&*name);
        }
    }
    if !maturin.status()?.success() {
        return Err(Exit::failed("the wheel does not build, see above"));
    }
    let found = wheels(&out)?;
    let wheel = found.first().context("maturin left no wheel")?;
    let size = fs::metadata(wheel)?.len();
    println!(
        "{} ({:.1} MB)",
        workspace.short(wheel),
        size as f64 / 1_000_000.0
    );
    println!(
        "to test it: SKY_WHEEL={} cargo test -p xtask --test wheel",
        wheel.display()
    );
    Ok(())
}

/// The wheels of this package in a folder.
fn wheels(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("sky_verify-") && name.ends_with(".whl") {
            found.push(entry.path());
        }
    }
    Ok(found)
}
