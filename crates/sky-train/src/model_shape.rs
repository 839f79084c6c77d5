use sky_model::Config;
use sky_plan::ModelShape;

/// The shape of a model that is at hand, for the plan's formulas.
pub fn model_shape(config: &Config) -> ModelShape {
    let size = i64::unsigned_abs;
    ModelShape {
        layers: config.num_layers as u64,
        hidden: size(config.hidden_size),
        ffn: size(config.intermediate_size),
        heads: size(config.num_heads),
        kv_heads: size(config.num_kv_heads),
        head_dim: size(config.head_dim),
        vocab: size(config.vocab_size),
        tied: config.tie_word_embeddings,
        qkv_bias: config.qkv_bias,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_plan_counts_parameters_as_the_model_does() {
        for (vocab, tied, family) in [(40, true, "llama"), (64, false, "qwen2")] {
            let text = format!(
                r#"{{"model_type": "{family}", "vocab_size": {vocab}, "hidden_size": 24, "intermediate_size": 32,
                "num_hidden_layers": 3, "num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 8,
                "tie_word_embeddings": {tied}}}"#
            );
            let config = Config::from_json(&text).unwrap();
            let shape = ModelShape::from_json(&text).unwrap();
            assert_eq!(model_shape(&config), shape);
            assert_eq!(shape.params(), config.num_params());
        }
    }
}
