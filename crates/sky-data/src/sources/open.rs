//! Opens a file of rows as people have it: packed or not, UTF-8 or UTF-16, with or without a byte
//! order mark. What it is shows in its first bytes, not in its name.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use flate2::read::MultiGzDecoder;
use ruzstd::decoding::StreamingDecoder;
use sky_files::FileError;

const BUFFER: usize = 1 << 16;
/// A file may always unpack to this many bytes, and to [`MOST_RATIO`] times its size. Published
/// data sets reach about 20 times; a hostile file reaches 1,000 times.
const FREE_BYTES: u64 = 256 << 20;
const MOST_RATIO: u64 = 100;

/// Opens a file for reading as UTF-8 text.
///
/// # Errors
/// When it cannot be opened, or is of a kind that is not read here.
pub(super) fn open(path: &Path) -> Result<Box<dyn BufRead>, FileError> {
    let io = |source| FileError::io(path, "open", source);
    let file = File::open(path).map_err(io)?;
    let metadata = file.metadata().map_err(io)?;
    if metadata.is_dir() {
        return Err(FileError::format(path, "a folder; name a file in it"));
    }
    let mut file = BufReader::with_capacity(BUFFER, file);
    let start = file
        .fill_buf()
        .map_err(|e| FileError::io(path, "read", e))?;
    let most = FREE_BYTES.max(metadata.len().saturating_mul(MOST_RATIO));
    let unpacked: Box<dyn Read> = match start {
        [0x1f, 0x8b, ..] => Box::new(Limited::new(MultiGzDecoder::new(file), most)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
            Box::new(Limited::new(Zstd::new(file), most))
        }
        other => {
            if let Some((kind, fix)) = unread(other) {
                return Err(FileError::format(path, format!("{kind}; {fix}")));
            }
            Box::new(file)
        }
    };
    let mut text = BufReader::with_capacity(BUFFER, unpacked);
    let start = text
        .fill_buf()
        .map_err(|error| FileError::io(path, "read", error))?;
    let little = match start {
        [0xef, 0xbb, 0xbf, ..] => {
            text.consume(3);
            return Ok(Box::new(text));
        }
        // Without a mark, an ASCII character's other byte is zero.
        [0xff, 0xfe, ..] | [b'{' | b'[', 0, ..] => true,
        [0xfe, 0xff, ..] | [0, b'{' | b'[', ..] => false,
        _ => return Ok(Box::new(text)),
    };
    let utf16 = Utf16 {
        bytes: text,
        little,
        high: None,
        text: Vec::new(),
        at: 0,
    };
    Ok(Box::new(BufReader::with_capacity(BUFFER, utf16)))
}

/// A kind of file that is not read, by its first bytes, and what to do.
fn unread(start: &[u8]) -> Option<(&'static str, &'static str)> {
    const TO_LINES: &str =
        "write it as JSON lines: in Python, datasets.load_dataset(...).to_json(FILE)";
    Some(match start {
        [b'P', b'A', b'R', b'1', ..] => ("a Parquet file", TO_LINES),
        [b'A', b'R', b'R', b'O', b'W', b'1', ..] | [0xff, 0xff, 0xff, 0xff, ..] => {
            ("an Arrow file", TO_LINES)
        }
        [b'P', b'K', 3, 4, ..] => ("a zip archive", "unpack it first"),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => ("packed with xz", "unpack it with `unxz`"),
        [b'B', b'Z', b'h', ..] => ("packed with bzip2", "unpack it with `bunzip2`"),
        [b'v', b'e', b'r', b's', b'i', b'o', b'n', b' ', b'h', ..] => (
            "a Git LFS pointer, not the file itself",
            "run `git lfs pull` in its repository",
        ),
        _ => return None,
    })
}

/// Ends with an error once more than `left` bytes have been read.
struct Limited<R> {
    inner: R,
    left: u64,
    most: u64,
}

impl<R> Limited<R> {
    fn new(inner: R, most: u64) -> Self {
        Self {
            inner,
            left: most,
            most,
        }
    }
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| {
            io::Error::other(format!(
                "it unpacks to over {} bytes, far more than text does; unpack it yourself if it is \
                 no damaged or hostile file",
                self.most
            ))
        })?;
        Ok(read)
    }
}

/// The frames of a Zstandard file, one after the other.
struct Zstd {
    frame: Option<StreamingDecoder<BufReader<File>, ruzstd::decoding::FrameDecoder>>,
    rest: Option<BufReader<File>>,
}

impl Zstd {
    fn new(file: BufReader<File>) -> Self {
        Self {
            frame: None,
            rest: Some(file),
        }
    }

    /// Skips frames that hold no data (RFC 8878, 3.1.2); true at the end of the file.
    fn at_end(file: &mut BufReader<File>) -> io::Result<bool> {
        loop {
            let start = file.fill_buf()?;
            if start.is_empty() {
                return Ok(true);
            }
            if !matches!(start, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..]) {
                return Ok(false);
            }
            let mut header = [0; 8];
            file.read_exact(&mut header)?;
            let size = u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
            io::copy(&mut file.by_ref().take(u64::from(size)), &mut io::sink())?;
        }
    }
}

impl Read for Zstd {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(frame) = &mut self.frame {
                let read = frame.read(buffer)?;
                if read > 0 || buffer.is_empty() {
                    return Ok(read);
                }
            }
            if let Some(frame) = self.frame.take() {
                self.rest = Some(frame.into_inner());
            }
            let Some(mut file) = self.rest.take() else {
                return Ok(0);
            };
            if Self::at_end(&mut file)? {
                return Ok(0);
            }
            let frame = StreamingDecoder::new(file)
                .map_err(|error| io::Error::other(format!("its Zstandard frame: {error}")))?;
            self.frame = Some(frame);
        }
    }
}

/// UTF-16 as UTF-8.
struct Utf16<R> {
    bytes: R,
    little: bool,
    /// The first half of a surrogate pair.
    high: Option<u16>,
    text: Vec<u8>,
    at: usize,
}

impl<R: BufRead> Utf16<R> {
    /// Decodes some more; nothing is left at the end.
    fn fill(&mut self) -> io::Result<()> {
        self.text.clear();
        self.at = 0;
        let broken = || io::Error::new(io::ErrorKind::InvalidData, "its UTF-16 is broken");
        while self.text.len() < BUFFER {
            let mut unit = [0; 2];
            if self.bytes.fill_buf()?.is_empty() {
                return if self.high.is_some() {
                    Err(broken())
                } else {
                    Ok(())
                };
            }
            self.bytes.read_exact(&mut unit).map_err(|_| broken())?;
            let unit = if self.little {
                u16::from_le_bytes(unit)
            } else {
                u16::from_be_bytes(unit)
            };
            let units = match self.high.take() {
                Some(high) => vec![high, unit],
                None if (0xd800..0xdc00).contains(&unit) => {
                    self.high = Some(unit);
                    continue;
                }
                // The byte order mark.
                None if unit == 0xfeff => continue,
                None => vec![unit],
            };
            for c in char::decode_utf16(units) {
                let c = c.map_err(|_| broken())?;
                self.text
                    .extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Utf16<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.text.len() {
            self.fill()?;
        }
        let count = buffer.len().min(self.text.len() - self.at);
        buffer[..count].copy_from_slice(&self.text[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}
