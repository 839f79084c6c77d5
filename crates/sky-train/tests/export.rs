//! What is exported is what was trained, by our own reader and by transformers.
#![allow(clippy::unwrap_used)]

mod common;

use std::{ops::ControlFlow, path::Path};

use common::{
    LLAMA, QWEN2, all, config, initial, job, logits, model, newest, packed, python, trainer,
};
use sky_model::{Config, ModelFiles, SaveOptions, blocks};
use sky_train::{Trainer, export};
use tch::{Kind, Tensor};

/// A trainer at its end, whose model is exported to `model` in the folder.
fn exported(model: &Config, options: SaveOptions, dir: &Path) -> Trainer<'static> {
    let mut trainer = trainer(job(model, &config(), 9));
    trainer
        .run(dir, &mut |_| ControlFlow::Continue(()))
        .unwrap();
    export(&newest(dir), None, options, &dir.join("model")).unwrap();
    trainer
}

#[test]
fn the_exported_folder_holds_the_trained_weights() {
    for text in [QWEN2, LLAMA] {
        let model = model(text);
        let dir = tempfile::tempdir().unwrap();
        let options = SaveOptions {
            kind: Kind::Float,
            ..SaveOptions::default()
        };
        let trainer = exported(&model, options, dir.path());
        let files = ModelFiles::open(&dir.path().join("model")).unwrap();
        assert_eq!(files.config(), &model);
        for (index, spec) in blocks(&model).iter().enumerate() {
            let saved = files.block(spec, Kind::Float).unwrap();
            let trained = trainer.block(index).unwrap();
            for ((saved, trained), param) in saved.iter().zip(&trained).zip(&spec.params) {
                assert!(Tensor::equal(saved, trained), "{}", param.name);
                assert!(!Tensor::equal(saved, &initial(param)), "{}", param.name);
            }
        }
    }
}

/// Each row by itself; ours are packed.
const TRANSFORMERS: &str = "
import json, sys, torch
from transformers import AutoModelForCausalLM
from transformers.utils import logging
logging.disable_progress_bar()
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32)
with torch.no_grad():
    rows = [model(input_ids=torch.tensor([json.loads(row)])).logits[0] for row in sys.argv[2:]]
print(json.dumps(torch.cat(rows).tolist()))
";

#[test]
fn transformers_has_the_logits_of_what_was_trained() {
    for text in [QWEN2, LLAMA] {
        let model = model(text);
        let dir = tempfile::tempdir().unwrap();
        // Several files and an index, in bf16.
        let options = SaveOptions {
            shard_bytes: 4000,
            ..SaveOptions::default()
        };
        let trainer = exported(&model, options, dir.path());
        let out = dir.path().join("model");
        assert!(out.join("model.safetensors.index.json").is_file());
        let rows = packed().map(|row| serde_json::to_string(&row).unwrap());
        let read = python::script(
            "SKY_TRANSFORMERS_PYTHON",
            "transformers",
            TRANSFORMERS,
            &out,
            &rows,
        );
        let Some(read) = read else { return };
        let theirs: Vec<Vec<f32>> = serde_json::from_str(&read).unwrap();
        let theirs = Tensor::from_slice2(&theirs);
        let trained = all(&trainer, &model);
        // bf16 keeps 8 bits of each weight; everything is computed in f32.
        let rounded: Vec<Vec<Tensor>> = trained
            .iter()
            .map(|block| {
                let round = |t: &Tensor| t.to_kind(Kind::BFloat16).to_kind(Kind::Float);
                block.iter().map(round).collect()
            })
            .collect();
        let apart = |ours: &Tensor| (ours - &theirs).abs().max().double_value(&[]);
        let (same, exact) = (
            apart(&logits(&model, None, &rounded)),
            apart(&logits(&model, None, &trained)),
        );
        assert!(same < 1e-5, "{same}");
        // Weights that were not rounded differ, so those of another step would be.
        assert!(exact > 10.0 * same, "{exact}");
    }
}
