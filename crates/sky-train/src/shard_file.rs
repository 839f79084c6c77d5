use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use sky_files::{FileError, FileHash, write_atomic};
use tch::{Kind, Tensor};

use crate::{TrainError, vector::Vector};

/// Longest header that is read: 64 layers need a few tens of kilobytes.
const MAX_HEADER_BYTES: u64 = 64 << 20;

/// Writes named f32 vectors as one safetensors file, whole or not at all; gives its hash.
pub(crate) fn write_shard(
    path: &Path,
    tensors: &[(String, Vector)],
) -> Result<FileHash, TrainError> {
    let mut header = Map::new();
    let mut end = 0_u64;
    for (name, tensor) in tensors {
        let begin = end;
        end += tensor.length().unsigned_abs() * 4;
        header.insert(
            name.clone(),
            json!({"dtype": "F32", "shape": [tensor.length()], "data_offsets": [begin, end]}),
        );
    }
    let mut header = Value::Object(header).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut hasher = Sha256::new();
    let mut failed = None;
    let written = write_atomic(path, |file| {
        let mut put = |bytes: &[u8]| {
            hasher.update(bytes);
            file.write_all(bytes)
        };
        put(&(header.len() as u64).to_le_bytes())?;
        put(&header)?;
        for (_, tensor) in tensors {
            match bytes_of(tensor) {
                Ok(bytes) => put(&bytes)?,
                Err(error) => {
                    failed = Some(error);
                    return Err(io::Error::other("a tensor could not be copied"));
                }
            }
        }
        Ok(())
    });
    if let Some(error) = failed {
        return Err(error);
    }
    written?;
    Ok(FileHash {
        bytes: 8 + header.len() as u64 + end,
        sha256: hasher
            .finalize()
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect(),
    })
}

fn bytes_of(vector: &Vector) -> Result<Vec<u8>, TrainError> {
    let tensor = vector
        .wide()?
        .f_to_device(tch::Device::Cpu)?
        .f_contiguous()?;
    let mut bytes = vec![0; tensor.numel() * 4];
    tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
    Ok(bytes)
}

/// A file of [`write_shard`], read piece by piece.
#[derive(Debug)]
pub(crate) struct ShardFile {
    path: PathBuf,
    data: u64,
    entries: HashMap<String, Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

impl ShardFile {
    /// Reads the header.
    pub(crate) fn open(path: &Path) -> Result<Self, TrainError> {
        let fail = |source| TrainError::from(FileError::io(path, "read", source));
        let mut file = File::open(path).map_err(fail)?;
        let size = file.metadata().map_err(fail)?.len();
        let mut length = [0; 8];
        file.read_exact(&mut length).map_err(fail)?;
        let length = u64::from_le_bytes(length);
        if length > MAX_HEADER_BYTES {
            return Err(damaged(path, "the header's length is absurd"));
        }
        let mut head = Vec::new();
        file.take(length).read_to_end(&mut head).map_err(fail)?;
        let entries: HashMap<String, Entry> =
            serde_json::from_slice(&head).map_err(|error| damaged(path, &error.to_string()))?;
        for (name, entry) in &entries {
            let (begin, end) = entry.data_offsets;
            let bytes = match entry.shape[..] {
                [length] if entry.dtype == "F32" => length.checked_mul(4),
                _ => None,
            };
            let there = bytes.is_some() && end.checked_sub(begin) == bytes;
            if !there || end > size.saturating_sub(8 + length) {
                return Err(damaged(
                    path,
                    &format!("`{name}` is no f32 vector within the file"),
                ));
            }
        }
        Ok(Self {
            path: path.into(),
            data: 8 + length,
            entries,
        })
    }

    /// Elements `from..to` of one vector, f32.
    pub(crate) fn read(&self, name: &str, from: i64, to: i64) -> Result<Tensor, TrainError> {
        let entry = self
            .entries
            .get(name)
            .ok_or_else(|| damaged(&self.path, &format!("`{name}` is missing")))?;
        if from < 0 || to < from || to as u64 > entry.shape[0] {
            return Err(damaged(
                &self.path,
                &format!("`{name}` does not hold elements {from} to {to}"),
            ));
        }
        let fail = |source| TrainError::from(FileError::io(&self.path, "read", source));
        let mut file = File::open(&self.path).map_err(fail)?;
        let begin = self.data + entry.data_offsets.0 + from as u64 * 4;
        file.seek(SeekFrom::Start(begin)).map_err(fail)?;
        let mut bytes = vec![0; (to - from) as usize * 4];
        file.read_exact(&mut bytes).map_err(fail)?;
        Ok(Tensor::f_from_data_size(&bytes, &[to - from], Kind::Float)?)
    }
}

fn damaged(path: &Path, reason: &str) -> TrainError {
    TrainError::Checkpoint {
        path: path.into(),
        reason: reason.into(),
    }
}
