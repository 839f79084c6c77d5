//! The documentation says what the code does: the examples of `docs/formats.md` are read and
//! written back, the defaults of `docs/reference/recipe-keys.md` are the code's.
#![allow(clippy::unwrap_used)]

#[path = "../../../crates/sky-cli/tests/page/mod.rs"]
mod page;

use std::{fs, path::Path};

use page::{FORMATS, blocks, defaults};
use serde::{Serialize, de::DeserializeOwned};
use sky_cli::Recipe;
use sky_data::{DroppedProblem, ProblemsConfig, SelectConfig, Selected};
use sky_types::{Conversation, Problem, Prompt, Sample, VerdictRecord};

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn writes_back<T: Serialize + DeserializeOwned>(label: &str, versioned: bool) {
    for block in blocks(FORMATS, &format!("json {label}")) {
        let line = block.trim_end();
        let row: T = serde_json::from_str(line).unwrap();
        assert_eq!(serde_json::to_string(&row).unwrap(), line);
        let refused = |line: &str| serde_json::from_str::<T>(line).is_err();
        assert!(
            refused(&line.replacen('{', "{\"extra\":1,", 1)),
            "an unknown field"
        );
        for inner in ["{\"tests\":{", "{\"program\":{"] {
            if line.contains(inner) {
                let extra = line.replacen(inner, &format!("{inner}\"extra\":1,"), 1);
                assert!(refused(&extra), "an unknown field of the answer");
            }
        }
        if versioned {
            assert!(
                refused(&line.replacen("\"v\":1", "\"v\":2", 1)),
                "an unknown version"
            );
            assert!(
                !refused(&line.replacen("\"v\":1,", "", 1)),
                "no version is version 1"
            );
        }
    }
}

#[test]
fn every_example_is_read_and_written_back() {
    writes_back::<Problem>("problem", true);
    writes_back::<Sample>("sample", true);
    writes_back::<VerdictRecord>("verdict", true);
    writes_back::<Selected>("selected", true);
    writes_back::<DroppedProblem>("dropped", true);
    writes_back::<Conversation>("conversation", false);
}

#[test]
fn the_page_names_every_key_with_its_default() {
    defaults::<ProblemsConfig>("problems");
    defaults::<SelectConfig>("select");
    defaults::<Prompt>("prompt");
}

#[test]
fn every_recipe_s_sections_are_valid() {
    for entry in fs::read_dir(root().join("recipes")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ext| ext == "toml") {
            let recipe = Recipe::load(&path).unwrap();
            recipe.section::<ProblemsConfig>().unwrap();
            recipe.section::<SelectConfig>().unwrap();
        }
    }
}
