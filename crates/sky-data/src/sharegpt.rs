use std::{
    io::{self, Write},
    path::Path,
};

use sky_files::{read_json, write_atomic};
use sky_types::Conversation;

use crate::Result;

/// Writes `sharegpt.json`: one JSON array with one row per line, in the fields that LLaMA-Factory
/// reads and that Sky-T1's released data has.
///
/// # Errors
/// When the file cannot be written.
pub fn write_sharegpt<'a>(
    path: &Path,
    rows: impl IntoIterator<Item = &'a Conversation>,
) -> Result<()> {
    write_atomic(path, |writer| {
        writer.write_all(b"[")?;
        for (number, row) in rows.into_iter().enumerate() {
            writer.write_all(if number == 0 { b"\n" } else { b",\n" })?;
            serde_json::to_writer(&mut *writer, row).map_err(io::Error::from)?;
        }
        writer.write_all(b"\n]\n")
    })?;
    Ok(())
}

/// Reads a `sharegpt.json`, written here or released by Sky-T1.
///
/// # Errors
/// When the file cannot be read or a row does not have these fields.
pub fn read_sharegpt(path: &Path) -> Result<Vec<Conversation>> {
    Ok(read_json(path)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_also_when_there_are_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sharegpt.json");
        let rows = [
            Conversation::exchange("", "What is 1/2?\n", "\"0.5\" \u{1f600}"),
            Conversation::exchange("system", "q", "a"),
        ];
        for rows in [&rows[..], &[]] {
            write_sharegpt(&path, rows).unwrap();
            assert_eq!(read_sharegpt(&path).unwrap(), rows);
        }
        let text = {
            write_sharegpt(&path, &rows[1..]).unwrap();
            std::fs::read_to_string(&path).unwrap()
        };
        assert_eq!(
            text,
            "[\n{\"system\":\"system\",\"conversations\":[{\"from\":\"user\",\"value\":\"q\"},{\"from\":\"assistant\",\"value\":\"a\"}]}\n]\n"
        );
    }
}
