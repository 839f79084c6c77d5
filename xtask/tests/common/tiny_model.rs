//! A model that replies with what its weights spell out: `\\boxed{` and a digit, each equally
//! likely, so that some of its answers to small sums are right. It has a token for each byte, and
//! is so small that sampling from it and training it take a second.

use std::{fs, path::Path};

use safetensors::{Dtype, tensor::TensorView};
use serde_json::{Value, json};

use super::split_mix::SplitMix64;

/// Tokens that stand for no byte: the ends of a text and of a turn, as ChatML writes them.
const SPECIAL: [&str; 3] = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];
const END_OF_TURN: usize = 2;
const VOCAB: usize = SPECIAL.len() + 256;
const HIDDEN: usize = 32;
const FFN: usize = 24;
const LAYERS: usize = 2;

/// Writes the model as a Hugging Face folder; the same bytes each time.
pub(crate) fn write(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    let json = |name: &str, value: &Value| {
        fs::write(folder.join(name), value.to_string()).unwrap();
    };
    json("config.json", &config());
    json("tokenizer.json", &tokenizer());
    json(
        "tokenizer_config.json",
        &json!({"bos_token": SPECIAL[0], "eos_token": SPECIAL[2]}),
    );
    fs::write(folder.join("model.safetensors"), weights()).unwrap();
}

fn config() -> Value {
    json!({
        "model_type": "llama", "vocab_size": VOCAB, "hidden_size": HIDDEN,
        "intermediate_size": FFN, "num_hidden_layers": LAYERS, "num_attention_heads": 4,
        "num_key_value_heads": 2, "tie_word_embeddings": false, "max_position_embeddings": 4096,
        "eos_token_id": END_OF_TURN,
    })
}

/// Byte-level BPE without merges.
fn tokenizer() -> Value {
    // GPT-2's table: printable bytes stand for themselves, the others for code points from 256 on.
    let printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let mut spare = (256..).filter_map(char::from_u32);
    let bytes = (0..=255).map(|byte| {
        let symbol = if printable(byte) {
            char::from(byte)
        } else {
            spare.next().unwrap()
        };
        symbol.to_string()
    });
    // As many byte tokens as there are bytes, in their order: token `SPECIAL.len() + byte`.
    let vocab: serde_json::Map<String, Value> = SPECIAL
        .map(str::to_owned)
        .into_iter()
        .chain(bytes)
        .zip(0..)
        .map(|(token, id)| (token, Value::from(id)))
        .collect();
    let added: Vec<Value> = SPECIAL
        .iter()
        .zip(0..)
        .map(|(token, id)| {
            json!({"id": id, "content": token, "single_word": false, "lstrip": false,
                   "rstrip": false, "normalized": false, "special": true})
        })
        .collect();
    let split = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
                       "use_regex": true});
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
        "normalizer": null, "pre_tokenizer": split, "post_processor": null, "decoder": split,
        "model": {"type": "BPE", "dropout": null, "unk_token": null,
                  "continuing_subword_prefix": null, "end_of_word_suffix": null,
                  "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
                  "vocab": vocab, "merges": []},
    })
}

/// Every tensor of the model as f32.
///
/// The layers' outputs are zero at first, so the logits are the head's product with the last
/// token's embedding. Each token of the reply has a direction of its own in the embedding, which
/// the head's row of its successors has too.
fn weights() -> Vec<u8> {
    let mut random = SplitMix64(1);
    let mut noise = |count: usize| -> Vec<f32> {
        (0..count)
            .map(|_| 0.2 * random.next() as f32 - 0.1)
            .collect()
    };
    let (mut embedding, mut head) = (noise(VOCAB * HIDDEN), noise(VOCAB * HIDDEN));
    let token = |byte: u8| SPECIAL.len() + usize::from(byte);
    // After the line break that opens a reply, one byte after the other; after the brace a digit.
    let reply = b"\n\\boxed{";
    let (digits, close) = (b'2'..=b'9', token(b'}'));
    let mut steps: Vec<(usize, Vec<usize>)> = reply
        .windows(2)
        .map(|pair| (token(pair[0]), vec![token(pair[1])]))
        .collect();
    steps.push((token(b'{'), digits.clone().map(token).collect()));
    steps.extend(digits.map(|digit| (token(digit), vec![close])));
    steps.push((close, vec![END_OF_TURN]));
    assert!(steps.len() <= HIDDEN);
    for (direction, (from, to)) in steps.into_iter().enumerate() {
        embedding[from * HIDDEN..][..HIDDEN].fill(0.0);
        embedding[from * HIDDEN + direction] = 1.0;
        for next in to {
            head[next * HIDDEN + direction] = 4.0;
        }
    }
    let mut tensors = vec![
        (
            "model.embed_tokens.weight".to_owned(),
            vec![VOCAB, HIDDEN],
            embedding,
        ),
        ("lm_head.weight".to_owned(), vec![VOCAB, HIDDEN], head),
        (
            "model.norm.weight".to_owned(),
            vec![HIDDEN],
            vec![1.0; HIDDEN],
        ),
    ];
    for layer in 0..LAYERS {
        for (name, shape) in [
            ("input_layernorm", vec![HIDDEN]),
            ("self_attn.q_proj", vec![HIDDEN, HIDDEN]),
            ("self_attn.k_proj", vec![HIDDEN / 2, HIDDEN]),
            ("self_attn.v_proj", vec![HIDDEN / 2, HIDDEN]),
            ("self_attn.o_proj", vec![HIDDEN, HIDDEN]),
            ("post_attention_layernorm", vec![HIDDEN]),
            ("mlp.gate_proj", vec![FFN, HIDDEN]),
            ("mlp.up_proj", vec![FFN, HIDDEN]),
            ("mlp.down_proj", vec![HIDDEN, FFN]),
        ] {
            let count = shape.iter().product();
            let values = match name {
                "self_attn.o_proj" | "mlp.down_proj" => vec![0.0; count],
                _ if shape.len() == 1 => vec![1.0; count],
                _ => noise(count),
            };
            tensors.push((format!("model.layers.{layer}.{name}.weight"), shape, values));
        }
    }
    let bytes: Vec<(String, Vec<usize>, Vec<u8>)> = tensors
        .into_iter()
        .map(|(name, shape, values)| {
            let bytes = values.into_iter().flat_map(f32::to_le_bytes).collect();
            (name, shape, bytes)
        })
        .collect();
    let views = bytes.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap();
        (name.as_str(), view)
    });
    safetensors::serialize(views, None).unwrap()
}
