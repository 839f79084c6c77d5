use std::{
    collections::HashMap,
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use serde::Deserialize;
use sha2::{Digest, Sha256};
use sky_files::{FileError, FileHash};
use sky_model::{TensorEntry, write_safetensors};
use tch::{Kind, Tensor};

use crate::{TrainError, optim::state_tensor::StateTensor};

/// Longest header that is read: 64 layers need a few tens of kilobytes.
const MAX_HEADER_BYTES: u64 = 64 << 20;

/// A vector and its name in the file.
pub(crate) struct NamedTensor {
    pub(crate) name: String,
    pub(crate) tensor: StateTensor,
}

/// Writes named f32 vectors as one safetensors file, whole or not at all; gives its hash.
pub(crate) fn write_shard(path: &Path, tensors: &[NamedTensor]) -> Result<FileHash, TrainError> {
    let entries: Vec<TensorEntry> = tensors
        .iter()
        .map(|NamedTensor { name, tensor }| TensorEntry {
            name: name.clone(),
            dtype: "F32",
            shape: vec![tensor.length()],
            bytes: tensor.length().unsigned_abs() * 4,
        })
        .collect();
    let mut hasher = Sha256::new();
    let bytes = write_safetensors(
        path,
        None,
        &entries,
        &mut |index| bytes_of(&tensors[index].tensor),
        &mut |bytes| hasher.update(bytes),
    )?;
    Ok(FileHash {
        bytes,
        sha256: sky_files::hex(&hasher.finalize()),
    })
}

fn bytes_of(vector: &StateTensor) -> Result<Vec<u8>, TrainError> {
    let tensor = vector
        .to_f32()?
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
