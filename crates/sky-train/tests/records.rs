//! What a run leaves besides its weights: the validation loss, TensorBoard's file, checkpoints
//! written beside training.
#![allow(clippy::unwrap_used)]

mod common;

use std::{fs, ops::ControlFlow, path::Path};

use common::{LLAMA, bits, config, job, model, python, seqs, trainer};
use sky_plan::{ModelShape, Precision, TrainConfig};
use sky_train::{Checkpoint, Dataset, Job, StepMetrics, Trainer};
use sky_types::TokenSeq;

fn never_stop(_: &StepMetrics) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn on(rows: Vec<TokenSeq>, config: &TrainConfig) -> Job {
    let model = model(LLAMA);
    Job {
        data: Dataset::new(rows, model.vocab_size, config).unwrap(),
        ..job(&model, config, 5)
    }
}

fn run(job: Job) -> Vec<StepMetrics> {
    let dir = tempfile::tempdir().unwrap();
    let mut trainer = trainer(job);
    trainer.run(dir.path(), &mut never_stop).unwrap();
    trainer.history().to_vec()
}

#[test]
fn held_out_rows_are_never_trained_on_and_their_loss_is_right() {
    let config = TrainConfig {
        validation_rows: 5,
        validate_every: 2,
        ..config()
    };
    let losses = |history: &[StepMetrics]| history.iter().map(|m| m.loss).collect::<Vec<_>>();
    let plain = run(on(seqs(20), &config));
    // 15 rows twice in batches of 6.
    let taken: Vec<u64> = plain
        .iter()
        .filter(|m| m.validation_loss.is_some())
        .map(|m| m.step)
        .collect();
    assert_eq!((plain.len(), taken), (5, vec![2, 4, 5]));

    let mut held_out = Vec::new();
    for row in 0..20 {
        let mut changed = seqs(20);
        let last = changed[row].ids.last_mut().unwrap();
        *last = (*last + 1) % 39;
        let other = run(on(changed, &config));
        if losses(&other) == losses(&plain) {
            assert_ne!(other[1].validation_loss, plain[1].validation_loss);
            held_out.push(row);
        }
    }
    assert_eq!(held_out.len(), 5, "{held_out:?}");

    // At a learning rate that changes no weight it is the loss of a batch of these very rows.
    let still = TrainConfig {
        learning_rate: 1e-30,
        weight_decay: 0.0,
        ..config
    };
    let rows: Vec<TokenSeq> = held_out.iter().map(|&row| seqs(20)[row].clone()).collect();
    let alone = TrainConfig {
        validation_rows: 0,
        global_batch: 5,
        max_steps: Some(1),
        ..still.clone()
    };
    let expected = run(on(rows, &alone))[0].loss;
    let found = run(on(seqs(20), &still))[1].validation_loss.unwrap();
    assert!(
        (found - expected).abs() < 1e-6 * expected,
        "{found} {expected}"
    );
}

/// One varint and the rest.
fn varint(bytes: &[u8]) -> (u64, &[u8]) {
    let end = bytes.iter().position(|b| b & 0x80 == 0).unwrap();
    let value = bytes[..=end]
        .iter()
        .rev()
        .fold(0, |value, b| value << 7 | u64::from(b & 0x7f));
    (value, &bytes[end + 1..])
}

/// The fields of a protocol buffer: number, and bytes (of a varint, its value's).
fn fields(mut bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let (key, rest) = varint(bytes);
        let (value, rest) = match key & 7 {
            0 => {
                let (value, rest) = varint(rest);
                (value.to_le_bytes().to_vec(), rest)
            }
            1 => (rest[..8].to_vec(), &rest[8..]),
            2 => {
                let (length, rest) = varint(rest);
                (rest[..length as usize].to_vec(), &rest[length as usize..])
            }
            5 => (rest[..4].to_vec(), &rest[4..]),
            other => panic!("wire type {other}"),
        };
        found.push((key >> 3, value));
        bytes = rest;
    }
    found
}

/// Every scalar of an event file: step, tag, value.
fn scalars(mut bytes: &[u8]) -> Vec<(u64, String, f32)> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let event = fields(&bytes[12..12 + length]);
        bytes = &bytes[16 + length..];
        let step = event
            .iter()
            .find(|(number, _)| *number == 2)
            .map_or(0, |(_, value)| {
                u64::from_le_bytes(value[..8].try_into().unwrap())
            });
        for (_, summary) in event.iter().filter(|(number, _)| *number == 5) {
            for (_, entry) in fields(summary) {
                let entry = fields(&entry);
                let tag = String::from_utf8(entry[0].1.clone()).unwrap();
                let value = f32::from_le_bytes(entry[1].1[..4].try_into().unwrap());
                found.push((step, tag, value));
            }
        }
    }
    found
}

/// TensorBoard's own reader, checksums and all; nothing when this machine has none.
fn read_by_tensorboard(dir: &Path) -> Option<String> {
    const SCRIPT: &str = "
import sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
a = EventAccumulator(sys.argv[1]); a.Reload()
for tag in sorted(a.Tags()['scalars']):
    for e in a.Scalars(tag): print(e.step, tag, '%.9g' % e.value)
";
    python::script("SKY_TENSORBOARD_PYTHON", "tensorboard", SCRIPT, dir, &[])
}

#[test]
fn tensorboard_s_file_holds_every_step_once_however_often_the_run_was_cut() {
    let dir = tempfile::tempdir().unwrap();
    let config = TrainConfig {
        validation_rows: 5,
        validate_every: 2,
        peak_flops: Some(1e12),
        dollars_per_hour: Some(24.0),
        ..config()
    };
    let mut cut = trainer(on(seqs(20), &config));
    cut.run(dir.path(), &mut |m| match m.step {
        3 => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    })
    .unwrap();
    let newest = Checkpoint::newest(&dir.path().join("checkpoints"), &mut |line| {
        panic!("{line}")
    });
    let mut again = Trainer::resume(
        on(seqs(20), &config),
        tch::Device::Cpu,
        &sky_train::SingleProcess,
        &newest.unwrap().unwrap(),
        &mut |param| Ok(common::initial(param)),
    )
    .unwrap();
    again.run(dir.path(), &mut never_stop).unwrap();

    let folder = dir.path().join("tensorboard");
    let files: Vec<_> = fs::read_dir(&folder).unwrap().collect();
    assert_eq!(files.len(), 1);
    let bytes = fs::read(files[0].as_ref().unwrap().path()).unwrap();
    let mut expected: Vec<(u64, String, f32)> = Vec::new();
    let bytes_of = |bytes: Option<u64>| bytes.map(|bytes| bytes as f64);
    for m in again.history() {
        let values = [
            ("train/loss", Some(m.loss)),
            ("train/learning_rate", Some(m.lr)),
            ("train/grad_norm", Some(m.grad_norm)),
            ("train/epoch", Some(m.epoch)),
            ("train/tokens_per_second", Some(m.time.tokens_per_second)),
            ("train/mfu", m.time.mfu),
            ("validation/loss", m.validation_loss),
            ("cost/elapsed_seconds", Some(m.time.elapsed)),
            ("cost/remaining_seconds", Some(m.time.remaining)),
            ("cost/dollars", m.time.dollars),
            ("memory/weights", bytes_of(Some(m.time.memory.weights))),
            ("memory/gradients", bytes_of(Some(m.time.memory.gradients))),
            ("memory/optimizer", bytes_of(Some(m.time.memory.optimizer))),
            ("memory/peak", bytes_of(m.time.memory.peak)),
        ];
        for (tag, value) in values {
            expected.extend(value.map(|value| (m.step, tag.to_owned(), value as f32)));
        }
    }
    let with_peak = usize::from(again.history()[0].time.memory.peak.is_some());
    assert_eq!(expected.len(), 5 * (12 + with_peak) + 3);
    assert_eq!(scalars(&bytes), expected);
    let Some(text) = read_by_tensorboard(&folder) else {
        return;
    };
    let mut read: Vec<(u64, String, f32)> = text
        .lines()
        .map(|line| {
            let mut parts = line.split(' ');
            let mut next = || parts.next().unwrap();
            (
                next().parse().unwrap(),
                next().to_owned(),
                next().parse().unwrap(),
            )
        })
        .collect();
    let by_step = |a: &(u64, String, f32), b: &(u64, String, f32)| (a.0, &a.1).cmp(&(b.0, &b.1));
    read.sort_by(by_step);
    expected.sort_by(by_step);
    assert_eq!(read, expected);
}

#[test]
fn time_tells_mfu_cost_and_memory_and_goes_on_after_a_cut() {
    let dir = tempfile::tempdir().unwrap();
    let rows = || seqs(6);
    let config = TrainConfig {
        epochs: 4,
        peak_flops: Some(2e9),
        dollars_per_hour: Some(7.2),
        precision: Precision::Bf16,
        ..config()
    };
    let mut cut = trainer(on(rows(), &config));
    cut.run(dir.path(), &mut |m| match m.step {
        2 => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    })
    .unwrap();
    let newest = Checkpoint::newest(&dir.path().join("checkpoints"), &mut |line| {
        panic!("{line}")
    });
    let mut again = Trainer::resume(
        on(rows(), &config),
        tch::Device::Cpu,
        &sky_train::SingleProcess,
        &newest.unwrap().unwrap(),
        &mut |param| Ok(common::initial(param)),
    )
    .unwrap();
    again.run(dir.path(), &mut never_stop).unwrap();
    let lines = sky_files::read_jsonl::<StepMetrics>(&dir.path().join("metrics.jsonl")).unwrap();
    let steps: Vec<StepMetrics> = lines.map(Result::unwrap).collect();
    // Read back exactly, so that a resumed run writes the same lines again.
    assert_eq!((steps.len(), steps.as_slice()), (4, again.history()));

    let shape = ModelShape::from_json(LLAMA).unwrap();
    // Each step has all rows: six FLOP a weight and token, attention within a row.
    let flops: f64 = rows()
        .iter()
        .map(|row| row.ids.len() as f64)
        .map(|length| 3.0 * length * shape.forward_flops(length))
        .sum();
    let (mut elapsed, params) = (0.0, shape.params());
    for m in &steps {
        let time = m.time;
        let close = |a: f64, b: f64| (a - b).abs() <= 1e-9 * b;
        assert!(close(time.mfu.unwrap() * time.seconds * 2e9, flops));
        assert!(time.elapsed >= elapsed + time.seconds, "{elapsed} {time:?}");
        elapsed = time.elapsed;
        assert!(close(time.dollars.unwrap(), elapsed * 0.002));
        assert_eq!(time.remaining > 0.0, m.step < 4);
        // Padded to 64 elements a block.
        let most = |bytes: u64| bytes * params..=bytes * (params + 4 * 64);
        assert!(most(2).contains(&time.memory.weights));
        assert!(most(4).contains(&time.memory.gradients));
        assert!(most(12).contains(&time.memory.optimizer));
        assert_eq!(time.memory.state_bytes(), again.state_bytes());
        assert_eq!(time.memory.gpu, None);
        if cfg!(target_os = "linux") {
            assert!(time.memory.peak.unwrap() > time.memory.state_bytes());
        }
    }

    let unknown = TrainConfig {
        peak_flops: None,
        dollars_per_hour: None,
        ..config
    };
    let time = run(on(rows(), &unknown))[0].time;
    assert_eq!((time.mfu, time.dollars), (None, None));
}

#[test]
fn checkpoints_written_beside_training_are_the_same_bytes_and_their_errors_are_told() {
    let llama = model(LLAMA);
    let saved = |background_save| {
        let dir = tempfile::tempdir().unwrap();
        let config = TrainConfig {
            background_save,
            keep_checkpoints: 9,
            save_every: 1,
            ..config()
        };
        let mut trainer = trainer(job(&llama, &config, 9));
        trainer.run(dir.path(), &mut never_stop).unwrap();
        let files: Vec<Vec<u8>> = (1..=7)
            .map(|step| {
                let folder = dir.path().join(format!("checkpoints/step-{step:08}"));
                fs::read(folder.join("rank-00000-of-00001.safetensors")).unwrap()
            })
            .collect();
        (files, bits(&trainer, &llama))
    };
    let (beside, between) = (saved(true), saved(false));
    assert_eq!(beside, between);
    assert_ne!(beside.0[0], beside.0[1]);

    // A file where the second checkpoint's folder is to be: written in the background, its failure
    // ends the run.
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("checkpoints");
    fs::create_dir_all(&root).unwrap();
    fs::write(root.join("step-00000002"), "in the way").unwrap();
    let mut trainer = trainer(job(&llama, &config(), 9));
    let error = trainer
        .run(dir.path(), &mut never_stop)
        .unwrap_err()
        .to_string();
    assert!(error.contains("step-00000002"), "{error}");
    assert!(trainer.step() < 7 || !root.join("step-00000007").exists());
}
