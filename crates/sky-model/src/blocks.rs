use crate::{
    Config, ParamSpec,
    param_spec::{EMBEDDING, FINAL_NORM, LM_HEAD},
};

/// Names one block of the forward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BlockId {
    /// Token ids to vectors.
    Embedding,
    /// One transformer layer, from 0.
    Layer(usize),
    /// Final norm and logits.
    Head,
}

/// A block and its parameters, in the order its function takes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockSpec {
    /// Which block.
    pub id: BlockId,
    /// Its parameters.
    pub params: Vec<ParamSpec>,
}

/// A model's blocks in the order of the forward pass: embedding, layers, head. With tied embeddings
/// the head lists its norm alone and borrows the embedding's matrix as an extra input.
pub fn blocks(config: &Config) -> Vec<BlockSpec> {
    let matrix = |name: String, rows: i64, columns: i64| ParamSpec::new(name, &[rows, columns]);
    let vector = |name: String, size: i64| ParamSpec::new(name, &[size]);
    let hidden = config.hidden_size;
    let embedding = BlockSpec {
        id: BlockId::Embedding,
        params: vec![matrix(EMBEDDING.into(), config.vocab_size, hidden)],
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
    let mut head = vec![vector(FINAL_NORM.into(), hidden)];
    if !config.tie_word_embeddings {
        head.push(matrix(LM_HEAD.into(), config.vocab_size, hidden));
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

impl Config {
    /// Number of parameters, a tied head counted once.
    pub fn num_params(&self) -> u64 {
        let count = |shape: &[i64]| shape.iter().product::<i64>().unsigned_abs();
        blocks(self)
            .iter()
            .flat_map(|b| &b.params)
            .map(|p| count(&p.shape))
            .sum()
    }
}
