//! The program itself, killed at random moments: the same command ends with the same model, byte for byte. Needs the
//! tokenizer of the set-up model; the network it trains is a tiny random one.
#![allow(clippy::unwrap_used)]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use sky_files::hash_file;
use sky_model::{Config, ModelFiles, SaveOptions, save_hf};
use sky_train::{StepMetrics, StepTime};
use sky_types::{Conversation, derive_seed};
use tch::Tensor;

/// Where the set-up model lies, unless set-up has not been run.
fn set_up_model() -> Option<PathBuf> {
    let home = env::var_os("SKY_HOME").map_or_else(|| PathBuf::from(".sky"), PathBuf::from);
    let path = home.join("models/smollm2-135m-instruct/model.gguf");
    if !path.exists() {
        eprintln!(
            "SKIPPED: {} is missing; run `cargo xtask setup`",
            path.display()
        );
        return None;
    }
    Some(path)
}

/// A run folder with data, a tiny model and a recipe.
fn prepare(root: &Path, source: &Path, steps: u64) {
    let files = ModelFiles::open(source).unwrap();
    let vocab = files.config().vocab_size;
    let config = Config::from_json(&format!(
        r#"{{"model_type": "llama", "vocab_size": {vocab}, "hidden_size": 16, "intermediate_size": 24,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "tie_word_embeddings": true,
        "max_position_embeddings": 512}}"#
    ))
    .unwrap();
    let text = (files.tokenizer().unwrap(), files.chat_template().unwrap());
    save_hf(
        &root.join("student"),
        &config,
        Some((&text.0, &text.1)),
        SaveOptions::default(),
        &mut |param| {
            let centre = if param.decay { 0.0 } else { 1.0 };
            let values: Vec<f32> = (0..param.numel() as u64)
                .map(|i| {
                    let unit = derive_seed(1, &param.name, i) as f64 / u64::MAX as f64 - 0.5;
                    (centre + 0.2 * unit) as f32
                })
                .collect();
            Ok(Tensor::f_from_slice(&values)?.f_view(param.shape.as_slice())?)
        },
    )
    .unwrap();
    let rows: Vec<Conversation> = (0..24)
        .map(|i| {
            Conversation::exchange(
                "",
                format!("What is {i} + {}?", i * 3),
                format!("The answer is {}.", i * 4),
            )
        })
        .collect();
    fs::create_dir_all(root.join("data")).unwrap();
    fs::write(
        root.join("data/sharegpt.json"),
        serde_json::to_string(&rows).unwrap(),
    )
    .unwrap();
    let student = root.join("student");
    fs::write(
        root.join("recipe.toml"),
        format!(
            "v = 1\nseed = 3\n[student]\npath = {student:?}\nname = \"tiny\"\n[train]\nepochs = 100\nmax_steps = {steps}\n\
             global_batch = 8\nlearning_rate = 1e-3\nsave_every = 3\nthreads = 1\n"
        ),
    )
    .unwrap();
}

fn command(root: &Path, run: &str, more: &[&str]) -> Command {
    let folder = root.join(run);
    fs::create_dir_all(folder.join("selected")).unwrap();
    fs::copy(
        root.join("data/sharegpt.json"),
        folder.join("selected/sharegpt.json"),
    )
    .unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_sky-train"));
    command
        .arg("train")
        .arg("--recipe")
        .arg(root.join("recipe.toml"))
        .arg("--run")
        .arg(folder)
        .args(more);
    command
}

fn finish(root: &Path, run: &str) -> Output {
    let output = command(root, run, &[]).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// What a run leaves that must not depend on how often it was interrupted.
fn outcome(root: &Path, run: &str) -> (String, Vec<StepMetrics>) {
    let train = root.join(run).join("train");
    let metrics = sky_files::read_jsonl::<StepMetrics>(&train.join("metrics.jsonl"))
        .unwrap()
        .map(|row| StepMetrics {
            time: StepTime::default(),
            ..row.unwrap()
        })
        .collect();
    let model = hash_file(&train.join("model/model.safetensors")).unwrap();
    (model.sha256, metrics)
}

fn start(root: &Path, run: &str) -> Child {
    command(root, run, &[])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn killed_at_random_moments_the_run_ends_with_the_same_bytes() {
    let Some(source) = set_up_model() else { return };
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    prepare(root, &source, 12);
    let begun = Instant::now();
    finish(root, "whole");
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
        finish(root, &run);
        assert_eq!(outcome(root, &run), expected, "round {round}");
        assert!(
            !root.join(&run).join("train/begun.json").exists(),
            "the stage is complete"
        );
    }
    let again = String::from_utf8(finish(root, "whole").stdout).unwrap();
    assert!(again.contains("done before"), "{again}");
}

#[test]
fn a_polite_signal_saves_and_ends_well() {
    let Some(source) = set_up_model() else { return };
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    prepare(root, &source, 2000);
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
