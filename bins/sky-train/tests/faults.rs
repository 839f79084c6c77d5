//! Faults around checkpoints, on the program itself: killed while one is written, no room for one,
//! one of another model, and data that shrank. The same command ends with the same bytes once the
//! cause is gone. Needs the tokenizer of the set-up model; the network is a tiny random one.
#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    thread,
    time::{Duration, Instant},
};

use common::{command, finish, outcome, prepare, set_up_model, start};
use sky_train::Checkpoint;
use sky_types::derive_seed;

/// A run that saves after every step.
fn prepare_saving_each_step(root: &Path, source: &Path, steps: u64) {
    prepare(root, source, steps, "");
    let path = root.join("recipe.toml");
    let text = fs::read_to_string(&path).unwrap();
    let each = text.replace("save_every = 3", "save_every = 1");
    assert_ne!(each, text);
    fs::write(path, each).unwrap();
}

fn checkpoints(root: &Path, run: &str) -> PathBuf {
    root.join(run).join("train/checkpoints")
}

/// The step of the newest checkpoint; that there be no damaged one.
fn newest(root: &Path, run: &str) -> u64 {
    Checkpoint::newest(&checkpoints(root, run), &mut |line| panic!("{line}"))
        .unwrap()
        .map_or(0, |found| found.state().step)
}

/// Whether there is a checkpoint of `step` or a later one.
fn saved(root: &Path, run: &str, step: u64) -> bool {
    let mut entries = fs::read_dir(checkpoints(root, run)).into_iter().flatten();
    let step_of = |name: &str| name.strip_prefix("step-")?.parse::<u64>().ok();
    entries.any(|entry| {
        let name = entry.unwrap().file_name();
        step_of(&name.to_string_lossy()).is_some_and(|saved| saved >= step)
    })
}

#[track_caller]
fn wait_until(pause: Duration, mut what: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !what() {
        assert!(Instant::now() < deadline, "it does not come");
        thread::sleep(pause);
    }
}

/// Starts a run and stops it politely once there is a checkpoint of `step`.
fn stop_after(root: &Path, run: &str, step: u64) {
    let mut child = start(root, run);
    wait_until(Duration::from_millis(2), || saved(root, run, step));
    let pid = child.id().to_string();
    let sent = Command::new("kill").args(["-TERM", &pid]).status();
    assert!(sent.unwrap().success());
    assert!(child.wait().unwrap().success());
    assert!(newest(root, run) >= step);
}

fn failed_with(output: &Output, code: i32) -> String {
    let said = failed_with_all(output, code);
    assert_eq!(said.trim().lines().count(), 1, "{said}");
    said
}

/// The same where lines come before the error's.
fn failed_with_all(output: &Output, code: i32) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}");
    said
}

#[test]
fn killed_at_twenty_moments_while_a_checkpoint_is_written_it_ends_with_the_same_bytes() {
    const RUNS: u64 = 4;
    const KILLS: u64 = 5;
    const STEPS: u64 = 31;
    let Some(source) = set_up_model() else { return };
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    prepare_saving_each_step(root, &source, STEPS);
    finish(root, "whole", &[]);
    let expected = outcome(root, "whole");
    assert_eq!(expected.1.len() as u64, STEPS);
    let mut half_written = 0;
    for round in 0..RUNS {
        let run = format!("cut-{round}");
        for kill in 0..KILLS {
            let step = 2 + kill * 6 + derive_seed(round, "step", kill) % 5;
            let moment = derive_seed(round, "moment", kill) % 25_000;
            let mut child = start(root, &run);
            let partial = checkpoints(root, &run).join(format!(".step-{step:08}.partial"));
            wait_until(Duration::from_micros(100), || {
                partial.exists() || saved(root, &run, step)
            });
            thread::sleep(Duration::from_micros(moment));
            child.kill().unwrap();
            child.wait().unwrap();
            half_written += u64::from(partial.exists());
            // No more is lost than the checkpoint that was being written.
            let kept = newest(root, &run);
            assert!(kept + 1 >= step, "killed at step {step}, {kept} is left");
        }
        finish(root, &run, &[]);
        assert_eq!(outcome(root, &run), expected, "round {round}");
        let left: Vec<_> = fs::read_dir(checkpoints(root, &run)).unwrap().collect();
        assert_eq!(left.len(), 1, "leftovers are cleaned up: {left:?}");
        fs::remove_dir_all(root.join(&run)).unwrap();
    }
    eprintln!("{half_written} of {} were half written", RUNS * KILLS);
    assert!(half_written >= RUNS * KILLS / 2, "{half_written}");
}

#[test]
fn after_a_kill_the_run_says_which_steps_are_done_again() {
    let Some(source) = set_up_model() else { return };
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    prepare(root, &source, 400, "");
    let text = fs::read_to_string(root.join("recipe.toml")).unwrap();
    let rarely = text.replace("save_every = 3", "save_every = 50");
    fs::write(root.join("recipe.toml"), rarely).unwrap();
    let mut child = start(root, "run");
    let metrics = root.join("run/train/metrics.jsonl");
    let lines = || fs::read_to_string(&metrics).map_or(0, |text| text.lines().count() as u64);
    wait_until(Duration::from_millis(1), || {
        lines() >= 53 && saved(root, "run", 50)
    });
    child.kill().unwrap();
    child.wait().unwrap();
    let (done, saved) = (lines(), newest(root, "run"));
    assert!(done > saved, "{done} {saved}");
    let mut again = command(root, "run", &[])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let mut stderr = std::io::BufReader::new(again.stderr.take().unwrap());
    std::io::BufRead::read_line(&mut stderr, &mut said).unwrap();
    again.kill().unwrap();
    again.wait().unwrap();
    let expected = format!(
        "train: resumes after step {saved}; repeats {} steps done since that checkpoint",
        done - saved
    );
    assert_eq!(said.trim(), expected);
}

#[test]
fn numbers_that_are_none_end_the_run_with_the_step_the_rows_and_what_to_do() {
    let Some(source) = set_up_model() else { return };
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    prepare_saving_each_step(root, &source, 40);
    let recipe = root.join("recipe.toml");
    let text = fs::read_to_string(&recipe).unwrap();
    fs::write(&recipe, text.replace("1e-3", "1e30")).unwrap();
    let said = failed_with(&command(root, "run", &[]).output().unwrap(), 1);
    for part in [
        "is not finite; rows [",
        "train.learning_rate",
        "sky-train export",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let step: u64 = said
        .split("step ")
        .nth(1)
        .unwrap()
        .split(':')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(
        newest(root, "run") + 1,
        step,
        "nothing good is lost: {said}"
    );
}

#[test]
fn checkpoints_outlive_what_goes_wrong_beside_them() {
    let Some(source) = set_up_model() else { return };
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    prepare_saving_each_step(root, &source, 40);
    finish(root, "run", &[]);
    let expected = outcome(root, "run");
    let train = root.join("run/train");
    let metrics = || fs::read(train.join("metrics.jsonl")).unwrap();
    let timed = metrics();

    // A damaged model is written again from the last checkpoint: no step reruns.
    fs::remove_file(train.join("model/model.safetensors")).unwrap();
    finish(root, "run", &[]);
    assert_eq!(outcome(root, "run"), expected);
    assert_eq!(metrics(), timed);

    // Checkpoints alone, brought from elsewhere.
    stop_after(root, "there", 3);
    let saved = newest(root, "there");
    let here = root.join("here/train");
    fs::create_dir_all(&here).unwrap();
    fs::rename(checkpoints(root, "there"), here.join("checkpoints")).unwrap();
    let output = finish(root, "here", &[]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("here/train/checkpoints: kept"), "{said}");
    assert_eq!(outcome(root, "here"), expected);
    // Not by a run whose student only has the same shape.
    let elsewhere = root.join("elsewhere/train");
    fs::create_dir_all(&elsewhere).unwrap();
    fs::rename(here.join("checkpoints"), elsewhere.join("checkpoints")).unwrap();
    let weights = root.join("student/model.safetensors");
    let good = fs::read(&weights).unwrap();
    let mut other = good.clone();
    *other.last_mut().unwrap() ^= 1;
    fs::write(&weights, other).unwrap();
    let said = failed_with_all(&command(root, "elsewhere", &[]).output().unwrap(), 1);
    assert!(said.contains("with other model files or data"), "{said}");
    fs::write(&weights, good).unwrap();
    finish(root, "elsewhere", &[]);
    assert_eq!(outcome(root, "elsewhere"), expected);

    let text = fs::read_to_string(root.join("there/train/metrics.jsonl")).unwrap();
    let ours = fs::read_to_string(here.join("metrics.jsonl")).unwrap();
    let first: Vec<&str> = text.lines().take(saved as usize).collect();
    assert!(
        ours.lines().collect::<Vec<_>>().starts_with(&first),
        "they were gone on from"
    );
}

#[test]
fn without_checkpoints_to_be_kept_the_last_one_stays_until_the_model_is_safe() {
    let Some(source) = set_up_model() else { return };
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    prepare(root, &source, 8, "keep_finished = 0");
    finish(root, "run", &[]);
    assert_eq!(fs::read_dir(checkpoints(root, "run")).unwrap().count(), 0);
    // Something else takes the manifest's place once the stage has begun: it cannot end.
    let train = root.join("blocked/train");
    let mut child = start(root, "blocked");
    wait_until(Duration::from_millis(1), || {
        train.join("in-progress.json").exists()
    });
    fs::create_dir(train.join("manifest.json")).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(train.join("model/model.safetensors").exists());
    assert_eq!(newest(root, "blocked"), 8, "no step has to be done again");
    fs::remove_dir(train.join("manifest.json")).unwrap();
    finish(root, "blocked", &[]);
    assert_eq!(outcome(root, "blocked"), outcome(root, "run"));
    assert_eq!(
        fs::read_dir(checkpoints(root, "blocked")).unwrap().count(),
        0
    );
}

#[test]
fn a_checkpoint_that_may_not_grow_is_told_with_what_to_do_and_costs_only_its_steps() {
    let Some(source) = set_up_model() else { return };
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    prepare_saving_each_step(root, &source, 40);
    finish(root, "whole", &[]);
    let expected = outcome(root, "whole");

    stop_after(root, "limited", 2);
    let saved = newest(root, "limited");
    // A checkpoint of this model takes 9.5 MB; the signal that would end the process is ignored, as
    // a full disk sends none.
    let plain = command(root, "limited", &[]);
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 4000; exec \"$0\" \"$@\""])
        .arg(plain.get_program())
        .args(plain.get_args())
        .output()
        .unwrap();
    let said = failed_with(&output, 1);
    for part in [
        "partial/rank-00000-of-00001.safetensors: cannot write",
        "File too large",
        "ulimit -f",
        "run the same command again",
        &format!("the last good checkpoint is of step {saved}: "),
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(newest(root, "limited"), saved);
    finish(root, "limited", &[]);
    assert_eq!(outcome(root, "limited"), expected);
}

#[test]
fn on_a_full_disk_the_run_says_so_and_goes_on_when_there_is_room() {
    let Some(source) = set_up_model() else { return };
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    prepare_saving_each_step(root, &source, 8);
    finish(root, "whole", &[]);
    let expected = outcome(root, "whole");

    // A small file system of its own, in a name space that any user may make where the system
    // allows it. Two checkpoints fit into it, the third does not.
    const SCRIPT: &str = r#"
folder=$1; kept=$2; shift 2
mount -t tmpfs -o size=24m tmpfs "$folder" || exit 77
"$@" 2>"$kept/first"; echo $? >"$kept/code"
ls -A "$folder/checkpoints" >"$kept/list"
mount -o remount,size=200m "$folder" || exit 77
"$@" 2>"$kept/second" || exit 1
cp -r "$folder/model" "$folder/metrics.jsonl" "$kept"
"#;
    let plain = command(root, "full", &[]);
    let (folder, kept) = (root.join("full/train"), root.join("kept/train"));
    fs::create_dir_all(&folder).unwrap();
    fs::create_dir_all(&kept).unwrap();
    let output = Command::new("unshare")
        .args([
            "--user",
            "--map-root-user",
            "--mount",
            "sh",
            "-c",
            SCRIPT,
            "sh",
        ])
        .args([&folder, &kept])
        .arg(plain.get_program())
        .args(plain.get_args())
        .output();
    let read = |name: &str| fs::read_to_string(kept.join(name)).unwrap_or_default();
    match output {
        Ok(output) if kept.join("code").exists() => {
            let said = read("first");
            assert_eq!(read("code").trim(), "1", "{said}");
            for part in [
                "No space left on device",
                "step-00000003.partial/",
                "free some space and run the same command again",
                "the last good checkpoint is of step 2: ",
            ] {
                assert!(said.contains(part), "{part}: {said}");
            }
            let list = read("list");
            for good in ["step-00000001\n", "step-00000002\n"] {
                assert!(list.contains(good), "{list}");
            }
            assert!(output.status.success(), "{}", read("second"));
            assert_eq!(outcome(root, "kept"), expected);
        }
        other => {
            let why = other.map_or_else(
                |error| error.to_string(),
                |output| String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            );
            let _ = std::io::Write::write_all(
                &mut std::io::stderr(),
                format!("SKIPPED: this system lets no user mount a small file system ({why})\n")
                    .as_bytes(),
            );
        }
    }
}

#[test]
fn data_that_shrank_and_another_model_s_checkpoint_are_refused_and_nothing_is_lost() {
    let Some(source) = set_up_model() else { return };
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    prepare_saving_each_step(root, &source, 40);
    finish(root, "whole", &[]);
    let expected = outcome(root, "whole");
    stop_after(root, "run", 2);
    let saved = newest(root, "run");

    let data = root.join("data/sharegpt.json");
    let good = fs::read_to_string(&data).unwrap();
    let mut rows: Vec<serde_json::Value> = serde_json::from_str(&good).unwrap();
    rows.pop();
    let fewer = serde_json::to_string(&rows).unwrap();
    for shrunk in [&fewer, &good[..good.len() / 2], ""] {
        fs::write(&data, shrunk).unwrap();
        let said = failed_with(&command(root, "run", &[]).output().unwrap(), 2);
        assert!(
            said.contains("sharegpt.json has changed") && said.contains("--force"),
            "{said}"
        );
        assert_eq!(newest(root, "run"), saved);
    }
    fs::write(&data, &good).unwrap();

    // The same sizes, another rotation: its numbers would load and mean nothing.
    let other = tempfile::tempdir().unwrap();
    prepare_saving_each_step(other.path(), &source, 40);
    let config = other.path().join("student/config.json");
    let text = fs::read_to_string(&config).unwrap();
    let changed = text.replace("\"rope_theta\": 10000.0", "\"rope_theta\": 20000.0");
    assert_ne!(changed, text, "{text}");
    fs::write(&config, changed).unwrap();
    stop_after(other.path(), "run", 3);
    let (ours, theirs) = (checkpoints(root, "run"), checkpoints(other.path(), "run"));
    let aside = root.join("aside");
    fs::rename(&ours, &aside).unwrap();
    fs::rename(&theirs, &ours).unwrap();
    let said = failed_with(&command(root, "run", &[]).output().unwrap(), 1);
    assert!(
        said.contains("was written by a run with other model") && said.contains("step-0000"),
        "{said}"
    );
    fs::remove_dir_all(&ours).unwrap();
    fs::rename(&aside, &ours).unwrap();
    finish(root, "run", &[]);
    assert_eq!(outcome(root, "run"), expected);
}
