//! The wheel in a fresh venv, without network: the tests of `python/tests`, and the README's lines.
//!
//! `SKY_WHEEL` names the wheel that `cargo xtask wheel` built. Without it the test says SKIPPED.
#![allow(clippy::unwrap_used)]

use std::{
    env, fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{command:?}: {text}");
    text
}

#[test]
fn the_wheel_installs_and_passes_its_tests_in_a_fresh_venv() {
    let Some(wheel) = env::var_os("SKY_WHEEL").map(PathBuf::from) else {
        let _ = std::io::stderr().write_all(
            b"SKIPPED: the Python wheel; `cargo xtask wheel` builds it, SKY_WHEEL names it\n",
        );
        return;
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("wheel");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let venv = folder.join("venv");
    run(Command::new("python3").args(["-m", "venv"]).arg(&venv));
    let python = venv.join("bin/python");
    run(Command::new(&python)
        .args(["-m", "pip", "install", "--quiet", "--no-index", "--no-deps"])
        .arg("--disable-pip-version-check")
        .arg(root.join(&wheel)));
    // In an empty folder, so that nothing but the wheel can be imported.
    let text = run(Command::new(&python)
        .args(["-m", "unittest", "discover", "--verbose", "-s"])
        .arg(root.join("python/tests").canonicalize().unwrap())
        .current_dir(&folder));
    for line in text.lines() {
        if line.starts_with("SKIPPED: ") {
            let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
        }
    }
    println!("{text}");
    let _ = fs::remove_dir_all(&folder);
}
