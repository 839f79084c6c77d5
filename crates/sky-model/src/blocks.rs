use serde::{Deserialize, Serialize};

use crate::Config;

/// Names one step of the fold that a forward pass is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BlockId {
    /// Token ids to vectors.
    Embedding,
    /// One transformer layer, from 0.
    Layer(usize),
    /// Final norm and logits.
    Head,
}

/// One parameter of a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParamSpec {
    /// Its name in Hugging Face files.
    pub name: String,
    /// Its shape, `[out, in]` for matrices.
    pub shape: Vec<i64>,
    /// Whether weight decay applies: on matrices, not on norms and biases.
    pub decay: bool,
}

impl ParamSpec {
    /// One that weight decay applies to when it has more than one dimension.
    pub fn new(name: impl Into<String>, shape: &[i64]) -> Self {
        Self {
            name: name.into(),
            shape: shape.to_vec(),
            decay: shape.len() > 1,
        }
    }

    /// Number of elements.
    pub fn numel(&self) -> i64 {
        self.shape.iter().product()
    }
}

/// A block and its parameters, in the order its function takes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockSpec {
    /// Which block.
    pub id: BlockId,
    /// Its parameters.
    pub params: Vec<ParamSpec>,
}

/// A model's blocks in fold order: embedding, layers, head. With tied embeddings the head lists its
/// norm alone and borrows the embedding's matrix as an extra input.
pub fn blocks(config: &Config) -> Vec<BlockSpec> {
    let matrix = |name: String, rows: i64, columns: i64| ParamSpec::new(name, &[rows, columns]);
    let vector = |name: String, size: i64| ParamSpec::new(name, &[size]);
    let hidden = config.hidden_size;
    let embedding = BlockSpec {
        id: BlockId::Embedding,
        params: vec![matrix(
            "model.embed_tokens.weight".into(),
            config.vocab_size,
            hidden,
        )],
    };
    let layers = (0..config.num_layers).map(|i| {
        if let Some(own) = &config.custom_layers {
            return BlockSpec {
                id: BlockId::Layer(i),
                params: own.params[i].clone(),
            };
        }
        let mut params = vec![vector(
            format!("model.layers.{i}.input_layernorm.weight"),
            hidden,
        )];
        let mut linear = |name: &str, rows: i64, columns: i64, bias: bool| {
            params.push(matrix(
                format!("model.layers.{i}.{name}.weight"),
                rows,
                columns,
            ));
            if bias {
                params.push(vector(format!("model.layers.{i}.{name}.bias"), rows));
            }
        };
        let (q, kv) = (
            config.num_heads * config.head_dim,
            config.num_kv_heads * config.head_dim,
        );
        linear("self_attn.q_proj", q, hidden, config.qkv_bias);
        linear("self_attn.k_proj", kv, hidden, config.qkv_bias);
        linear("self_attn.v_proj", kv, hidden, config.qkv_bias);
        linear("self_attn.o_proj", hidden, q, config.attention_output_bias);
        params.push(vector(
            format!("model.layers.{i}.post_attention_layernorm.weight"),
            hidden,
        ));
        let mut linear = |name: &str, rows: i64, columns: i64| {
            params.push(matrix(
                format!("model.layers.{i}.{name}.weight"),
                rows,
                columns,
            ));
            if config.mlp_bias {
                params.push(vector(format!("model.layers.{i}.{name}.bias"), rows));
            }
        };
        linear("mlp.gate_proj", config.intermediate_size, hidden);
        linear("mlp.up_proj", config.intermediate_size, hidden);
        linear("mlp.down_proj", hidden, config.intermediate_size);
        BlockSpec {
            id: BlockId::Layer(i),
            params,
        }
    });
    let mut head = vec![vector("model.norm.weight".into(), hidden)];
    if !config.tie_word_embeddings {
        head.push(matrix("lm_head.weight".into(), config.vocab_size, hidden));
    }
    let head = BlockSpec {
        id: BlockId::Head,
        params: head,
    };
    std::iter::once(embedding)
        .chain(layers)
        .chain([head])
        .collect()
}
