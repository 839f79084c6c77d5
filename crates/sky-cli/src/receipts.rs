use std::path::{Path, PathBuf};

use serde::Deserialize;
use sky_files::{FileError, FileHash, hash_file, read_json};

use crate::sky_home;

/// What set-up recorded about a folder that it fetched.
#[derive(Deserialize)]
struct Receipt {
    files: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    path: PathBuf,
    bytes: u64,
    sha256: String,
}

/// Compares a file or a folder with the receipt that set-up wrote for it, by hash. A path outside
/// `SKY_HOME` or without a receipt passes.
///
/// # Errors
/// When a file is missing or differs from what set-up fetched; the error names it.
pub fn check_against_receipt(path: &Path) -> Result<(), FileError> {
    check_in(&sky_home(), path)
}

fn check_in(home: &Path, path: &Path) -> Result<(), FileError> {
    let Ok(inside) = path.strip_prefix(home) else {
        return Ok(());
    };
    for folder in inside.ancestors() {
        let receipt = receipt(home, folder);
        if folder.as_os_str().is_empty() || !receipt.exists() {
            continue;
        }
        const FETCH: &str = "`cargo xtask setup` fetches it again";
        let receipt: Receipt = match read_json(&receipt) {
            Err(FileError::Format { path, message, .. }) => {
                return Err(FileError::damaged(path, format!("{message}; {FETCH}")));
            }
            receipt => receipt?,
        };
        let within = inside.strip_prefix(folder).unwrap_or(Path::new(""));
        for entry in receipt.files {
            if !entry.path.starts_with(within) {
                continue;
            }
            let file = home.join(folder).join(&entry.path);
            let fetched = FileHash {
                bytes: entry.bytes,
                sha256: entry.sha256,
            };
            let found = hash_file(&file)
                .map_err(|error| FileError::damaged(&file, format!("{error}; {FETCH}")))?;
            if found != fetched {
                return Err(FileError::damaged(
                    &file,
                    format!("it is not what set-up fetched; {FETCH}"),
                ));
            }
        }
        return Ok(());
    }
    Ok(())
}

/// Identifies the Python guest that set-up fetched: the hash of its receipt, or none without one.
/// Verdicts on code depend on the guest.
pub fn guest_identity() -> Option<String> {
    let receipt = receipt(&sky_home(), Path::new("python-guest"));
    hash_file(&receipt).ok().map(|hash| hash.sha256)
}

fn receipt(home: &Path, folder: &Path) -> PathBuf {
    let name = folder.to_string_lossy().replace('/', "-");
    home.join("receipts").join(format!("{name}.json"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_set_up_did_not_fetch_so_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path();
        let model = home.join("models/tiny");
        fs::create_dir_all(&model).unwrap();
        fs::create_dir_all(home.join("receipts")).unwrap();
        fs::write(model.join("model.gguf"), "weights").unwrap();
        fs::write(model.join("own.txt"), "mine").unwrap();
        let hash = hash_file(&model.join("model.gguf")).unwrap();
        let receipt = format!(
            r#"{{"v":1,"pins":"","files":[{{"path":"model.gguf","bytes":{},"sha256":"{}"}}]}}"#,
            hash.bytes, hash.sha256
        );
        fs::write(home.join("receipts/models-tiny.json"), receipt).unwrap();
        let file = model.join("model.gguf");
        for path in [
            &file,
            &model,
            &model.join("own.txt"),
            &home.join("models/other"),
        ] {
            check_in(home, path).unwrap();
        }
        fs::write(&file, "weightz").unwrap();
        for path in [&file, &model] {
            let error = check_in(home, path).unwrap_err().to_string();
            assert!(
                error.contains("model.gguf") && error.contains("cargo xtask setup"),
                "{error}"
            );
        }
        check_in(home, &model.join("own.txt")).unwrap();
        fs::remove_file(&file).unwrap();
        assert!(check_in(home, &model).is_err());
    }
}
