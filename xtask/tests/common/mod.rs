//! The pipeline's programs, their artifacts and a recipe small enough to run them all several
//! times.
#![allow(dead_code)]

pub(crate) mod split_mix;
mod tiny_model;

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};

/// A stage of the pipeline.
pub(crate) struct Stage {
    pub(crate) name: &'static str,
    pub(crate) program: &'static str,
    pub(crate) arguments: &'static [&'static str],
    /// Its folder in the run folder.
    pub(crate) folder: &'static str,
    /// The files whose bytes must not depend on the run.
    pub(crate) files: &'static [&'static str],
}

/// All of them, in order.
pub(crate) const STAGES: [Stage; 9] = [
    Stage {
        name: "problems",
        program: "sky-data",
        arguments: &["problems"],
        folder: "problems",
        files: &["train.jsonl", "heldout.jsonl"],
    },
    Stage {
        name: "eval-before",
        program: "sky-eval",
        arguments: &["run", "--which", "before"],
        folder: "eval-before",
        files: &["samples.jsonl", "verdicts.jsonl", "results.json"],
    },
    Stage {
        name: "sample",
        program: "sky-sample",
        arguments: &["sample"],
        folder: "samples",
        files: &["samples.jsonl"],
    },
    Stage {
        name: "rewrite",
        program: "sky-sample",
        arguments: &["rewrite"],
        folder: "rewritten",
        files: &["samples.jsonl"],
    },
    Stage {
        name: "verify",
        program: "sky-verify",
        arguments: &["verify"],
        folder: "verdicts",
        files: &["verdicts.jsonl"],
    },
    Stage {
        name: "select",
        program: "sky-data",
        arguments: &["select"],
        folder: "selected",
        files: &["sharegpt.json", "selected.jsonl", "card.md"],
    },
    Stage {
        name: "train",
        program: "sky-train",
        arguments: &["train"],
        folder: "train",
        files: &["model/model.safetensors"],
    },
    Stage {
        name: "eval-after",
        program: "sky-eval",
        arguments: &["run", "--which", "after"],
        folder: "eval-after",
        files: &["samples.jsonl", "verdicts.jsonl", "results.json"],
    },
    Stage {
        name: "report",
        program: "sky-eval",
        arguments: &["report"],
        folder: "report",
        files: &[],
    },
];

/// The checkout.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_path_buf()
}

/// `SKY_HOME`, or a line on standard error about what a test cannot do without it.
pub(crate) fn home() -> Option<PathBuf> {
    let home = env::var_os("SKY_HOME").map_or_else(|| root().join(".sky"), PathBuf::from);
    if home
        .join("models/smollm2-135m-instruct/model.gguf")
        .is_file()
        && home.join("python-guest/python3.11.wasm").is_file()
    {
        return home.canonicalize().ok();
    }
    let _ = std::io::Write::write_all(
        &mut std::io::stderr(),
        b"SKIPPED: set-up has not been run (`cargo xtask setup`), so the pipeline cannot run\n",
    );
    None
}

/// The folder of the programs: `SKY_BIN_DIR` as `cargo xtask test` gives it, else built here.
pub(crate) fn programs() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        if let Some(folder) = env::var_os("SKY_BIN_DIR") {
            return folder.into();
        }
        let mut cargo = Command::new(env!("CARGO"));
        cargo
            .args([
                "build",
                "--quiet",
                "--workspace",
                "--exclude",
                "xtask",
                "--bins",
            ])
            .current_dir(root());
        assert!(
            cargo.status().unwrap().success(),
            "the programs do not build"
        );
        Path::new(env!("CARGO_BIN_EXE_xtask"))
            .parent()
            .unwrap()
            .to_path_buf()
    })
}

/// One stage of a recipe in a run folder.
pub(crate) fn stage(index: usize, recipe: &Path, run: &Path) -> Command {
    let stage = &STAGES[index];
    let mut command = Command::new(programs().join(stage.program));
    command
        .args(stage.arguments)
        .arg("--recipe")
        .arg(recipe)
        .arg("--run")
        .arg(run)
        .stdin(Stdio::null());
    command
}

pub(crate) fn smoke() -> PathBuf {
    root().join("recipes/smoke.toml")
}

/// The smoke recipe with a tiny model as teacher and student, and a checkpoint at every step: each
/// stage takes a second, so that it can be killed, damaged and repeated.
pub(crate) fn tiny() -> PathBuf {
    static RECIPE: OnceLock<PathBuf> = OnceLock::new();
    RECIPE
        .get_or_init(|| {
            let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
            let model = folder.join("tiny-model");
            tiny_model::write(&model);
            let mut text = fs::read_to_string(smoke()).unwrap();
            for (old, new, times) in [
                (
                    "path = \"models/smollm2-135m-instruct/model.gguf\"",
                    format!("path = {model:?}"),
                    2,
                ),
                ("n = 2", "n = 4".to_owned(), 1),
                ("temperature = 0.8", "temperature = 1.0".to_owned(), 1),
                ("[train]", "[train]\nsave_every = 1".to_owned(), 1),
            ] {
                assert_eq!(text.matches(old).count(), times, "{old}");
                text = text.replace(old, &new);
            }
            let path = folder.join("tiny.toml");
            fs::write(&path, text).unwrap();
            path
        })
        .clone()
}

/// Runs a stage to its end and returns what it wrote to standard error.
#[track_caller]
pub(crate) fn finish(index: usize, run: &Path) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = stage(index, &tiny(), run).output().unwrap();
    let text = String::from_utf8_lossy(&[stdout, stderr.clone()].concat()).into_owned();
    assert!(
        status.success(),
        "stage {} in {}: {status}\n{text}",
        STAGES[index].name,
        run.display()
    );
    String::from_utf8_lossy(&stderr).into_owned()
}

/// A finished run of the tiny recipe that nothing disturbed, with each stage's time. Made once; a
/// static is never dropped, so it lies in the target folder, where the next one takes its place.
pub(crate) struct Reference {
    pub(crate) dir: PathBuf,
    pub(crate) times: Vec<Duration>,
}

pub(crate) fn reference() -> &'static Reference {
    static RUN: OnceLock<Reference> = OnceLock::new();
    RUN.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tiny-run");
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        let times = (0..STAGES.len())
            .map(|index| {
                let started = Instant::now();
                finish(index, &dir);
                started.elapsed()
            })
            .collect();
        Reference { dir, times }
    })
}

/// A copy of the reference's folders up to, not including, this stage.
pub(crate) fn prepared(until: usize) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for stage in &STAGES[..until] {
        let from = reference().dir.join(stage.folder);
        copy(&from, &dir.path().join(stage.folder));
    }
    dir
}

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// The SHA-256 of every file of a stage that has to be the same in every run.
#[track_caller]
pub(crate) fn results(index: usize, run: &Path) -> BTreeMap<String, String> {
    let Stage { folder, files, .. } = STAGES[index];
    files
        .iter()
        .map(|name| {
            let path = run.join(folder).join(name);
            let bytes =
                fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            (
                format!("{folder}/{name}"),
                sky_files::hex(&Sha256::digest(&bytes)),
            )
        })
        .collect()
}

/// All of [`results`] against the reference's.
#[track_caller]
pub(crate) fn assert_same_as_reference(index: usize, run: &Path) {
    assert_eq!(
        results(index, run),
        results(index, &reference().dir),
        "stage {}",
        STAGES[index].name
    );
}

/// Turns over one bit in the middle of a file.
pub(crate) fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

/// Waits until the condition holds; fails after ten minutes, naming what it waited for.
pub(crate) fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(
            started.elapsed() < Duration::from_secs(600),
            "waited too long for {what}"
        );
        thread::sleep(Duration::from_millis(20));
    }
}
