//! What the examples show is true.
#![allow(clippy::unwrap_used)]

use std::{env, process::Command};

/// Runs an example beside this test's own program, its files in a folder that goes with the test; nothing when it was not built.
fn example(name: &str) -> Option<String> {
    let built = env::current_exe().unwrap();
    let program = built
        .parent()
        .and_then(|deps| deps.parent())
        .unwrap()
        .join("examples")
        .join(name);
    if !program.exists() {
        eprintln!("SKIPPED: {name} is not built; `cargo test` without `--test` builds it");
        return None;
    }
    let scratch = tempfile::tempdir().unwrap();
    let output = Command::new(program)
        .env("TMPDIR", scratch.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_layer_of_one_s_own_learns_to_count() {
    let Some(said) = example("custom_training") else {
        return;
    };
    let losses: Vec<f64> = said
        .lines()
        .filter_map(|line| line.split_once("loss ")?.1.split(' ').next()?.parse().ok())
        .collect();
    let (first, last) = (losses[0], losses[losses.len() - 1]);
    assert!(losses.len() == 8 && last < 0.1 * first, "{said}");
}
