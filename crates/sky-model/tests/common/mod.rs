#![allow(dead_code, clippy::unwrap_used)]

use sky_model::{Config, blocks};
use sky_text::{GgufVocab, Tokenizer};
use tch::{Device, Kind, Tensor};

/// Biases on q, k and v, grouped heads, head of its own.
pub(crate) const QWEN2: &str = r#"{"model_type": "qwen2", "vocab_size": 40, "hidden_size": 24, "intermediate_size": 32,
    "num_hidden_layers": 3, "num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 8, "rope_theta": 1000000.0,
    "rms_norm_eps": 1e-6, "tie_word_embeddings": false, "max_position_embeddings": 512, "eos_token_id": 39}"#;

/// No biases, tied head.
pub(crate) const LLAMA: &str = r#"{"model_type": "llama", "vocab_size": 40, "hidden_size": 16, "intermediate_size": 24,
    "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 4, "rope_theta": 10000.0,
    "rms_norm_eps": 1e-5, "tie_word_embeddings": true, "max_position_embeddings": 512, "eos_token_id": 39}"#;

/// Weights large enough that every part of the mathematics shows in the output.
pub(crate) fn random_params(config: &Config, kind: Kind, seed: u64) -> Vec<Vec<Tensor>> {
    // Tests run side by side already; threads inside such small products only wait for one another.
    sky_torch::set_threads(1);
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut uniform = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 53) as f64 - 0.5
    };
    let mut param = |shape: &[i64], decay: bool| {
        let n = shape.iter().product::<i64>() as usize;
        let (centre, width) = if decay { (0.0, 0.6) } else { (1.0, 0.5) };
        let values: Vec<f64> = (0..n).map(|_| centre + width * uniform()).collect();
        Tensor::from_slice(&values)
            .view(shape)
            .to_kind(kind)
            .to_device(Device::Cpu)
    };
    blocks(config)
        .iter()
        .map(|b| b.params.iter().map(|p| param(&p.shape, p.decay)).collect())
        .collect()
}

/// A byte-level tokenizer: three markers, then every byte, padded to `vocab` tokens with two-letter
/// merges.
pub(crate) fn byte_tokenizer() -> Tokenizer {
    // The printable stand-ins that byte-level BPE uses: GPT-2's table.
    let printable = |b: u8| matches!(b, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let mut spare = (256..).filter_map(char::from_u32);
    let bytes = (0..=255u8).map(|b| {
        if printable(b) {
            char::from(b).to_string()
        } else {
            spare.next().unwrap().to_string()
        }
    });
    let mut tokens: Vec<String> = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
        .map(str::to_owned)
        .to_vec();
    tokens.extend(bytes);
    let kinds = (0..tokens.len())
        .map(|id| if id < 3 { 3 } else { 1 })
        .collect();
    let vocab = GgufVocab {
        tokens,
        merges: Vec::new(),
        kinds,
        pre: "gpt-2".into(),
    };
    Tokenizer::from_gguf(&vocab).unwrap()
}

/// A test configuration with room for the byte tokenizer.
pub(crate) fn with_bytes(text: &str) -> Config {
    Config::from_json(&text.replace("\"vocab_size\": 40", "\"vocab_size\": 264")).unwrap()
}
