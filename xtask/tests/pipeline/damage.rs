//! Damaged results, caches and models are found, and recomputed or refused.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Stdio,
};

use crate::common::{
    STAGES, assert_same_as_reference, copy, finish, flip, home, prepared, smoke, stage, tiny,
    wait_for,
};

#[test]
fn a_damaged_result_is_named_and_computed_again() {
    if home().is_none() {
        return;
    }
    let dir = prepared(STAGES.len());
    // The report stage reruns each time, whatever its folder holds.
    for (index, stage) in STAGES[..STAGES.len() - 1].iter().enumerate() {
        for (number, file) in stage.files.iter().chain(&["manifest.json"]).enumerate() {
            let path = dir.path().join(stage.folder).join(file);
            if number % 2 == 0 || *file == "manifest.json" {
                flip(&path);
            } else {
                let length = fs::metadata(&path).unwrap().len();
                fs::OpenOptions::new()
                    .write(true)
                    .open(&path)
                    .unwrap()
                    .set_len(length / 2)
                    .unwrap();
            }
            let said = finish(index, dir.path());
            assert!(
                said.contains(file) && said.contains("damaged"),
                "{}: {said}",
                stage.name
            );
            assert_same_as_reference(index, dir.path());
        }
    }
}

#[test]
fn a_damaged_result_is_refused_by_the_stages_that_read_it() {
    if home().is_none() {
        return;
    }
    let dir = prepared(STAGES.len() - 1);
    // A stage's result, and who reads it without visiting the stage itself.
    for (file, made_by, read_by) in [
        ("problems/heldout.jsonl", "problems", 1),
        ("problems/train.jsonl", "problems", 2),
        ("samples/samples.jsonl", "sample", 3),
        ("rewritten/samples.jsonl", "rewrite", 4),
        ("verdicts/verdicts.jsonl", "verify", 5),
        ("selected/sharegpt.json", "select", 6),
        ("train/model/config.json", "train", 7),
        ("train/metrics.jsonl", "train", 8),
        ("eval-after/samples.jsonl", "eval-after", 8),
        ("eval-before/manifest.json", "eval-before", 8),
    ] {
        let path = dir.path().join(file);
        let whole = fs::read(&path).unwrap();
        flip(&path);
        let folder = STAGES[read_by].folder;
        let before = fs::read(dir.path().join(folder).join("manifest.json")).ok();
        let output = stage(read_by, &tiny(), dir.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{file}: {said}");
        for part in [file, "damaged", made_by, "again"] {
            assert!(said.contains(part), "{file}, no {part:?}: {said}");
        }
        assert_eq!(
            fs::read(dir.path().join(folder).join("manifest.json")).ok(),
            before,
            "{file}: {folder} is touched"
        );
        fs::write(&path, whole).unwrap();
    }
}

#[test]
fn verdicts_on_code_depend_on_the_guest_and_no_others_do() {
    let Some(home) = home() else { return };
    let dir = prepared(5);
    let own = tempfile::tempdir().unwrap();
    let own = own.path();
    for part in ["libtorch", "models", "datasets", "python-guest"] {
        symlink(home.join(part), own.join(part)).unwrap();
    }
    copy(&home.join("receipts"), &own.join("receipts"));
    let run = |index: usize| {
        let output = stage(index, &tiny(), dir.path())
            .env("SKY_HOME", own)
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        (
            output.status.code(),
            String::from_utf8_lossy(&text).into_owned(),
        )
    };
    let (code, said) = run(4);
    assert!(code == Some(0) && said.contains("done before"), "{said}");
    let receipt = own.join("receipts/python-guest.json");
    let text = fs::read_to_string(&receipt).unwrap();
    fs::write(&receipt, text + "\n").unwrap();
    let (code, said) = run(4);
    assert!(
        code == Some(2) && said.contains("settings (guest:"),
        "{said}"
    );
    // No code is held out.
    let (code, said) = run(1);
    assert!(code == Some(0) && said.contains("done before"), "{said}");
    for folder in ["verdicts", "eval-before"] {
        let text = fs::read_to_string(dir.path().join(folder).join("manifest.json")).unwrap();
        let manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
        for key in ["revision", "verifier"] {
            assert!(manifest["config"][key].is_u64(), "{folder}: {key}");
        }
    }
}

#[test]
fn a_damaged_line_of_a_journal_is_computed_again() {
    if home().is_none() {
        return;
    }
    let dir = prepared(2);
    let journal = dir.path().join("samples/samples.journal");
    let mut child = stage(2, &tiny(), dir.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut ended = false;
    wait_for("the first samples", || {
        ended = child.try_wait().unwrap().is_some();
        ended || journal.metadata().is_ok_and(|file| file.len() > 0)
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!ended, "the stage ended before it could be stopped");
    flip(&journal);
    finish(2, dir.path());
    assert_same_as_reference(2, dir.path());
}

#[test]
fn a_damaged_sandbox_cache_is_made_again() {
    let Some(home) = home() else { return };
    let dir = prepared(4);
    let own = dir.path().join("home");
    fs::create_dir(&own).unwrap();
    for part in ["libtorch", "models", "datasets", "python-guest"] {
        symlink(home.join(part), own.join(part)).unwrap();
    }
    let verify = |expected: &str| {
        let _ = fs::remove_dir_all(dir.path().join("verdicts"));
        let output = stage(4, &tiny(), dir.path())
            .env("SKY_HOME", &own)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.success() && said.contains(expected),
            "{expected}: {said}"
        );
        assert_same_as_reference(4, dir.path());
    };
    verify("");
    let mut cached = Vec::new();
    files(&own.join("cache"), &mut cached);
    assert!(
        !cached.is_empty(),
        "the sandbox keeps no cache under SKY_HOME"
    );
    for path in cached {
        flip(&path);
        verify(&path.file_name().unwrap().to_string_lossy());
    }
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().unwrap().is_dir() {
            files(&entry.path(), found);
        } else if entry.metadata().unwrap().len() > 0 {
            found.push(entry.path());
        }
    }
}

#[test]
fn a_damaged_model_in_the_cache_is_refused() {
    let Some(home) = home() else { return };
    let dir = prepared(2);
    let own = dir.path().join("home");
    let model = "models/smollm2-135m-instruct";
    copy(&home.join(model), &own.join(model));
    copy(&home.join("receipts"), &own.join("receipts"));
    flip(&own.join(model).join("model.gguf"));
    for index in [1, 2, 6] {
        let output = stage(index, &smoke(), dir.path())
            .env("SKY_HOME", &own)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(
            said.contains("model.gguf") && said.contains("cargo xtask setup"),
            "{said}"
        );
    }
}
