//! Fetching one pinned file through the user's own pip: its index, mirrors, proxy and certificates,
//! without running any code of the package. A broken download resumes where it stopped; the hash is
//! checked before anything reads the file.

use std::{
    fs,
    io::{BufRead, BufReader, IsTerminal},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    artifacts::{Package, size},
    process::die_with_parent,
    receipt,
    workspace::on_path,
};

const FETCH: &str = include_str!("python/fetch.py");

/// Python 3, on `PATH`.
pub(crate) fn python() -> Result<PathBuf> {
    let Some(python) = on_path(&["python3", "python"]) else {
        bail!(
            "no python3 on PATH: install Python 3 with pip (Debian, Ubuntu: `apt-get install python3-pip`)"
        );
    };
    let version = Command::new(&python)
        .args(["-c", "import sys; sys.exit(sys.version_info < (3, 8))"])
        .status();
    ensure!(
        version.is_ok_and(|status| status.success()),
        "{} does not run or is older than Python 3.8: put a newer python3 on PATH",
        python.display()
    );
    Ok(python)
}

/// Whether this Python has pip.
pub(crate) fn has_pip(python: &Path) -> bool {
    let status = Command::new(python)
        .args(["-c", "import pip"])
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

pub(crate) const NO_PIP: &str = "this python3 has no pip: run `python3 -m ensurepip --user`, or install it (Debian, Ubuntu: `apt-get install python3-pip`)";

/// The package's file in `folder`, downloaded unless it is already there, with the right hash.
pub(crate) fn fetch(python: &Path, package: &Package, folder: &Path) -> Result<PathBuf> {
    let whole = folder.join(&package.file);
    let part = folder.join(format!("{}.part", package.file));
    fs::create_dir_all(folder)?;
    if whole.exists() {
        if receipt::hash(&whole)? == package.sha256 {
            return Ok(whole);
        }
        eprintln!("{} is damaged: fetching it again", whole.display());
        fs::remove_file(&whole)?;
    }
    let resumed = part.metadata().map_or(0, |part| part.len());
    download(python, package, &part)?;
    let mut found = receipt::hash(&part)?;
    if found != package.sha256 && resumed > 0 {
        eprintln!(
            "{}: the part kept from an earlier try does not fit: starting over",
            package.file
        );
        fs::remove_file(&part)?;
        download(python, package, &part)?;
        found = receipt::hash(&part)?;
    }
    if found != package.sha256 {
        // Nothing of a wrong file is kept, or the next try would begin with it.
        fs::remove_file(&part)?;
        bail!(
            "{}: SHA-256 is {found}, expected {}; it was not used. The index or proxy that pip is configured for serves another \
             file: try again, or point pip at another index",
            package.file,
            package.sha256
        );
    }
    fs::rename(&part, &whole)?;
    Ok(whole)
}

fn download(python: &Path, package: &Package, part: &Path) -> Result<()> {
    let already = part.metadata().map_or(0, |part| part.len());
    let progress = Meter::new(package, already);
    let job = serde_json::json!({ "project": package.project, "file": package.file, "part": part });
    let mut child = die_with_parent(python)?
        .args(["-c", FETCH, &job.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("{} does not start", python.display()))?;
    let mut ended = None;
    if let Some(lines) = child.stdout.take() {
        for line in BufReader::new(lines).lines() {
            let line = line?;
            match line.split_once(' ').unwrap_or((&line, "")) {
                ("at", bytes) => progress.at(bytes.parse().unwrap_or(0)),
                ("again", reason) => progress.note(&format!("trying again: {reason}")),
                (word @ ("done" | "error"), rest) => {
                    ended = Some((word.to_owned(), rest.to_owned()));
                }
                _ => {}
            }
        }
    }
    child.wait()?;
    let Some((word, rest)) = ended else {
        bail!(
            "{}: {} ended early while it was downloading; run the same command again",
            package.file,
            python.display()
        );
    };
    if word == "done" {
        progress.done();
        return Ok(());
    }
    let (kind, message) = rest.split_once(' ').unwrap_or((&rest, ""));
    match kind {
        "no-pip" => bail!("{NO_PIP}"),
        "moved" => {
            progress.note(&format!(
                "pip works differently inside ({message}): using `pip download`"
            ));
            pip_download(python, package, part)?;
            progress.done();
            Ok(())
        }
        "stopped" => bail!("stopped; the same command continues"),
        "disk" => bail!(
            "{}: {message}: free some space, or set SKY_HOME to a folder on another disk",
            part.display()
        ),
        "not-found" => bail!("{message}: point pip at an index or mirror that has it"),
        _ => bail!(
            "cannot fetch {}: {message}; check the network and pip's index (`{} -m pip config list`), then run the same command \
             again: it continues",
            package.file,
            python.display()
        ),
    }
}

/// The slower way: pip checks the hash before it opens the file, but runs a source package's set-up
/// code to read its name.
fn pip_download(python: &Path, package: &Package, part: &Path) -> Result<()> {
    let folder = part.with_extension("pip");
    fs::create_dir_all(&folder)?;
    let wanted = folder.join("requirements.txt");
    fs::write(
        &wanted,
        format!(
            "{}=={} --hash=sha256:{}\n",
            package.project, package.version, package.sha256
        ),
    )?;
    let mut pip = die_with_parent(python)?;
    pip.args([
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--require-hashes",
        "--dest",
    ])
    .arg(&folder)
    .arg("-r")
    .arg(&wanted);
    if let Some(name) = package.file.strip_suffix(".whl") {
        let mut tags = name.rsplitn(4, '-');
        let (platforms, _, python) = (
            tags.next().unwrap_or("any"),
            tags.next(),
            tags.next().unwrap_or("py3"),
        );
        pip.arg("--only-binary=:all:");
        pip.args(
            platforms
                .split('.')
                .map(|platform| format!("--platform={platform}")),
        );
        if let Some(version) = python.strip_prefix("cp") {
            pip.args([
                "--implementation=cp",
                &format!("--python-version={version}"),
                &format!("--abi={python}"),
            ]);
        }
    }
    let output = pip
        .stdin(Stdio::null())
        .output()
        .context("pip does not start")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    let last = errors
        .lines()
        .rev()
        .find(|line| line.starts_with("ERROR"))
        .unwrap_or("no reason given");
    ensure!(
        output.status.success(),
        "cannot fetch {} with pip: {last}",
        package.file
    );
    fs::rename(folder.join(&package.file), part)
        .with_context(|| format!("pip did not save {}", package.file))?;
    fs::remove_dir_all(&folder)?;
    Ok(())
}

/// A bar on a terminal, else a line at the beginning and one at the end.
struct Meter {
    bar: ProgressBar,
    name: String,
    total: u64,
    started: Instant,
}

impl Meter {
    fn new(package: &Package, already: u64) -> Self {
        let name = format!("{} {}", package.project, package.version);
        let bar = if std::io::stderr().is_terminal() {
            ProgressBar::new(package.bytes)
        } else {
            let kept = if already > 0 {
                format!(", {} of it already here", size(already))
            } else {
                String::new()
            };
            eprintln!("fetching {name}: {}{kept}", size(package.bytes));
            ProgressBar::hidden()
        };
        let template = format!(
            "{name:<28} {{bar:28}} {{bytes}}/{{total_bytes}}  {{bytes_per_sec}}  ETA {{eta}}  {{msg}}"
        );
        bar.set_style(
            ProgressStyle::with_template(&template)
                .unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        bar.set_position(already);
        bar.reset_eta();
        Self {
            bar,
            name,
            total: package.bytes,
            started: Instant::now(),
        }
    }

    fn at(&self, bytes: u64) {
        self.bar.set_position(bytes);
    }

    fn note(&self, text: &str) {
        self.bar.suspend(|| eprintln!("{}: {text}", self.name));
    }

    fn done(&self) {
        self.bar.finish_and_clear();
        eprintln!(
            "fetched {}: {} in {:.0} s",
            self.name,
            size(self.total),
            self.started.elapsed().as_secs_f64()
        );
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
