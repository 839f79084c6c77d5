use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use serde_json::Value;
use sky_text::{ChatTemplate, GgufVocab, Tokenizer};
use sky_types::OneOrMany;
use tch::{Kind, Tensor};

use crate::{
    BlockSpec, Config, Family, ModelError, RopeScaling,
    gguf::{Gguf, Meta},
    safetensors_dir::SafetensorsDir,
};

/// A model on disk: a Hugging Face folder of safetensors, or one GGUF file. Tensors go by their
/// Hugging Face names.
#[derive(Debug)]
pub struct ModelFiles {
    path: PathBuf,
    config: Config,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Folder(SafetensorsDir),
    Gguf(Gguf),
}

impl ModelFiles {
    /// Opens a folder or a `.gguf` file. Reads headers only.
    ///
    /// # Errors
    /// When files are missing, damaged, or of a model this crate does not know.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let (config, source) = if path.is_dir() {
            let file = path.join("config.json");
            let text = fs::read_to_string(&file).map_err(ModelError::io(&file))?;
            (
                Config::from_json(&text)?,
                Source::Folder(SafetensorsDir::open(path)?),
            )
        } else {
            let gguf = Gguf::open(path)?;
            (gguf_config(path, &gguf)?, Source::Gguf(gguf))
        };
        Ok(Self {
            path: path.to_owned(),
            config,
            source,
        })
    }

    /// The model's shape.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Where the model lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// One tensor by its Hugging Face name, on the CPU.
    ///
    /// # Errors
    /// When it is missing or cannot be read.
    pub fn tensor(&self, name: &str, kind: Kind) -> Result<Tensor, ModelError> {
        let tensor = match &self.source {
            Source::Folder(folder) => folder.tensor(name)?,
            Source::Gguf(gguf) => gguf_tensor(&self.path, gguf, &self.config, name)?,
        };
        Ok(tensor.f_to_kind(kind)?)
    }

    /// A block's parameters in the order of its spec, shapes checked.
    ///
    /// # Errors
    /// When one is missing, unreadable, or of another shape.
    pub fn block(&self, spec: &BlockSpec, kind: Kind) -> Result<Vec<Tensor>, ModelError> {
        let load = |param: &crate::ParamSpec| {
            let tensor = self.tensor(&param.name, kind)?;
            if tensor.size() != param.shape {
                return Err(ModelError::Shape {
                    name: param.name.clone(),
                    expected: param.shape.clone(),
                    found: tensor.size(),
                });
            }
            Ok(tensor)
        };
        spec.params.iter().map(load).collect()
    }

    /// The model's tokenizer.
    ///
    /// # Errors
    /// When it is missing, broken, or of a kind this build does not know.
    pub fn tokenizer(&self) -> Result<Tokenizer, ModelError> {
        match &self.source {
            Source::Folder(_) => Tokenizer::from_file(&self.path.join("tokenizer.json")),
            Source::Gguf(gguf) => Tokenizer::from_gguf(&gguf_vocab(&self.path, gguf)?),
        }
        .map_err(text_error)
    }

    /// The model's chat template; ChatML when it brings none.
    ///
    /// # Errors
    /// When it does not parse.
    pub fn chat_template(&self) -> Result<ChatTemplate, ModelError> {
        let TemplateText { source, bos, eos } = match &self.source {
            Source::Folder(_) => folder_template(&self.path)?,
            Source::Gguf(gguf) => {
                let token = |key: &str| {
                    let id = gguf.int(key).and_then(|id| usize::try_from(id).ok())?;
                    match gguf.meta.get("tokenizer.ggml.tokens") {
                        Some(Meta::Texts(tokens)) => tokens.get(id).cloned(),
                        _ => None,
                    }
                };
                TemplateText {
                    source: gguf.text("tokenizer.chat_template").map(str::to_owned),
                    bos: token("tokenizer.ggml.bos_token_id").unwrap_or_default(),
                    eos: token("tokenizer.ggml.eos_token_id").unwrap_or_default(),
                }
            }
        };
        match source {
            Some(source) => ChatTemplate::new(&source, &bos, &eos),
            None => ChatTemplate::chatml(),
        }
        .map_err(text_error)
    }

    /// Tokens that end a reply: what the configuration, a `generation_config.json` and the chat
    /// format say.
    pub fn stop_tokens(&self, tokenizer: &Tokenizer) -> Vec<u32> {
        #[derive(Deserialize)]
        struct Generation {
            eos_token_id: Option<OneOrMany>,
        }
        let mut stops = self.config.eos_token_ids.clone();
        // Absent in many models; a broken one says nothing that config.json does not.
        if let Some(generation) = fs::read(self.path.join("generation_config.json"))
            .ok()
            .and_then(|bytes| serde_json::from_slice::<Generation>(&bytes).ok())
        {
            stops.extend(
                generation
                    .eos_token_id
                    .map(OneOrMany::into_vec)
                    .unwrap_or_default(),
            );
        }
        stops.extend(
            ["<|im_end|>", "<|eot_id|>"]
                .iter()
                .filter_map(|token| tokenizer.token_to_id(token)),
        );
        stops.sort_unstable();
        stops.dedup();
        stops
    }
}

pub(crate) fn text_error(error: sky_text::TextError) -> ModelError {
    ModelError::Text(Box::new(error))
}

/// A chat template as a model's files have it, and the tokens that it may use.
struct TemplateText {
    /// None when the model brings no template.
    source: Option<String>,
    bos: String,
    eos: String,
}

fn folder_template(dir: &Path) -> Result<TemplateText, ModelError> {
    let file = dir.join("tokenizer_config.json");
    let config: Value = match fs::read(&file) {
        Ok(bytes) => {
            serde_json::from_slice(&bytes).map_err(|e| ModelError::format(&file, e.to_string()))?
        }
        Err(_) => Value::Null,
    };
    let token = |key: &str| {
        let value = &config[key];
        value
            .as_str()
            .or(value["content"].as_str())
            .unwrap_or_default()
            .to_owned()
    };
    let source = match &config["chat_template"] {
        Value::String(source) => Some(source.clone()),
        Value::Array(named) => named
            .iter()
            .find(|t| t["name"] == "default")
            .and_then(|t| t["template"].as_str())
            .map(str::to_owned),
        _ => fs::read_to_string(dir.join("chat_template.jinja")).ok(),
    };
    Ok(TemplateText {
        source,
        bos: token("bos_token"),
        eos: token("eos_token"),
    })
}

fn gguf_config(path: &Path, gguf: &Gguf) -> Result<Config, ModelError> {
    let refuse = |reason: String| ModelError::format(path, reason);
    let arch = gguf.text("general.architecture").unwrap_or_default();
    let family = match arch {
        "llama" => Family::Llama,
        "qwen2" => Family::Qwen2,
        other => {
            return Err(refuse(format!(
                "architecture `{other}` is not known (llama and qwen2 are)"
            )));
        }
    };
    if gguf.has("rope_freqs.weight") {
        return Err(refuse(
            "rotary factors in a tensor are not supported: use the model's Hugging Face folder"
                .into(),
        ));
    }
    let key = |name: &str| format!("{arch}.{name}");
    let size = |name: &str| {
        gguf.int(&key(name))
            .ok_or_else(|| refuse(format!("metadata `{arch}.{name}` is missing")))
    };
    let count = |name: &str| {
        size(name).and_then(|n| {
            usize::try_from(n).map_err(|_| refuse(format!("metadata `{arch}.{name}` is {n}")))
        })
    };
    let token = |name: &str| {
        gguf.int(&format!("tokenizer.ggml.{name}_token_id"))
            .and_then(|id| u32::try_from(id).ok())
    };
    let (hidden_size, num_heads) = (size("embedding_length")?, size("attention.head_count")?);
    let embedding = gguf.shape("token_embd.weight");
    let rope_scaling = match gguf.text(&key("rope.scaling.type")) {
        None | Some("none") => None,
        Some("linear") => gguf
            .float(&key("rope.scaling.factor"))
            .map(|factor| RopeScaling::Linear { factor }),
        Some(other) => return Err(refuse(format!("rope scaling `{other}` is not supported"))),
    };
    Config {
        family,
        vocab_size: embedding.and_then(|s| s.first().copied()).unwrap_or(0),
        hidden_size,
        intermediate_size: size("feed_forward_length")?,
        num_layers: count("block_count")?,
        num_heads,
        num_kv_heads: gguf
            .int(&key("attention.head_count_kv"))
            .unwrap_or(num_heads),
        head_dim: gguf
            .int(&key("attention.key_length"))
            .or_else(|| hidden_size.checked_div(num_heads))
            .unwrap_or(0),
        rope_theta: gguf.float(&key("rope.freq_base")).unwrap_or(10_000.0),
        rope_scaling,
        rms_norm_eps: gguf
            .float(&key("attention.layer_norm_rms_epsilon"))
            .ok_or_else(|| {
                refuse(format!(
                    "metadata `{arch}.attention.layer_norm_rms_epsilon` is missing"
                ))
            })?,
        tie_word_embeddings: !gguf.has("output.weight"),
        qkv_bias: family == Family::Qwen2 || gguf.has("blk.0.attn_q.bias"),
        attention_output_bias: gguf.has("blk.0.attn_output.bias"),
        mlp_bias: gguf.has("blk.0.ffn_gate.bias"),
        custom_layers: None,
        max_positions: count("context_length")?,
        bos_token_id: token("bos"),
        eos_token_ids: token("eos").into_iter().collect(),
        pad_token_id: token("padding"),
    }
    .validated()
}

fn gguf_vocab(path: &Path, gguf: &Gguf) -> Result<GgufVocab, ModelError> {
    let model = gguf.text("tokenizer.ggml.model").unwrap_or_default();
    if model != "gpt2" {
        return Err(ModelError::format(
            path,
            format!(
                "tokenizer `{model}` is not supported (byte-level BPE, `gpt2`, is): use the Hugging Face folder"
            ),
        ));
    }
    let texts = |key: &str| match gguf.meta.get(key) {
        Some(Meta::Texts(texts)) => Ok(texts.clone()),
        _ => Err(ModelError::format(
            path,
            format!("metadata `{key}` is missing"),
        )),
    };
    Ok(GgufVocab {
        tokens: texts("tokenizer.ggml.tokens")?,
        merges: texts("tokenizer.ggml.merges")?,
        kinds: match gguf.meta.get("tokenizer.ggml.token_type") {
            Some(Meta::Ints(kinds)) => kinds.clone(),
            _ => Vec::new(),
        },
        pre: gguf
            .text("tokenizer.ggml.pre")
            .unwrap_or("gpt-2")
            .to_owned(),
    })
}

/// The GGUF name of a Hugging Face tensor.
fn gguf_name(name: &str) -> Option<String> {
    match name {
        "model.embed_tokens.weight" => return Some("token_embd.weight".into()),
        "model.norm.weight" => return Some("output_norm.weight".into()),
        "lm_head.weight" => return Some("output.weight".into()),
        _ => {}
    }
    let (layer, rest) = name.strip_prefix("model.layers.")?.split_once('.')?;
    let (module, kind) = rest.rsplit_once('.')?;
    let module = match module {
        "input_layernorm" => "attn_norm",
        "self_attn.q_proj" => "attn_q",
        "self_attn.k_proj" => "attn_k",
        "self_attn.v_proj" => "attn_v",
        "self_attn.o_proj" => "attn_output",
        "post_attention_layernorm" => "ffn_norm",
        "mlp.gate_proj" => "ffn_gate",
        "mlp.up_proj" => "ffn_up",
        "mlp.down_proj" => "ffn_down",
        _ => return None,
    };
    Some(format!("blk.{layer}.{module}.{kind}"))
}

fn gguf_tensor(
    path: &Path,
    gguf: &Gguf,
    config: &Config,
    name: &str,
) -> Result<Tensor, ModelError> {
    let missing = || ModelError::Missing {
        path: path.to_owned(),
        name: name.to_owned(),
    };
    let theirs = gguf_name(name).ok_or_else(missing)?;
    let shape = gguf.shape(&theirs).ok_or_else(missing)?;
    let values = gguf.values(&theirs)?;
    let tensor = Tensor::f_from_slice(&values)?.f_view(shape.as_slice())?;
    // llama.cpp stores the rotary pairs of Llama models side by side; Hugging Face keeps the two
    // halves apart.
    let heads = match (config.family, name) {
        (Family::Llama, n) if n.contains("q_proj") => config.num_heads,
        (Family::Llama, n) if n.contains("k_proj") => config.num_kv_heads,
        _ => return Ok(tensor),
    };
    let rows = shape.first().copied().unwrap_or(0);
    if rows != heads * config.head_dim {
        let mut expected = shape.clone();
        expected[0] = heads * config.head_dim;
        return Err(ModelError::Shape {
            name: name.to_owned(),
            expected,
            found: shape,
        });
    }
    let pairs = tensor.f_view([heads, config.head_dim / 2, 2, -1])?;
    Ok(pairs.f_transpose(1, 2)?.f_reshape(shape.as_slice())?)
}
