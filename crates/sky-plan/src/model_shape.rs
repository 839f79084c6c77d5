use sky_types::HfConfig;

use crate::{LoraConfig, PlanError, TrainConfig};

/// A model's sizes, as the plan needs them: no weights, no libtorch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelShape {
    /// Transformer layers.
    pub layers: u64,
    /// Width of the residual stream.
    pub hidden: u64,
    /// Width of the gated feed-forward layer.
    pub ffn: u64,
    /// Query heads.
    pub heads: u64,
    /// Key and value heads.
    pub kv_heads: u64,
    /// Width of one head.
    pub head_dim: u64,
    /// Tokens the model knows.
    pub vocab: u64,
    /// Whether the head is the embedding transposed.
    pub tied: bool,
    /// Whether queries, keys and values have a bias, as in Qwen2.
    pub qkv_bias: bool,
}

/// Operations of a step by kind; see [`ModelShape::collectives`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collectives {
    /// All-gathers of a block's weights.
    pub gathers: u64,
    /// Reduce-scatters of a block's gradients.
    pub scatters: u64,
    /// All-reduces of a block's gradients.
    pub all_reduces: u64,
}

/// Published shapes: name, layers, hidden, feed-forward, heads, kv heads, vocabulary, tied. From
/// each model's `config.json`.
type Row = (&'static str, u64, u64, u64, u64, u64, u64, bool);
const KNOWN: [Row; 10] = [
    ("Qwen2.5-0.5B-Instruct", 24, 896, 4864, 14, 2, 151_936, true),
    (
        "Qwen2.5-1.5B-Instruct",
        28,
        1536,
        8960,
        12,
        2,
        151_936,
        true,
    ),
    (
        "Qwen2.5-3B-Instruct",
        36,
        2048,
        11_008,
        16,
        2,
        151_936,
        true,
    ),
    (
        "Qwen2.5-7B-Instruct",
        28,
        3584,
        18_944,
        28,
        4,
        152_064,
        false,
    ),
    (
        "Qwen2.5-14B-Instruct",
        48,
        5120,
        13_824,
        40,
        8,
        152_064,
        false,
    ),
    (
        "Qwen2.5-32B-Instruct",
        64,
        5120,
        27_648,
        40,
        8,
        152_064,
        false,
    ),
    (
        "Qwen2.5-72B-Instruct",
        80,
        8192,
        29_568,
        64,
        8,
        152_064,
        false,
    ),
    ("QwQ-32B-Preview", 64, 5120, 27_648, 40, 8, 152_064, false),
    ("SmolLM2-135M-Instruct", 30, 576, 1536, 9, 3, 49_152, true),
    ("SmolLM2-360M-Instruct", 32, 960, 2560, 15, 5, 49_152, true),
];

impl ModelShape {
    /// The shape of a published model, with or without its organisation and the suffix `-Instruct`.
    pub fn known(name: &str) -> Option<Self> {
        let bare = name.rsplit('/').next().unwrap_or(name);
        let row = KNOWN.iter().find(|row| {
            row.0.eq_ignore_ascii_case(bare)
                || row
                    .0
                    .strip_suffix("-Instruct")
                    .is_some_and(|base| base.eq_ignore_ascii_case(bare))
        })?;
        let &(name, layers, hidden, ffn, heads, kv_heads, vocab, tied) = row;
        Some(Self {
            layers,
            hidden,
            ffn,
            heads,
            kv_heads,
            head_dim: hidden / heads,
            vocab,
            tied,
            qkv_bias: name.starts_with('Q'),
        })
    }

    /// The names [`ModelShape::known`] knows.
    pub fn names() -> impl Iterator<Item = &'static str> {
        KNOWN.iter().map(|row| row.0)
    }

    /// Reads a `config.json`.
    ///
    /// # Errors
    /// When it is no such file, of a model that is not known, or a size is zero or absurd.
    pub fn from_json(text: &str) -> Result<Self, PlanError> {
        let config = HfConfig::parse(text).map_err(|error| PlanError::Model(error.to_string()))?;
        let qwen = match &*config.model_type {
            "qwen2" => true,
            "llama" => false,
            other => {
                return Err(PlanError::Model(format!(
                    "model_type `{other}` is not known (llama and qwen2 are)"
                )));
            }
        };
        let sizes = config.sizes();
        sizes.check().map_err(PlanError::Model)?;
        // Positive, as has been checked.
        let positive = i64::unsigned_abs;
        Ok(Self {
            layers: positive(sizes.num_hidden_layers),
            hidden: positive(sizes.hidden_size),
            ffn: positive(sizes.intermediate_size),
            heads: positive(sizes.num_attention_heads),
            kv_heads: positive(sizes.num_key_value_heads),
            head_dim: positive(sizes.head_dim),
            vocab: positive(sizes.vocab_size),
            tied: config.tie_word_embeddings,
            qkv_bias: qwen || config.attention_bias,
        })
    }

    /// Width of all query heads.
    pub fn q(&self) -> u64 {
        self.heads * self.head_dim
    }

    /// Width of all key heads, which is that of all value heads.
    pub fn kv(&self) -> u64 {
        self.kv_heads * self.head_dim
    }

    /// Parameters of the embedding matrix, which is also the size of an untied head.
    pub fn embedding(&self) -> u64 {
        self.vocab * self.hidden
    }

    /// Parameters of one layer.
    pub fn layer(&self) -> u64 {
        let biases = if self.qkv_bias {
            self.q() + 2 * self.kv()
        } else {
            0
        };
        let attention = 2 * self.hidden * (self.q() + self.kv());
        attention + biases + 3 * self.hidden * self.ffn + 2 * self.hidden
    }

    /// All parameters, a tied head counted once.
    pub fn params(&self) -> u64 {
        let head = if self.tied { 0 } else { self.embedding() };
        self.embedding() + self.layers * self.layer() + self.hidden + head
    }

    /// Inputs and outputs of each adapted projection.
    fn adapted(&self, lora: &LoraConfig) -> impl Iterator<Item = (u64, u64)> + use<> {
        let (hidden, ffn, q, kv) = (self.hidden, self.ffn, self.q(), self.kv());
        [
            (hidden, q),
            (hidden, kv),
            (hidden, kv),
            (q, hidden),
            (hidden, ffn),
            (hidden, ffn),
            (ffn, hidden),
        ]
        .into_iter()
        .zip(lora.adapted())
        .filter_map(|(sizes, adapted)| adapted.then_some(sizes))
    }

    /// Parameters of one layer's adapters; none without.
    pub fn layer_adapters(&self, config: &TrainConfig) -> u64 {
        config.lora.as_ref().map_or(0, |lora| {
            let rank = lora.rank as u64;
            self.adapted(lora).map(|(x, y)| rank * (x + y)).sum()
        })
    }

    /// Parameters that are frozen: all of the model's when adapters are trained.
    pub fn frozen(&self, config: &TrainConfig) -> u64 {
        config.lora.as_ref().map_or(0, |_| self.params())
    }

    /// Parameters that are trained: the model's, or its adapters'.
    pub fn trained(&self, config: &TrainConfig) -> u64 {
        match config.lora {
            None => self.params(),
            Some(_) => self.layers * self.layer_adapters(config),
        }
    }

    /// Operations on blocks that each rank of several takes part in during a step of
    /// `micro_batches` micro-batches; sums of single numbers (loss, norm) are not counted. A tied
    /// embedding is gathered again for the head, and each of its two uses gives a gradient.
    /// `recomputed` layers are gathered for the backward pass too. With adapters only layers have
    /// gradients, and their adapters are gathered apart.
    pub fn collectives(
        &self,
        config: &TrainConfig,
        recomputed: u64,
        micro_batches: u64,
    ) -> Collectives {
        let blocks = self.layers + 2;
        let tied = u64::from(self.tied);
        let (trained, uses) = match config.lora {
            None => (blocks, blocks + tied),
            Some(_) => (self.layers, self.layers),
        };
        let (mut gathers, mut scatters, mut all_reduces) = (0, 0, 0);
        match config.zero_stage {
            0 => all_reduces = trained,
            1 => (gathers, scatters) = (trained, trained),
            2 => (gathers, scatters) = (trained, micro_batches * uses),
            _ => {
                let whole = blocks + tied + recomputed;
                let layers = self.layers + recomputed;
                let adapters = config.lora.as_ref().map_or(0, |_| layers);
                gathers = micro_batches * (whole + adapters);
                scatters = micro_batches * uses;
            }
        }
        Collectives {
            gathers,
            scatters,
            all_reduces,
        }
    }

    /// Parameters that each rank of several gathers for a micro-batch at stage 3, as
    /// [`ModelShape::collectives`] counts them.
    pub(crate) fn gathered(&self, config: &TrainConfig, recomputed: u64) -> u64 {
        let tied = if self.tied { self.embedding() } else { 0 };
        let adapters = self.layer_adapters(config);
        let recomputed = recomputed * (self.layer() + adapters);
        self.params() + tied + self.layers * adapters + recomputed
    }

    /// Parameters whose gradients are reduced for a micro-batch from stage 2 on.
    pub(crate) fn reduced(&self, config: &TrainConfig) -> u64 {
        let tied = self.tied && config.lora.is_none();
        self.trained(config) + if tied { self.embedding() } else { 0 }
    }

    /// Bytes that autograd keeps for one token of one layer in bf16 compute, the layer's input not
    /// counted.
    ///
    /// Where norm, rotation and SwiGLU are fused (on CPUs): the results of both norms and the input
    /// of the second, the rotated queries and keys, keys and values repeated for the heads that
    /// share them, the output of attention before and after it is laid out for the projection,
    /// three tensors of the feed-forward width. Where they are not: per norm the f32 input and
    /// normed value too, queries and keys before their rotation, a fourth tensor of the
    /// feed-forward width.
    pub fn graph_bytes(&self, fused: bool) -> u64 {
        let shared = if self.q() == self.kv() {
            0
        } else {
            2 * self.q()
        };
        if fused {
            2 * (3 * self.hidden + 3 * self.q() + 2 * self.kv() + shared + 3 * self.ffn)
        } else {
            2 * (10 * self.hidden + 4 * self.q() + 4 * self.kv() + 4 * self.ffn)
        }
    }

    /// The same of a layer's adapters: what is `rank` wide, before and after its scale. Their
    /// inputs are the projections', which are counted already.
    pub fn adapter_graph_bytes(&self, config: &TrainConfig) -> u64 {
        config.lora.as_ref().map_or(0, |lora| {
            2 * 2 * lora.rank as u64 * self.adapted(lora).count() as u64
        })
    }

    /// Floating-point operations of one token in a step. A backward pass costs two forward passes:
    /// one for the gradient of the input, one for that of the weights, which frozen ones do not
    /// have. `recomputed` layers have a second forward pass.
    pub fn step_flops(&self, tokens: f64, config: &TrainConfig, recomputed: u64) -> f64 {
        let forward = self.forward_flops(tokens);
        let adapters = 2.0 * self.layer_adapters(config) as f64;
        let recomputed = recomputed as f64 * (self.layer_flops(tokens) + adapters);
        recomputed
            + match config.lora {
                None => 3.0 * forward,
                Some(_) => 2.0 * forward + 3.0 * self.layers as f64 * adapters,
            }
    }

    /// Floating-point operations of one token's forward pass in rows of `tokens` tokens: two a
    /// weight, and causal attention, whose two products cost `2 q tokens` a layer on average.
    pub fn forward_flops(&self, tokens: f64) -> f64 {
        self.layers as f64 * self.layer_flops(tokens) + 2.0 * self.embedding() as f64
    }

    fn layer_flops(&self, tokens: f64) -> f64 {
        2.0 * self.layer() as f64 + 2.0 * self.q() as f64 * tokens
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn published_sizes_come_out() {
        let shape = ModelShape::known("Qwen/Qwen2.5-32B-Instruct").unwrap();
        assert_eq!(shape.params(), 32_763_876_352);
        assert_eq!(ModelShape::known("qwen2.5-32b"), Some(shape));
        let small = ModelShape::known("SmolLM2-135M-Instruct").unwrap();
        assert_eq!(small.params(), 134_515_008);
        assert_eq!(
            ModelShape::known("Qwen2.5-0.5B").unwrap().params(),
            494_032_768
        );
        assert_eq!(
            ModelShape::known("Qwen2.5-7B").unwrap().params(),
            7_615_616_512
        );
        assert!(ModelShape::known("Qwen2.5-33B").is_none());
    }

    #[test]
    fn layers_recomputed_cost_a_forward_pass_each() {
        let shape = ModelShape::known("Qwen2.5-0.5B").unwrap();
        let config = TrainConfig::default();
        let flops = |recomputed| shape.step_flops(2048.0, &config, recomputed);
        let forward = shape.forward_flops(2048.0);
        assert_eq!(flops(0), 3.0 * forward);
        let layers = forward - 2.0 * shape.embedding() as f64;
        let ratio = |recomputed| (flops(recomputed) - flops(0)) / layers;
        assert!((ratio(24) - 1.0).abs() < 1e-9 && (ratio(18) - 0.75).abs() < 1e-9);
    }

    #[test]
    fn a_config_file_gives_the_same_shape_and_a_broken_one_is_refused() {
        let text = r#"{"model_type": "qwen2", "num_hidden_layers": 64, "hidden_size": 5120, "intermediate_size": 27648,
            "num_attention_heads": 40, "num_key_value_heads": 8, "vocab_size": 152064, "tie_word_embeddings": false}"#;
        assert_eq!(
            ModelShape::from_json(text).unwrap(),
            ModelShape::known("Qwen2.5-32B-Instruct").unwrap()
        );
        let least = text
            .replace("\"num_key_value_heads\": 8", "\"head_dim\": null")
            .replace("qwen2", "llama");
        let shape = ModelShape::from_json(&least).unwrap();
        assert_eq!((shape.kv_heads, shape.head_dim), (40, 128));
        let biases = least.replace("null", "128, \"attention_bias\": true");
        let with = ModelShape::from_json(&biases).unwrap();
        assert_eq!(with.layer() - shape.layer(), 3 * 5120);
        let other = ModelShape::from_json(&text.replace("qwen2", "mamba"));
        assert!(other.unwrap_err().to_string().contains("`mamba`"));
        for (from, to, named) in [
            ("layers\": 64", "layers\": 0", "num_hidden_layers is 0"),
            (
                "layers\": 64",
                "layers\": 9999999",
                "num_hidden_layers is 9999999",
            ),
            ("5120", "16777216", "hidden_size is 16777216"),
            (
                "\"num_key_value_heads\": 8",
                "\"head_dim\": 999999",
                "head_dim 999999",
            ),
            ("heads\": 8", "heads\": 41", "num_key_value_heads: 40 heads"),
        ] {
            let error = ModelShape::from_json(&text.replace(from, to)).unwrap_err();
            assert!(error.to_string().contains(named), "{error}");
        }
        assert!(ModelShape::from_json("{}").is_err());
    }
}
