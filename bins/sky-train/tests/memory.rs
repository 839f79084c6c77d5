//! Predicted against measured peak memory of a process, alone or one of two, that trains
//! SmolLM2-135M on CPUs. Minutes long and up to 5 GB, so it is asked for: `cargo test --workspace
//! --test memory -- --ignored --nocapture --test-threads 1`.
#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used)]

mod common;

use std::{fs, path::Path};

use common::{finish, set_up_model};
use sky_plan::{CpuBytes, CpuPlan, CpuPlanInput, ModelShape, TrainConfig};
use sky_types::Conversation;

/// How far a prediction may be off, as a share of what was measured.
const TOLERANCE: f64 = 0.07;

/// How much a run does.
#[derive(Clone, Copy)]
struct RunSize {
    /// Steps, and rows of each step.
    count: u64,
    world_size: u64,
}

const USUAL: RunSize = RunSize {
    count: 2,
    world_size: 1,
};
const ONCE: RunSize = RunSize {
    count: 1,
    world_size: 1,
};
const TWO: RunSize = RunSize {
    count: 2,
    world_size: 2,
};

/// Peak memory of a run with these settings, a row to a micro-batch, and the plan's.
fn peaks(root: &Path, name: &str, size: RunSize, settings: &str) -> (CpuBytes, u64) {
    let RunSize { count, world_size } = size;
    let launch: &[&str] = match world_size {
        1 => &[],
        _ => &["launch", "-n", "2", "--"],
    };
    let text = format!(
        "max_steps = {count}\nglobal_batch = {count}\nsave_every = 1\nthreads = 2\nlearning_rate = 1e-6\nmicro_batch_tokens = 64\n{settings}\n"
    );
    let model = set_up_model().unwrap().canonicalize().unwrap();
    fs::write(
        root.join("recipe.toml"),
        format!(
            "v = 1\n[student]\npath = {model:?}\nname = \"SmolLM2-135M-Instruct\"\n[train]\n{text}"
        ),
    )
    .unwrap();
    finish(root, name, launch);
    let read = |file: &str| fs::read_to_string(root.join(name).join(file)).unwrap();
    let metrics = read("train/metrics.jsonl");
    let first: serde_json::Value = serde_json::from_str(metrics.lines().next().unwrap()).unwrap();
    assert_eq!(first["micro_batches"], count);
    let tokens = first["tokens"].as_u64().unwrap().div_ceil(count);
    let manifest: serde_json::Value = serde_json::from_str(&read("train/manifest.json")).unwrap();
    fs::remove_dir_all(root.join(name)).unwrap();

    let config: TrainConfig = toml::from_str(&text).unwrap();
    let plan = CpuPlan::new(&CpuPlanInput {
        shape: &ModelShape::known("SmolLM2-135M").unwrap(),
        config: &config,
        world_size,
        local_world_size: world_size,
        longest: tokens,
        steps: count,
        memory: u64::MAX,
    });
    eprintln!("{name}: {tokens} tokens a micro-batch");
    (plan.rank_bytes, manifest["peak_memory"].as_u64().unwrap())
}

/// One setting, with rows of `sums` sums: what the plan says of it and what a run takes.
fn compare(name: &str, sums: u32, size: RunSize, settings: &str) {
    if set_up_model().is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    fs::create_dir_all(root.join("data")).unwrap();
    let rows: Vec<Conversation> = (0..4)
        .map(|row| {
            let text: String = (100..100 + sums)
                .map(|i| format!("{i} + {row} = {}; ", i + row))
                .collect();
            Conversation::exchange("", format!("Add {row} to each."), text)
        })
        .collect();
    fs::write(
        root.join("data/sharegpt.json"),
        serde_json::to_string(&rows).unwrap(),
    )
    .unwrap();
    let (planned, measured) = peaks(root, name, size, settings);
    let off = planned.total as f64 / measured as f64 - 1.0;
    eprintln!(
        "{name:<14} planned {:.2} GB, measured {:.2} GB, {:+.1} %  {planned:?}",
        planned.total as f64 / 1e9,
        measured as f64 / 1e9,
        off * 100.0
    );
    let most = if planned.checkpoint > 0 {
        f64::INFINITY
    } else {
        TOLERANCE
    };
    assert!(
        -TOLERANCE < off && off < most,
        "off by {:.1} %",
        off * 100.0
    );
}

macro_rules! settings {
    ($($name:ident: $sums:literal, $size:ident, $text:literal,)*) => {$(
        #[test]
        #[ignore = "takes a minute and gigabytes"]
        fn $name() {
            compare(stringify!($name), $sums, $size, $text);
        }
    )*};
}

settings! {
    bf16: 80, USUAL, "activation_checkpointing = \"full\"\nbackground_save = false",
    bf16_moments: 80, USUAL, "activation_checkpointing = \"full\"\nbackground_save = false\noptimizer_dtype = \"bf16\"",
    f32: 80, USUAL, "activation_checkpointing = \"full\"\nbackground_save = false\nprecision = \"f32\"",
    graphs: 80, USUAL, "activation_checkpointing = \"none\"\nbackground_save = false",
    every_third: 80, USUAL, "activation_checkpointing = { selective = { every = 3 } }\nbackground_save = false",
    longer: 320, USUAL, "activation_checkpointing = \"full\"\nbackground_save = false",
    sixteen_thousand: 1150, ONCE, "activation_checkpointing = \"full\"\nbackground_save = false",
    two_ranks: 80, TWO, "activation_checkpointing = \"full\"\nbackground_save = false",
    two_ranks_stage_1: 80, TWO, "activation_checkpointing = \"full\"\nbackground_save = false\nzero_stage = 1",
    // The plan has the whole copy beside all gradients. Whether it is still there then is a matter
    // of the disk.
    copy: 80, USUAL, "activation_checkpointing = \"full\"",
}
