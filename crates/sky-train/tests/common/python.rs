//! Readers of what we write that are not ours, in Python.

use std::{env, path::Path, process::Command};

/// What a script prints about a folder, run by the Python that `variable` names, or `python3`;
/// nothing, and a line that says so, when that one cannot import `module`.
pub(crate) fn script(
    variable: &str,
    module: &str,
    script: &str,
    folder: &Path,
    args: &[String],
) -> Option<String> {
    let python = env::var(variable).unwrap_or_else(|_| "python3".into());
    let installed = Command::new(&python)
        .args(["-c", &format!("import {module}")])
        .output()
        .is_ok_and(|output| output.status.success());
    if !installed {
        let _ = std::io::Write::write_all(
            &mut std::io::stderr(),
            format!("SKIPPED: {python} has no `{module}`; name one that has in {variable}\n")
                .as_bytes(),
        );
        return None;
    }
    let output = Command::new(&python)
        .args(["-c", script])
        .arg(folder)
        .args(args)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(String::from_utf8(output.stdout).unwrap())
}
