use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::{Family, ModelError, ParamSpec};

/// Layers that are not this crate's, as a model's configuration names them; what they compute is
/// known to the program that brings them. Embedding and head stay the family's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CustomLayers {
    /// Their name: the `model_type` of the files, so that nothing else takes the model for one it
    /// knows.
    name: String,
    family: Family,
    /// Each layer's parameters, in the order its function takes them.
    pub(crate) params: Vec<Vec<ParamSpec>>,
}

/// Elements of one parameter at most: beyond any model, and sums of many still fit.
const MAX_NUMEL: i64 = 1 << 40;
const MAX_PARAMS: usize = 1024;

impl CustomLayers {
    pub(crate) fn new(name: &str, family: Family, params: Vec<Vec<ParamSpec>>) -> Self {
        Self {
            name: name.to_owned(),
            family,
            params,
        }
    }

    /// Name of the architecture, which `config.json` and checkpoints carry.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn family(&self) -> Family {
        self.family
    }

    /// Refuses what cannot be, in a model of `num_layers` whose other blocks have parameters of
    /// these names.
    pub(crate) fn check(&self, num_layers: usize, others: &[&str]) -> Result<(), ModelError> {
        let refuse = |reason: String| {
            let name = &self.name;
            Err(ModelError::Config(format!("layers `{name}`: {reason}")))
        };
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
        let known = Family::of(&self.name).is_some();
        if known || self.name.is_empty() || self.name.len() > 64 || !self.name.chars().all(plain) {
            return refuse(
                "expected a name of their own, of at most 64 small letters, digits, `-` and `_`"
                    .into(),
            );
        }
        if self.params.len() != num_layers {
            return refuse(format!(
                "parameters of {} layers, num_hidden_layers is {}",
                self.params.len(),
                num_layers
            ));
        }
        for (index, params) in self.params.iter().enumerate() {
            if params.len() > MAX_PARAMS {
                return refuse(format!("layer {index} has over {MAX_PARAMS} parameters"));
            }
            for ParamSpec { name, shape, .. } in params {
                let numel = shape.iter().try_fold(1i64, |all, &size| {
                    all.checked_mul(size).filter(|_| size > 0)
                });
                if name.is_empty() || shape.len() > 8 || numel.is_none_or(|n| n > MAX_NUMEL) {
                    return refuse(format!(
                        "layer {index}: parameter `{name}` cannot be of shape {shape:?}"
                    ));
                }
            }
        }
        let mut seen = HashSet::new();
        for (index, params) in self.params.iter().enumerate() {
            for ParamSpec { name, .. } in params {
                if others.contains(&name.as_str()) {
                    return refuse(format!("`{name}` is the name of another block's parameter"));
                }
                if !seen.insert(name) {
                    return refuse(format!(
                        "layer {index}: there is another parameter `{name}`"
                    ));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{Config, blocks};

    fn base() -> Config {
        Config::from_json(
            r#"{"model_type": "qwen2", "vocab_size": 16, "hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 2,
                "num_attention_heads": 2, "tie_word_embeddings": true}"#,
        )
        .unwrap()
    }

    #[test]
    fn they_are_read_back_as_they_were_written() {
        let own = |index| vec![ParamSpec::new(format!("mix.{index}.weight"), &[8, 8])];
        let config = base().with_custom_layers("mixer-1", own).unwrap();
        let names: Vec<String> = blocks(&config)
            .into_iter()
            .flat_map(|b| b.params)
            .map(|p| p.name)
            .collect();
        let expected = [
            "model.embed_tokens.weight",
            "mix.0.weight",
            "mix.1.weight",
            "model.norm.weight",
        ];
        assert_eq!(names, expected);
        assert_eq!(config.num_params(), 16 * 8 + 2 * 64 + 8);
        let json = config.to_json();
        assert_eq!(json["model_type"], "mixer-1");
        assert_eq!(Config::from_json(&json.to_string()).unwrap(), config);
        let refused = config.no_custom_layers().unwrap_err().to_string();
        assert!(refused.contains("`mixer-1`"), "{refused}");
        base().no_custom_layers().unwrap();
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_place() {
        let with = |name: &str, param: fn(usize) -> ParamSpec| {
            let config = base().with_custom_layers(name, |index| vec![param(index)]);
            config.unwrap_err().to_string()
        };
        let good = |index| ParamSpec::new(format!("mix.{index}"), &[8]);
        for name in ["", "llama", "../up", "Mixer", &"m".repeat(65)] {
            assert!(with(name, good).contains("a name of their own"), "{name}");
        }
        let same = with("mixer", |_| ParamSpec::new("mix", &[8]));
        assert!(
            same.contains("layer 1: there is another parameter `mix`"),
            "{same}"
        );
        let taken = with("mixer", |_| ParamSpec::new("model.norm.weight", &[8]));
        assert!(taken.contains("model.norm.weight"), "{taken}");
        let zero = with("mixer", |index| {
            ParamSpec::new(format!("mix.{index}"), &[8, 0])
        });
        assert!(zero.contains("layer 0: parameter `mix.0`"), "{zero}");
        let huge = with("mixer", |index| {
            ParamSpec::new(format!("mix.{index}"), &[i64::MAX, 3])
        });
        assert!(huge.contains("cannot be of shape"), "{huge}");

        let own = |index| vec![good(index)];
        let mut json = base().with_custom_layers("mixer", own).unwrap().to_json();
        json["num_hidden_layers"] = 3.into();
        let fewer = Config::from_json(&json.to_string())
            .unwrap_err()
            .to_string();
        assert!(
            fewer.contains("2 layers, num_hidden_layers is 3"),
            "{fewer}"
        );
    }
}
