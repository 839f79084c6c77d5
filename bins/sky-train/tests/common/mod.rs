//! A run folder with everything `sky-train train` needs, small, and ways to start the program.
#![allow(dead_code, clippy::unwrap_used)]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use sky_files::hash_file;
use sky_model::{Config, ModelFiles, ModelText, SaveOptions, save_hf};
use sky_train::{StepMetrics, StepTime};
use sky_types::{Conversation, derive_seed};
use tch::Tensor;

/// What launchers set.
pub(crate) const RANK_NAMES: [&str; 5] = [
    "RANK",
    "WORLD_SIZE",
    "LOCAL_RANK",
    "MASTER_ADDR",
    "MASTER_PORT",
];

/// Where the set-up model lies, unless set-up has not been run.
pub(crate) fn set_up_model() -> Option<PathBuf> {
    let home = env::var_os("SKY_HOME").map_or_else(|| PathBuf::from(".sky"), PathBuf::from);
    let path = home.join("models/smollm2-135m-instruct/model.gguf");
    if !path.exists() {
        let _ = std::io::Write::write_all(
            &mut std::io::stderr(),
            format!(
                "SKIPPED: {} is missing; run `cargo xtask setup`\n",
                path.display()
            )
            .as_bytes(),
        );
        return None;
    }
    Some(path)
}

/// A run folder with data, a tiny model and a recipe.
pub(crate) fn prepare(root: &Path, source: &Path, steps: u64, more: &str) {
    let files = ModelFiles::open(source).unwrap();
    let vocab = files.config().vocab_size;
    let config = Config::from_json(&format!(
        r#"{{"model_type": "llama", "vocab_size": {vocab}, "hidden_size": 16, "intermediate_size": 24,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "tie_word_embeddings": true,
        "max_position_embeddings": 512}}"#
    ))
    .unwrap();
    let text = ModelText {
        tokenizer: &files.tokenizer().unwrap(),
        template: &files.chat_template().unwrap(),
    };
    save_hf(
        &root.join("student"),
        &config,
        Some(text),
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
             global_batch = 8\nlearning_rate = 1e-3\nsave_every = 3\nthreads = 1\n{more}\n"
        ),
    )
    .unwrap();
}

/// `sky-train BEFORE train --recipe ... --run ...`, as one process unless `before` says otherwise.
pub(crate) fn command(root: &Path, run: &str, before: &[&str]) -> Command {
    let folder = root.join(run);
    fs::create_dir_all(folder.join("selected")).unwrap();
    fs::copy(
        root.join("data/sharegpt.json"),
        folder.join("selected/sharegpt.json"),
    )
    .unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_sky-train"));
    for name in RANK_NAMES {
        command.env_remove(name);
    }
    command
        .args(before)
        .arg("train")
        .arg("--recipe")
        .arg(root.join("recipe.toml"))
        .arg("--run")
        .arg(folder);
    command
}

pub(crate) fn finish(root: &Path, run: &str, before: &[&str]) -> Output {
    let output = command(root, run, before).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// What a run leaves that must not depend on how often it was interrupted.
pub(crate) fn outcome(root: &Path, run: &str) -> (String, Vec<StepMetrics>) {
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

pub(crate) fn start(root: &Path, run: &str) -> Child {
    command(root, run, &[])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}
