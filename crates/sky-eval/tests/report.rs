//! The report of a small run folder, as text.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;

use common::{HOSTILE, Run, page};
use sky_eval::report::{ReportConfig, RunSummary, write_report};
use sky_files::read_json;

/// The JSON inside a script element of the page.
fn data(page: &str, id: &str) -> Vec<serde_json::Value> {
    let start = page.find(&format!("id=\"{id}\">")).unwrap() + id.len() + 6;
    let end = start + page[start..].find("</script>").unwrap();
    serde_json::from_str(&page[start..end]).unwrap()
}

#[test]
fn a_whole_run_is_on_the_page() {
    let dir = tempfile::tempdir().unwrap();
    let html = page(dir.path(), "eval-after");
    let summary: RunSummary = read_json(&dir.path().join("summary.json")).unwrap();
    let (before, after) = (summary.before.unwrap(), summary.after.unwrap());
    assert_eq!(
        (before.n, summary.stages.len(), summary.report.as_str()),
        (96, 8, "report.html")
    );
    assert!(before.high < after.low, "{before:?} {after:?}");
    for shown in [
        format!("{:.1}", after.accuracy * 100.0),
        "they do not overlap".into(),
        "33 optimizer steps".into(),
        "64 problems".into(),
        "256 samples".into(),
        "Published, not this run".into(),
        "Not priced".into(),
        "cargo xtask repro --recipe".into(),
    ] {
        assert!(html.contains(&shown), "{shown}");
    }
    assert!(!html.contains("has not run") && !html.contains("not measured"));

    let rows = data(&html, "rows");
    let problems = data(&html, "problems-table");
    assert_eq!((rows.len(), problems.len()), (96 + 256 + 96, 64 + 96));
    let right = rows
        .iter()
        .filter(|row| row["g"] == "after" && row["v"] == "correct")
        .count();
    assert!((right as f64 / 96.0 - after.accuracy).abs() < 1e-12);
    let trained = rows.iter().filter(|row| row["c"] == true).count() as u64;
    assert_eq!(trained, summary.stages[5].count_out);
    assert!(
        rows.iter()
            .any(|row| row["t"].as_str().unwrap().starts_with(HOSTILE))
    );
}

#[test]
fn hostile_text_stays_text_and_nothing_is_loaded() {
    let dir = tempfile::tempdir().unwrap();
    let html = page(dir.path(), "eval-after");
    assert!(
        !html.contains("<script>document") && !html.contains("<img") && !html.contains("<b>bold")
    );
    // Two elements of data, two charts, one script: none was added or ended early.
    assert_eq!(html.matches("<script").count(), 5);
    assert_eq!(html.matches("</script>").count(), 5);
    for loading in [
        "src=", "http://", "https://", "url(", "@import", "<link", "fetch(",
    ] {
        let ours = html.matches(loading).count();
        let hostile = if loading == "src=" {
            html.matches("img src=x").count()
        } else {
            0
        };
        assert_eq!(ours, hostile, "{loading}");
    }
    assert!(html.contains("default-src &#39;none&#39;"));
}

#[test]
fn the_same_folder_gives_the_same_page() {
    let dir = tempfile::tempdir().unwrap();
    let run = Run {
        folder: dir.path(),
        until: "eval-after",
    };
    run.make();
    let write = || {
        write_report(&run.files(), &Run::info(), &ReportConfig::default()).unwrap();
        fs::read(dir.path().join("report.html")).unwrap()
    };
    assert_eq!(write(), write());
}

#[test]
fn a_run_that_stopped_early_says_what_is_missing() {
    let mut seen = Vec::new();
    for until in [
        "problems",
        "eval-before",
        "sample",
        "verify",
        "select",
        "train",
    ] {
        let dir = tempfile::tempdir().unwrap();
        let html = page(dir.path(), until);
        let summary: RunSummary = read_json(&dir.path().join("summary.json")).unwrap();
        assert_eq!(summary.before.is_some(), until != "problems");
        assert!(summary.after.is_none());
        assert!(
            html.contains("not measured") && html.contains("has not run"),
            "{until}"
        );
        assert_eq!(
            html.contains("optimizer steps"),
            until == "train",
            "{until}"
        );
        seen.push(html.len());
    }
    assert!(seen.is_sorted(), "{seen:?}");
    let empty = tempfile::tempdir().unwrap();
    let run = Run {
        folder: empty.path(),
        until: "",
    };
    let summary = write_report(&run.files(), &Run::info(), &ReportConfig::default()).unwrap();
    assert_eq!((summary.before, summary.stages.len()), (None, 0));
}

#[test]
fn a_large_run_is_drawn_from_and_long_texts_are_cut() {
    let dir = tempfile::tempdir().unwrap();
    let run = Run {
        folder: dir.path(),
        until: "eval-after",
    };
    run.make();
    let config = ReportConfig {
        samples_per_stage: 20,
        max_text_bytes: 150,
        dollars_per_hour: 3.0,
    };
    write_report(&run.files(), &Run::info(), &config).unwrap();
    let html = fs::read_to_string(dir.path().join("report.html")).unwrap();
    let rows = data(&html, "rows");
    assert_eq!(rows.len(), 60);
    assert!(
        html.contains("20 of 256 replies (teacher's samples)")
            && html.contains("Cost at $3 an hour")
    );
    let longest = rows
        .iter()
        .map(|row| row["t"].as_str().unwrap().len())
        .max()
        .unwrap();
    assert!(longest < 300, "{longest}");
    let middle = rows
        .iter()
        .filter(|row| row["p"].as_u64().unwrap() > 10)
        .count();
    assert!(middle > 20, "drawn from the whole file, not from its start");
}

#[test]
fn damaged_files_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let run = Run {
        folder: dir.path(),
        until: "eval-after",
    };
    run.make();
    let files = run.files();
    let report = || write_report(&files, &Run::info(), &ReportConfig::default());
    let verdicts = fs::read_to_string(&files.verdicts).unwrap();
    common::put(&files.verdicts, &verdicts[..verdicts.len() / 2]);
    assert!(report().unwrap_err().to_string().contains("verdicts.jsonl"));
    assert!(!files.report.exists());
    common::put(&files.verdicts, &verdicts);
    common::put(&files.metrics, "{\"step\": \"one\"}\n");
    assert!(
        report()
            .unwrap_err()
            .to_string()
            .contains("metrics.jsonl:1")
    );
    fs::remove_file(&files.metrics).unwrap();
    assert!(report().unwrap_err().to_string().contains("metrics.jsonl"));
}

/// The text of the page's section "By kind of problem".
fn kinds(html: &str) -> &str {
    let start = html.find("By kind of problem").unwrap();
    let end = html[start..].find("card published").unwrap();
    &html[start..start + end]
}

#[test]
fn a_score_that_was_not_measured_is_not_shown() {
    let dir = tempfile::tempdir().unwrap();
    let html = page(dir.path(), "eval-before");
    let shown = kinds(&html);
    let rows = shown.matches("<span class=\"num\">").count();
    assert!(rows > 1);
    assert_eq!(
        shown.matches("<b><span class=\"none\"").count(),
        rows,
        "{shown}"
    );
    assert_eq!(shown.matches("class=\"dot\"").count(), 0);
    assert!(shown.contains("not measured after training"));

    let dir = tempfile::tempdir().unwrap();
    let html = page(dir.path(), "eval-after");
    assert!(!kinds(&html).contains("class=\"none\""));

    // After alone: the evaluation before was skipped.
    fs::remove_file(dir.path().join("eval-before/manifest.json")).unwrap();
    let run = Run {
        folder: dir.path(),
        until: "eval-after",
    };
    write_report(&run.files(), &Run::info(), &ReportConfig::default()).unwrap();
    let html = fs::read_to_string(dir.path().join("report.html")).unwrap();
    let shown = kinds(&html);
    assert_eq!(shown.matches("class=\"dot hollow\"").count(), 0, "{shown}");
    assert!(shown.contains("not measured before training"));
}
