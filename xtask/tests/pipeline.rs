//! The real pipeline, with a recipe of a few problems: killed, damaged and repeated, it has to come
//! to the same bytes.
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    env, fs,
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use common::{
    Moments, STAGES, assert_same_as_reference, copy, finish, flip, home, prepared, reference, root,
    smoke, stage, tiny,
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

/// The recipe of the README as it stands, with the real student: one command, every stage, a
/// report; and the same command again does nothing.
#[test]
fn the_smoke_recipe_ends_in_a_report() {
    if home().is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let (code, table, said) = repro(&smoke(), &run, &[]);
    assert_eq!(code, 0, "{table}{said}");
    assert!(run.join("report.html").is_file(), "{table}");
    assert!(run.join("train/model/model.safetensors").is_file());
    let (code, table, said) = repro(&smoke(), &run, &["--until", "eval-after"]);
    assert_eq!(code, 0, "{table}{said}");
    let done = table.lines().filter(|line| line.ends_with("done before"));
    // Each stage's own line, and the table's.
    assert_eq!(done.count(), 2 * (STAGES.len() - 1), "{table}");
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
    let mut moments = Moments(kill_seed());
    let reference = reference();
    let dir = tempfile::tempdir().unwrap();
    for (index, (name, _, _, folder, _)) in STAGES.iter().enumerate() {
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

/// Starts a stage and kills it; false when it had come to its end before.
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
    thread::sleep(reference.times[2].mul_f64(Moments(kill_seed()).next() / 2.0));
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

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(
            started.elapsed() < Duration::from_secs(600),
            "waited too long for {what}"
        );
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_damaged_result_is_named_and_computed_again() {
    if home().is_none() {
        return;
    }
    let dir = prepared(STAGES.len());
    // The report is made anew each time, whatever lies there.
    for (index, (name, _, _, folder, files)) in STAGES[..STAGES.len() - 1].iter().enumerate() {
        for (number, file) in files.iter().chain(&["manifest.json"]).enumerate() {
            let path = dir.path().join(folder).join(file);
            if number % 2 == 0 || *file == "manifest.json" {
                flip(&path);
            } else {
                let length = fs::metadata(&path).unwrap().len();
                fs::OpenOptions::new()
                    .write(true)
                    .open(&path)
                    .unwrap()
                    .set_len(length / 2)
                    .unwrap();
            }
            let said = finish(index, dir.path());
            assert!(
                said.contains(file) && said.contains("damaged"),
                "{name}: {said}"
            );
            assert_same_as_reference(index, dir.path());
        }
    }
}

#[test]
fn a_damaged_result_is_refused_by_the_stages_that_read_it() {
    if home().is_none() {
        return;
    }
    let dir = prepared(STAGES.len() - 1);
    // A stage's result, and who reads it without visiting the stage itself.
    for (file, made_by, read_by) in [
        ("problems/heldout.jsonl", "problems", 1),
        ("problems/train.jsonl", "problems", 2),
        ("samples/samples.jsonl", "sample", 3),
        ("rewritten/samples.jsonl", "rewrite", 4),
        ("verdicts/verdicts.jsonl", "verify", 5),
        ("selected/sharegpt.json", "select", 6),
        ("train/model/config.json", "train", 7),
        ("train/metrics.jsonl", "train", 8),
        ("eval-after/samples.jsonl", "eval-after", 8),
        ("eval-before/manifest.json", "eval-before", 8),
    ] {
        let path = dir.path().join(file);
        let whole = fs::read(&path).unwrap();
        flip(&path);
        let folder = STAGES[read_by].3;
        let before = fs::read(dir.path().join(folder).join("manifest.json")).ok();
        let output = stage(read_by, &tiny(), dir.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{file}: {said}");
        for part in [file, "damaged", made_by, "again"] {
            assert!(said.contains(part), "{file}, no {part:?}: {said}");
        }
        assert_eq!(
            fs::read(dir.path().join(folder).join("manifest.json")).ok(),
            before,
            "{file}: {folder} is touched"
        );
        fs::write(&path, whole).unwrap();
    }
}

#[test]
fn verdicts_on_code_depend_on_the_guest_and_no_others_do() {
    let Some(home) = home() else { return };
    let dir = prepared(5);
    let own = tempfile::tempdir().unwrap();
    let own = own.path();
    for part in ["libtorch", "models", "datasets", "python-guest"] {
        symlink(home.join(part), own.join(part)).unwrap();
    }
    copy(&home.join("receipts"), &own.join("receipts"));
    let run = |index: usize| {
        let output = stage(index, &tiny(), dir.path())
            .env("SKY_HOME", own)
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        (
            output.status.code(),
            String::from_utf8_lossy(&text).into_owned(),
        )
    };
    let (code, said) = run(4);
    assert!(code == Some(0) && said.contains("done before"), "{said}");
    let receipt = own.join("receipts/python-guest.json");
    let text = fs::read_to_string(&receipt).unwrap();
    fs::write(&receipt, text + "\n").unwrap();
    let (code, said) = run(4);
    assert!(
        code == Some(2) && said.contains("settings (guest:"),
        "{said}"
    );
    // No code is held out.
    let (code, said) = run(1);
    assert!(code == Some(0) && said.contains("done before"), "{said}");
    for folder in ["verdicts", "eval-before"] {
        let text = fs::read_to_string(dir.path().join(folder).join("manifest.json")).unwrap();
        let manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
        for key in ["revision", "verifier"] {
            assert!(manifest["config"][key].is_u64(), "{folder}: {key}");
        }
    }
}

#[test]
fn a_damaged_line_of_a_journal_is_computed_again() {
    if home().is_none() {
        return;
    }
    let dir = prepared(2);
    let journal = dir.path().join("samples/samples.journal");
    let mut child = stage(2, &tiny(), dir.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut ended = false;
    wait_for("the first samples", || {
        ended = child.try_wait().unwrap().is_some();
        ended || journal.metadata().is_ok_and(|file| file.len() > 0)
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!ended, "the stage ended before it could be stopped");
    flip(&journal);
    finish(2, dir.path());
    assert_same_as_reference(2, dir.path());
}

#[test]
fn a_damaged_sandbox_cache_is_made_again() {
    let Some(home) = home() else { return };
    let dir = prepared(4);
    let own = dir.path().join("home");
    fs::create_dir(&own).unwrap();
    for part in ["libtorch", "models", "datasets", "python-guest"] {
        symlink(home.join(part), own.join(part)).unwrap();
    }
    let verify = |expected: &str| {
        let _ = fs::remove_dir_all(dir.path().join("verdicts"));
        let output = stage(4, &tiny(), dir.path())
            .env("SKY_HOME", &own)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.success() && said.contains(expected),
            "{expected}: {said}"
        );
        assert_same_as_reference(4, dir.path());
    };
    verify("");
    let mut cached = Vec::new();
    files(&own.join("cache"), &mut cached);
    assert!(
        !cached.is_empty(),
        "the sandbox keeps no cache under SKY_HOME"
    );
    for path in cached {
        flip(&path);
        verify(&path.file_name().unwrap().to_string_lossy());
    }
}

fn files(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().unwrap().is_dir() {
            files(&entry.path(), found);
        } else if entry.metadata().unwrap().len() > 0 {
            found.push(entry.path());
        }
    }
}

#[test]
fn a_missing_file_is_named_with_its_line() {
    if home().is_none() {
        return;
    }
    let good = fs::read_to_string(smoke()).unwrap();
    let dir = prepared(2);
    let mut wrong = Vec::new();
    for (index, old, new) in [
        (0, "human_eval = 1", "files = [{ path = \"no/such.file\" }]"),
        (
            1,
            "[student]\npath = \"models/smollm2-135m-instruct/model.gguf\"",
            "[student]\npath = \"no/such.file\"",
        ),
        (
            2,
            "[teacher]\npath = \"models/smollm2-135m-instruct/model.gguf\"",
            "[teacher]\npath = \"no/such.file\"",
        ),
    ] {
        let recipe = dir.path().join("mistaken.toml");
        fs::write(&recipe, good.replacen(old, new, 1)).unwrap();
        let at = good.replacen(old, new, 1);
        let line = 1 + at
            .bytes()
            .take(at.find("no/such.file").unwrap())
            .filter(|byte| *byte == b'\n')
            .count();
        let output = stage(index, &recipe, dir.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let place = format!("error: {}:{line}: ", recipe.display());
        if output.status.code() != Some(2)
            || !said.starts_with(&place)
            || !said.contains("no/such.file")
            || said.lines().count() != 1
        {
            wrong.push(format!(
                "{}: {}, wanted {place}\n    {said}",
                STAGES[index].0, output.status
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_published_recipe_is_valid() {
    if home().is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for recipe in ["tiny-cpu", "sky-t1-32b", "smoke"] {
        let recipe = root().join(format!("recipes/{recipe}.toml"));
        for (index, (name, ..)) in STAGES.iter().enumerate() {
            let output = stage(index, &recipe, dir.path())
                .arg("--dry-run")
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(
                output.status.success(),
                "{}: {}: {said}",
                recipe.display(),
                name
            );
            assert!(
                output.stdout.starts_with(name.as_bytes()),
                "{name} says what it would do"
            );
        }
    }
    assert_eq!(
        fs::read_dir(dir.path()).unwrap().count(),
        0,
        "a dry run writes nothing"
    );
}

/// `cargo xtask repro` of a recipe into a run folder.
fn repro(recipe: &Path, run: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["repro", "--recipe"])
        .arg(recipe)
        .arg("--run")
        .arg(run)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let code = output.status.code().unwrap();
    (code, text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_run_does_not_begin_without_what_its_recipe_names() {
    if home().is_none() {
        return;
    }
    let good = fs::read_to_string(smoke()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (recipe, run) = (dir.path().join("mistaken.toml"), dir.path().join("run"));
    let teacher = "[teacher]\npath = \"models/smollm2-135m-instruct/model.gguf\"";
    for (old, new, key) in [
        (teacher, "[teacher]\npath = \"no/such\"", "teacher.path"),
        (
            teacher,
            "[teacher]\nendpoint = \"http://127.0.0.1:9/v1\"\napi_key_env = \"SKY_NO_SUCH_KEY\"",
            "teacher.api_key_env",
        ),
        (
            "kind = \"rules\"",
            "kind = \"model\"\napi_key_env = \"SKY_NO_SUCH_KEY\"",
            "rewrite.api_key_env",
        ),
    ] {
        assert_eq!(good.matches(old).count(), 1);
        let mut text = good.replacen(old, new, 1);
        if new.contains("endpoint") {
            // The teacher's, which does nothing beside an endpoint.
            text = text.replacen("batch = 8\n", "", 1);
        }
        fs::write(&recipe, text).unwrap();
        let (code, _, said) = repro(&recipe, &run, &[]);
        let errors: Vec<&str> = said.lines().filter(|l| l.starts_with("error:")).collect();
        assert!(
            code == 2 && errors.len() == 1 && errors[0].contains(key),
            "{key}: {code} {said}"
        );
        assert!(!run.exists(), "{key}: nothing has run");
        // Looking at it is another matter: what is merely not here yet does not stop a plan.
        let (code, plan, said) = repro(&recipe, &run, &["--dry-run"]);
        assert_eq!(code, 0, "{key}: {said}");
        assert!(plan.contains("together"), "{plan}");
    }
}

#[test]
fn a_dry_run_gives_each_stage_a_time_and_the_sum() {
    if home().is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let (code, plan, said) = repro(&smoke(), &run, &["--dry-run"]);
    assert_eq!(code, 0, "{said}");
    let lines: Vec<&str> = plan.lines().collect();
    let names = STAGES.iter().map(|stage| stage.0).chain(["together"]);
    assert_eq!(lines.len(), STAGES.len() + 1, "{plan}");
    for (line, name) in lines.iter().zip(names) {
        let time = line.strip_prefix(name).unwrap().trim_start();
        assert!(time.starts_with(|c: char| c.is_ascii_digit()), "{line}");
    }
    assert!(!run.exists(), "a dry run writes nothing");
}

#[test]
fn repro_takes_a_seed_a_beginning_and_force() {
    if home().is_none() {
        return;
    }
    let dir = prepared(3);
    let run = dir.path();
    let seed = || {
        let text = fs::read_to_string(run.join("problems/manifest.json")).unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap()["config"]["seed"].clone()
    };
    // From the middle, with what the run folder holds of the stages before.
    let (code, table, said) = repro(&tiny(), run, &["--from", "rewrite", "--until", "verify"]);
    assert_eq!(code, 0, "{said}");
    assert!(
        !table.contains("\nsample ") && !table.contains("\nproblems "),
        "{table}"
    );
    assert_same_as_reference(3, run);
    assert_same_as_reference(4, run);
    let (code, _, said) = repro(&tiny(), run, &["--from", "train", "--until", "train"]);
    assert!(code == 1 && said.contains("sharegpt.json"), "{code} {said}");

    // Another seed is another run, and replaces this one's problems when told to.
    assert_eq!(seed(), 7);
    let problems = ["--until", "problems", "--seed", "9"];
    let (code, _, said) = repro(&tiny(), run, &problems);
    assert!(
        code == 2 && said.contains("seed: 7, now 9"),
        "{code} {said}"
    );
    assert_eq!(seed(), 7);
    let (code, _, said) = repro(&tiny(), run, &[&problems[..], &["--force"]].concat());
    assert_eq!(code, 0, "{said}");
    assert_eq!(seed(), 9);
    let problems = |run: &Path| fs::read(run.join("problems/train.jsonl")).unwrap();
    assert_ne!(problems(run), problems(&reference().dir));
}

#[test]
fn a_damaged_model_in_the_cache_is_refused() {
    let Some(home) = home() else { return };
    let dir = prepared(2);
    let own = dir.path().join("home");
    let model = "models/smollm2-135m-instruct";
    copy(&home.join(model), &own.join(model));
    copy(&home.join("receipts"), &own.join("receipts"));
    flip(&own.join(model).join("model.gguf"));
    for index in [1, 2, 6] {
        let output = stage(index, &smoke(), dir.path())
            .env("SKY_HOME", &own)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(
            said.contains("model.gguf") && said.contains("cargo xtask setup"),
            "{said}"
        );
    }
}
