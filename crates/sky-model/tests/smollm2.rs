//! The real model of the tiny recipe, when it is set up.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use sky_model::{ModelFiles, Segments, blocks, embed, head_logits, layer};
use sky_types::Message;
use tch::{Device, Kind, Tensor};

fn model() -> Option<ModelFiles> {
    let home = std::env::var_os("SKY_HOME").map_or_else(|| PathBuf::from(".sky"), PathBuf::from);
    let path = home.join("models/smollm2-135m-instruct/model.gguf");
    if !path.is_file() {
        eprintln!(
            "SKIPPED: {} is missing; run `cargo xtask setup`",
            path.display()
        );
        return None;
    }
    Some(ModelFiles::open(&path).unwrap())
}

#[test]
fn it_says_paris() {
    let Some(files) = model() else { return };
    let config = files.config();
    assert_eq!(config.rms_norm_eps, 1e-5);
    let tokenizer = files.tokenizer().unwrap();
    let prompt = files
        .chat_template()
        .unwrap()
        .render(&[Message::user("What is the capital of France?")], true)
        .unwrap();
    let mut ids = tokenizer.encode(&prompt).unwrap();
    let params: Vec<Vec<Tensor>> = blocks(config)
        .iter()
        .map(|b| files.block(b, Kind::Float).unwrap())
        .collect();
    let _guard = tch::no_grad_guard();
    for _ in 0..8 {
        let wide: Vec<i64> = ids.iter().map(|&id| id.into()).collect();
        let segments = Segments::new(config, &[ids.len() as i64], Kind::Float, Device::Cpu);
        let mut x = embed(&params[0], &Tensor::from_slice(&wide));
        for block in &params[1..=config.num_layers] {
            x = layer(config, block, &x, &segments);
        }
        let last = x.narrow(0, ids.len() as i64 - 1, 1);
        let logits = head_logits(config, &params[31][0], &params[0][0], &last);
        ids.push(u32::try_from(logits.argmax(-1, false).int64_value(&[0])).unwrap());
    }
    let said = tokenizer.decode(&ids).unwrap();
    assert!(said.ends_with("The capital of France is Paris."), "{said}");
}
