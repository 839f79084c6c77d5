use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use sky_files::{FileError, write_bytes};

use crate::StepMetrics;

/// TensorBoard's file of a run: a line of curves, written again from the history when a run begins
/// or resumes.
///
/// The format is TFRecord (length, masked CRC-32C, data, masked CRC-32C) around one protocol buffer
/// `Event` a step; see `tensorflow/core/lib/io/record_writer.h` and
/// `tensorflow/core/util/event.proto`.
#[derive(Debug)]
pub(crate) struct EventFile {
    path: PathBuf,
    file: File,
}

/// The one name, so that a resumed run has one file; TensorBoard looks for `tfevents` in it.
const NAME: &str = "events.out.tfevents.0.sky-train";

impl EventFile {
    /// Replaces the file by `history`. Its times end now and go back by each step's seconds.
    pub(crate) fn begin(dir: &Path, history: &[StepMetrics]) -> Result<Self, FileError> {
        let path = dir.join(NAME);
        let mut time = now() - history.iter().map(|step| step.time.seconds).sum::<f64>();
        let mut bytes = record(&version(time));
        for step in history {
            time += step.time.seconds;
            bytes.extend(record(&event(time, step)));
        }
        fs::create_dir_all(dir).map_err(|source| FileError::io(dir, "make the folder", source))?;
        write_bytes(&path, &bytes)?;
        let file = OpenOptions::new()
            .append(true)
            .open(&path)
            .map_err(|source| FileError::io(&path, "open", source))?;
        Ok(Self { path, file })
    }

    /// Adds one step.
    pub(crate) fn append(&mut self, step: &StepMetrics) -> Result<(), FileError> {
        self.file
            .write_all(&record(&event(now(), step)))
            .map_err(|source| FileError::io(&self.path, "append", source))
    }
}

fn now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |time| time.as_secs_f64())
}

/// The event that every file begins with.
fn version(time: f64) -> Vec<u8> {
    let mut event = Vec::new();
    double(&mut event, 1, time);
    bytes(&mut event, 3, b"brain.Event:2");
    event
}

/// `Event { wall_time = 1, step = 2, summary = 5 { value = 1 { tag = 1, simple_value = 2 } } }`.
fn event(time: f64, step: &StepMetrics) -> Vec<u8> {
    let mut summary = Vec::new();
    let (timing, memory) = (&step.time, &step.time.memory);
    let values = [
        ("train/loss", Some(step.loss)),
        ("train/learning_rate", Some(step.lr)),
        ("train/grad_norm", Some(step.grad_norm)),
        ("train/epoch", Some(step.epoch)),
        ("train/tokens_per_second", Some(timing.tokens_per_second)),
        ("train/mfu", timing.mfu),
        ("validation/loss", step.validation_loss),
        ("cost/elapsed_seconds", Some(timing.elapsed)),
        ("cost/remaining_seconds", Some(timing.remaining)),
        ("cost/dollars", timing.dollars),
        ("memory/weights", Some(memory.weights as f64)),
        ("memory/gradients", Some(memory.gradients as f64)),
        ("memory/optimizer", Some(memory.optimizer as f64)),
        ("memory/peak", memory.peak.map(|bytes| bytes as f64)),
        ("memory/gpu", memory.gpu.map(|bytes| bytes as f64)),
    ];
    for (tag, value) in values {
        if let Some(value) = value {
            let mut entry = Vec::new();
            bytes(&mut entry, 1, tag.as_bytes());
            entry.push(2 << 3 | 5);
            entry.extend((value as f32).to_le_bytes());
            bytes(&mut summary, 1, &entry);
        }
    }
    let mut event = Vec::new();
    double(&mut event, 1, time);
    event.push(2 << 3);
    varint(&mut event, step.step);
    bytes(&mut event, 5, &summary);
    event
}

/// A field of eight bytes.
fn double(out: &mut Vec<u8>, field: u8, value: f64) {
    out.push(field << 3 | 1);
    out.extend(value.to_le_bytes());
}

/// A field with a length.
fn bytes(out: &mut Vec<u8>, field: u8, value: &[u8]) {
    out.push(field << 3 | 2);
    varint(out, value.len() as u64);
    out.extend(value);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// One TFRecord.
fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut out = Vec::with_capacity(data.len() + 16);
    out.extend(length);
    out.extend(masked(crc32c(&length)).to_le_bytes());
    out.extend(data);
    out.extend(masked(crc32c(data)).to_le_bytes());
    out
}

/// TFRecord's masking: a checksum stored beside what it is of must not look like data with a
/// checksum.
fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C (Castagnoli), bit by bit: a record is a few hundred bytes.
fn crc32c(data: &[u8]) -> u32 {
    !data.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            crc >> 1 ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 }
        })
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_castagnoli_s() {
        // RFC 3720, B.4.
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }
}
