//! Several processes on one host: what they learn, who writes, and what happens when one dies.
//! Needs the tokenizer of the set-up model; the network they train is a tiny random one.
#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use common::{RANK_NAMES, command, finish, outcome, prepare, set_up_model};

const LAUNCH: [&str; 4] = ["launch", "-n", "4", "--"];
/// Longest wait for a peer in these tests, in seconds.
const TIMEOUT: u64 = 20;

fn settings(more: &str) -> String {
    format!("precision = \"f32\"\ncollective_timeout = {TIMEOUT}\n{more}")
}

fn lines(root: &Path, run: &str) -> usize {
    let path = root.join(run).join("train/metrics.jsonl");
    fs::read_to_string(path).map_or(0, |text| text.lines().count())
}

fn wait_for_steps(root: &Path, run: &str, steps: usize) {
    let deadline = Instant::now() + Duration::from_secs(180);
    while lines(root, run) < steps {
        assert!(
            Instant::now() < deadline,
            "not {steps} steps in three minutes"
        );
        thread::sleep(Duration::from_millis(10));
    }
}

fn kill(signal: &str, pid: u32) {
    let sent = Command::new("kill")
        .args([signal, &pid.to_string()])
        .status()
        .unwrap();
    assert!(sent.success());
}

/// The processes that a process has started.
fn children(pid: u32) -> Vec<u32> {
    fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))
        .unwrap()
        .split_whitespace()
        .map(|child| child.parse().unwrap())
        .collect()
}

fn piped(mut command: Command) -> Child {
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// One process a rank, as a cluster's launcher starts them.
fn start_ranks(root: &Path, run: &str, world_size: usize, options: &[&str]) -> Vec<Child> {
    let port = sky_train::free_port().unwrap();
    (0..world_size)
        .map(|rank| {
            let mut command = command(root, run, &[]);
            command
                .args(options)
                .env("RANK", rank.to_string())
                .env("LOCAL_RANK", rank.to_string())
                .env("WORLD_SIZE", world_size.to_string())
                .env("MASTER_ADDR", "127.0.0.1")
                .env("MASTER_PORT", port.to_string());
            piped(command)
        })
        .collect()
}

#[test]
fn four_processes_learn_what_one_does_and_one_of_them_writes() {
    let Some(source) = set_up_model() else { return };
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    prepare(
        root,
        &source,
        8,
        &settings("validation_rows = 3\nvalidate_every = 4"),
    );
    finish(root, "alone", &[]);
    let first = finish(root, "four", &LAUNCH);
    let (alone, four) = (outcome(root, "alone"), outcome(root, "four"));
    assert_eq!(four.1.len(), 8);
    for (a, b) in alone.1.iter().zip(&four.1) {
        assert!(
            (a.loss - b.loss).abs() < 1e-5 * a.loss,
            "{} {}",
            a.loss,
            b.loss
        );
        assert_eq!(a.rows, b.rows);
        assert_eq!(a.validation_loss.is_some(), a.step % 4 == 0);
        let (a, b) = (
            a.validation_loss.unwrap_or(1.0),
            b.validation_loss.unwrap_or(1.0),
        );
        assert!((a - b).abs() < 1e-5 * a, "{a} {b}");
    }
    let text = String::from_utf8(first.stdout).unwrap();
    assert_eq!(text.lines().count(), 1, "one rank speaks: {text}");
    let parts = fs::read_dir(root.join("four/train/checkpoints/step-00000008")).unwrap();
    assert_eq!(parts.count(), 4 + 3);
    let again = String::from_utf8(finish(root, "four", &LAUNCH).stdout).unwrap();
    assert!(again.contains("done before"), "{again}");
}

#[test]
fn a_rank_that_is_killed_ends_the_others_by_name_and_the_run_goes_on_to_the_same_bits() {
    let Some(source) = set_up_model() else { return };
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    prepare(root, &source, 60, &settings(""));
    finish(root, "whole", &LAUNCH);
    let expected = outcome(root, "whole");
    // Who is stopped is not dead but hangs, as a host that has lost its network does.
    for (victim, signal) in [(2, "-KILL"), (0, "-KILL"), (1, "-STOP"), (0, "-STOP")] {
        let run = format!("without-{victim}{signal}");
        let mut ranks = start_ranks(root, &run, 4, &[]);
        wait_for_steps(root, &run, 7);
        let killed = Instant::now();
        kill(signal, ranks[victim].id());
        let mut fallen = ranks.remove(victim);
        let others = (0..4).filter(|rank| *rank != victim);
        for (rank, process) in others.zip(ranks) {
            let output = process.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{said}");
            assert!(
                said.contains(&format!("rank {victim} is gone")),
                "rank {rank}: {said}"
            );
            assert!(said.contains(&format!("rank {rank}: ")), "{said}");
            assert_eq!(said.trim().lines().count(), 1, "{said}");
        }
        let took = killed.elapsed();
        fallen.kill().unwrap();
        fallen.wait().unwrap();
        assert!(took < Duration::from_secs(TIMEOUT), "{took:?}");
        assert!(lines(root, &run) < 60, "it was cut short");
        finish(root, &run, &LAUNCH);
        assert_eq!(outcome(root, &run), expected, "without {victim}");
    }
}

/// The same command under torchrun, which serves the store itself and restarts all ranks when
/// one dies.
#[test]
fn torchrun_starts_a_group_and_restarts_it_from_the_newest_checkpoint() {
    let Some(source) = set_up_model() else { return };
    let Some(python) = python_with_torch() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    prepare(root, &source, 60, &settings(""));
    finish(root, "whole", &LAUNCH);
    let ours = command(root, "torchrun", &[]);
    let mut torchrun = Command::new(python);
    torchrun
        .args(["-m", "torch.distributed.run", "--nproc-per-node", "4"])
        .args(["--master-addr", "127.0.0.1", "--master-port"])
        .arg(sky_train::free_port().unwrap().to_string())
        .args(["--max-restarts", "1", "--no-python", "--"])
        .arg(ours.get_program())
        .args(ours.get_args());
    for name in RANK_NAMES {
        torchrun.env_remove(name);
    }
    let launcher = piped(torchrun);
    wait_for_steps(root, "torchrun", 7);
    kill("-KILL", children(launcher.id())[1]);
    let output = launcher.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert_eq!(outcome(root, "torchrun"), outcome(root, "whole"));
}

/// Where a bench has installed torch.
fn python_with_torch() -> Option<String> {
    let python = std::env::var("SKY_TRANSFORMERS_PYTHON").ok();
    if python.is_none() {
        let _ = std::io::Write::write_all(
            &mut std::io::stderr(),
            b"SKIPPED: name a Python with torch, for torchrun, in SKY_TRANSFORMERS_PYTHON\n",
        );
    }
    python
}

#[test]
fn the_launcher_names_the_rank_that_failed_and_passes_signals_on() {
    let Some(source) = set_up_model() else { return };
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    prepare(root, &source, 5000, &settings(""));

    let launcher = piped(command(root, "killed", &LAUNCH));
    wait_for_steps(root, "killed", 2);
    let ranks = children(launcher.id());
    assert_eq!(ranks.len(), 4);
    kill("-KILL", ranks[1]);
    let output = launcher.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(128 + 9), "{said}");
    assert!(said.contains("rank 1 was ended by signal 9"), "{said}");
    for rank in ranks {
        assert!(
            !Path::new(&format!("/proc/{rank}")).exists(),
            "{rank} is left"
        );
    }

    let launcher = piped(command(root, "polite", &LAUNCH));
    wait_for_steps(root, "polite", 2);
    kill("-TERM", launcher.id());
    let output = launcher.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(
        said.contains("saved") && said.trim().lines().count() == 1,
        "{said}"
    );
    let steps = lines(root, "polite");
    let saved = root.join(format!(
        "polite/train/checkpoints/step-{steps:08}/manifest.json"
    ));
    assert!(saved.exists(), "{}", saved.display());

    // A launcher that is killed takes its ranks with it.
    let mut launcher = piped(command(root, "polite", &LAUNCH));
    wait_for_steps(root, "polite", steps + 1);
    let ranks = children(launcher.id());
    launcher.kill().unwrap();
    launcher.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while ranks.iter().any(|rank| alive(*rank)) {
        assert!(Instant::now() < deadline, "ranks outlive their launcher");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_signal_that_comes_twice_is_one_and_what_is_to_be_ignored_is() {
    let Some(source) = set_up_model() else { return };
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    prepare(root, &source, 5000, "");
    // As `timeout` and Ctrl-C send it: to the process, and again to its group.
    let trainer = piped(command(root, "twice", &[]));
    wait_for_steps(root, "twice", 2);
    let both = format!("kill -INT {0}; kill -TERM {0}", trainer.id());
    assert!(
        Command::new("sh")
            .args(["-c", &both])
            .status()
            .unwrap()
            .success()
    );
    let output = trainer.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("saved"), "{said}");

    // As `nohup` starts it, when the terminal goes away.
    let plain = command(root, "nohup", &LAUNCH);
    let mut nohup = Command::new("sh");
    nohup
        .args(["-c", "trap '' HUP; exec \"$0\" \"$@\""])
        .arg(plain.get_program())
        .args(plain.get_args());
    for name in RANK_NAMES {
        nohup.env_remove(name);
    }
    let launcher = piped(nohup);
    wait_for_steps(root, "nohup", 2);
    kill("-HUP", launcher.id());
    for rank in children(launcher.id()) {
        kill("-HUP", rank);
    }
    let steps = lines(root, "nohup");
    wait_for_steps(root, "nohup", steps + 5);
    kill("-TERM", launcher.id());
    assert!(launcher.wait_with_output().unwrap().status.success());
}

#[test]
fn no_rank_has_ended_well_before_the_stage_has() {
    let Some(source) = set_up_model() else { return };
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    prepare(root, &source, 40, &settings(""));
    finish(root, "whole", &LAUNCH);
    let ranks = start_ranks(root, "run", 4, &[]);
    wait_for_steps(root, "run", 1);
    // Rank 0 cannot write it when all steps are done.
    let manifest = root.join("run/train/manifest.json");
    fs::create_dir(&manifest).unwrap();
    for (rank, process) in ranks.into_iter().enumerate() {
        let output = process.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "rank {rank}: {said}");
        assert!(said.contains("manifest.json"), "rank {rank}: {said}");
    }
    fs::remove_dir(&manifest).unwrap();
    finish(root, "run", &LAUNCH);
    assert_eq!(outcome(root, "run"), outcome(root, "whole"));
}

#[test]
fn a_scheduler_may_be_told_that_a_run_was_stopped() {
    let Some(source) = set_up_model() else { return };
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    prepare(root, &source, 5000, &settings(""));
    let mut ranks = start_ranks(root, "run", 2, &["--stopped-code", "75"]);
    wait_for_steps(root, "run", 2);
    kill("-TERM", ranks[1].id());
    for rank in &mut ranks {
        assert_eq!(rank.wait().unwrap().code(), Some(75));
    }
    let steps = lines(root, "run");
    let mut launched = command(root, "run", &LAUNCH);
    launched.args(["--stopped-code", "75"]);
    let launcher = piped(launched);
    wait_for_steps(root, "run", steps + 1);
    kill("-TERM", launcher.id());
    let output = launcher.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(75), "{said}");
    assert!(said.starts_with("train: stopped after step"), "{said}");
}

#[test]
fn a_launcher_that_is_stopped_before_its_ranks_listen_has_not_failed() {
    let Some(source) = set_up_model() else { return };
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    prepare(root, &source, 5000, "");
    let launcher = piped(command(root, "early", &LAUNCH));
    while children(launcher.id()).len() < 4 {
        thread::sleep(Duration::from_millis(1));
    }
    kill("-TERM", launcher.id());
    let output = launcher.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    // Should one rank be so quick that all of them have begun, they have saved.
    assert!(said.contains("stopped"), "{said}");
    assert!(
        said.contains("before the run had begun") || said.contains("saved"),
        "{said}"
    );
}

/// Whether a process runs; one that has ended but was not waited for does not.
fn alive(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|text| !text.rsplit(')').next().unwrap().trim().starts_with('Z'))
}

#[test]
fn wrong_starts_are_refused_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    fs::create_dir_all(root.join("data")).unwrap();
    fs::write(root.join("data/sharegpt.json"), "[]").unwrap();
    let model = root.join("none");
    fs::write(
        root.join("recipe.toml"),
        format!("v = 1\n[student]\npath = {model:?}\nname = \"SmolLM2-135M\"\n[train]\ncollective_timeout = 2\n"),
    )
    .unwrap();
    let output = command(root, "run", &[]).env("RANK", "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("RANK is set but WORLD_SIZE, LOCAL_RANK"),
        "{said}"
    );
    assert!(said.contains("sky-train launch"), "{said}");

    let output = command(root, "run", &["launch", "-n", "2", "--"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("failed with code 2; the others are ended"),
        "{said}"
    );
}
