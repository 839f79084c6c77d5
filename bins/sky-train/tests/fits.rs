//! A run that this machine's memory cannot hold is refused before anything is read or written.
#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used)]

mod common;

use std::{fs, path::Path, process::Output};

use common::{command, outcome, prepare, set_up_model};

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A recipe whose student is known by its published name alone.
fn recipe(root: &Path, name: &str, settings: &str) {
    let model = root.join("not-here");
    fs::write(
        root.join("recipe.toml"),
        format!("v = 1\n[student]\npath = {model:?}\nname = \"{name}\"\n[train]\n{settings}\n"),
    )
    .unwrap();
    fs::create_dir_all(root.join("data")).unwrap();
    fs::write(
        root.join("data/sharegpt.json"),
        r#"[{"system": "", "conversations": [{"from": "user", "value": "1 + 1?"}, {"from": "assistant", "value": "2"}]}]"#,
    )
    .unwrap();
}

#[test]
fn a_model_of_72_billion_parameters_is_refused_with_what_it_needs_and_a_knob() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    recipe(root, "Qwen2.5-72B-Instruct", "precision = \"f32\"");
    if sky_plan::host_memory().is_none_or(|bytes| bytes > 1_100_000_000_000) {
        let _ = std::io::Write::write_all(
            &mut std::io::stderr(),
            b"SKIPPED: this machine may hold 16 bytes for each of 72.7 billion parameters\n",
        );
        return;
    }
    let output = command(root, "run", &[]).output().unwrap();
    let said = words(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    // 16 bytes for each of 72,706,203,648 parameters: 290.8 GB of weights, 290.8 of gradients,
    // 581.6 of moments.
    for part in [
        "needs about 11",
        "parameters 290.8, gradients 290.8, optimizer 581.6",
        "use a host with at least ",
        "--overcommit",
    ] {
        assert!(said.contains(part), "{said}");
    }
    assert_eq!(said.trim().lines().count(), 1, "{said}");
    assert!(!root.join("run/train").exists(), "nothing was begun");

    // Eight ranks, all on this host, keep a shard each: together as much, and a little more on its
    // way.
    let output = command(root, "run", &["launch", "-n", "8", "--"])
        .output()
        .unwrap();
    let said = words(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("8 processes, each parameters 36.4"), "{said}");

    // With --overcommit the user decides; the next error is reported.
    let output = command(root, "run", &[])
        .arg("--overcommit")
        .output()
        .unwrap();
    let said = words(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("not-here") && !said.contains("memory"),
        "{said}"
    );

    // A dry run says so and goes well.
    let output = command(root, "run", &[]).arg("--dry-run").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", words(&output));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("does not fit: use a host with"), "{said}");
}

#[test]
fn what_fits_is_trained() {
    let Some(source) = set_up_model() else { return };
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    prepare(root, &source, 2, "");
    let dry = command(root, "run", &[]).arg("--dry-run").output().unwrap();
    let said = String::from_utf8_lossy(&dry.stdout).into_owned();
    assert!(
        said.contains("GB of memory") && !said.contains("does not fit"),
        "{said}"
    );
    assert!(command(root, "run", &[]).status().unwrap().success());
    assert_eq!(outcome(root, "run").1.len(), 2);
}
