//! Checkpoints: a run that was cut anywhere ends with the same bits and the same metrics as one
//! that was not.
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use common::{LLAMA, QWEN2, bits, config, initial, job, model, trainer};
use sky_files::hash_file;
use sky_plan::{MasterDtype, OptimizerDtype, Precision, TrainConfig};
use sky_train::{
    Checkpoint, Job, RunEnd, SingleProcess, StepMetrics, StepTime, TrainError, Trainer,
};
use tch::{Device, Tensor};

fn resume(job: Job, dir: &Path, said: &mut Vec<String>) -> Trainer<'static> {
    let newest = Checkpoint::newest(&dir.join("checkpoints"), &mut |line| {
        said.push(line.to_owned());
    })
    .unwrap();
    match newest {
        Some(checkpoint) => {
            Trainer::resume(job, Device::Cpu, &SingleProcess, &checkpoint, &mut |p| {
                Ok(initial(p))
            })
            .unwrap()
        }
        None => trainer(job),
    }
}

fn metrics(dir: &Path) -> Vec<StepMetrics> {
    sky_files::read_jsonl::<StepMetrics>(&dir.join("metrics.jsonl"))
        .unwrap()
        .map(|row| StepMetrics {
            time: StepTime::default(),
            ..row.unwrap()
        })
        .collect()
}

/// A folder of checkpoints with that of a run's first step.
fn checkpoint_of_one_step(dir: &Path) -> PathBuf {
    let root = dir.join("checkpoints");
    let mut first = trainer(job(&model(LLAMA), &config(), 9));
    first.train_step().unwrap();
    first.save(&root).unwrap();
    root
}

fn never_stop(_: &StepMetrics) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

#[test]
fn stopped_at_any_step_a_run_ends_with_the_same_bits_and_metrics() {
    let (wide, narrow) = (MasterDtype::F32, MasterDtype::Bf16);
    for (text, precision, optimizer_dtype, master_dtype) in [
        // Stochastic rounding, too, resumes where it was.
        (QWEN2, Precision::Bf16, OptimizerDtype::Bf16, wide),
        (LLAMA, Precision::Bf16, OptimizerDtype::Bf16, narrow),
        (QWEN2, Precision::Bf16, OptimizerDtype::EightBit, narrow),
        (QWEN2, Precision::F32, OptimizerDtype::EightBit, wide),
        (LLAMA, Precision::F32, OptimizerDtype::F32, wide),
    ] {
        let model = model(text);
        let config = TrainConfig {
            precision,
            optimizer_dtype,
            master_dtype,
            neftune_alpha: if precision == Precision::Bf16 {
                5.0
            } else {
                0.0
            },
            ..config()
        };
        let job = || job(&model, &config, 9);
        let whole = tempfile::tempdir().unwrap();
        let mut undisturbed = trainer(job());
        assert_eq!(
            undisturbed.run(whole.path(), &mut never_stop).unwrap(),
            RunEnd::Finished
        );
        assert_eq!(undisturbed.steps(), 7);
        let expected = (bits(&undisturbed, &model), metrics(whole.path()));
        assert_eq!(expected.1.len(), 7);

        for stop in 1..7 {
            let dir = tempfile::tempdir().unwrap();
            let ended = trainer(job())
                .run(dir.path(), &mut |m| {
                    if m.step == stop {
                        ControlFlow::Break(())
                    } else {
                        ControlFlow::Continue(())
                    }
                })
                .unwrap();
            assert_eq!(ended, RunEnd::Stopped { step: stop });
            // As if killed two lines later, the last one torn.
            let path = dir.path().join("metrics.jsonl");
            let mut text = fs::read_to_string(&path).unwrap();
            text.push_str(text.lines().last().unwrap().to_owned().as_str());
            fs::write(&path, &text[..text.len() - 7]).unwrap();

            let mut said = Vec::new();
            let mut again = resume(job(), dir.path(), &mut said);
            assert_eq!(again.step(), stop);
            assert_eq!(
                again.run(dir.path(), &mut never_stop).unwrap(),
                RunEnd::Finished
            );
            assert_eq!(bits(&again, &model), expected.0);
            assert_eq!(metrics(dir.path()), expected.1);
            assert!(said.is_empty());
        }
    }
}

#[test]
fn a_damaged_checkpoint_falls_back_to_the_one_before_and_says_so() {
    let model = model(LLAMA);
    let job = || job(&model, &config(), 9);
    let dir = tempfile::tempdir().unwrap();
    let mut undisturbed = trainer(job());
    undisturbed.run(dir.path(), &mut never_stop).unwrap();
    let expected = (bits(&undisturbed, &model), metrics(dir.path()));
    let root = dir.path().join("checkpoints");
    let mut names: Vec<String> = fs::read_dir(&root)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["step-00000006", "step-00000007"], "two are kept");

    let newest = root.join(&names[1]);
    let mut files: Vec<_> = fs::read_dir(&newest)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    files.sort();
    assert_eq!(files.len(), 4);
    for file in files {
        let good = fs::read(&file).unwrap();
        let mut flipped = good.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 1;
        let mut version = good.clone();
        if file.ends_with("manifest.json") {
            // One bit makes it another version's; the state's says that it is not.
            let one = version.iter().position(|byte| *byte == b'1').unwrap();
            version[one] = b'3';
            assert!(String::from_utf8_lossy(&version[..one]).ends_with("\"v\": "));
        } else {
            version[0] ^= 1;
        }
        let mut no_text = good.clone();
        no_text[middle] ^= 0x80;
        for damaged in [&flipped[..], &no_text, &good[..middle], &[], &version] {
            fs::write(&file, damaged).unwrap();
            let mut said = Vec::new();
            let mut again = resume(job(), dir.path(), &mut said);
            assert_eq!(again.step(), 6, "{}", file.display());
            assert!(
                said[0].contains("step-00000007") && said.last().unwrap().contains("1 steps"),
                "{said:?}"
            );
            again.run(dir.path(), &mut never_stop).unwrap();
            assert_eq!(bits(&again, &model), expected.0);
            assert_eq!(metrics(dir.path()), expected.1);
        }
    }
    // Nothing good left: from the beginning, and it says so.
    for name in &names {
        fs::write(root.join(name).join("state.json"), "{").unwrap();
    }
    let mut said = Vec::new();
    let again = resume(job(), dir.path(), &mut said);
    assert_eq!(again.step(), 0);
    assert!(said.last().unwrap().contains("7 steps"), "{said:?}");
}

#[test]
fn a_damaged_checkpoint_of_a_later_step_costs_no_good_one() {
    let model = model(LLAMA);
    let config = TrainConfig {
        keep_checkpoints: 1,
        ..config()
    };
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("checkpoints");
    let steps = |trainer: &mut Trainer<'_>, count| {
        for _ in 0..count {
            trainer.train_step().unwrap();
        }
        trainer.save(&root).unwrap();
    };
    steps(&mut trainer(job(&model, &config, 9)), 5);
    fs::write(root.join("step-00000005/state.json"), "{").unwrap();
    let newest = || {
        let mut said = Vec::new();
        let found = Checkpoint::newest(&root, &mut |line| said.push(line.to_owned())).unwrap();
        (found.map(|found| found.state().step), said)
    };
    let (found, said) = newest();
    assert!(found.is_none() && said[0].contains("step-00000005"));
    let names = || {
        let names = fs::read_dir(&root).unwrap();
        let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let mut again = trainer(job(&model, &config, 9));
    for step in [1, 2] {
        steps(&mut again, 1);
        assert_eq!(newest(), (Some(step), Vec::new()));
        let good = format!("step-0000000{step}");
        assert_eq!(names(), [".step-00000005.set-aside", &good]);
    }
    // Later than the damaged one, which does not push a good one out, nor stay.
    steps(&mut again, 4);
    assert_eq!(newest(), (Some(6), Vec::new()));
    assert_eq!(names(), ["step-00000006"]);
}

#[test]
fn a_damaged_checkpoint_does_not_count_among_those_that_are_kept() {
    let (model, config) = (model(LLAMA), config());
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("checkpoints");
    let save_at = |trainer: &mut Trainer<'_>, step| {
        while trainer.step() < step {
            trainer.train_step().unwrap();
        }
        trainer.save(&root).unwrap();
    };
    let mut first = trainer(job(&model, &config, 9));
    save_at(&mut first, 2);
    save_at(&mut first, 3);
    fs::write(root.join("step-00000003/manifest.json"), "{").unwrap();
    let mut again = resume(job(&model, &config, 9), dir.path(), &mut Vec::new());
    assert_eq!((again.step(), config.keep_checkpoints), (2, 2));
    save_at(&mut again, 4);
    // Were the newest one damaged too, step 2 would still be there.
    fs::write(root.join("step-00000004/state.json"), "{").unwrap();
    let again = resume(job(&model, &config, 9), dir.path(), &mut Vec::new());
    assert_eq!(again.step(), 2);
}

#[test]
fn a_checkpoint_that_names_itself_wrongly_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let root = checkpoint_of_one_step(dir.path());
    let path = root.join("step-00000001");
    let manifest = path.join("manifest.json");
    let good = fs::read_to_string(&manifest).unwrap();
    let refused = |part: &str| {
        let error = Checkpoint::open(&path).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    // Hashes of nothing, of files elsewhere, of too few.
    let mut json: serde_json::Value = serde_json::from_str(&good).unwrap();
    let state_alone = serde_json::json!({"state.json": json["files"]["state.json"].clone()});
    for (files, part) in [
        (serde_json::json!({}), "does not name state.json"),
        (state_alone, "not that of 1 ranks' files"),
        (
            serde_json::json!({"../../secret": {"bytes": 1, "sha256": "0"}}),
            "no plain file name",
        ),
    ] {
        json["files"] = files;
        fs::write(&manifest, json.to_string()).unwrap();
        refused(part);
    }
    fs::write(&manifest, &good).unwrap();
    Checkpoint::open(&path).unwrap();

    // What only another rank's hashes vouch for is bounded all the same.
    let state = path.join("state.json");
    let text = fs::read_to_string(&state).unwrap();
    for world_size in ["0", "18446744073709551615"] {
        let absurd = text.replace(
            "\"world_size\": 1",
            &format!("\"world_size\": {world_size}"),
        );
        let absurd = absurd.replace("\"world_size\":1", &format!("\"world_size\":{world_size}"));
        assert_ne!(absurd, text);
        fs::write(&state, absurd).unwrap();
        let error = Checkpoint::reopen(&path).unwrap_err().to_string();
        assert!(error.contains(&format!("of {world_size} ranks")), "{error}");
    }
    let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
    for rank in [0, i64::MAX] {
        json["config"]["lora"] = serde_json::json!({ "rank": rank });
        fs::write(&state, json.to_string()).unwrap();
        let error = Checkpoint::reopen(&path).unwrap_err().to_string();
        assert!(error.contains("train.lora rank"), "{error}");
    }
    fs::write(&state, &text).unwrap();
    let shard = path.join("rank-00000-of-00001.safetensors");
    let bytes = fs::read(&shard).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header = String::from_utf8(bytes[8..8 + length].to_vec()).unwrap();
    let first_end = header.split("\"data_offsets\":[0,").nth(1).unwrap();
    let first_end = first_end.split(']').next().unwrap();
    for end in ["9999999999999", "4"] {
        let other = header.replacen(&format!("[0,{first_end}]"), &format!("[0,{end}]"), 1);
        let mut file = (other.len() as u64).to_le_bytes().to_vec();
        file.extend(other.as_bytes());
        file.extend(&bytes[8 + length..]);
        fs::write(&shard, file).unwrap();
        let error = Checkpoint::reopen(&path).unwrap_err().to_string();
        assert!(error.contains("no f32 vector within the file"), "{error}");
    }
    fs::write(&shard, &bytes).unwrap();

    fs::rename(&path, root.join("step-00000009")).unwrap();
    let mut said = Vec::new();
    let found = Checkpoint::newest(&root, &mut |line| said.push(line.to_owned())).unwrap();
    assert!(
        found.is_none() && said[0].contains("is of step 1"),
        "{said:?}"
    );
}

#[test]
fn what_cannot_be_read_and_is_not_damaged_is_never_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let root = checkpoint_of_one_step(dir.path());
    let newest = || Checkpoint::newest(&root, &mut |line| panic!("{line}"));
    let path = root.join("step-00000001");
    let (state, manifest) = (path.join("state.json"), path.join("manifest.json"));
    let [good, hashes] = [&state, &manifest].map(|file| fs::read_to_string(file).unwrap());

    // A setting of another version's, hashes and all.
    let other = good.replacen('{', "{\"of_next_year\": 1, ", 1);
    fs::write(&state, &other).unwrap();
    let mut json: serde_json::Value = serde_json::from_str(&hashes).unwrap();
    json["files"]["state.json"] = serde_json::to_value(hash_file(&state).unwrap()).unwrap();
    fs::write(&manifest, json.to_string()).unwrap();
    let error = newest().unwrap_err();
    assert!(
        matches!(error, TrainError::Unreadable { .. })
            && error.to_string().contains("of_next_year"),
        "{error}"
    );
    fs::write(&state, good).unwrap();
    fs::write(&manifest, hashes).unwrap();
    newest().unwrap().unwrap();

    // A file system that refuses.
    fs::rename(&state, root.join("elsewhere")).unwrap();
    std::os::unix::fs::symlink("state.json", &state).unwrap();
    let error = newest().unwrap_err().to_string();
    assert!(error.contains("state.json: cannot read"), "{error}");
}

#[test]
fn a_half_written_checkpoint_is_never_seen_and_is_cleaned_up() {
    let model = model(LLAMA);
    let dir = tempfile::tempdir().unwrap();
    let mut trainer = trainer(job(&model, &config(), 9));
    trainer.train_step().unwrap();
    let root = dir.path().join("checkpoints");
    trainer.save(&root).unwrap();
    let partial = root.join(".step-00000002.partial");
    fs::create_dir_all(&partial).unwrap();
    fs::write(partial.join("state.json"), "{").unwrap();
    let found = Checkpoint::newest(&root, &mut |line| panic!("{line}"))
        .unwrap()
        .unwrap();
    assert_eq!(found.state().step, 1);
    trainer.train_step().unwrap();
    trainer.save(&root).unwrap();
    assert!(!partial.exists());
}

#[test]
fn another_run_s_checkpoint_is_refused_with_what_differs() {
    let llama = model(LLAMA);
    let dir = tempfile::tempdir().unwrap();
    let mut first = trainer(job(&llama, &config(), 9));
    first.train_step().unwrap();
    first.save(dir.path()).unwrap();
    let checkpoint = Checkpoint::newest(dir.path(), &mut |line| panic!("{line}"))
        .unwrap()
        .unwrap();
    let refused = |job: Job, what: &str| {
        let error = Trainer::resume(job, Device::Cpu, &SingleProcess, &checkpoint, &mut |p| {
            Ok(initial(p))
        })
        .unwrap_err();
        assert!(
            matches!(&error, TrainError::OtherRun { what: found, .. } if found.contains(what)),
            "{error}"
        );
    };
    refused(job(&model(QWEN2), &config(), 9), "model");
    refused(job(&llama, &config(), 8), "seed (9, now 8)");
    let mut shrunk = job(&llama, &config(), 9);
    shrunk.data = sky_train::Dataset::new(common::seqs(19), 40, &config()).unwrap();
    refused(shrunk, "data (20 rows, now 19)");
    let faster = TrainConfig {
        learning_rate: 1.0,
        ..config()
    };
    refused(job(&llama, &faster, 9), "settings");
    // What changes no result may change.
    let other_disk = TrainConfig {
        save_every: 5,
        keep_checkpoints: 7,
        micro_batch_tokens: 30,
        loss_chunk: 8,
        ..config()
    };
    assert!(
        Trainer::resume(
            job(&llama, &other_disk, 9),
            Device::Cpu,
            &SingleProcess,
            &checkpoint,
            &mut |p| Ok(initial(p))
        )
        .is_ok()
    );
}

#[test]
fn a_run_resumes_with_moments_of_another_precision_and_fewer_bits_take_less_room() {
    let model = model(QWEN2);
    let with = |optimizer_dtype| TrainConfig {
        optimizer_dtype,
        learning_rate: 1e-3,
        ..config()
    };
    let run = |optimizer_dtype: [OptimizerDtype; 2]| {
        let dir = tempfile::tempdir().unwrap();
        let mut first = trainer(job(&model, &with(optimizer_dtype[0]), 9));
        first
            .run(dir.path(), &mut |m| match m.step {
                3 => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            })
            .unwrap();
        let mut second = resume(
            job(&model, &with(optimizer_dtype[1]), 9),
            dir.path(),
            &mut Vec::new(),
        );
        second.run(dir.path(), &mut never_stop).unwrap();
        let losses: Vec<f64> = second.history().iter().map(|m| m.loss).collect();
        (losses, [first.state_bytes(), second.state_bytes()])
    };
    let (full, half, eighth) = (
        OptimizerDtype::F32,
        OptimizerDtype::Bf16,
        OptimizerDtype::EightBit,
    );
    let (expected, [wide, _]) = run([full, full]);
    let (other, [narrow, _]) = run([half, half]);
    let params = wide / 16;
    assert_eq!(wide - narrow, 4 * params, "two bytes less for each moment");
    assert_ne!(other, expected);
    // 1 + 4 / 64 bytes in place of 4, twice.
    let least = wide - params * 47 / 8;
    for optimizer_dtype in [
        [half, half],
        [full, half],
        [half, full],
        [eighth, eighth],
        [eighth, full],
        [half, eighth],
    ] {
        let (losses, kept) = run(optimizer_dtype);
        let bytes = optimizer_dtype.map(|m| match m {
            OptimizerDtype::F32 => wide,
            OptimizerDtype::Bf16 => narrow,
            OptimizerDtype::EightBit => least,
        });
        assert_eq!(kept, bytes);
        assert_ne!(losses, expected);
        for (a, b) in losses.iter().zip(&expected) {
            assert!((a - b).abs() < 3e-3 * b, "{optimizer_dtype:?}: {a} {b}");
        }
    }
}

#[test]
fn master_weights_in_bf16_are_the_weights_themselves_and_learn_as_f32_ones_do() {
    let model = model(LLAMA);
    let with = |master_dtype, optimizer_dtype| TrainConfig {
        master_dtype,
        optimizer_dtype,
        precision: Precision::Bf16,
        learning_rate: 3e-3,
        epochs: 8,
        ..config()
    };
    let run = |config: TrainConfig| {
        let mut trainer = trainer(job(&model, &config, 9));
        let losses: Vec<f64> = (0..trainer.steps())
            .map(|_| trainer.train_step().unwrap().loss)
            .collect();
        (losses, trainer.state_bytes())
    };
    let (wide, narrow) = (MasterDtype::F32, MasterDtype::Bf16);
    for optimizer_dtype in [
        OptimizerDtype::F32,
        OptimizerDtype::Bf16,
        OptimizerDtype::EightBit,
    ] {
        let (expected, bytes) = run(with(wide, optimizer_dtype));
        let (losses, less) = run(with(narrow, optimizer_dtype));
        let weights = {
            let config = with(narrow, optimizer_dtype);
            let start = trainer(job(&model, &config, 9));
            let count = |block| start.block(block).unwrap().iter().map(Tensor::numel).sum();
            (0..model.num_layers + 2).map(count).collect::<Vec<usize>>()
        };
        // Each block's vector ends with zeros up to a multiple of 64.
        let params: usize = weights.iter().map(|n| n.next_multiple_of(64)).sum();
        assert_eq!(bytes - less, 4 * params as u64, "no f32 copy");
        let (first, last) = (expected[0], expected[expected.len() - 1]);
        assert!(last < 0.95 * first, "{first} {last}");
        let found = losses[losses.len() - 1];
        assert!(
            (found - last).abs() < 0.05 * (first - last),
            "{found} {last}"
        );
    }
}
