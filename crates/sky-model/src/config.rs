use serde_json::{Map, Value, json};
use sky_types::{HfConfig, HfRope, ModelSizes, OneOrMany};

use crate::{
    CustomLayers, Family, ModelError, ParamSpec,
    param_spec::{EMBEDDING, FINAL_NORM, LM_HEAD},
};

/// How rotary frequencies are scaled for long contexts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RopeScaling {
    /// Every frequency divided by a factor.
    Linear {
        /// The divisor.
        factor: f64,
    },
    /// Llama 3.1's: low frequencies divided, high ones kept, a smooth ramp between.
    Llama3 {
        /// The divisor of low frequencies.
        factor: f64,
        /// Wavelengths above `original_context / low_freq_factor` count as low.
        low_freq_factor: f64,
        /// Wavelengths below `original_context / high_freq_factor` count as high.
        high_freq_factor: f64,
        /// Context length of pre-training.
        original_context: f64,
    },
}

/// A model's shape, as a Hugging Face `config.json` of a Qwen2 or Llama model says it. Checked:
/// sizes are positive and fit.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Decides the layers: biases of the projections, and names of the weights.
    pub family: Family,
    /// Tokens the model knows; rows of the embedding.
    pub vocab_size: i64,
    /// Width of the residual stream.
    pub hidden_size: i64,
    /// Width of the gated feed-forward layer.
    pub intermediate_size: i64,
    /// Transformer layers.
    pub num_layers: usize,
    /// Query heads.
    pub num_heads: i64,
    /// Key and value heads; divides `num_heads`.
    pub num_kv_heads: i64,
    /// Width of one head, even.
    pub head_dim: i64,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// Scaling of the rotary frequencies.
    pub rope_scaling: Option<RopeScaling>,
    /// Added to the mean square under the norms' root.
    pub rms_norm_eps: f64,
    /// Whether the head is the embedding transposed.
    pub tie_word_embeddings: bool,
    /// Biases on q, k and v.
    pub qkv_bias: bool,
    /// Bias on the attention's output projection.
    pub attention_output_bias: bool,
    /// Biases on the feed-forward projections.
    pub mlp_bias: bool,
    /// Longest sequence the model was made for.
    pub max_positions: usize,
    /// Begin-of-text token.
    pub bos_token_id: Option<u32>,
    /// Tokens that end a reply.
    pub eos_token_ids: Vec<u32>,
    /// Padding token.
    pub pad_token_id: Option<u32>,
    /// Layers that are not the family's; see [`Config::with_custom_layers`].
    pub custom_layers: Option<CustomLayers>,
}

impl Config {
    /// Reads the text of a `config.json`. Keys this crate does not need are passed over; those that
    /// would change the layer function in a way it does not know are refused.
    ///
    /// # Errors
    /// When the text is no such file, or a size is impossible.
    pub fn from_json(text: &str) -> Result<Self, ModelError> {
        let refuse = |reason: String| Err(ModelError::Config(reason));
        let read = HfConfig::parse(text).map_err(|e| ModelError::Config(e.to_string()))?;
        let custom_layers: Option<CustomLayers> = read
            .sky_layers
            .clone()
            .map(serde_json::from_value)
            .transpose()
            .map_err(|e| ModelError::Config(format!("sky_layers: {e}")))?;
        let family = match &custom_layers {
            Some(own) if own.name() == read.model_type => Some(own.family()),
            Some(_) => None,
            None => Family::of(&read.model_type),
        };
        let Some(family) = family else {
            return refuse(format!(
                "model_type `{}` is not known (llama and qwen2 are)",
                read.model_type
            ));
        };
        if let Some(act) = read.hidden_act.as_deref().filter(|act| *act != "silu") {
            return refuse(format!("hidden_act `{act}` is not known (silu is)"));
        }
        if read.use_sliding_window {
            return refuse("use_sliding_window is not supported: set it to false".into());
        }
        let sizes = read.sizes();
        let rope = read.rope_parameters.or(read.rope_scaling);
        let scaling = rope.as_ref().map(RopeScaling::read).transpose()?.flatten();
        let qwen = family == Family::Qwen2;
        Self {
            family,
            vocab_size: sizes.vocab_size,
            hidden_size: sizes.hidden_size,
            intermediate_size: sizes.intermediate_size,
            // What is negative is refused as zero layers.
            num_layers: usize::try_from(sizes.num_hidden_layers).unwrap_or(0),
            num_heads: sizes.num_attention_heads,
            num_kv_heads: sizes.num_key_value_heads,
            head_dim: sizes.head_dim,
            rope_theta: rope
                .and_then(|r| r.rope_theta)
                .or(read.rope_theta)
                .unwrap_or(10_000.0),
            rope_scaling: scaling,
            rms_norm_eps: read.rms_norm_eps.unwrap_or(1e-6),
            tie_word_embeddings: read.tie_word_embeddings,
            qkv_bias: qwen || read.attention_bias,
            attention_output_bias: !qwen && read.attention_bias,
            mlp_bias: !qwen && read.mlp_bias,
            max_positions: read.max_position_embeddings.unwrap_or(2048),
            bos_token_id: read.bos_token_id,
            eos_token_ids: read
                .eos_token_id
                .map(OneOrMany::into_vec)
                .unwrap_or_default(),
            pad_token_id: read.pad_token_id,
            custom_layers,
        }
        .validated()
    }

    /// The same as a `config.json` that transformers reads.
    pub fn to_json(&self) -> Value {
        let (class, model_type) = match self.family {
            Family::Llama => ("LlamaForCausalLM", "llama"),
            Family::Qwen2 => ("Qwen2ForCausalLM", "qwen2"),
        };
        let eos = match self.eos_token_ids.as_slice() {
            [] => Value::Null,
            [one] => json!(one),
            many => json!(many),
        };
        let mut config = json!({
            "architectures": [class],
            "model_type": model_type,
            "vocab_size": self.vocab_size,
            "hidden_size": self.hidden_size,
            "intermediate_size": self.intermediate_size,
            "num_hidden_layers": self.num_layers,
            "num_attention_heads": self.num_heads,
            "num_key_value_heads": self.num_kv_heads,
            "head_dim": self.head_dim,
            "hidden_act": "silu",
            "rope_theta": self.rope_theta,
            "rms_norm_eps": self.rms_norm_eps,
            "tie_word_embeddings": self.tie_word_embeddings,
            "max_position_embeddings": self.max_positions,
            "bos_token_id": self.bos_token_id,
            "eos_token_id": eos,
            "pad_token_id": self.pad_token_id,
            "attention_dropout": 0.0,
            "torch_dtype": "bfloat16",
        });
        if let Some(config) = config.as_object_mut() {
            self.family_keys(config);
        }
        if let Some(own) = &self.custom_layers {
            config["architectures"] = json!([own.name()]);
            config["model_type"] = json!(own.name());
            config["sky_layers"] = json!(own);
        }
        config
    }

    fn family_keys(&self, config: &mut Map<String, Value>) {
        if self.family == Family::Llama {
            config.insert("attention_bias".into(), json!(self.qkv_bias));
            config.insert("mlp_bias".into(), json!(self.mlp_bias));
        } else {
            config.insert("use_sliding_window".into(), json!(false));
        }
        let scaling = match self.rope_scaling {
            None => return,
            Some(RopeScaling::Linear { factor }) => {
                json!({"rope_type": "linear", "factor": factor})
            }
            Some(RopeScaling::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_context,
            }) => json!({
                "rope_type": "llama3",
                "factor": factor,
                "low_freq_factor": low_freq_factor,
                "high_freq_factor": high_freq_factor,
                "original_max_position_embeddings": original_context as u64,
            }),
        };
        config.insert("rope_scaling".into(), scaling);
    }

    /// Refuses sizes that cannot be.
    ///
    /// # Errors
    /// When one is zero, absurd, or does not divide as it must.
    pub(crate) fn validated(self) -> Result<Self, ModelError> {
        let refuse = |reason: String| Err(ModelError::Config(reason));
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let sizes = ModelSizes {
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            intermediate_size: self.intermediate_size,
            num_hidden_layers: number(self.num_layers),
            num_attention_heads: self.num_heads,
            num_key_value_heads: self.num_kv_heads,
            head_dim: self.head_dim,
        };
        sizes.check().map_err(ModelError::Config)?;
        const LONGEST: usize = 1 << 24;
        if !(1..=LONGEST).contains(&self.max_positions) {
            return refuse(format!(
                "max_position_embeddings is {}, expected 1 to {LONGEST}",
                self.max_positions
            ));
        }
        if !(self.rope_theta.is_finite() && self.rope_theta > 0.0) {
            return refuse(format!(
                "rope_theta is {}, expected a positive number",
                self.rope_theta
            ));
        }
        if !(self.rms_norm_eps.is_finite() && self.rms_norm_eps >= 0.0) {
            return refuse(format!(
                "rms_norm_eps is {}, expected zero or more",
                self.rms_norm_eps
            ));
        }
        if let Some(own) = &self.custom_layers {
            let mut others = vec![EMBEDDING, FINAL_NORM];
            if !self.tie_word_embeddings {
                others.push(LM_HEAD);
            }
            own.check(self.num_layers, &others)?;
        }
        Ok(self)
    }

    /// The same model with layers of its own: a name of at most 64 small letters, digits, `-` and
    /// `_`, and each layer's parameters, which `params` gives for the layer's index, from 0.
    ///
    /// # Errors
    /// When the name is a known model's or has other characters, two parameters have one name, or a
    /// shape is impossible.
    pub fn with_custom_layers(
        self,
        name: &str,
        params: impl Fn(usize) -> Vec<ParamSpec>,
    ) -> Result<Self, ModelError> {
        let params = (0..self.num_layers).map(params).collect();
        let own = CustomLayers::new(name, self.family, params);
        Self {
            custom_layers: Some(own),
            ..self
        }
        .validated()
    }

    /// Refuses a model with layers of its own, for a program that has no function for them.
    ///
    /// # Errors
    /// When it has such layers.
    pub fn no_custom_layers(&self) -> Result<(), ModelError> {
        self.custom_layers.as_ref().map_or(Ok(()), |own| {
            Err(ModelError::Config(format!(
                "its layers are `{}`, which this program does not know; the one that trained them does",
                own.name()
            )))
        })
    }
}

impl RopeScaling {
    fn read(rope: &HfRope) -> Result<Option<Self>, ModelError> {
        let need = |name: &str, value: Option<f64>| match value {
            Some(v) if v.is_finite() && v > 0.0 => Ok(v),
            _ => Err(ModelError::Config(format!(
                "rope scaling lacks a positive {name}"
            ))),
        };
        match rope.rope_type.as_deref().unwrap_or("default") {
            "default" => Ok(None),
            "linear" => Ok(Some(Self::Linear {
                factor: need("factor", rope.factor)?,
            })),
            "llama3" => Ok(Some(Self::Llama3 {
                factor: need("factor", rope.factor)?,
                low_freq_factor: need("low_freq_factor", rope.low_freq_factor)?,
                high_freq_factor: need("high_freq_factor", rope.high_freq_factor)?,
                original_context: need(
                    "original_max_position_embeddings",
                    rope.original_max_position_embeddings,
                )?,
            })),
            other => Err(ModelError::Config(format!(
                "rope scaling `{other}` is not known (default, linear, llama3 are)"
            ))),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const QWEN: &str = r#"{"architectures": ["Qwen2ForCausalLM"], "attention_dropout": 0.0, "bos_token_id": 151643,
        "eos_token_id": 151645, "hidden_act": "silu", "hidden_size": 5120, "initializer_range": 0.02,
        "intermediate_size": 27648, "max_position_embeddings": 32768, "max_window_layers": 70, "model_type": "qwen2",
        "num_attention_heads": 40, "num_hidden_layers": 64, "num_key_value_heads": 8, "rms_norm_eps": 1e-06,
        "rope_theta": 1000000.0, "sliding_window": 131072, "tie_word_embeddings": false, "torch_dtype": "bfloat16",
        "use_cache": true, "use_sliding_window": false, "vocab_size": 152064}"#;

    #[test]
    fn qwen_32b_reads_and_counts_its_parameters() {
        let config = Config::from_json(QWEN).unwrap();
        assert_eq!(
            (config.head_dim, config.num_kv_heads, config.qkv_bias),
            (128, 8, true)
        );
        // As its model card rounds: 32.5 B without, 32.8 B with embeddings.
        assert_eq!(config.num_params(), 32_763_876_352);
        assert_eq!(
            Config::from_json(&config.to_json().to_string()).unwrap(),
            config
        );
    }

    #[test]
    fn llama_3_scaling_reads_in_both_layouts() {
        let base = r#""model_type":"llama","vocab_size":8,"hidden_size":8,"intermediate_size":8,"num_hidden_layers":1,
            "num_attention_heads":2,"eos_token_id":[1,2]"#;
        let scaling = r#""rope_type":"llama3","factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,
            "original_max_position_embeddings":8192"#;
        let old = format!("{{{base},\"rope_theta\":5e5,\"rope_scaling\":{{{scaling}}}}}");
        let new = format!("{{{base},\"rope_parameters\":{{\"rope_theta\":5e5,{scaling}}}}}");
        let config = Config::from_json(&old).unwrap();
        assert!(matches!(
            config.rope_scaling,
            Some(RopeScaling::Llama3 { .. })
        ));
        assert_eq!(config.eos_token_ids, [1, 2]);
        assert_eq!(Config::from_json(&new).unwrap(), config);
        assert_eq!(
            Config::from_json(&config.to_json().to_string()).unwrap(),
            config
        );
    }

    #[test]
    fn what_is_not_known_is_refused_by_name() {
        for (from, to, word) in [
            ("qwen2\"", "mamba\"", "mamba"),
            ("silu", "gelu", "gelu"),
            (
                "\"use_sliding_window\": false",
                "\"use_sliding_window\": true",
                "sliding",
            ),
            (
                "\"num_key_value_heads\": 8",
                "\"num_key_value_heads\": 7",
                "7 key-value",
            ),
            (
                "\"num_key_value_heads\": 8",
                "\"num_key_value_heads\": 0",
                "num_key_value_heads",
            ),
            ("\"vocab_size\": 152064", "\"vocab_size\": -1", "vocab_size"),
            (
                "\"hidden_size\": 5120",
                "\"hidden_size\": 99999999999",
                "hidden_size",
            ),
            (
                "\"hidden_size\": 5120,",
                "\"hidden_size\": 1048576, \"head_dim\": 1048576,",
                "wider",
            ),
            ("\"hidden_size\": 5120,", "", "hidden_size"),
        ] {
            let error = Config::from_json(&QWEN.replace(from, to))
                .unwrap_err()
                .to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
