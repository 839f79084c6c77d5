use std::path::Path;

use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use sky_types::is_version_error;

use crate::{FileError, Result, hash::hex, read_text, write_bytes};

const OPEN: &str = "{\n";
const BEFORE: &str = "  \"check\": \"";
const AFTER: &str = "\",\n";

/// Writes an object as indented JSON whose first line inside is `check`: the SHA-256 of the file
/// without that line.
pub(crate) fn write_checksummed<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    let mut text = serde_json::to_string_pretty(value)
        .map_err(|error| FileError::format(path, error.to_string()))?;
    text.push('\n');
    let Some(fields) = text.strip_prefix(OPEN) else {
        return Err(FileError::format(path, "only an object can be checked"));
    };
    let check = hash(fields);
    write_bytes(
        path,
        format!("{OPEN}{BEFORE}{check}{AFTER}{fields}").as_bytes(),
    )
}

/// Reads back what [`write_checksummed`] wrote.
///
/// # Errors
/// [`FileError::Damaged`] when a byte is another than was written; [`FileError::Version`] or
/// [`FileError::Format`] when all are right but the form is not this build's.
pub(crate) fn read_checksummed<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = match read_text(path) {
        Err(FileError::Io { source, .. }) if source.kind() == std::io::ErrorKind::InvalidData => {
            return Err(FileError::damaged(path, "it is not text"));
        }
        text => text?,
    };
    let fields = intact(&text);
    let parsed = serde_json::from_str(&fields.map_or(text.clone(), |f| format!("{OPEN}{f}")));
    match (fields, parsed) {
        (Some(_), Ok(value)) => Ok(value),
        // A file of the time before the check says which version it is of.
        (found, Err(error)) if found.is_some() || is_older(&text, &error) => {
            let message = format!(
                "{error}: written by another version of Sky; use --force to replace it, or another run folder"
            );
            Err(FileError::json_with(path, None, &error, message))
        }
        _ => Err(FileError::damaged(path, "its own hash is wrong")),
    }
}

/// The fields after the check, when it is right.
fn intact(text: &str) -> Option<&str> {
    let (check, fields) = text
        .strip_prefix(OPEN)?
        .strip_prefix(BEFORE)?
        .split_once(AFTER)?;
    (check == hash(fields)).then_some(fields)
}

fn is_older(text: &str, error: &serde_json::Error) -> bool {
    !text.contains(BEFORE) && is_version_error(error)
}

fn hash(fields: &str) -> String {
    hex(&Sha256::new()
        .chain_update(OPEN)
        .chain_update(fields)
        .finalize())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use serde::Deserialize;
    use sky_types::Version;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Document {
        v: Version<2>,
        seconds: f64,
        name: String,
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_damage() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("d.json");
        let document = Document {
            v: Version,
            seconds: 0.1 + 0.2,
            name: "a".into(),
        };
        write_checksummed(&path, &document).unwrap();
        assert_eq!(read_checksummed::<Document>(&path).unwrap(), document);
        let whole = fs::read(&path).unwrap();
        let assert_damaged = |bytes: &[u8], what: &str| {
            fs::write(&path, bytes).unwrap();
            let error = read_checksummed::<Document>(&path).unwrap_err();
            assert!(
                matches!(error, FileError::Damaged { .. }) && error.to_string().contains("d.json"),
                "{what}: {error}"
            );
        };
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut bytes = whole.clone();
                bytes[at] ^= 1 << bit;
                assert_damaged(&bytes, &format!("bit {bit} of byte {at}"));
            }
            assert_damaged(&whole[..at], &format!("cut at {at}"));
        }
    }

    #[test]
    fn another_version_is_no_damage() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("d.json");
        fs::write(&path, "{\"v\": 1, \"seconds\": 1.0}").unwrap();
        let error = read_checksummed::<Document>(&path).unwrap_err().to_string();
        assert!(
            error.contains("version 1") && error.contains("--force"),
            "{error}"
        );
        write_checksummed(&path, &serde_json::json!({"v": 3})).unwrap();
        let error = read_checksummed::<Document>(&path).unwrap_err().to_string();
        assert!(error.contains("version 3"), "{error}");
    }
}
