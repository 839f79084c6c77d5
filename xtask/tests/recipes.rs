//! What is wrong with a recipe is said in one line, with file, line, key and the nearest valid
//! name; exit code 2.
#![allow(clippy::unwrap_used)]

mod common;

use std::{fs, process::Command};

use common::{STAGES, smoke, stage};

/// A stage, what to replace in the smoke recipe by what, and what the line must contain.
const MISTAKES: &[(&str, &str, &str, &[&str])] = &[
    (
        "problems",
        "[problems]",
        "[problmes]",
        &["problmes", "did you mean `problems`?"],
    ),
    (
        "problems",
        "heldout = 8",
        "helduot = 8",
        &["problems.helduot", "did you mean `heldout`?"],
    ),
    (
        "problems",
        "train = 12",
        "train = -12",
        &["problems.train", "-12"],
    ),
    (
        "problems",
        "train = 12",
        "train = \"twelve\"",
        &["problems.train", "invalid type"],
    ),
    ("problems", "seed = 7", "seed = -7", &["seed", "-7"]),
    ("problems", "v = 1", "v = 9", &["version 9"]),
    (
        "problems",
        "human_eval = 1",
        "human_eval = 1000",
        &["problems.human_eval", "164"],
    ),
    (
        "sample",
        "temperature = 0.8",
        "temprature = 0.8",
        &["sample.temprature", "did you mean `temperature`?"],
    ),
    (
        "sample",
        "temperature = 0.8",
        "temperature = -0.8",
        &["sample.temperature"],
    ),
    ("sample", "n = 2", "n = 0", &["sample.n"]),
    (
        "sample",
        "code_max_tokens = 32",
        "code_max_tokens = -32",
        &["sample.code_max_tokens", "-32"],
    ),
    (
        "rewrite",
        "kind = \"rules\"",
        "kind = \"ruels\"",
        &["rewrite.kind", "did you mean `rules`?"],
    ),
    (
        "verify",
        "[select]",
        "[verify]\nworkrs = 2\n[select]",
        &["verify.workrs", "unknown key"],
    ),
    (
        "select",
        "per_problem = 1",
        "per_probelm = 1",
        &["select.per_probelm", "did you mean `per_problem`?"],
    ),
    (
        "train",
        "epochs = 2",
        "epochs = 2\nlearning_rat = 1e-5",
        &["train.learning_rat", "did you mean `learning_rate`?"],
    ),
    (
        "train",
        "learning_rate = 5e-5",
        "learning_rate = -5e-5",
        &["train.learning_rate"],
    ),
    (
        "train",
        "global_batch = 2",
        "global_batch = 0",
        &["train.global_batch"],
    ),
    (
        "eval-before",
        "max_tokens = 24",
        "max_token = 24",
        &["eval.max_token", "did you mean `max_tokens`?"],
    ),
    (
        "eval-before",
        "[student]\npath",
        "[student]\npaht",
        &["student.paht", "did you mean `path`?"],
    ),
    (
        "report",
        "[eval]",
        "[report]\nsamples_per_stag = 3\n[eval]",
        &[
            "report.samples_per_stag",
            "did you mean `samples_per_stage`?",
        ],
    ),
    (
        "verify",
        "[select]",
        "[verify.code]\ntest_seconds = -1.0\n[select]",
        &["verify.code.test_seconds", "0.001 to 3600"],
    ),
    (
        "verify",
        "[select]",
        "[verify.code]\ntest_seconds = nan\n[select]",
        &["verify.code.test_seconds", "0.001 to 3600"],
    ),
    (
        "verify",
        "[select]",
        "[verify.code]\nprogram_seconds = 1e300\n[select]",
        &["verify.code.program_seconds", "0.001 to 3600"],
    ),
    (
        "verify",
        "[select]",
        "[verify.code]\nmemory = 0\n[select]",
        &["verify.code.memory", "bytes"],
    ),
    (
        "verify",
        "[select]",
        "[verify.code]\nmemory = 9_000_000_000_000\n[select]",
        &["verify.code.memory", "bytes"],
    ),
    (
        "verify",
        "[select]",
        "[verify.code]\noutput = 0\n[select]",
        &["verify.code.output", "bytes"],
    ),
    (
        "eval-before",
        "[select]",
        "[verify]\ncode = { memory = 0 }\n[select]",
        &["verify.code.memory"],
    ),
    (
        "verify",
        "[select]",
        "[verify.math]\nunits_optionl = true\n[select]",
        &[
            "verify.math.units_optionl",
            "did you mean `units_optional`?",
        ],
    ),
    (
        "verify",
        "[select]",
        "[verify.math]\nbudget = 0\n[select]",
        &["verify.math.budget"],
    ),
    (
        "sample",
        "{ user = 'What is 3",
        "{ usr = 'What is 3",
        &["sample.examples[0].usr", "did you mean `user`?"],
    ),
    (
        "problems",
        "seed = 7",
        "seed = 7\nseed = 8",
        &["seed: duplicate key"],
    ),
    (
        "sample",
        "math = '{problem} Return",
        "math = 'Return",
        &["prompt.math", "{problem}"],
    ),
    (
        "select",
        "math = '{problem} Return",
        "math = 'Return",
        &["prompt.math", "{problem}"],
    ),
    (
        "eval-before",
        "math = '{problem} Return",
        "math = 'Return",
        &["prompt.math", "{problem}"],
    ),
    (
        "sample",
        "[teacher]\npath = \"models/smollm2-135m-instruct/model.gguf\"",
        "[teacher]\nendpoint = \"foo\"",
        &["teacher.endpoint", "http://localhost"],
    ),
    (
        "rewrite",
        "kind = \"rules\"",
        "kind = \"model\"\nendpoint = \"foo\"",
        &["rewrite.endpoint", "http://localhost"],
    ),
    (
        "train",
        "[eval]",
        "[hardware]\ngpus = 0\n[eval]",
        &["hardware.gpus", "1 to 1024"],
    ),
    (
        "train",
        "[eval]",
        "[hardware]\nhost_memory = \"-5G\"\n[eval]",
        &["hardware.host_memory", "-5G"],
    ),
    (
        "train",
        "[eval]",
        "[hardware]\ntokens_per_row = -3.0\n[eval]",
        &["hardware.tokens_per_row", "at least 1"],
    ),
    (
        "train",
        "[eval]",
        "[hardware]\ndollars_per_gpu_hour = -5.0\n[eval]",
        &["hardware.dollars_per_gpu_hour", "0 or more"],
    ),
    (
        "train",
        "[eval]",
        "[hardware]\ngpu = \"h100-80\"\n[eval]",
        &["hardware.gpu", "did you mean `h100-80g`?"],
    ),
];

#[test]
fn every_mistake_is_one_line_with_file_line_key_and_the_nearest_name() {
    let dir = tempfile::tempdir().unwrap();
    let good = fs::read_to_string(smoke()).unwrap();
    let mut wrong = Vec::new();
    for &(name, old, new, expected) in MISTAKES {
        let index = STAGES.iter().position(|stage| stage.name == name).unwrap();
        assert_eq!(
            good.matches(old).count(),
            1,
            "{old:?} stands once in the recipe"
        );
        let recipe = dir.path().join("mistaken.toml");
        let text = good.replacen(old, new, 1);
        fs::write(&recipe, &text).unwrap();
        let output = stage(index, &recipe, &dir.path().join("run"))
            .arg("--dry-run")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        // The line of what has been replaced; the first one, when the mistake is a new section.
        let mut problems = Vec::new();
        if output.status.code() != Some(2) {
            problems.push(format!("ends with {}", output.status));
        }
        if said.lines().count() != 1 || !said.starts_with(&format!("error: {}:", recipe.display()))
        {
            problems.push("is not one line that begins with the file and the line".to_owned());
        }
        problems.extend(
            expected
                .iter()
                .filter(|part| !said.contains(**part))
                .map(|part| format!("lacks {part:?}")),
        );
        let first = text
            .bytes()
            .take(text.find(new).unwrap())
            .filter(|byte| *byte == b'\n')
            .count()
            + 1;
        let lines = first..=first + new.matches('\n').count();
        if !lines
            .clone()
            .any(|line| said.contains(&format!("mistaken.toml:{line}:")))
        {
            problems.push(format!("names another line than {lines:?}"));
        }
        if !problems.is_empty() {
            wrong.push(format!(
                "{name}, {new:?}: {}\n    {said}",
                problems.join(", ")
            ));
        }
    }
    assert!(!dir.path().join("run").exists(), "a dry run writes nothing");
    assert!(
        wrong.is_empty(),
        "{} of {} mistakes:\n{}",
        wrong.len(),
        MISTAKES.len(),
        wrong.join("\n")
    );
}

#[test]
fn repro_names_the_nearest_stage_and_recipe() {
    for (arguments, expected) in [
        (["--until", "trian"], "did you mean `train`?"),
        (["--from", "evalafter"], "did you mean `eval-after`?"),
        (["--recipe", "tiny-cpo"], "did you mean `tiny-cpu`?"),
        (["--recipe", "no/such.toml"], "no/such.toml"),
        (["--seed", "-1"], "0 to 18446744073709551615"),
        (["--sead", "1"], "--seed"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
            .arg("repro")
            .args(arguments)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(
            said.lines().count() == 1 && said.contains(expected),
            "{said}"
        );
    }
}

#[test]
fn a_wrong_seed_is_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let output = stage(0, &smoke(), dir.path())
        .args(["--seed", "-1"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.lines().count() == 1 && said.contains("0 to 18446744073709551615"),
        "{said}"
    );
}
