use std::{
    io::{self, Write},
    path::Path,
};

use serde_json::{Map, Value, json};
use sky_files::{FileError, write_atomic};

/// Describes one tensor of a safetensors file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorEntry {
    /// Its name.
    pub name: String,
    /// Its dtype as the format spells it: `F32`, `BF16`.
    pub dtype: &'static str,
    /// Its shape.
    pub shape: Vec<i64>,
    /// Bytes of its elements.
    pub bytes: u64,
}

/// Writes a safetensors file, whole or not at all, and gives its size in bytes.
///
/// `data` is asked for the bytes of each tensor in turn, by its index, so the whole file need never
/// be in memory. `written` sees every byte of the file in order, for whoever hashes it.
///
/// # Errors
/// When `data` fails or the file cannot be written.
pub fn write_safetensors<E: From<FileError>>(
    path: &Path,
    metadata: Option<Value>,
    entries: &[TensorEntry],
    data: &mut dyn FnMut(usize) -> Result<Vec<u8>, E>,
    written: &mut dyn FnMut(&[u8]),
) -> Result<u64, E> {
    let mut header = Map::new();
    if let Some(metadata) = metadata {
        header.insert("__metadata__".into(), metadata);
    }
    let mut end = 0;
    for entry in entries {
        let begin = end;
        end += entry.bytes;
        header.insert(
            entry.name.clone(),
            json!({"dtype": entry.dtype, "shape": entry.shape, "data_offsets": [begin, end]}),
        );
    }
    let mut header = Value::Object(header).to_string().into_bytes();
    // Spaces after the header: readers map the file and expect aligned data.
    header.resize(header.len().next_multiple_of(8), b' ');
    // `write_atomic` reports I/O errors alone; an error of `data` is carried out beside it.
    let mut failed = None;
    let result = write_atomic(path, |file| {
        let mut put = |bytes: &[u8]| {
            written(bytes);
            file.write_all(bytes)
        };
        put(&(header.len() as u64).to_le_bytes())?;
        put(&header)?;
        for index in 0..entries.len() {
            match data(index) {
                Ok(bytes) => put(&bytes)?,
                Err(error) => {
                    failed = Some(error);
                    return Err(io::Error::other("a tensor could not be read"));
                }
            }
        }
        Ok(())
    });
    match failed {
        Some(error) => Err(error),
        None => {
            result?;
            Ok(8 + header.len() as u64 + end)
        }
    }
}
