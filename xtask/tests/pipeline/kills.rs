//! Stages and `repro` that are killed at work finish with the same bytes.

use std::{
    env, fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use crate::common::{
    STAGES, Stage, assert_same_as_reference, finish, home, prepared, reference,
    split_mix::SplitMix64, stage, tiny, wait_for,
};

/// The moments of the kills follow from this; set SKY_KILL_SEED for others.
fn kill_seed() -> u64 {
    let seed = env::var("SKY_KILL_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(1);
    eprintln!("SKY_KILL_SEED={seed}");
    seed
}

#[test]
fn two_runs_of_one_seed_are_the_same_bytes() {
    if home().is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for index in 0..STAGES.len() {
        finish(index, dir.path());
        assert_same_as_reference(index, dir.path());
    }
}

#[test]
fn each_stage_killed_twice_ends_the_same() {
    if home().is_none() {
        return;
    }
    let mut moments = SplitMix64(kill_seed());
    let reference = reference();
    let dir = tempfile::tempdir().unwrap();
    for (index, &Stage { name, folder, .. }) in STAGES.iter().enumerate() {
        for _ in 0..2 {
            let mut delay = reference.times[index].mul_f64(moments.next());
            while !killed_at_work(index, dir.path(), delay) {
                fs::remove_dir_all(dir.path().join(folder)).unwrap();
                delay /= 2;
            }
        }
        eprintln!("{name}: killed");
        finish(index, dir.path());
        assert_same_as_reference(index, dir.path());
    }
}

/// Starts a stage and kills it after the delay; false when it had ended by then.
fn killed_at_work(index: usize, run: &Path, delay: Duration) -> bool {
    let mut child = stage(index, &tiny(), run)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    thread::sleep(delay);
    let at_work = child.try_wait().unwrap().is_none();
    child.kill().unwrap();
    child.wait().unwrap();
    at_work
}

#[test]
fn killing_repro_ends_its_stage_and_the_same_command_finishes() {
    if home().is_none() {
        return;
    }
    let reference = reference();
    let dir = prepared(2);
    let run = dir.path().join("run");
    fs::create_dir(&run).unwrap();
    for folder in ["problems", "eval-before"] {
        fs::rename(dir.path().join(folder), run.join(folder)).unwrap();
    }
    let repro = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command
            .args(["repro", "--recipe"])
            .arg(tiny())
            .arg("--run")
            .arg(&run);
        command.args(["--until", "rewrite"]).stdin(Stdio::null());
        command
    };
    let mut child = repro().stdout(Stdio::null()).spawn().unwrap();
    let begun = run.join("samples/in-progress.json");
    wait_for("the stage to begin", || begun.exists());
    thread::sleep(reference.times[2].mul_f64(SplitMix64(kill_seed()).next() / 2.0));
    child.kill().unwrap();
    child.wait().unwrap();
    let lock = fs::File::open(run.join("samples/.lock")).unwrap();
    wait_for("the stage to end with its parent", || {
        lock.try_lock().is_ok()
    });
    drop(lock);

    let output = repro().output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        text.lines()
            .any(|line| line.starts_with("eval-before") && line.ends_with("done before")),
        "{text}"
    );
    assert_same_as_reference(2, &run);
    assert_same_as_reference(3, &run);
}
