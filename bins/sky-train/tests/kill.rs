//! The program itself, killed at random moments: the same command ends with the same model, byte
//! for byte. Needs the tokenizer of the set-up model; the network it trains is a tiny random one.
#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    fs,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use common::{finish, outcome, prepare, set_up_model, start};
use sky_types::derive_seed;

#[test]
fn killed_at_random_moments_the_run_ends_with_the_same_bytes() {
    let Some(source) = set_up_model() else { return };
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    prepare(root, &source, 12, "");
    let begun = Instant::now();
    finish(root, "whole", &[]);
    let length = begun.elapsed();
    let expected = outcome(root, "whole");
    assert_eq!(expected.1.len(), 12);
    assert!(expected.1[11].loss < expected.1[0].loss);

    for round in 0..4_u64 {
        let run = format!("cut-{round}");
        for attempt in 0..2 {
            let mut child = start(root, &run);
            let share = derive_seed(round, "kill", attempt) as f64 / u64::MAX as f64;
            thread::sleep(length.mul_f64(share));
            // It may have ended by itself.
            let _ = child.kill();
            child.wait().unwrap();
        }
        finish(root, &run, &[]);
        assert_eq!(outcome(root, &run), expected, "round {round}");
        assert!(
            !root.join(&run).join("train/in-progress.json").exists(),
            "the stage is complete"
        );
    }
    let again = String::from_utf8(finish(root, "whole", &[]).stdout).unwrap();
    assert!(again.contains("done before"), "{again}");
}

#[test]
fn a_polite_signal_saves_and_ends_well() {
    let Some(source) = set_up_model() else { return };
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    prepare(root, &source, 2000, "");
    let mut child = start(root, "run");
    let metrics = root.join("run/train/metrics.jsonl");
    let deadline = Instant::now() + Duration::from_secs(120);
    while fs::read_to_string(&metrics).map_or(0, |text| text.lines().count()) < 2 {
        assert!(Instant::now() < deadline, "no step in two minutes");
        thread::sleep(Duration::from_millis(20));
    }
    let killed = Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
    assert!(child.wait().unwrap().success());
    let steps = fs::read_to_string(&metrics).unwrap().lines().count();
    let saved = root.join(format!(
        "run/train/checkpoints/step-{steps:08}/manifest.json"
    ));
    assert!(saved.exists(), "{}", saved.display());
    assert!(!root.join("run/train/manifest.json").exists());
}

#[test]
fn a_dry_run_needs_neither_model_nor_data_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let recipe = dir.path().join("big.toml");
    fs::write(
        &recipe,
        "v = 1\n[student]\npath = \"Qwen/Qwen2.5-32B-Instruct\"\nname = \"Qwen2.5-32B-Instruct\"\n[train]\n\
         [hardware]\nrows = 16401\ntokens_per_row = 4096\n",
    )
    .unwrap();
    let program = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_sky-train"))
            .args(args)
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            output.status.code(),
            text(output.stdout),
            text(output.stderr),
        )
    };
    let run = dir.path().join("run");
    let (recipe, run) = (recipe.to_str().unwrap(), run.to_str().unwrap());
    let (code, out, err) = program(&["train", "--recipe", recipe, "--run", run, "--dry-run"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(
        out.contains("513 steps") && out.contains("32.76 B"),
        "{out}"
    );
    assert!(!Path::new(run).exists());

    let (code, out, err) = program(&["plan", recipe, "--json"]);
    assert_eq!(code, Some(0), "{err}");
    let plan: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(plan["fits"], true);
    for key in [
        "gpu_bytes",
        "host_bytes",
        "step_seconds",
        "hours",
        "dollars",
        "assumptions",
    ] {
        assert!(!plan[key].is_null(), "{key}");
    }
    assert_eq!(program(&["plan", recipe, "--gpu", "h100-80"]).0, Some(2));

    for (text, place) in [
        ("[train]\nepocs = 3", "bad.toml:5: train.epocs"),
        (
            "[train]\nlearning_rate = -1.0",
            "bad.toml:5: train.learning_rate",
        ),
        ("[student2]\npath = \"x\"", "bad.toml:4: student2"),
    ] {
        let bad = dir.path().join("bad.toml");
        fs::write(
            &bad,
            format!("v = 1\n[student]\npath = \"Qwen/Qwen2.5-7B\"\n{text}\n"),
        )
        .unwrap();
        let (code, _, err) = program(&[
            "train",
            "--recipe",
            bad.to_str().unwrap(),
            "--run",
            run,
            "--dry-run",
        ]);
        assert_eq!(code, Some(2), "{err}");
        assert!(err.contains(place), "{err}");
        assert_eq!(err.trim().lines().count(), 1, "{err}");
    }
}
