//! `sky-data convert` and `sky-data problems` as a user runs them.
#![allow(clippy::unwrap_used)]

use std::{
    path::Path,
    process::{Command, Output},
};

fn sky_data(home: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sky-data"))
        .args(arguments)
        .env("SKY_HOME", home)
        .current_dir(home)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const BIG: &str = "717897987691852588770249";

#[test]
fn every_digit_reaches_the_converted_file_and_the_run_folder() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path();
    let row = format!(
        "{{\"id\":\"1\",\"source\":\"s\",\"domain\":\"code\",\"prompt\":\"p\",\"answer\":{{\"tests\":\
         {{\"inputs\":[[50]],\"outputs\":[{BIG}],\"fn_name\":\"f\"}}}}}}\n"
    );
    std::fs::write(home.join("mine.jsonl"), row).unwrap();
    let run = sky_data(
        home,
        &[
            "convert",
            "--from",
            "problems",
            "mine.jsonl",
            "--out",
            "out.jsonl",
        ],
    );
    assert!(run.status.success(), "{}", text(&run.stderr));
    let out = std::fs::read_to_string(home.join("out.jsonl")).unwrap();
    assert!(out.contains(&format!("\"outputs\":[{BIG}]")), "{out}");

    // The recipe lies elsewhere, with its file beside it.
    let recipes = home.join("recipes");
    std::fs::create_dir(&recipes).unwrap();
    std::fs::rename(home.join("out.jsonl"), recipes.join("own.jsonl")).unwrap();
    let recipe = "v = 1\nname = \"r\"\nseed = 1\n[problems]\ntrain = 0\nheldout = 0\nfiles = [{ path = \"own.jsonl\" }]\n";
    std::fs::write(recipes.join("r.toml"), recipe).unwrap();
    let run = sky_data(
        home,
        &["problems", "--recipe", "recipes/r.toml", "--run", "run"],
    );
    assert!(run.status.success(), "{}", text(&run.stderr));
    assert!(
        text(&run.stderr).contains("1 of 1 rows kept"),
        "{}",
        text(&run.stderr)
    );
    let train = std::fs::read_dir(home.join("run/problems")).unwrap();
    let kept = train.filter_map(Result::ok).any(|entry| {
        let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
        text.contains(&format!("\"outputs\":[{BIG}]"))
    });
    assert!(kept);
}

#[test]
fn misfits_are_fatal_or_counted_and_nothing_is_no_success() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path();
    let convert = |rows: &str, more: &[&str]| {
        std::fs::write(home.join("rows.jsonl"), rows).unwrap();
        let mut arguments = vec!["convert", "rows.jsonl", "--out", "out.jsonl", "--force"];
        arguments.extend(more);
        sky_data(home, &arguments)
    };
    let good = "{\"problem\": \"p\", \"answer\": \"1\", \"id\": 1}\n";
    let rows = format!("{good}{{\"x\": 1}}\nnot json\n{good}");
    let run = convert(&rows, &[]);
    assert!(!run.status.success());
    assert!(
        text(&run.stderr).contains("rows.jsonl:2"),
        "{}",
        text(&run.stderr)
    );
    assert!(!home.join("out.jsonl").exists());
    // The last row has the first one's id.
    let run = convert(&rows, &["--skip-misfits"]);
    assert!(run.status.success(), "{}", text(&run.stderr));
    assert!(
        text(&run.stdout).contains("1 problems, 3 rows left out"),
        "{}",
        text(&run.stdout)
    );
    assert!(
        text(&run.stderr).contains("a second row with the id"),
        "{}",
        text(&run.stderr)
    );

    std::fs::remove_file(home.join("out.jsonl")).unwrap();
    let gsm8k = "{\"question\": \"q\", \"answer\": \"so\\n#### 4\"}\n";
    let run = convert(gsm8k, &["--from", "math"]);
    assert!(!run.status.success());
    assert!(
        text(&run.stderr).contains("use --from gsm8k"),
        "{}",
        text(&run.stderr)
    );
    let proofs = "{\"question\": \"q\", \"final_answer\": null}\n";
    for rows in [proofs, "", "{\"problem\": \"p\", \"answer\": \"\"}\n"] {
        let run = convert(rows, &[]);
        assert!(!run.status.success(), "{rows}");
        assert!(
            text(&run.stderr).contains("rows.jsonl"),
            "{}",
            text(&run.stderr)
        );
        assert!(!home.join("out.jsonl").exists());
    }
    let run = convert(gsm8k, &[]);
    assert!(run.status.success() && text(&run.stderr).contains("format: gsm8k"));
}

#[test]
fn a_dry_run_reads_and_counts() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path();
    let recipe = |files: &str| {
        let text = format!(
            "v = 1\nname = \"r\"\nseed = 1\n[problems]\ntrain = 0\nheldout = 0\nfiles = [{files}]\n"
        );
        std::fs::write(home.join("r.toml"), text).unwrap();
        sky_data(
            home,
            &[
                "problems",
                "--recipe",
                "r.toml",
                "--run",
                "run",
                "--dry-run",
            ],
        )
    };
    let row = "{\"id\":\"1\",\"source\":\"s\",\"domain\":\"math\",\"prompt\":\"p\",\"answer\":{\"math\":\"1\"}}\n";
    std::fs::write(home.join("mine.jsonl"), row).unwrap();
    let good = recipe("{ path = \"mine.jsonl\" }");
    assert!(good.status.success(), "{}", text(&good.stderr));
    let said = text(&good.stdout) + &text(&good.stderr);
    assert!(said.contains("1 of 1 rows kept"), "{said}");
    let empty = recipe("{ path = \"mine.jsonl\", difficulty = [1, 9] }");
    assert!(!empty.status.success());
    let said = text(&empty.stderr);
    assert!(
        said.contains("1 without a difficulty") && said.contains("allow_short"),
        "{said}"
    );
    std::fs::write(home.join("mine.jsonl"), "{\"id\": 1}\n").unwrap();
    let unreadable = recipe("{ path = \"mine.jsonl\" }");
    assert!(!unreadable.status.success() && text(&unreadable.stderr).contains("mine.jsonl:1"));
}
