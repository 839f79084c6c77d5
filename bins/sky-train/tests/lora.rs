//! Adapters through the program: trained, merged, written alone; what is wrong with a recipe or a
//! command is named.
#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used)]

mod common;

use std::{fs, path::Path, process::Command, process::Output};

use common::{command, finish, outcome, prepare, set_up_model};
use sky_files::hash_file;

fn export(root: &Path, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sky-train"))
        .current_dir(root)
        .args(["export", "--from", "run/train/checkpoints"])
        .args(more)
        .output()
        .unwrap()
}

#[test]
fn adapters_are_trained_merged_and_written_alone() {
    let Some(source) = set_up_model() else { return };
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    prepare(root, &source, 6, "lora = { rank = 4 }");
    finish(root, "run", &[]);
    let (model, metrics) = outcome(root, "run");
    assert_eq!(metrics.len(), 6);
    let files = |folder: &str| hash_file(&root.join(folder).join("model.safetensors")).unwrap();
    assert_ne!(files("student").sha256, model, "the model was trained");

    let refused = export(root, &["--out", "nowhere"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(
        said.contains("--base") && said.contains("--adapter"),
        "{said}"
    );
    let merged = export(root, &["--base", "student", "--out", "merged"]);
    assert!(
        merged.status.success(),
        "{}",
        String::from_utf8_lossy(&merged.stderr)
    );
    assert_eq!(files("merged").sha256, model, "the end of a run merges too");
    let adapter = export(
        root,
        &["--base", "student", "--adapter", "--out", "adapter"],
    );
    assert!(adapter.status.success());
    let description = fs::read_to_string(root.join("adapter/adapter_config.json")).unwrap();
    assert!(description.contains("\"student\"") && description.contains("up_proj"));
    assert!(root.join("adapter/adapter_model.safetensors").exists());

    // Two ranks: the sums' last bits differ, the loss does not.
    finish(root, "two", &["launch", "-n", "2", "--"]);
    let (_, shared) = outcome(root, "two");
    for (a, b) in metrics.iter().zip(&shared) {
        assert!(
            (a.loss - b.loss).abs() < 2e-3 * a.loss,
            "{} {}",
            a.loss,
            b.loss
        );
    }
    // The first run's model does not belong to its own adapters.
    let other = export(root, &["--base", "merged", "--out", "nowhere"]);
    let said = String::from_utf8_lossy(&other.stderr).into_owned();
    assert!(
        !other.status.success() && said.contains("another base model"),
        "{said}"
    );
    assert!(!root.join("nowhere").exists());
}

#[test]
fn what_is_wrong_in_the_recipe_is_named() {
    let Some(source) = set_up_model() else { return };
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    for (settings, named) in [
        ("lora = { rank = 0 }", "rank must be from 1"),
        (
            "lora = { targets = [\"q_porj\"] }",
            "did you mean `q_proj`?",
        ),
        ("lora = { targets = [] }", "at least one projection"),
        ("lora = { rnak = 8 }", "did you mean `rank`?"),
        ("lora = { alpha = 0.0 }", "alpha must be a positive number"),
    ] {
        prepare(root, &source, 6, settings);
        let output = command(root, "run", &[]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{settings}: {said}");
        let place = said.contains("recipe.toml:") && said.contains("train.lora");
        assert!(place && said.contains(named), "{settings}: {said}");
    }
}
