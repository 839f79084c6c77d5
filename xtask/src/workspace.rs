//! Where things lie: the checkout, and the cache folder that several checkouts may share.

use std::{
    env,
    fs::{self, File, TryLockError},
    io,
    path::{self, Path, PathBuf},
    process::{self, Command},
};

use anyhow::{Context, Result, bail};

#[derive(Clone, Debug)]
pub(crate) struct Workspace {
    /// The checkout.
    pub(crate) root: PathBuf,
    /// `SKY_HOME`, absolute.
    pub(crate) home: PathBuf,
}

impl Workspace {
    pub(crate) fn find() -> Result<Self> {
        // As `cargo run` says; the folder it was built in need not be this checkout when two share
        // a target folder.
        let xtask =
            env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let root = Path::new(&xtask)
            .parent()
            .context("xtask has no parent folder")?
            .to_path_buf();
        let home = env::var_os("SKY_HOME")
            .filter(|home| !home.is_empty())
            .map(PathBuf::from);
        let home = path::absolute(home.unwrap_or_else(|| root.join(".sky")))?;
        Ok(Self { root, home })
    }

    /// Makes the cache folder.
    pub(crate) fn make_home(&self) -> Result<()> {
        fs::create_dir_all(&self.home).with_context(|| {
            format!(
                "{}: cannot make the cache folder; set SKY_HOME to one that can be written",
                self.home.display()
            )
        })
    }

    /// Makes `.sky` in the checkout lead to the cache folder: `.cargo/config.toml` finds libtorch
    /// there.
    pub(crate) fn link_home(&self) -> Result<()> {
        let link = self.root.join(".sky");
        let home = self.home.canonicalize()?;
        match link.canonicalize() {
            Ok(found) if found == home => return Ok(()),
            _ => {}
        }
        match fs::symlink_metadata(&link) {
            Ok(found) if !found.is_symlink() => bail!(
                "SKY_HOME is {} but {} is a folder of its own: move or remove it, or unset SKY_HOME",
                self.home.display(),
                link.display()
            ),
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).with_context(|| link.display().to_string());
            }
            _ => {}
        }
        // Under a name of its own first: the old link is not missed by whoever reads it, nor by a
        // set-up of another cache folder.
        let fresh = self.root.join(format!(".sky.{}.tmp", process::id()));
        let _ = fs::remove_file(&fresh);
        std::os::unix::fs::symlink(&home, &fresh)
            .and_then(|()| fs::rename(&fresh, &link))
            .with_context(|| format!("{}: cannot link it to {}", link.display(), home.display()))?;
        eprintln!("linked .sky to {}", home.display());
        Ok(())
    }

    /// `cargo`, in the checkout, with the same cache folder.
    pub(crate) fn cargo(&self) -> Command {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(&self.root).env("SKY_HOME", &self.home);
        // What cargo tells this program about itself. Build scripts of some crates watch these
        // names, so that passing them on would build those crates and everything above them again,
        // each time this and plain `cargo build` take turns.
        for (name, _) in env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
                cargo.env_remove(&*name);
            }
        }
        cargo
    }

    /// A path as a person in the current folder would write it.
    pub(crate) fn short(&self, path: &Path) -> String {
        let here = env::current_dir().unwrap_or_default();
        path.strip_prefix(&here)
            .unwrap_or(path)
            .display()
            .to_string()
    }
}

/// A lock that is held until it is dropped. Waits while another process has it, after a line that
/// begins with `busy`.
pub(crate) fn lock(path: &Path, busy: &str) -> Result<File> {
    let file =
        File::create(path).with_context(|| format!("{}: cannot make the lock", path.display()))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            eprintln!("{busy}: waiting for it");
            file.lock()?;
        }
        Err(TryLockError::Error(error)) => {
            return Err(error).with_context(|| path.display().to_string());
        }
    }
    Ok(file)
}

/// The first of these programs on `PATH`.
pub(crate) fn on_path(names: &[&str]) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .flat_map(|folder| names.iter().map(move |name| folder.join(name)))
        .find(|file| file.is_file())
}
