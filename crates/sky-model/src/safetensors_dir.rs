//! Weights in a Hugging Face folder: one `model.safetensors`, or several with an index. Headers are
//! checked against the file's length before anything is used, and only the bytes of a tensor asked
//! for are read, so a file that is damaged, hostile or cut short while in use gives an error and
//! never a fault (as mapped memory would).

use std::{
    collections::{BTreeSet, HashMap},
    fs::{self, File},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use safetensors::{Dtype, tensor::Metadata};
use serde::Deserialize;
use tch::{Kind, Tensor};

use crate::ModelError;

#[derive(Debug)]
struct Shard {
    path: PathBuf,
    file: File,
    /// Where the tensors' bytes begin.
    data: u64,
    header: Metadata,
}

/// All weight files of a folder.
#[derive(Debug)]
pub(crate) struct SafetensorsDir {
    dir: PathBuf,
    shards: Vec<Shard>,
    by_name: HashMap<String, usize>,
}

/// The format's own limit on headers.
const MAX_HEADER: u64 = 100_000_000;

#[derive(Deserialize)]
struct Index {
    weight_map: HashMap<String, String>,
}

impl SafetensorsDir {
    pub(crate) fn open(dir: &Path) -> Result<Self, ModelError> {
        let index = dir.join("model.safetensors.index.json");
        let names: BTreeSet<String> = if index.is_file() {
            let text = fs::read_to_string(&index).map_err(ModelError::io(&index))?;
            let parsed: Index = serde_json::from_str(&text)
                .map_err(|e| ModelError::format(&index, e.to_string()))?;
            parsed.weight_map.into_values().collect()
        } else {
            ["model.safetensors".to_owned()].into()
        };
        let mut shards = Vec::new();
        let mut by_name = HashMap::new();
        for name in names {
            // A name with a folder in it could reach outside of the model.
            if name.contains(['/', '\\']) || name.starts_with('.') {
                return Err(ModelError::format(
                    &index,
                    format!("weight file `{name}` is not a plain file name"),
                ));
            }
            let shard = Shard::open(&dir.join(name))?;
            by_name.extend(
                shard
                    .header
                    .tensors()
                    .into_keys()
                    .map(|tensor| (tensor, shards.len())),
            );
            shards.push(shard);
        }
        Ok(Self {
            dir: dir.to_owned(),
            shards,
            by_name,
        })
    }

    pub(crate) fn tensor(&self, name: &str) -> Result<Tensor, ModelError> {
        let missing = || ModelError::Missing {
            path: self.dir.clone(),
            name: name.to_owned(),
        };
        let shard = self
            .by_name
            .get(name)
            .and_then(|&at| self.shards.get(at))
            .ok_or_else(missing)?;
        let info = shard.header.info(name).ok_or_else(missing)?;
        let kind = match info.dtype {
            Dtype::F32 => Kind::Float,
            Dtype::F16 => Kind::Half,
            Dtype::BF16 => Kind::BFloat16,
            Dtype::F64 => Kind::Double,
            other => {
                return Err(ModelError::format(
                    &shard.path,
                    format!("tensor `{name}` is of kind {other:?}, not a float"),
                ));
            }
        };
        let (begin, end) = info.data_offsets;
        let mut bytes = vec![0; end.saturating_sub(begin)];
        shard
            .file
            .read_exact_at(&mut bytes, shard.data + begin as u64)
            .map_err(ModelError::io(&shard.path))?;
        let shape: Vec<i64> = info
            .shape
            .iter()
            .filter_map(|&d| i64::try_from(d).ok())
            .collect();
        Ok(Tensor::f_from_data_size(&bytes, &shape, kind)?)
    }
}

impl Shard {
    fn open(path: &Path) -> Result<Self, ModelError> {
        let damaged = |reason: String| ModelError::format(path, reason);
        let file = File::open(path).map_err(ModelError::io(path))?;
        let length = file.metadata().map_err(ModelError::io(path))?.len();
        let mut size = [0; 8];
        file.read_exact_at(&mut size, 0)
            .map_err(ModelError::io(path))?;
        let header_len = u64::from_le_bytes(size);
        if header_len > MAX_HEADER || header_len + 8 > length {
            return Err(damaged(format!(
                "a header of {header_len} bytes does not fit a file of {length}"
            )));
        }
        let mut header = vec![0; header_len as usize];
        file.read_exact_at(&mut header, 8)
            .map_err(ModelError::io(path))?;
        // Reading checks that offsets follow one another and that each shape fits its bytes.
        let header: Metadata =
            serde_json::from_slice(&header).map_err(|e| damaged(format!("header: {e}")))?;
        let data = 8 + header_len;
        if header.data_len() as u64 != length - data {
            return Err(damaged(format!(
                "the header describes {} bytes of tensors, the file holds {}: is it cut short?",
                header.data_len(),
                length - data
            )));
        }
        Ok(Self {
            path: path.to_owned(),
            file,
            data,
            header,
        })
    }
}
