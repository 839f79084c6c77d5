//! The shared data folder.

use std::{io::Write, path::PathBuf};

use serde_json::Value;

/// The rows of a file, or `None` where the folder does not have it. Says so on the stream itself:
/// the test harness captures what `eprintln!` prints and shows it of failed tests only.
pub(crate) fn rows(file: &str) -> Option<Vec<Value>> {
    let root = std::env::var_os("SKY_SHARED_DATA").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")),
        PathBuf::from,
    );
    let path = root.join(file);
    let Ok(text) = std::fs::read_to_string(&path) else {
        let why = format!(
            "SKIPPED: {} is not here (set SKY_SHARED_DATA)\n",
            path.display()
        );
        let _ = std::io::stderr().write_all(why.as_bytes());
        return None;
    };
    Some(
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect(),
    )
}
