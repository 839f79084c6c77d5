//! What the sandbox tests share.
#![allow(dead_code, clippy::unwrap_used)]

use std::path::PathBuf;
use std::sync::OnceLock;

use sky_sandbox::{Limits, Outcome, Sandbox};

/// Where `cargo xtask setup` puts things.
pub(crate) fn sky_home() -> PathBuf {
    std::env::var_os("SKY_HOME").map_or_else(|| workspace().join(".sky"), PathBuf::from)
}

/// The workspace's folder.
pub(crate) fn workspace() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Says that a test is skipped. Written to the stream itself: the test harness captures what
/// `eprintln!` prints and shows it of failed tests only.
pub(crate) fn skipped(why: &str) {
    use std::io::Write;
    let _ = std::io::stderr().write_all(format!("SKIPPED: {why}\n").as_bytes());
}

/// A file of the shared data, or a loud word that it is not there.
pub(crate) fn shared_data(path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("SKY_SHARED_DATA")
        .map_or_else(|| workspace().join("../shared/data"), PathBuf::from);
    let path = root.join(path);
    if path.exists() {
        return Some(path);
    }
    skipped(&format!("{} is not there", path.display()));
    None
}

/// The one sandbox of this test program; nothing, loudly, when the guest is not set up.
pub(crate) fn sandbox() -> Option<&'static Sandbox> {
    static SANDBOX: OnceLock<Option<Sandbox>> = OnceLock::new();
    SANDBOX
        .get_or_init(|| {
            let home = sky_home();
            if !home.join("python-guest/python3.11.wasm").exists() {
                skipped(&format!(
                    "no Python guest under {}; `cargo xtask setup` fetches it",
                    home.display()
                ));
                return None;
            }
            Some(Sandbox::open(&home).unwrap())
        })
        .as_ref()
}

/// Runs a program under the default limits.
pub(crate) fn run(program: &str, stdin: &str) -> Option<Outcome> {
    Some(
        sandbox()?
            .run(program, stdin.as_bytes(), &Limits::default())
            .unwrap(),
    )
}

/// What a program prints; it must end well.
pub(crate) fn stdout(program: &str, stdin: &str) -> String {
    let outcome = run(program, stdin).unwrap();
    assert_eq!(
        outcome.exit,
        sky_sandbox::Exit::Exited(0),
        "{}",
        String::from_utf8_lossy(&outcome.stderr)
    );
    String::from_utf8(outcome.stdout).unwrap()
}
