use serde::Deserialize;
use serde_json::Value;

/// The keys of a Hugging Face `config.json` that Sky reads. Keys it does not need are passed over.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct HfConfig {
    /// Which family the model is of: `llama`, `qwen2`.
    pub model_type: String,
    /// Tokens the model knows.
    pub vocab_size: i64,
    /// Width of the residual stream.
    pub hidden_size: i64,
    /// Width of the gated feed-forward layer.
    pub intermediate_size: i64,
    /// Transformer layers.
    pub num_hidden_layers: i64,
    /// Query heads.
    pub num_attention_heads: i64,
    /// Key and value heads; as many as query heads where missing.
    pub num_key_value_heads: Option<i64>,
    /// Width of one head; the hidden size over the heads where missing.
    pub head_dim: Option<i64>,
    /// Activation of the feed-forward layer.
    pub hidden_act: Option<String>,
    /// Base of the rotary frequencies.
    pub rope_theta: Option<f64>,
    /// Scaling of the rotary frequencies.
    pub rope_scaling: Option<HfRope>,
    /// Where transformers 5 puts both of the above.
    pub rope_parameters: Option<HfRope>,
    /// Added to the mean square under the norms' root.
    pub rms_norm_eps: Option<f64>,
    /// Whether the head is the embedding transposed.
    #[serde(default)]
    pub tie_word_embeddings: bool,
    /// Biases on the attention's projections, in Llama's files.
    #[serde(default)]
    pub attention_bias: bool,
    /// Biases on the feed-forward projections, in Llama's files.
    #[serde(default)]
    pub mlp_bias: bool,
    /// Whether attention is limited to a window.
    #[serde(default)]
    pub use_sliding_window: bool,
    /// Longest sequence the model was made for.
    pub max_position_embeddings: Option<usize>,
    /// Begin-of-text token.
    pub bos_token_id: Option<u32>,
    /// Tokens that end a reply.
    pub eos_token_id: Option<OneOrMany>,
    /// Padding token.
    pub pad_token_id: Option<u32>,
    /// Layers of a program's own, as Sky writes them.
    pub sky_layers: Option<Value>,
}

/// `rope_scaling` or `rope_parameters` of a `config.json`.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct HfRope {
    /// `default`, `linear`, `llama3`; older files call the key `type`.
    #[serde(alias = "type")]
    pub rope_type: Option<String>,
    /// Base of the rotary frequencies.
    pub rope_theta: Option<f64>,
    /// The divisor of frequencies.
    pub factor: Option<f64>,
    /// See Llama 3.1's scaling.
    pub low_freq_factor: Option<f64>,
    /// See Llama 3.1's scaling.
    pub high_freq_factor: Option<f64>,
    /// Context length of pre-training.
    pub original_max_position_embeddings: Option<f64>,
}

/// A token id, or a list of them.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    /// One id.
    One(u32),
    /// Several.
    Many(Vec<u32>),
}

impl OneOrMany {
    /// All of them.
    pub fn into_vec(self) -> Vec<u32> {
        match self {
            Self::One(id) => vec![id],
            Self::Many(ids) => ids,
        }
    }
}

/// A decoder's sizes. [`ModelSizes::check`] says whether they can be a model's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelSizes {
    /// Rows of the embedding.
    pub vocab_size: i64,
    /// Width of the residual stream.
    pub hidden_size: i64,
    /// Width of the gated feed-forward layer.
    pub intermediate_size: i64,
    /// Transformer layers.
    pub num_hidden_layers: i64,
    /// Query heads.
    pub num_attention_heads: i64,
    /// Key and value heads; fewer than query heads in grouped-query attention.
    pub num_key_value_heads: i64,
    /// Width of a head.
    pub head_dim: i64,
}

impl HfConfig {
    /// Reads the text of a `config.json`.
    ///
    /// # Errors
    /// When a key is missing or has another type.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// The sizes, those that a file may leave out filled in.
    pub fn sizes(&self) -> ModelSizes {
        let heads = self.num_attention_heads;
        ModelSizes {
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            intermediate_size: self.intermediate_size,
            num_hidden_layers: self.num_hidden_layers,
            num_attention_heads: heads,
            num_key_value_heads: self.num_key_value_heads.unwrap_or(heads),
            head_dim: self
                .head_dim
                .unwrap_or_else(|| self.hidden_size.checked_div(heads).unwrap_or(0)),
        }
    }
}

impl ModelSizes {
    /// Whether a model can have these sizes.
    ///
    /// # Errors
    /// Names the key whose value is zero, negative or absurd, or does not fit another's.
    pub fn check(&self) -> Result<(), String> {
        // Far beyond any model, low enough that no number of parameters, nor of their bytes,
        // overflows.
        const WIDEST: i64 = 1 << 20;
        for (name, size, limit) in [
            ("vocab_size", self.vocab_size, WIDEST),
            ("hidden_size", self.hidden_size, WIDEST),
            ("intermediate_size", self.intermediate_size, WIDEST),
            ("num_hidden_layers", self.num_hidden_layers, 4096),
            ("num_attention_heads", self.num_attention_heads, WIDEST),
            ("num_key_value_heads", self.num_key_value_heads, WIDEST),
            ("head_dim", self.head_dim, WIDEST),
        ] {
            if !(1..=limit).contains(&size) {
                return Err(format!("{name} is {size}, expected 1 to {limit}"));
            }
        }
        let (heads, shared, width) = (
            self.num_attention_heads,
            self.num_key_value_heads,
            self.head_dim,
        );
        if heads * width > WIDEST {
            return Err(format!(
                "{heads} heads of head_dim {width} are wider than {WIDEST}"
            ));
        }
        if heads % shared != 0 {
            return Err(format!(
                "num_key_value_heads: {heads} heads cannot share {shared} key-value heads"
            ));
        }
        if width % 2 != 0 {
            return Err(format!(
                "head_dim is {width}, rotary positions need an even one"
            ));
        }
        Ok(())
    }
}
