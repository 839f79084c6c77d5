use std::{env, path::PathBuf};

/// The folder that `cargo xtask setup` fills: `SKY_HOME`, else `.sky` in the current folder.
pub fn sky_home() -> PathBuf {
    env::var_os("SKY_HOME")
        .filter(|home| !home.is_empty())
        .map_or_else(|| PathBuf::from(".sky"), PathBuf::from)
}
