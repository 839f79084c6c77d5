//! GGUF files (versions 2 and 3, little-endian): the header, metadata and where each tensor lies.
//! Everything is bounded by the file's own length.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, BufReader, Read, Seek},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use crate::{
    ModelError,
    quant::{BlockSize, QuantKind},
};

/// One metadata value, as far as models need it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Meta {
    Int(i64),
    /// Kept as f32 says it in decimal, so that 9.9999997e-6 reads as 1e-5.
    Float(f64),
    Bool(bool),
    Text(String),
    Texts(Vec<String>),
    Ints(Vec<i64>),
    /// An array of a kind nothing here reads.
    Other,
}

#[derive(Clone, Debug)]
struct TensorInfo {
    /// As GGUF stores it: innermost dimension first.
    dims: Vec<u64>,
    kind: QuantKind,
    offset: u64,
}

/// An open GGUF file.
#[derive(Debug)]
pub(crate) struct Gguf {
    path: PathBuf,
    file: File,
    pub(crate) meta: HashMap<String, Meta>,
    tensors: HashMap<String, TensorInfo>,
}

/// More than any model has; keeps a hostile count from reserving memory.
const MAX_ENTRIES: u64 = 1 << 20;
const MAX_ARRAY: u64 = 1 << 24;

impl Gguf {
    pub(crate) fn open(path: &Path) -> Result<Self, ModelError> {
        let file = File::open(path).map_err(ModelError::io(path))?;
        let length = file.metadata().map_err(ModelError::io(path))?.len();
        let mut reader = Reader {
            inner: BufReader::with_capacity(1 << 16, &file),
            left: length,
        };
        let Header { meta, mut tensors } = reader
            .header()
            .map_err(|reason| ModelError::format(path, reason))?;
        let position = length - reader.left;
        let alignment = match meta.get("general.alignment") {
            None => 32,
            Some(Meta::Int(n)) if *n > 0 && *n <= 1 << 20 && n.count_ones() == 1 => {
                n.unsigned_abs()
            }
            Some(other) => {
                return Err(ModelError::format(
                    path,
                    format!("general.alignment is {other:?}, expected a power of two"),
                ));
            }
        };
        let data = position.next_multiple_of(alignment);
        for (name, info) in &mut tensors {
            let start = info.offset.checked_add(data);
            let end = start.and_then(|start| start.checked_add(info.bytes()?));
            let fits = start.filter(|_| end.is_some_and(|end| end <= length));
            info.offset = fits.ok_or_else(|| {
                ModelError::format(
                    path,
                    format!("tensor `{name}` reaches beyond the end of the file: is it cut short?"),
                )
            })?;
        }
        Ok(Self {
            path: path.to_owned(),
            file,
            meta,
            tensors,
        })
    }

    /// Whether there is such a tensor.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Shape in the order of rows, columns.
    pub(crate) fn shape(&self, name: &str) -> Option<Vec<i64>> {
        let info = self.tensors.get(name)?;
        info.dims
            .iter()
            .rev()
            .map(|&d| i64::try_from(d).ok())
            .collect()
    }

    /// The tensor's values in row-major order.
    pub(crate) fn values(&self, name: &str) -> Result<Vec<f32>, ModelError> {
        let missing = || ModelError::Missing {
            path: self.path.clone(),
            name: name.to_owned(),
        };
        let info = self.tensors.get(name).ok_or_else(missing)?;
        // Checked against the file's length when it was opened.
        let bytes = info
            .bytes()
            .and_then(|n| usize::try_from(n).ok())
            .ok_or_else(missing)?;
        let mut raw = vec![0; bytes];
        self.file
            .read_exact_at(&mut raw, info.offset)
            .map_err(ModelError::io(&self.path))?;
        Ok(info.kind.dequantize(&raw))
    }

    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        match self.meta.get(key) {
            Some(Meta::Text(text)) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn int(&self, key: &str) -> Option<i64> {
        match self.meta.get(key) {
            Some(Meta::Int(value)) => Some(*value),
            _ => None,
        }
    }

    pub(crate) fn float(&self, key: &str) -> Option<f64> {
        match self.meta.get(key) {
            Some(Meta::Float(value)) => Some(*value),
            _ => None,
        }
    }
}

impl TensorInfo {
    fn bytes(&self) -> Option<u64> {
        let numel = self.dims.iter().try_fold(1u64, |n, &d| n.checked_mul(d))?;
        let BlockSize { values, bytes } = self.kind.block();
        let row = self.dims.first().copied().unwrap_or(1);
        if row % values as u64 != 0 {
            return None;
        }
        (numel / values as u64).checked_mul(bytes as u64)
    }
}

/// What stands before the tensors' data.
struct Header {
    meta: HashMap<String, Meta>,
    tensors: HashMap<String, TensorInfo>,
}

struct Reader<R> {
    inner: R,
    left: u64,
}

impl<R: Read + Seek> Reader<R> {
    fn header(&mut self) -> Result<Header, String> {
        if &self.bytes::<4>()? != b"GGUF" {
            return Err("not a GGUF file: its first four bytes are not `GGUF`".into());
        }
        let version = self.u32()?;
        if !(2..=3).contains(&version) {
            return Err(format!("GGUF version {version} is not known (2 and 3 are)"));
        }
        let (tensors, entries) = (self.u64()?, self.u64()?);
        if tensors.max(entries) > MAX_ENTRIES {
            return Err(format!(
                "{tensors} tensors and {entries} metadata entries: the header is damaged"
            ));
        }
        let mut meta = HashMap::new();
        for _ in 0..entries {
            let key = self.string()?;
            let kind = self.u32()?;
            let value = self
                .value(kind)
                .map_err(|e| format!("metadata `{key}`: {e}"))?;
            meta.insert(key, value);
        }
        let mut infos = HashMap::new();
        for _ in 0..tensors {
            let name = self.string()?;
            let info = self.tensor().map_err(|e| format!("tensor `{name}`: {e}"))?;
            infos.insert(name, info);
        }
        Ok(Header {
            meta,
            tensors: infos,
        })
    }

    fn tensor(&mut self) -> Result<TensorInfo, String> {
        let num_dims = self.u32()?;
        if !(1..=4).contains(&num_dims) {
            return Err(format!("{num_dims} dimensions, expected 1 to 4"));
        }
        let dims = (0..num_dims)
            .map(|_| self.u64())
            .collect::<Result<_, _>>()?;
        let kind = self.u32()?;
        let kind = QuantKind::from_id(kind).ok_or_else(|| {
            format!("quantisation {kind} is not known (F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K are)")
        })?;
        Ok(TensorInfo {
            dims,
            kind,
            offset: self.u64()?,
        })
    }

    fn value(&mut self, kind: u32) -> Result<Meta, String> {
        Ok(match kind {
            4 => Meta::Int(self.u32()?.into()),
            6 => Meta::Float(decimal(f32::from_le_bytes(self.bytes()?))),
            7 => Meta::Bool(self.bytes::<1>()?[0] != 0),
            8 => Meta::Text(self.string()?),
            12 => Meta::Float(f64::from_le_bytes(self.bytes()?)),
            0..=3 | 5 | 10 | 11 => Meta::Int(self.int(kind)?),
            9 => self.array()?,
            other => return Err(format!("value kind {other} is not known")),
        })
    }

    fn int(&mut self, kind: u32) -> Result<i64, String> {
        Ok(match kind {
            0 => self.bytes::<1>()?[0].into(),
            1 => i8::from_le_bytes(self.bytes()?).into(),
            2 => u16::from_le_bytes(self.bytes()?).into(),
            3 => i16::from_le_bytes(self.bytes()?).into(),
            4 => self.u32()?.into(),
            5 => i32::from_le_bytes(self.bytes()?).into(),
            10 => i64::try_from(self.u64()?).map_err(|_| "a number beyond 63 bits".to_owned())?,
            11 => i64::from_le_bytes(self.bytes()?),
            other => return Err(format!("value kind {other} is not an integer")),
        })
    }

    fn array(&mut self) -> Result<Meta, String> {
        let (kind, count) = (self.u32()?, self.u64()?);
        let smallest = match kind {
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            4..=6 => 4,
            8 | 10..=12 => 8,
            other => return Err(format!("arrays of kind {other} are not known")),
        };
        if count > MAX_ARRAY || count.saturating_mul(smallest) > self.left {
            return Err(format!("an array of {count} entries does not fit the file"));
        }
        Ok(match kind {
            8 => Meta::Texts(
                (0..count)
                    .map(|_| self.string())
                    .collect::<Result<_, _>>()?,
            ),
            6 | 7 | 12 => {
                self.skip(count * smallest)?;
                Meta::Other
            }
            _ => Meta::Ints(
                (0..count)
                    .map(|_| self.int(kind))
                    .collect::<Result<_, _>>()?,
            ),
        })
    }

    fn string(&mut self) -> Result<String, String> {
        let length = self.u64()?;
        if length > self.left {
            return Err(format!("a text of {length} bytes does not fit the file"));
        }
        let mut bytes = Vec::new();
        let read = (&mut self.inner)
            .take(length)
            .read_to_end(&mut bytes)
            .map_err(|e| e.to_string())?;
        if read as u64 != length {
            return Err("the file ends within its header".into());
        }
        self.left -= length;
        String::from_utf8(bytes).map_err(|_| "a text is not UTF-8".into())
    }

    fn u32(&mut self) -> Result<u32, String> {
        self.bytes().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, String> {
        self.bytes().map(u64::from_le_bytes)
    }

    fn skip(&mut self, bytes: u64) -> Result<(), String> {
        let copied = io::copy(&mut (&mut self.inner).take(bytes), &mut io::sink())
            .map_err(|e| e.to_string())?;
        if copied != bytes {
            return Err("the file ends within its header".into());
        }
        self.left -= bytes;
        Ok(())
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut bytes = [0; N];
        if self.left < N as u64 {
            return Err("the file ends within its header".into());
        }
        self.inner
            .read_exact(&mut bytes)
            .map_err(|e| e.to_string())?;
        self.left -= N as u64;
        Ok(bytes)
    }
}

/// The shortest decimal that reads as this f32: what its author wrote.
fn decimal(value: f32) -> f64 {
    value
        .to_string()
        .parse()
        .unwrap_or_else(|_| f64::from(value))
}
