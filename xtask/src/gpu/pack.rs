//! The checks for a machine that has a GPU but no Rust: one compiled program and a script, in an
//! archive.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, Result};

use super::{KNOWN, PARTS, SHAPES};
use crate::{Exit, process::die_with_parent, workspace::Workspace};

/// Most bytes of the archive.
const MOST: u64 = 60_000_000;
/// The folder in the archive.
const NAME: &str = "sky-gpu-check";

/// Builds the checks and packs them into `file`, a new `.tar.gz`.
///
/// # Errors
/// With exit code 2 when the file is there.
pub(crate) fn run(workspace: &Workspace, file: &Path, force: bool) -> Result<()> {
    if file.exists() && !force {
        return Err(Exit::user(format!(
            "{} is there already; name another file, or replace it with --force",
            file.display()
        )));
    }
    let program = build(workspace)?;
    let scratch = workspace.root.join("target").join(NAME);
    if scratch.exists() {
        fs::remove_dir_all(&scratch).with_context(|| scratch.display().to_string())?;
    }
    let folder = scratch.join(NAME);
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    // Without what only a debugger reads it is a tenth of the size.
    run_tool(
        "strip",
        &["-o".as_ref(), folder.join("gpu").as_ref(), program.as_ref()],
    )?;
    let check = folder.join("check.sh");
    fs::write(&check, script()).with_context(|| check.display().to_string())?;
    fs::set_permissions(&check, fs::Permissions::from_mode(0o755))?;
    copy_peer(workspace, &folder)?;
    // Beside the file, to be renamed when it is whole.
    let mut part = file.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    run_tool(
        "tar",
        &[
            "-C".as_ref(),
            scratch.as_ref(),
            "-czf".as_ref(),
            part.as_ref(),
            NAME.as_ref(),
        ],
    )?;
    let size = fs::metadata(&part)?.len();
    if size > MOST {
        fs::remove_file(&part)?;
        return Err(Exit::failed(format!(
            "the archive has {:.1} MB, over the {} MB that it may have",
            size as f64 / 1e6,
            MOST / 1_000_000
        )));
    }
    fs::File::open(&part)?.sync_all()?;
    fs::rename(&part, file).with_context(|| file.display().to_string())?;
    fs::remove_dir_all(&scratch)?;
    println!(
        "{}: {:.1} MB. On the machine with the GPU: tar -xzf it, then `sh {NAME}/check.sh`; its Python has torch 2.11.0",
        file.display(),
        size as f64 / 1e6
    );
    Ok(())
}

/// The checks' program, built against the set-up's libtorch: it loads CUDA when it runs.
fn build(workspace: &Workspace) -> Result<PathBuf> {
    let mut cargo = workspace.cargo();
    cargo
        .args(["test", "--workspace", "--test", "gpu", "--no-run"])
        .args(["--message-format", "json-render-diagnostics"])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    let output = cargo.output().context("cargo does not start")?;
    if !output.status.success() {
        return Err(Exit::failed("the checks do not build"));
    }
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == "gpu")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .context("cargo names no program of the checks")
}

/// What tells the figures, the peer it runs, and the shapes of the models.
fn copy_peer(workspace: &Workspace, folder: &Path) -> Result<()> {
    let copy = |from: PathBuf, to: PathBuf| {
        fs::copy(&from, to).with_context(|| from.display().to_string())
    };
    let root = &workspace.root;
    copy(
        root.join("xtask/src/gpu/figures.py"),
        folder.join("figures.py"),
    )?;
    copy(root.join("benches/train/peer.py"), folder.join("peer.py"))?;
    let shapes = folder.join("shapes");
    fs::create_dir(&shapes).with_context(|| shapes.display().to_string())?;
    for entry in fs::read_dir(root.join(SHAPES)).context(SHAPES)? {
        let path = entry?.path();
        let name = path.file_name().context("a shape has no name")?;
        copy(path.clone(), shapes.join(name))?;
    }
    Ok(())
}

fn run_tool(tool: &str, arguments: &[&std::ffi::OsStr]) -> Result<()> {
    let status = die_with_parent(Path::new(tool))?
        .args(arguments)
        .status()
        .with_context(|| format!("{tool} does not start"))?;
    if status.success() {
        return Ok(());
    }
    Err(Exit::failed(format!("{tool} ended with {status}")))
}

/// What runs on the other machine.
fn script() -> String {
    let known: Vec<String> = KNOWN
        .iter()
        .map(|(part, name)| format!("    *{part}*) known={name} ;;"))
        .collect();
    include_str!("check.sh")
        .replace("@KNOWN@", &known.join("\n"))
        .replace("@PARTS@", &PARTS.join(" "))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::process::{Command, Output};

    use super::*;

    /// The script, with stand-ins for the GPU's tool, Python and the program.
    fn checked(nvidia_smi: &str, python: &str, program: &str) -> Output {
        // A process that another test starts meanwhile would hold the script open for writing:
        // nobody may run it then.
        let _alone = super::super::tests::alone();
        let folder = tempfile::tempdir().unwrap();
        let install = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        };
        install("nvidia-smi", nvidia_smi);
        install("python3", python);
        install("gpu", program);
        fs::write(folder.path().join("check.sh"), script()).unwrap();
        let path = format!("{}:/usr/bin:/bin", folder.path().display());
        Command::new("sh")
            .arg(folder.path().join("check.sh"))
            .env("PATH", path)
            .env_remove("SKY_GPU")
            .output()
            .unwrap()
    }

    #[test]
    fn every_part_runs_with_the_libraries_of_python_and_is_in_the_table() {
        let program = "echo \"$SKY_GPU $LD_LIBRARY_PATH $*\"\necho '{}' >>\"$SKY_FIGURES\"\n\
                       test \"$4\" != nccl_works_on_one_gpu";
        let python = "case \"$1\" in\n*/figures.py) echo \"figures $#\" ;;\n*) echo /torch/lib:/nccl/lib ;;\nesac";
        let output = checked("echo 'NVIDIA H100 80GB HBM3'", python, program);
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(1), "{text}");
        for part in PARTS {
            assert!(
                text.contains("h100-80g /torch/lib:/nccl/lib")
                    && text.contains(&format!("--ignored --exact --nocapture {part}\n")),
                "{text}"
            );
            let mark = if part == "nccl_works_on_one_gpu" {
                "FAILED"
            } else {
                "ok    "
            };
            let line = format!("\n{mark}  {}\n", part.replace('_', " "));
            assert!(text.contains(&line), "{text}");
        }
        assert!(text.ends_with("\nfigures 4\n"), "{text}");
        let all_pass = checked("echo 'Tesla K80'", "echo /torch/lib", "true");
        assert_eq!(all_pass.status.code(), Some(0));
    }

    #[test]
    fn without_a_gpu_or_the_right_torch_nothing_runs() {
        let none = checked("exit 9", "echo /lib", "touch ran");
        assert_eq!(none.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&none.stderr).contains("no GPU"));
        let python = "echo 'error: no torch' >&2; exit 1";
        let no_torch = checked("echo 'NVIDIA H200'", python, "echo ran");
        assert_eq!(no_torch.status.code(), Some(2));
        assert!(no_torch.stdout.is_empty());
    }
}
