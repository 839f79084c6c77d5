//! Predicted against measured peak memory of one process that trains SmolLM2-135M on CPUs. Minutes long and up to 5 GB, so
//! it is asked for: `cargo test --workspace --test memory -- --ignored --nocapture`.
#![allow(clippy::unwrap_used)]

mod common;

use std::{fs, path::Path};

use common::{finish, set_up_model};
use sky_train::{CpuPlan, CpuPlanInput, ModelShape, TrainConfig};
use sky_types::Conversation;

/// How far a prediction may be off, as a share of what was measured.
const TOLERANCE: f64 = 0.07;

/// Peak memory of a run of four steps with these settings, and the plan's.
fn peaks(root: &Path, name: &str, settings: &str) -> (u64, u64) {
    let text = format!(
        "max_steps = 4\nglobal_batch = 24\nsave_every = 1\nthreads = 2\nlearning_rate = 1e-6\n{settings}\n"
    );
    let model = set_up_model().unwrap().canonicalize().unwrap();
    fs::write(
        root.join("recipe.toml"),
        format!(
            "v = 1\n[student]\npath = {model:?}\nname = \"SmolLM2-135M-Instruct\"\n[train]\n{text}"
        ),
    )
    .unwrap();
    finish(root, name, &[]);
    let manifest = fs::read_to_string(root.join(name).join("train/manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    fs::remove_dir_all(root.join(name)).unwrap();

    let config: TrainConfig = toml::from_str(&text).unwrap();
    let plan = CpuPlan::new(&CpuPlanInput {
        shape: &ModelShape::known("SmolLM2-135M").unwrap(),
        config: &config,
        world: 1,
        local_world: 1,
        longest: config.micro_batch_tokens as u64,
        steps: 4,
        memory: u64::MAX,
    });
    (plan.host_bytes, manifest["peak_memory"].as_u64().unwrap())
}

#[test]
#[ignore = "takes minutes and gigabytes"]
fn the_plan_tells_peak_memory_in_six_settings() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    if set_up_model().is_none() {
        return;
    }
    fs::create_dir_all(root.join("data")).unwrap();
    let rows: Vec<Conversation> = (0..24)
        .map(|row| {
            let sum: String = (0..40)
                .map(|i| format!("{i} + {row} = {}; ", i + row))
                .collect();
            Conversation::exchange("", format!("Add {row} to each."), sum)
        })
        .collect();
    fs::write(
        root.join("data/sharegpt.json"),
        serde_json::to_string(&rows).unwrap(),
    )
    .unwrap();
    let full = "activation_checkpointing = \"full\"";
    let settings = [
        ("bf16", format!("{full}\nmicro_batch_tokens = 1024")),
        (
            "no-copy",
            format!("{full}\nmicro_batch_tokens = 1024\nbackground_save = false"),
        ),
        (
            "bf16-moments",
            format!("{full}\nmicro_batch_tokens = 1024\nmoments = \"bf16\""),
        ),
        (
            "f32",
            format!("{full}\nmicro_batch_tokens = 1024\nprecision = \"f32\""),
        ),
        (
            "graphs",
            "activation_checkpointing = \"none\"\nmicro_batch_tokens = 1024".into(),
        ),
        ("4096-tokens", format!("{full}\nmicro_batch_tokens = 4096")),
    ];
    let mut worst: f64 = 0.0;
    for (name, text) in settings {
        let (planned, measured) = peaks(root, name, &text);
        let off = planned as f64 / measured as f64 - 1.0;
        eprintln!(
            "{name:<14} planned {:.2} GB, measured {:.2} GB, {:+.1} %",
            planned as f64 / 1e9,
            measured as f64 / 1e9,
            off * 100.0
        );
        worst = worst.max(off.abs());
    }
    assert!(worst < TOLERANCE, "off by {:.1} %", worst * 100.0);
}
