//! Benches: `benches/NAME/bench.sh` or `bench.py`, peers in a venv of their own with pinned
//! requirements.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};
use sky_cli::StopSignal;

use crate::{
    Exit, fetch,
    process::{self, die_with_parent},
    setup,
    workspace::{Workspace, lock},
};

pub(crate) fn run(workspace: &Workspace, name: Option<&str>, arguments: &[OsString]) -> Result<()> {
    let folder = workspace.root.join("benches");
    let names = list(&folder);
    let Some(name) = name else {
        for name in &names {
            println!("{name:<12} {}", about(&folder.join(name)));
        }
        return Ok(());
    };
    if !names.iter().any(|known| known == name) {
        return Err(Exit::user(format!(
            "no bench `{name}`{}",
            sky_cli::nearest(name, names.iter().map(String::as_str))
        )));
    }
    setup::run(workspace, false)?;
    let folder = folder.join(name);
    let driver = driver(&folder).context("the bench has just gone")?;
    let python = match fs::read(folder.join("requirements.txt")) {
        Ok(requirements) => venv(
            workspace,
            name,
            &requirements,
            &folder.join("requirements.txt"),
        )?,
        Err(_) => fetch::python()?,
    };
    let interpreter = if driver.extension().is_some_and(|end| end == "py") {
        python.clone()
    } else {
        "bash".into()
    };
    let mut command = Command::new(interpreter);
    command
        .arg(&driver)
        .args(arguments)
        .current_dir(&workspace.root)
        .env("SKY_HOME", &workspace.home)
        .env("PYTHON", &python);
    if let Some(bin) = python.parent() {
        let path = env::var_os("PATH").unwrap_or_default();
        let path = env::join_paths(
            [bin.to_path_buf()]
                .into_iter()
                .chain(env::split_paths(&path)),
        )?;
        command.env("PATH", path);
    }
    let ended = process::watch(&mut command, &StopSignal::listen()?)?;
    ensure!(
        ended.status.success(),
        "bench `{name}` failed ({})",
        ended.status
    );
    Ok(())
}

fn list(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            driver(&entry.path())?;
            entry.file_name().into_string().ok()
        })
        .collect();
    names.sort();
    names
}

fn driver(folder: &Path) -> Option<PathBuf> {
    ["bench.sh", "bench.py"]
        .map(|name| folder.join(name))
        .into_iter()
        .find(|path| path.is_file())
}

/// The driver's first line of comment.
fn about(folder: &Path) -> String {
    let text = driver(folder)
        .and_then(|driver| fs::read_to_string(driver).ok())
        .unwrap_or_default();
    let mut lines = text.lines().filter(|line| !line.starts_with("#!"));
    lines
        .next()
        .unwrap_or_default()
        .trim_start_matches(['#', '"', ' '])
        .trim_end_matches('"')
        .to_owned()
}

/// The venv with these requirements. Other requirements, other venv.
fn venv_folder(workspace: &Workspace, name: &str, requirements: &[u8]) -> PathBuf {
    let hash = sky_files::hex(&Sha256::digest(requirements)[..4]);
    workspace
        .home
        .join("bench-venvs")
        .join(format!("{name}-{hash}"))
}

/// The Python that a bench's peers run in, when the bench has been run here.
pub(crate) fn python(workspace: &Workspace, name: &str) -> Option<PathBuf> {
    let requirements = workspace
        .root
        .join("benches")
        .join(name)
        .join("requirements.txt");
    let folder = venv_folder(workspace, name, &fs::read(requirements).ok()?);
    folder
        .join(".complete")
        .exists()
        .then(|| folder.join("bin/python"))
}

/// The Python of a venv with these requirements, made when it is not there.
pub(crate) fn venv(
    workspace: &Workspace,
    name: &str,
    requirements: &[u8],
    file: &Path,
) -> Result<PathBuf> {
    let folder = venv_folder(workspace, name, requirements);
    let python = folder.join("bin/python");
    let done = folder.join(".complete");
    fs::create_dir_all(workspace.home.join("bench-venvs"))?;
    let busy = format!("another process installs the Python packages of `{name}`");
    let _lock = lock(&folder.with_added_extension("lock"), &busy)?;
    if done.exists() {
        return Ok(python);
    }
    eprintln!(
        "installing the Python packages of `{name}` in {}",
        folder.display()
    );
    let system = fetch::python()?;
    let made = die_with_parent(&system)?
        .args(["-m", "venv", "--clear"])
        .arg(&folder)
        .stdin(Stdio::null())
        .status()?;
    ensure!(
        made.success(),
        "{} cannot make a venv (Debian, Ubuntu: `apt-get install python3-venv`)",
        system.display()
    );
    // Within the venv, which the next try clears: a pip that is killed leaves its temporary folder.
    let scratch = folder.join("tmp");
    fs::create_dir_all(&scratch)?;
    let mut pip = die_with_parent(&python)?;
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "-r",
    ])
    .arg(file)
    .env("TMPDIR", &scratch)
    .stdin(Stdio::null());
    ensure!(
        pip.status()?.success(),
        "pip could not install {}, see above",
        file.display()
    );
    fs::remove_dir_all(&scratch)?;
    fs::write(&done, "")?;
    Ok(python)
}
