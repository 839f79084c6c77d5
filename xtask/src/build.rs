//! Building the programs, with cargo's own progress.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::Stdio,
};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{Exit, examples, stages::PROGRAMS, workspace::Workspace};

/// Builds every program and example in one go, and returns their paths by name. Selects the same
/// crates as the tests do, because another selection has other features and builds dependencies
/// again.
pub(crate) fn programs(workspace: &Workspace) -> Result<BTreeMap<String, PathBuf>> {
    let mut child = workspace
        .cargo()
        .args([
            "build",
            "--workspace",
            "--bins",
            "--message-format=json-render-diagnostics",
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cargo does not start")?;
    let mut found = BTreeMap::new();
    if let Some(lines) = child.stdout.take() {
        for line in BufReader::new(lines).lines() {
            let Ok(message) = serde_json::from_str::<Value>(&line?) else {
                continue;
            };
            let name = message["target"]["name"].as_str();
            if let (Some(name), Some(path)) = (name, message["executable"].as_str())
                && (PROGRAMS.contains(&name) || examples::is_example(name))
            {
                found.insert(name.to_owned(), PathBuf::from(path));
            }
        }
    }
    if !child.wait()?.success() {
        return Err(Exit {
            code: 1,
            message: Some("the build failed, see above".into()),
        }
        .into());
    }
    let missing = PROGRAMS.iter().find(|name| !found.contains_key(**name));
    missing.map_or(Ok(found), |name| {
        anyhow::bail!("cargo built no program named {name}")
    })
}
