use serde_json::{Value, json};

use crate::{ModelConfig, Recipe};

/// Tokens a second of a 135M model in batches on two cores.
const TOKENS_PER_SECOND: f64 = 250.0;

impl Recipe {
    /// How many problems there will be to sample, or held out, when the recipe says so itself: a
    /// file without `take` gives as many as it has.
    pub fn planned_problems(&self, heldout: bool) -> Option<u64> {
        let section: Value = self.parse_section("problems").ok()?;
        let number = |key: &str| section[key].as_u64();
        let mut total = if heldout {
            number("heldout")?
        } else {
            number("train")? + number("human_eval").unwrap_or(0)
        };
        for file in section["files"].as_array().into_iter().flatten() {
            if (file["heldout"] == json!(true)) == heldout {
                total += file["take"].as_u64()?;
            }
        }
        Some(total)
    }
}

impl ModelConfig {
    /// Expected wall time of so many replies, where it can be told: a small model in process, on
    /// two cores.
    pub fn seconds(&self, replies: u64, max_tokens: u32) -> Option<f64> {
        let small = matches!(self.local_path(), Ok(Some(path)) if path.is_file());
        // A reply takes about half of what it may.
        small.then(|| replies as f64 * f64::from(max_tokens) / 2.0 / TOKENS_PER_SECOND)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_counted_where_the_recipe_says_how_many() {
        let planned = |text: &str| {
            let recipe = Recipe::parse("r.toml", &format!("v = 1\n[problems]\n{text}")).unwrap();
            (
                recipe.planned_problems(false),
                recipe.planned_problems(true),
            )
        };
        let both = "train = 10\nheldout = 4\nhuman_eval = 2\n";
        assert_eq!(planned(both), (Some(12), Some(4)));
        let files =
            format!("{both}files = [{{ path = 'a', take = 5 }}, {{ path = 'b', heldout = true }}]");
        assert_eq!(planned(&files), (Some(17), None));
    }
}
