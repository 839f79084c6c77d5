//! Saving and loading, and what damaged files do.
#![allow(clippy::unwrap_used)]

mod common;

use std::{fs, path::Path};

use common::{LLAMA, QWEN2, byte_tokenizer, random_params, with_bytes};
use sky_model::{Config, ModelFiles, ModelText, ParamSpec, SaveOptions, blocks, save_hf};
use sky_text::ChatTemplate;
use sky_types::Message;
use tch::{Kind, Tensor};

fn save(dir: &Path, config: &Config, params: &[Vec<Tensor>], options: SaveOptions) {
    let specs = blocks(config);
    let mut tensor = |wanted: &ParamSpec| {
        let all = specs
            .iter()
            .flat_map(|s| &s.params)
            .zip(params.iter().flatten());
        let mut named = all.filter(|(spec, _)| spec.name == wanted.name);
        Ok(named.next().unwrap().1.shallow_clone())
    };
    let text = ModelText {
        tokenizer: &byte_tokenizer(),
        template: &ChatTemplate::chatml().unwrap(),
    };
    save_hf(dir, config, Some(text), options, &mut tensor).unwrap();
}

#[test]
fn what_is_saved_loads_equal_whole_and_in_shards() {
    for text in [QWEN2, LLAMA] {
        let config = with_bytes(text);
        for (kind, shard_bytes) in [
            (Kind::Float, 1 << 40),
            (Kind::Float, 5000),
            (Kind::BFloat16, 1 << 40),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let params = random_params(&config, kind, 9);
            save(
                dir.path(),
                &config,
                &params,
                SaveOptions { kind, shard_bytes },
            );
            let files = ModelFiles::open(dir.path()).unwrap();
            assert_eq!(files.config(), &config);
            for (spec, expected) in blocks(&config).iter().zip(&params) {
                for (found, expected) in files.block(spec, kind).unwrap().iter().zip(expected) {
                    assert!(found.equal(expected), "{:?}", spec.id);
                }
            }
            let many = dir.path().join("model.safetensors.index.json").is_file();
            assert_eq!(many, shard_bytes == 5000);
            assert!(matches!(
                files.tensor("no.such", kind),
                Err(sky_model::ModelError::Missing { .. })
            ));
            let tokenizer = files.tokenizer().unwrap();
            assert_eq!(
                tokenizer.encode("a<|im_end|>").unwrap(),
                byte_tokenizer().encode("a<|im_end|>").unwrap()
            );
            assert_eq!(files.stop_tokens(&tokenizer), [2, 39]);
            let text = files
                .chat_template()
                .unwrap()
                .render(&[Message::user("q")], true)
                .unwrap();
            assert!(text.ends_with("<|im_start|>assistant\n"));
        }
    }
}

#[test]
fn what_is_saved_over_another_model_leaves_none_of_it() {
    let config = with_bytes(LLAMA);
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("adapter_config.json"), "{}").unwrap();
    fs::write(dir.path().join("model-ema.safetensors"), "a user's").unwrap();
    for (seed, shard_bytes) in [(1, 1 << 40), (2, 5000), (3, 9000), (4, 1 << 40)] {
        let params = random_params(&config, Kind::Float, seed);
        let options = SaveOptions {
            kind: Kind::Float,
            shard_bytes,
        };
        save(dir.path(), &config, &params, options);
        let files = ModelFiles::open(dir.path()).unwrap();
        for (spec, expected) in blocks(&config).iter().zip(&params) {
            let found = files.block(spec, Kind::Float).unwrap();
            assert!(found.iter().zip(expected).all(|(a, b)| a.equal(b)));
        }
        let single = dir.path().join("model.safetensors").is_file();
        let index = dir.path().join("model.safetensors.index.json").is_file();
        assert_eq!((single, index), (shard_bytes > 9000, shard_bytes <= 9000));
    }
    let weights = fs::read_dir(dir.path()).unwrap().filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().ends_with(".safetensors")
    });
    assert_eq!(weights.count(), 2);
    assert!(!dir.path().join("adapter_config.json").exists());
}

/// Every way of damaging a file's first bytes must end in an error or in a model, never in a panic.
fn survives_damage(path: &Path, open: impl Fn()) {
    let good = fs::read(path).unwrap();
    let header = good.len().min(3000);
    for at in (0..header).step_by(7) {
        for change in [0xffu8, 0x01, 0x80] {
            let mut bad = good.clone();
            bad[at] ^= change;
            fs::write(path, bad).unwrap();
            open();
        }
    }
    for length in [0, 4, 7, 8, 20, 100, good.len() / 2, good.len() - 1] {
        fs::write(path, &good[..length]).unwrap();
        open();
    }
    fs::write(path, good).unwrap();
}

#[test]
fn damaged_safetensors_are_errors() {
    let config = with_bytes(LLAMA);
    let dir = tempfile::tempdir().unwrap();
    save(
        dir.path(),
        &config,
        &random_params(&config, Kind::BFloat16, 1),
        SaveOptions::default(),
    );
    let file = dir.path().join("model.safetensors");
    survives_damage(&file, || {
        if let Ok(files) = ModelFiles::open(dir.path()) {
            for block in blocks(&config) {
                let _ = files.block(&block, Kind::Float);
            }
        }
    });
    let good = fs::read(&file).unwrap();
    fs::write(&file, &good[..good.len() - 2]).unwrap();
    let error = ModelFiles::open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("cut short"), "{error}");
    fs::write(&file, good).unwrap();
    let index = dir.path().join("model.safetensors.index.json");
    fs::write(&index, r#"{"weight_map": {"a": "../model.safetensors"}}"#).unwrap();
    let error = ModelFiles::open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("plain file name"), "{error}");
}

/// A GGUF writer for tests: the same model as `save` writes, as llama.cpp would store it.
#[expect(clippy::too_many_lines, reason = "a table")]
fn write_gguf(path: &Path, config: &Config, params: &[Vec<Tensor>]) {
    let text = |s: &str| {
        [
            (s.len() as u64).to_le_bytes().to_vec(),
            s.as_bytes().to_vec(),
        ]
        .concat()
    };
    let mut meta: Vec<Vec<u8>> = Vec::new();
    let mut entry = |key: &str, kind: u32, value: Vec<u8>| {
        meta.push([text(key), kind.to_le_bytes().to_vec(), value].concat());
    };
    entry("general.architecture", 8, text("llama"));
    for (key, value) in [
        ("block_count", config.num_layers as i64),
        ("context_length", config.max_positions as i64),
        ("embedding_length", config.hidden_size),
        ("feed_forward_length", config.intermediate_size),
        ("attention.head_count", config.num_heads),
        ("attention.head_count_kv", config.num_kv_heads),
    ] {
        entry(
            &format!("llama.{key}"),
            4,
            (value as u32).to_le_bytes().to_vec(),
        );
    }
    entry(
        "llama.attention.layer_norm_rms_epsilon",
        6,
        1e-5f32.to_le_bytes().to_vec(),
    );
    entry("llama.rope.freq_base", 6, 10000f32.to_le_bytes().to_vec());
    entry(
        "tokenizer.ggml.eos_token_id",
        4,
        39u32.to_le_bytes().to_vec(),
    );
    let (mut infos, mut data) = (Vec::new(), Vec::new());
    let specs = blocks(config);
    for (spec, tensor) in specs
        .iter()
        .flat_map(|s| &s.params)
        .zip(params.iter().flatten())
    {
        let name = spec
            .name
            .replace("model.layers.", "blk.")
            .replace("self_attn.q_proj", "attn_q")
            .replace("self_attn.k_proj", "attn_k")
            .replace("self_attn.v_proj", "attn_v")
            .replace("self_attn.o_proj", "attn_output")
            .replace("post_attention_layernorm", "ffn_norm")
            .replace("input_layernorm", "attn_norm")
            .replace("mlp.gate_proj", "ffn_gate")
            .replace("mlp.up_proj", "ffn_up")
            .replace("mlp.down_proj", "ffn_down")
            .replace("model.embed_tokens", "token_embd")
            .replace("model.norm", "output_norm");
        // llama.cpp's converter: reshape(heads, 2, d / 2, ...).swapaxes(1, 2).
        let heads = match name.as_str() {
            n if n.contains("attn_q.") => Some(config.num_heads),
            n if n.contains("attn_k.") => Some(config.num_kv_heads),
            _ => None,
        };
        let stored = match heads {
            Some(n) => tensor
                .view([n, 2, config.head_dim / 2, -1])
                .transpose(1, 2)
                .reshape(tensor.size()),
            None => tensor.shallow_clone(),
        };
        let dims: Vec<u8> = spec
            .shape
            .iter()
            .rev()
            .flat_map(|&d| (d as u64).to_le_bytes())
            .collect();
        let mut info = text(&name);
        info.extend((spec.shape.len() as u32).to_le_bytes());
        info.extend(dims);
        info.extend(0u32.to_le_bytes());
        info.extend((data.len() as u64).to_le_bytes());
        infos.extend(info);
        let values = Vec::<f32>::try_from(stored.flatten(0, -1)).unwrap();
        data.extend(values.iter().flat_map(|v| v.to_le_bytes()));
        data.resize(data.len().next_multiple_of(32), 0);
    }
    let count = specs.iter().map(|s| s.params.len()).sum::<usize>() as u64;
    let mut file = b"GGUF".to_vec();
    file.extend(3u32.to_le_bytes());
    file.extend(count.to_le_bytes());
    file.extend((meta.len() as u64).to_le_bytes());
    file.extend(meta.concat());
    file.extend(infos);
    file.resize(file.len().next_multiple_of(32), 0);
    file.extend(data);
    fs::write(path, file).unwrap();
}

#[test]
fn gguf_reads_as_what_it_was_made_from_and_damage_is_an_error() {
    let config = with_bytes(LLAMA);
    let params = random_params(&config, Kind::Float, 3);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.gguf");
    write_gguf(&path, &config, &params);
    let files = ModelFiles::open(&path).unwrap();
    assert_eq!(files.config(), &config);
    for (spec, expected) in blocks(&config).iter().zip(&params) {
        for (found, expected) in files.block(spec, Kind::Float).unwrap().iter().zip(expected) {
            assert!(found.equal(expected), "{:?}", spec.id);
        }
    }
    let good = fs::read(&path).unwrap();
    let name = b"blk.0.attn_q.weight";
    let found = good.windows(name.len()).position(|part| part == name);
    let dims = found.unwrap() + name.len();
    for count in [0_u32, 5] {
        let mut other = good.clone();
        other[dims..dims + 4].copy_from_slice(&count.to_le_bytes());
        fs::write(&path, other).unwrap();
        let error = ModelFiles::open(&path).unwrap_err().to_string();
        assert!(error.contains(&format!("{count} dimensions")), "{error}");
    }
    fs::write(&path, good).unwrap();
    survives_damage(&path, || {
        if let Ok(files) = ModelFiles::open(&path) {
            // What a damaged size asks for is bounded by the file, not by the number.
            for block in blocks(files.config()).iter().take(20) {
                let _ = files.block(block, Kind::Float);
            }
            let _ = files.tokenizer();
        }
    });
}
