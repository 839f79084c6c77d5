//! What has to be checked on a machine with a GPU. Not yet run on one.

pub(crate) mod pack;

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use crate::{Exit, bench, setup, workspace::Workspace};

/// The parts, in order: each in a process of its own, since GPU memory is not given back within
/// one.
const PARTS: [&str; 16] = [
    "losses_are_the_cpu_s",
    "packed_documents_are_attended_to_by_one_kernel_as_one_by_one",
    "a_repeated_run_has_the_same_bits",
    "the_host_s_optimizer_gives_the_same_bits_wherever_the_rest_lies",
    "block_inputs_that_wait_on_the_host_change_no_bit",
    "nccl_works_on_one_gpu",
    "nccl_works_on_all_gpus_of_this_host",
    "training_over_nccl_learns_what_one_gpu_does",
    "a_checkpoint_goes_on_on_a_gpu_with_another_offload",
    "pace_of_half_a_billion_parameters_at_4_thousand_tokens_with_graphs_kept",
    "pace_of_half_a_billion_parameters_at_4_thousand_tokens",
    "pace_of_half_a_billion_parameters_at_16_thousand_tokens",
    "pace_of_half_a_billion_parameters_with_the_optimizer_offloaded",
    "pace_of_seven_billion_parameters_at_4_thousand_tokens",
    "pace_of_seven_billion_parameters_at_16_thousand_tokens",
    "pace_of_seven_billion_parameters_with_the_optimizer_offloaded",
];

/// The configurations of the models that are measured.
const SHAPES: &str = "crates/sky-train/tests/shapes";

/// Runs the checks of `crates/sky-train/tests/gpu.rs` against the CUDA build of libtorch.
///
/// # Errors
/// With exit code 2 where there is no GPU, 1 when a check fails.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let name = gpu()?;
    setup::run(workspace, true)?;
    println!("GPU: {name}");
    let libtorch = workspace.home.join("libtorch-cuda/torch");
    let figures = workspace.root.join("target/gpu-figures.jsonl");
    if figures.exists() {
        fs::remove_file(&figures)?;
    }
    let mut failed = Vec::new();
    for part in PARTS {
        if !check(workspace, &libtorch, &name, part, &figures)? {
            failed.push(part);
        }
    }
    println!();
    for part in PARTS {
        let mark = if failed.contains(&part) {
            "FAILED"
        } else {
            "ok"
        };
        println!("{mark:<7} {}", part.replace('_', " "));
    }
    let told = if figures.exists() {
        compare(workspace, &figures)
    } else {
        Ok(())
    };
    if failed.is_empty() {
        return told;
    }
    if let Err(error) = told {
        eprintln!("{error:#}");
    }
    Err(Exit::failed(format!(
        "{} of {} checks failed on this GPU",
        failed.len(),
        PARTS.len()
    )))
}

/// The first GPU's name, as its driver's own tool says it.
fn gpu() -> Result<String> {
    let output = Command::new("nvidia-smi")
        .args(["--query-gpu=name", "--format=csv,noheader"])
        .stdin(Stdio::null())
        .output();
    let name = output
        .ok()
        .filter(|output| output.status.success())
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .and_then(|names| names.lines().next().map(|name| name.trim().to_owned()));
    name.filter(|name| !name.is_empty()).ok_or_else(|| {
        Exit::user("there is no GPU here (nvidia-smi finds none): nothing was checked")
    })
}

/// Prints what was measured beside transformers at the same work.
fn compare(workspace: &Workspace, figures: &Path) -> Result<()> {
    let bench = workspace.root.join("benches/train");
    let requirements = bench.join("requirements.txt");
    let python = bench::venv(workspace, "train", &fs::read(&requirements)?, &requirements)?;
    let status = Command::new(python)
        .arg(workspace.root.join("xtask/src/gpu/figures.py"))
        .arg(figures)
        .arg(bench.join("peer.py"))
        .arg(workspace.root.join(SHAPES))
        .stdin(Stdio::null())
        .status()
        .context("the peer's Python does not start")?;
    ensure!(status.success(), "the figures could not be told: {status}");
    Ok(())
}

fn check(
    workspace: &Workspace,
    libtorch: &Path,
    gpu: &str,
    part: &str,
    figures: &Path,
) -> Result<bool> {
    let mut cargo = workspace.cargo();
    cargo
        .args(["test", "--package", "sky-train", "--test", "gpu", "--"])
        .args(["--ignored", "--exact", "--nocapture", part])
        .env("LIBTORCH", libtorch)
        .env("SKY_FIGURES", figures)
        // A folder of its own: the other libtorch's build stays as it is.
        .env("CARGO_TARGET_DIR", workspace.root.join("target/cuda"))
        .stdin(Stdio::null());
    if let Some(known) = known(gpu) {
        cargo.env("SKY_GPU", known);
    }
    Ok(cargo.status().context("cargo does not start")?.success())
}

/// What a GPU's name contains, in small letters, and its name in `crates/sky-plan/hardware.toml`;
/// the first that fits counts.
const KNOWN: [(&str, &str); 4] = [
    ("h200", "h200-141g"),
    ("h100", "h100-80g"),
    ("a100-sxm4-40", "a100-40g"),
    ("a100", "a100-80g"),
];

/// The name of a GPU whose peak is known.
fn known(name: &str) -> Option<&'static str> {
    let name = name.to_lowercase();
    KNOWN
        .into_iter()
        .find_map(|(part, known)| name.contains(part).then_some(known))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::{Mutex, MutexGuard, PoisonError};

    use super::*;

    /// For tests that start processes: one at a time.
    pub(super) fn alone() -> MutexGuard<'static, ()> {
        static ALONE: Mutex<()> = Mutex::new(());
        ALONE.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[test]
    fn every_part_is_a_test_and_every_test_is_a_part() {
        let text = include_str!("../../../crates/sky-train/tests/gpu.rs");
        let tests: Vec<&str> = text
            .split("#[ignore = \"needs a GPU\"]\nfn ")
            .skip(1)
            .filter_map(|rest| rest.split('(').next())
            .collect();
        assert_eq!(tests, PARTS);
    }

    #[test]
    fn gpus_are_known_by_the_names_of_the_hardware_file() {
        let file = include_str!("../../../crates/sky-plan/hardware.toml");
        for (name, known_as) in [
            ("NVIDIA H200", "h200-141g"),
            ("NVIDIA H100 80GB HBM3", "h100-80g"),
            ("NVIDIA A100-SXM4-40GB", "a100-40g"),
            ("NVIDIA A100-SXM4-80GB", "a100-80g"),
        ] {
            assert_eq!(known(name), Some(known_as));
            assert!(file.contains(&format!("[gpu.{known_as}]")));
        }
        assert_eq!(known("Tesla K80"), None);
    }

    #[test]
    fn a_machine_without_a_gpu_is_the_user_s_mistake() {
        let _alone = alone();
        match gpu() {
            Ok(name) => println!("skipped: this machine has {name}"),
            Err(error) => assert_eq!(error.downcast_ref::<Exit>().unwrap().code, 2),
        }
    }
}
