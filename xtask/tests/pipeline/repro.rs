//! `cargo xtask repro` and the recipes that it runs.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use crate::common::{
    STAGES, Stage, assert_same_as_reference, home, prepared, reference, root, smoke, stage, tiny,
};

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
                STAGES[index].name, output.status
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
        for (index, &Stage { name, .. }) in STAGES.iter().enumerate() {
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
                "{name} prints what it would do"
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
    let names = STAGES.iter().map(|stage| stage.name).chain(["together"]);
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

    // Another seed is another run, and replaces this one's problems with --force.
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
